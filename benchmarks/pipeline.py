"""`dvc repro` against one bare script, `dvc repro` with nothing to do against `dvc status`, and `gitrain --help`.

Each pair is run in turn, a process each, and compared by the median of the ratios of neighbours. Writes
benchmarks/results/pipeline.json.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "pipeline.json"
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "DVC_NO_ANALYTICS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}
DVC = [sys.executable, "-m", "dvc"]


def seconds(command: list[str], folder: Path) -> float:
    """The wall time of one process; it has to succeed."""
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=ENVIRONMENT, check=True, capture_output=True)
    return time.perf_counter() - start


def paired(
    repeats: int, ours: Callable[[], float], theirs: Callable[[], float], *, warm_up: bool = True
) -> dict[str, float | int]:
    """Medians of both and of their ratio, run in turn."""
    if warm_up:
        ours(), theirs()
    pairs = [(ours(), theirs()) for _ in range(repeats)]
    return {
        "ours_seconds": round(statistics.median(a for a, _ in pairs), 3),
        "theirs_seconds": round(statistics.median(b for _, b in pairs), 3),
        "ratio": round(statistics.median(a / b for a, b in pairs), 2),
        "repeats": repeats,
    }


def clone(folder: Path) -> Path:
    """The tracked files as they are in the working tree, in a repository of their own, with an empty cache."""
    folder.mkdir()
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    for name in names.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return folder


def from_nothing(scratch: Path, through: str) -> Callable[[], float]:
    """`dvc repro` in a clone whose cache and memo are empty."""

    def run() -> float:
        folder = scratch / "repro"
        shutil.rmtree(folder, ignore_errors=True)
        clone(folder)
        (folder / "dvc.lock").unlink(missing_ok=True)
        command = [sys.executable, "-m", "gitrain", "data", "advance", "--to", through]
        subprocess.run(command, cwd=folder, env=ENVIRONMENT, check=True, capture_output=True)
        return seconds([*DVC, "repro"], folder)

    return run


def by_hand(scratch: Path, through: str, *options: str) -> Callable[[], float]:
    """The bare script."""

    def run() -> float:
        folder = scratch / "by_hand"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        script = ROOT / "benchmarks" / "pipeline_by_hand.py"
        return seconds([sys.executable, str(script), str(folder), through, *options], folder)

    return run


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="of the whole pipeline; quick commands run five times")
    parser.add_argument("--through", default="2013-09")
    arguments = parser.parse_args()
    measured: dict[str, dict[str, float | int]] = {}
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        repro = from_nothing(scratch, arguments.through)
        measured["repro_from_nothing_vs_bare_script"] = paired(
            arguments.repeats, repro, by_hand(scratch, arguments.through, "--intervals"), warm_up=False
        )
        # The script without any interval does less than the pipeline: how much of the time that is.
        measured["repro_from_nothing_vs_script_without_intervals"] = paired(
            arguments.repeats, repro, by_hand(scratch, arguments.through), warm_up=False
        )
        folder = scratch / "repro"
        measured["noop_repro_vs_dvc_status"] = paired(
            7, lambda: seconds([*DVC, "repro"], folder), lambda: seconds([*DVC, "status"], folder)
        )
        measured["help_vs_python_pass"] = paired(
            21,
            lambda: seconds([str(Path(sys.executable).parent / "gitrain"), "--help"], ROOT),
            lambda: seconds([sys.executable, "-c", "pass"], ROOT),
        )
    bounds: dict[str, float | None] = {
        "repro_from_nothing_vs_bare_script": 1.3,
        "repro_from_nothing_vs_script_without_intervals": None,
        "noop_repro_vs_dvc_status": 1.6,
        "help_vs_python_pass": 6.0,
    }
    print(f"{'pair':<47} {'ours':>8} {'theirs':>8} {'ratio':>6} {'bound':>6}")
    for pair, row in measured.items():
        print(
            f"{pair:<47} {row['ours_seconds']:>8} {row['theirs_seconds']:>8} {row['ratio']:>6} {bounds[pair] or '-':>6}"
        )
    report = {
        "through": arguments.through,
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in ("dvc", "polars", "scikit-learn")},
        "pairs": {pair: {**row, "bound": bounds[pair]} for pair, row in measured.items()},
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
