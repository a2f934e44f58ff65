"""`gitrain predict` against calling ONNX Runtime on the ready feature matrix, on all flights that are validated.

    python benchmarks/batch_prediction.py [--repeats 5] [--folder FOLDER]

Two minutes on two cores; it writes benchmarks/results/batch_prediction.json and exits 1 if the command's work has less
than half the speed.

* gitrain: all that `gitrain predict` does once it is imported: claim and hash, contract, look-ups in a SQLite store
  that holds every month, scores, what is missing, parts and the joined file, with as many workers as cores.
* ONNX Runtime: one call on matrices that are ready in memory, in the same order as the flights; nothing is read, looked
  up or written. With one thread, as it serves (the bound is for this one), and with all cores, whose last bits differ.

The two alternate; each time is the median of the repeats, and the ratio that of the pairs. Beside the time on the clock
stands that of the processor: on a machine that does other work it is the steadier one. The probabilities have to agree
to 1e-12 (and to the last bit with one thread).
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import polars as pl

from gitrain.integrations.onnx.notes import CATEGORIES, NULL, NUMBERS, SCORE
from gitrain.operations.materialize_features import materialize_features
from gitrain.operations.predict_batch import PART_ROWS, predict_batch
from gitrain.pipeline.layout import SERVED
from gitrain.wiring.models import open_served_model
from gitrain.wiring.online import open_lookup, open_online_store
from gitrain.wiring.repository import open_repository, open_stage
from gitrain.wiring.serving import open_batch

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "batch_prediction.json"
LEAST_SPEED = 0.5


class Spent(NamedTuple):
    clock: float
    cpu: float

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(self.clock - other.clock, self.cpu - other.cpu)


def now() -> Spent:
    return Spent(time.perf_counter(), time.process_time())


def measure(folder: Path, repeats: int) -> dict[str, Any]:
    store = f"sqlite:///{folder / 'online.sqlite'}"
    source = folder / "flights.parquet"
    found = open_repository(str(ROOT))
    materialize_all(store)
    known = found.project.features.entity.known_in_advance
    files = sorted((ROOT / "data" / "validated" / "flights").glob("*.parquet"))
    pl.concat([pl.read_parquet(file, columns=list(known)) for file in files]).write_parquet(source)

    def command() -> Spent:
        begun = now()
        with open_batch(str(ROOT), str(source), str(folder / "predictions.parquet"), store=store) as opened:
            report = predict_batch(
                opened.batch,
                opened.source,
                opened.output,
                workspace=opened.workspace,
                progress=lambda _: None,
                workers=opened.workers,
            )
        assert report.quarantined == 0, report.findings
        return now() - begun

    feeds = ready_matrices(store, source)
    sessions = {threads: session(threads) for threads in (1, os.cpu_count() or 1)}

    def runtime(threads: int) -> Spent:
        begun = now()
        sessions[threads].run([SCORE], feeds)
        return now() - begun

    command()
    predicted = pl.read_parquet(folder / "predictions.parquet")["probability"].to_numpy()
    for threads, one in sessions.items():
        scores = one.run([SCORE], feeds)[0]
        assert np.abs(scores - predicted).max() <= 1e-12
        assert threads > 1 or len(scores) % 2 or (scores == predicted).all()
    rounds = [(command(), {threads: runtime(threads) for threads in sessions}) for _ in range(repeats)]
    rows = len(predicted)
    ours = summary([command for command, _ in rounds])
    return {
        "rows": rows,
        "parts": -(-rows // PART_ROWS),
        "command": ours | {"rows_per_second": round(rows / ours["seconds"])},
        "onnxruntime": [
            {
                "threads": threads,
                **summary([theirs[threads] for _, theirs in rounds]),
                "speed_of_command": ratio([(theirs[threads].clock, command.clock) for command, theirs in rounds]),
                "work_of_command": ratio([(command.cpu, theirs[threads].cpu) for command, theirs in rounds]),
            }
            for threads in sessions
        ],
    }


def summary(spent: list[Spent]) -> dict[str, float]:
    return {
        "seconds": round(statistics.median(each.clock for each in spent), 3),
        "cpu_seconds": round(statistics.median(each.cpu for each in spent), 3),
    }


def ratio(pairs: list[tuple[float, float]]) -> float:
    return round(statistics.median(first / second for first, second in pairs), 3)


def materialize_all(store: str) -> None:
    stage = open_stage(str(ROOT), lambda _: None)
    online = open_online_store(store, ROOT)
    first = sorted(path.stem for path in (ROOT / "data" / "validated" / "flights").glob("*.parquet"))[0]
    materialize_features(stage, online, since=first, clock=lambda: datetime.now(UTC))
    online.close()


def ready_matrices(store: str, source: Path) -> dict[str, Any]:
    project = open_repository(str(ROOT)).project
    lookup = open_lookup(project.features, store, ROOT)
    columns = lookup.look_up(pl.read_parquet(source)).columns
    lookup.close()
    taken = open_served_model(ROOT).columns
    texts = [[NULL if text is None else text for text in columns[name]] for name in taken.categorical]
    return {
        NUMBERS: np.ascontiguousarray(np.column_stack([columns[name] for name in taken.numeric])),
        CATEGORIES: np.ascontiguousarray(np.array(texts, dtype=object).T),
    }


def session(threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(ROOT / SERVED / "model.onnx", options, providers=["CPUExecutionProvider"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gitrain-batch-", dir=arguments.folder) as folder:
        measured = measure(Path(folder), arguments.repeats)
    for each in measured["onnxruntime"]:
        print(
            f"{measured['rows']:,} rows: the command {measured['command']['seconds']} s, ONNX Runtime with "
            f"{each['threads']} threads {each['seconds']} s: {each['speed_of_command']:.2f} of its speed, "
            f"{each['work_of_command']:.2f} times the processor's time"
        )
    result = {
        "schema_version": 1,
        "least_speed": LEAST_SPEED,
        "passed": measured["onnxruntime"][0]["speed_of_command"] >= LEAST_SPEED,
        "repeats": arguments.repeats,
        "cores": os.cpu_count(),
        "versions": {
            "python": platform.python_version(),
            "polars": pl.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
        **measured,
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
