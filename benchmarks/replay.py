"""The year of the reference project lived again: `gitrain rehearse --year`, from raw files to the picture.

    OMP_WAIT_POLICY=PASSIVE python benchmarks/replay.py [--folder FOLDER]

It writes benchmarks/results/replay.json and replay.svg. The data is ingested, validated and made into features in a
temporary folder; what the repository's memo of batches holds is taken from there, as a user's run does.

It exits 1 if the year takes ten minutes or more, or if a metric of a month, of the first model or of a candidate, is
another than in benchmarks/results/honest_figures.json, which trains and measures in its own way.
"""

import argparse
import json
import os
import platform
import resource
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from gitrain.pipeline.replay import ReplayReport
from gitrain.reports.replay_markdown import render_replay
from gitrain.reports.replay_svg import render_replay_svg
from gitrain.wiring.replay import replay_folder, replay_repository

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
LIMIT_SECONDS = 600
# Figures have six digits in one file, and four behind the point in the other.
SAME = 1e-4


def disagreements(report: ReplayReport) -> list[str]:
    """Where a month's figures are not those of honest_figures.json."""
    honest = json.loads((RESULTS / "honest_figures.json").read_text(encoding="utf-8"))["measured"]
    estimator = next(name for name in honest[report.batches[0].batch] if name != "stale")
    return [
        f"{each.batch}: {name} of {model} is {metrics[name]:.4f}, and {known:.4f} there"
        for each in report.batches
        for model, metrics in (("stale", each.metrics_without), (estimator, each.metrics_candidate))
        for name, known in honest[each.batch][model].items()
        if abs(known - metrics[name]) > SAME
    ]


def main() -> int:
    """Run the year and write what it came to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, help="a scratch folder that is kept (default: a temporary one)")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = arguments.folder or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "year"
        scratch = stack.enter_context(replay_folder(folder))
        start, processor = time.perf_counter(), time.process_time()
        report = replay_repository(
            str(ROOT), scratch, bootstrap=3, through=None, keep_log=False, progress=lambda line: print(line, flush=True)
        )
        seconds, processor = time.perf_counter() - start, time.process_time() - processor
    print(render_replay(report))
    different = disagreements(report)
    results = {
        "machine": {
            "processors": os.cpu_count(),
            "load_1min": round(os.getloadavg()[0], 1),
            "python": platform.python_version(),
        },
        "seconds": round(seconds, 1),
        "processor_seconds": round(processor, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "agrees": not different,
        "report": json.loads(report.to_json()) | {"days": len(report.days)},
    }
    (RESULTS / "replay.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "replay.svg").write_text(render_replay_svg(report), encoding="utf-8")
    for line in different:
        print(f"not the same: {line}")
    print(f"{seconds:.0f} s, {processor:.0f} s of processors, {results['peak_mb']} MB")
    return 1 if different or seconds >= LIMIT_SECONDS else 0


if __name__ == "__main__":
    sys.exit(main())
