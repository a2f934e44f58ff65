"""What `gitrain check lock` takes for a change of documentation, against `dvc status` in the same run.

    python benchmarks/check_lock.py [--repository FOLDER] [--repeats 9]

FOLDER is a repository whose pipeline has been run (default: this one); it is cloned with its cache, and left alone. In
the clone a commit changes README.md alone. Three states, as CI and people have them:

* full: cache and outputs are there;
* cache: the cache alone, as after `actions/cache`;
* remote: neither, but a remote (a folder) that has everything.

Each run is a process of its own, with all imports; runs of the two commands alternate. `dvc status` compares the tree;
it does not ask whether content can be had (`dvc status -c` does, and is measured for the remote). Writes
benchmarks/results/check_lock.json, and exits 1 if the median of a state is 3 s or more, or if a byte of data moved.
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
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "check_lock.json"
MOST_SECONDS = 3.0
ENVIRONMENT = os.environ | {
    "DVC_NO_ANALYTICS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
}
OURS = ("gitrain", "check", "lock", "--base", "HEAD~1", "--json")


def main() -> int:
    """Measure, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repository", type=Path, default=HERE.parent)
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    states = []
    with tempfile.TemporaryDirectory(prefix="gitrain-check-lock-") as folder:
        clone = prepare(arguments.repository.resolve(), Path(folder))
        for name in ("full", "cache", "remote"):
            state(clone, name)
            states.append(measure(clone, name, arguments.repeats))
            print(states[-1], file=sys.stderr, flush=True)
    held = all(each["gitrain"]["median"] < MOST_SECONDS and not each["bytes_moved"] for each in states)
    results = {
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "dvc": metadata.version("dvc"),
            "load_at_the_end": round(os.getloadavg()[0], 1),
        },
        "repeats": arguments.repeats,
        "most_seconds": MOST_SECONDS,
        "held": held,
        "states": states,
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(table(states))
    return 0 if held else 1


def prepare(repository: Path, folder: Path) -> Path:
    """A clone with the cache, a remote beside it, and a commit that changes documentation alone."""
    clone = folder / "clone"
    run(folder, "git", "clone", "-q", str(repository), str(clone))
    shutil.copytree(repository / ".dvc" / "cache", clone / ".dvc" / "cache", symlinks=True)
    run(clone, "dvc", "checkout", "-q", "dvc.yaml")
    with (clone / ".dvc" / "config").open("a") as config:
        config.write(f"['remote \"beside\"']\n    url = {folder / 'remote'}\n")
    run(clone, "dvc", "push", "-q", "-r", "beside", "dvc.yaml")
    run(clone, "git", "add", "--all")
    run(clone, "git", "commit", "-q", "-m", "A remote")
    with (clone / "README.md").open("a") as readme:
        readme.write("\nOne more word.\n")
    run(clone, "git", "commit", "-q", "-a", "-m", "Words")
    return clone


def state(clone: Path, name: str) -> None:
    if name != "full":
        lock = (clone / "dvc.lock").read_text()
        for path in {line.split("path: ")[1] for line in lock.splitlines() if "path: " in line}:
            if subprocess.run(
                ["git", "ls-files", "--error-unmatch", path], cwd=clone, capture_output=True, check=False
            ).returncode:
                shutil.rmtree(clone / path, ignore_errors=True)
                (clone / path).unlink(missing_ok=True)
    if name == "remote":
        shutil.rmtree(clone / ".dvc" / "cache")


def measure(clone: Path, name: str, repeats: int) -> dict[str, Any]:
    before = size(clone)
    theirs = ("dvc", "status", "-q", *(("-c", "-r", "beside") if name == "remote" else ()), "dvc.yaml")
    times: dict[str, list[float]] = {"gitrain": [], "dvc": []}
    report = json.loads(run(clone, *OURS))
    moved = size(clone) - before
    for _ in range(repeats):
        times["gitrain"].append(timed(clone, OURS, {0}))
        # 1 is what `dvc status` says of a tree without outputs.
        times["dvc"].append(timed(clone, theirs, {0, 1}))
    ours, dvc = (summary(times[command]) for command in ("gitrain", "dvc"))
    return {
        "state": name,
        "outcome": report["outcome"],
        "stages_run": next(
            each["figures"].get("stages_run", 0) for each in report["verdicts"] if "execution" in each["name"]
        ),
        "bytes_moved": moved,
        "gitrain": ours,
        "dvc_command": " ".join(theirs),
        "dvc": dvc,
        "ratio": round(ours["median"] / dvc["median"], 2),
    }


def size(clone: Path) -> int:
    """Bytes of data in the tree and the cache; DVC's own notes are none."""
    folders = (clone / ".dvc" / "cache" / "files", clone / "data", clone / "models")
    return sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())


def timed(folder: Path, command: Sequence[str], codes: set[int]) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode not in codes:
        raise SystemExit(f"{command} exited with {done.returncode}: {done.stderr.decode()}")
    return seconds


def run(folder: Path, *command: str) -> str:
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout


def summary(times: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(times), 3),
        "least": round(min(times), 3),
        "most": round(max(times), 3),
    }


def table(states: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| state | outcome | gitrain check lock, s | dvc, s | ratio | bytes moved |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for each in states:
        ours, dvc = each["gitrain"], each["dvc"]
        lines.append(
            f"| {each['state']} | {each['outcome']} | {ours['median']} ({ours['least']} to {ours['most']}) "
            f"| {dvc['median']} (`{each['dvc_command']}`) | {each['ratio']} | {each['bytes_moved']} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
