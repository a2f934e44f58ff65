"""Feature building against the same features written by hand in Polars.

    python benchmarks/features.py [--copies 1 10 30] [--repeats 5 3 1]

Rows are the flights of 2013, copied with shifts of 364 days: a copy keeps its weekdays, and its last day is left out so
that copies do not overlap. One copy is 336 thousand rows, 30 are 10.1 million in 359 months.

* by hand: one Polars script for all rows at once, from validated parquet to one parquet file of features; a cumulative
  sum a group, and an as-of join at both ends of each window.
* gitrain: `build_features` from nothing: month by month, with memo, contract and one file a month.
* one more month: the same with all months but the last in the memo and, as after DVC, no outputs.

Each run is a process of its own; runs of the two alternate. Times are those of the work, without imports; memory is the
peak of the whole process. At one copy the two must give the same values. Writes benchmarks/results/features.json and
exits 1 if a bound does not hold.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# This process stays small on purpose: Linux counts the memory of the one that starts a process as that one's own peak.

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "features.json"
MOST_RATIO, MOST_GIGABYTES, MOST_SHARE = 1.3, 4.0, 0.2
WORK = HERE / "features_work.py"


def main() -> int:
    """Measure, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 10, 30])
    parser.add_argument("--repeats", type=int, nargs="+", default=[5, 3, 1], help="one number for each of --copies")
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    arguments = parser.parse_args()
    if len(arguments.repeats) != len(arguments.copies):
        parser.error("give one number of repeats for each number of copies")
    sizes = []
    with tempfile.TemporaryDirectory(prefix="gitrain-features-", dir=arguments.folder) as folder:
        for copies, repeats in zip(arguments.copies, arguments.repeats, strict=True):
            workspace = Path(folder) / str(copies)
            sizes.append(measure(workspace, copies, repeats))
            shutil.rmtree(workspace)
            print(row(sizes[-1]), file=sys.stderr, flush=True)
    print(table(sizes))
    held = all(size["ratio"] <= MOST_RATIO and size["one_more_month"]["share"] < MOST_SHARE for size in sizes)
    held = held and all(size["gitrain"]["gigabytes"] < MOST_GIGABYTES for size in sizes)
    results = {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), **sizes[0].pop("versions")},
        "bounds": {"ratio": MOST_RATIO, "gigabytes": MOST_GIGABYTES, "one_more_month_share": MOST_SHARE},
        "held": held,
        "sizes": sizes,
    }
    for size in sizes:
        size.pop("versions", None)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0 if held else 1


def measure(workspace: Path, copies: int, repeats: int) -> dict[str, Any]:
    """All runs of one size."""
    prepared = run("prepare", workspace, str(copies))
    runs: dict[str, list[dict[str, Any]]] = {"by_hand": [], "gitrain": []}
    for _ in range(repeats):
        runs["by_hand"].append(run("by-hand", workspace))
        forget(workspace, memo=True)
        runs["gitrain"].append(run("gitrain", workspace, prepared["last"]))
    if copies == 1:
        run("compare", workspace)
    more = []
    for _ in range(repeats):
        forget(workspace, memo=True)
        run("gitrain", workspace, prepared["last_but_one"])
        forget(workspace, memo=False)
        more.append(run("gitrain", workspace, prepared["last"])["seconds"])
    found: dict[str, Any] = {name: summary(each) for name, each in runs.items()}
    pairs = zip(runs["gitrain"], runs["by_hand"], strict=True)
    return {
        "rows": prepared["rows"],
        "months": prepared["months"],
        "repeats": repeats,
        **found,
        "ratio": round(statistics.median(ours["seconds"] / theirs["seconds"] for ours, theirs in pairs), 3),
        "one_more_month": {
            "seconds": round(statistics.median(more), 3),
            "share": round(statistics.median(more) / found["gitrain"]["seconds"], 3),
        },
        "versions": prepared["versions"],
    }


def run(step: str, workspace: Path, *arguments: str) -> dict[str, Any]:
    """One step in a fresh process: what it printed, and its peak memory."""
    started = time.perf_counter()
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(WORK), step, str(workspace), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        output = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{step} ended with {process.returncode}")
    found: dict[str, Any] = json.loads(output)
    found["process_seconds"] = time.perf_counter() - started
    found["gigabytes"] = usage.ru_maxrss / 2**20
    return found


def forget(workspace: Path, *, memo: bool) -> None:
    """Remove the outputs, and the memo if wanted."""
    shutil.rmtree(workspace / "data" / "features", ignore_errors=True)
    if memo:
        shutil.rmtree(workspace / ".gitrain", ignore_errors=True)


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians of time, and the highest peak."""
    return {
        "seconds": round(statistics.median(each["seconds"] for each in runs), 3),
        "process_seconds": round(statistics.median(each["process_seconds"] for each in runs), 3),
        "gigabytes": round(max(each["gigabytes"] for each in runs), 3),
        "all_seconds": [round(each["seconds"], 3) for each in runs],
    }


def row(size: dict[str, Any]) -> str:
    """One line of the table."""
    hand, ours, more = size["by_hand"], size["gitrain"], size["one_more_month"]
    return (
        f"| {size['rows']:,} | {hand['seconds']:.2f} s / {hand['gigabytes']:.2f} GB | {ours['seconds']:.2f} s / "
        f"{ours['gigabytes']:.2f} GB | {size['ratio']:.2f} | {more['seconds']:.2f} s ({more['share']:.0%}) |"
    )


def table(sizes: Sequence[dict[str, Any]]) -> str:
    """The results as Markdown."""
    head = ["| rows | by hand | gitrain | ratio | one more month |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*head, *(row(size) for size in sizes)])


if __name__ == "__main__":
    raise SystemExit(main())
