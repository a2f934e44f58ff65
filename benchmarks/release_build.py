"""What `gitrain release build` takes, without an image, step by step; and that repeated builds are equal.

    python benchmarks/release_build.py [--repository FOLDER] [--repeats 5]

FOLDER is a repository whose pipeline has been run (default: this one); its commit is cloned with its cache, and brought
up to date there if dvc.lock is not. Three kinds of run, each a process of its own with all imports:

* new: the first build of the commit, into an empty store: lock, models, gates, bundle, bill of materials;
* again: the same commit and store: everything but the gates, and the bundle is compared;
* refused: a file that is not committed, and gates that fail: all reasons are told, nothing is built.

Writes benchmarks/results/release_build.json, and exits 1 if the median of the new builds is 20 s or more, if two builds
differ, or if one that has to be refused is not.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "release_build.json"
MOST_SECONDS = 20.0
PROGRESS = re.compile(
    r"^\[ *([0-9.]+) s\] release: (dvc\.lock|the models|what the service needs|the gates|packing)", re.MULTILINE
)


def main() -> int:
    """Measure, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repository", type=Path, default=HERE.parent)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gitrain-release-build-") as folder:
        clone = prepare(arguments.repository.resolve(), Path(folder))
        stores = [Path(folder) / f"store-{number}" for number in range(arguments.repeats)]
        new = [build(clone, store, {0}) for store in stores]
        again = [build(clone, store, {0}) for store in stores]
        spoil(clone)
        refused = [build(clone, store, {1}) for store in stores]
    bundles = {each["report"]["record"]["bundle_digest"] for each in (*new, *again)}
    records = {each["report"]["record_digest"] for each in (*new, *again)}
    runs = {name: summary(each) for name, each in (("new", new), ("again", again), ("refused", refused))}
    equal = len(bundles) == len(records) == 1 and not any(each["report"]["published"] for each in again)
    held = runs["new"]["median"] < MOST_SECONDS and equal
    record = new[0]["report"]["record"]
    results = {
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "bentoml": metadata.version("bentoml"),
            "dvc": metadata.version("dvc"),
            "load_at_the_end": round(os.getloadavg()[0], 1),
        },
        "repeats": arguments.repeats,
        "most_seconds": MOST_SECONDS,
        "held": held,
        "bundle": {"files": record["files"], "bytes": record["bundle_size"], "equal": equal},
        "runs": runs,
        "steps_of_new": steps(new),
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    for name, seconds in runs.items():
        print(f"{name:8} median {seconds['median']:6.2f} s of wall clock, {seconds['cpu']:6.2f} s of processor")
    for name, seconds in results["steps_of_new"].items():
        print(f"  {name:24} {seconds:6.2f} s")
    return 0 if held else 1


def prepare(repository: Path, folder: Path) -> Path:
    """A clone with the cache, its outputs, and a dvc.lock that is up to date."""
    clone = folder / "clone"
    run(folder, folder, "git", "clone", "-q", str(repository), str(clone))
    shutil.copytree(repository / ".dvc" / "cache", clone / ".dvc" / "cache", symlinks=True)
    run(clone, clone, "dvc", "checkout", "-q", "--allow-missing")
    run(clone, clone, "dvc", "repro", "-q")
    if run(clone, clone, "git", "status", "--porcelain"):
        run(clone, clone, "git", "commit", "-q", "-a", "-m", "Up to date")
    return clone


def spoil(clone: Path) -> None:
    params = clone / "params.yaml"
    params.write_text(re.sub(r"(log_loss\w*): \{max: [0-9.]+\}", r"\1: {max: 0.2}", params.read_text(), count=1))
    run(clone, clone, "git", "commit", "-q", "-a", "-m", "A gate that nobody passes")
    (clone / "left.txt").write_text("left\n")


def build(clone: Path, store: Path, codes: set[int]) -> dict[str, Any]:
    start, before = time.perf_counter(), os.times()
    command = [sys.executable, "-m", "gitrain", "release", "build", "--json", "--store", str(store)]
    done = subprocess.run(command, cwd=clone, env=environment(clone), capture_output=True, text=True, check=False)
    seconds, after = time.perf_counter() - start, os.times()
    if done.returncode not in codes:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    print(f"{seconds:.2f} s", file=sys.stderr, flush=True)
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    marks = [(name, float(at)) for at, name in PROGRESS.findall(done.stderr)]
    return {"seconds": seconds, "cpu": cpu, "marks": marks, "report": json.loads(done.stdout)}


def steps(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The median seconds from the line that announces a step to the next; before the first: imports."""
    found: dict[str, list[float]] = {}
    for each in runs:
        ends = [*(at for _, at in each["marks"][1:]), each["seconds"]]
        for (name, at), end in zip(each["marks"], ends, strict=True):
            found.setdefault(name, []).append(end - at)
    return {name: round(statistics.median(seconds), 2) for name, seconds in found.items()}


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    seconds = sorted(each["seconds"] for each in runs)
    return {
        "median": round(statistics.median(seconds), 2),
        "least": round(seconds[0], 2),
        "most": round(seconds[-1], 2),
        "cpu": round(statistics.median(each["cpu"] for each in runs), 2),
    }


def environment(clone: Path) -> dict[str, str]:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    # The clone's own Gitrain judges and packs it, not the one that is installed.
    return os.environ | {
        "DVC_NO_ANALYTICS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "PATH": path,
        "PYTHONPATH": str(clone / "src"),
    }


def run(clone: Path, folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, env=environment(clone), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
