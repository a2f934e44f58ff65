"""All training and behaviour checks on the flight project: how long each takes, and the verdicts.

The aim is under three minutes on two cores. Needs a finished pipeline (`dvc repro`).
Writes results/training_checks.json.
"""

import argparse
import json
import os
import resource
import time
from pathlib import Path

from gitrain.checks.behaviour import BEHAVIOUR
from gitrain.checks.training import CHECKS
from gitrain.operations.check_behaviour import BehaviourChecks
from gitrain.operations.check_training import TrainingChecks
from gitrain.wiring.repository import open_model_format, open_stage

_RESULTS = Path(__file__).parent / "results" / "training_checks.json"
_LIMIT = 180.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", default=".", help="the repository with a finished pipeline (default: this one)")
    parser.add_argument("--cores", type=int, default=2, help="use so many cores (default 2)")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    allowed = sorted(os.sched_getaffinity(0))[: arguments.cores]
    os.sched_setaffinity(0, allowed)

    start, processor = time.perf_counter(), time.process_time()
    stage = open_stage(arguments.directory, lambda line: print(line, flush=True))
    model_format = open_model_format(stage.workspace.root)
    rows = []
    runs = [(definition.name, TrainingChecks) for definition in CHECKS] + [(BEHAVIOUR, BehaviourChecks)]
    opened = {kind: kind(stage, model_format) for kind in (TrainingChecks, BehaviourChecks)}
    for name, kind in runs:
        began = time.perf_counter()
        verdicts = opened[kind].verdicts(name)
        seconds = time.perf_counter() - began
        rows += [
            {"check": verdict.name, "outcome": verdict.outcome.value, "seconds": round(seconds / len(verdicts), 2)}
            for verdict in verdicts
        ]
    total = time.perf_counter() - start
    payload = {
        "cores": len(allowed),
        "batches": stage.batches,
        "seconds": round(total, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
        "limit_seconds": _LIMIT,
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "load_at_the_end": round(os.getloadavg()[0], 1),
        "checks": rows,
    }
    _RESULTS.write_text(json.dumps(payload, indent=2) + "\n", encoding="utf-8")
    for row in rows:
        print(f"{row['seconds']:8.2f} s  {row['outcome']:<12} {row['check']}")
    print(f"{total:8.1f} s in all, limit {_LIMIT:g} s")
    assert total < _LIMIT, "the training checks take too long"


if __name__ == "__main__":
    main()
