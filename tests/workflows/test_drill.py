"""The script that holds a drill, with a stand-in for `gitrain`."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.workflows.ci_scripts import CI, load_script

pytestmark = pytest.mark.repository

drilling = load_script("drill")


def test_time_to_recover_ends_where_the_requests_go() -> None:
    steps = [("fetch", 1.0), ("probe smoke", 2.0), ("route", 0.25), ("stop", 30.0)]
    record = {"steps": [{"name": name, "seconds": seconds} for name, seconds in steps]}
    assert drilling.recovery_seconds(record) == 3.25


# Applies what the file of the commit says, and is told by files what is to go wrong.
_GITRAIN = """\
import json, pathlib, subprocess, sys
arguments = sys.argv[1:]
digest = "sha256:" + "a" * 64
if arguments[:2] == ["env", "rollback"]:
    refusal = pathlib.Path("../refused")
    verdict = {"name": "preprod:release", "outcome": "FAILED" if refusal.exists() else "PASSED", "reason": "so"}
    print(json.dumps({"verdicts": [verdict], "release": {"version": "1.0.0", "digest": digest}}))
    sys.exit(0)
assert arguments[:3] == ["deploy", "apply", "preprod"], arguments
text = subprocess.run(["git", "show", "HEAD:environments/preprod.yaml"], capture_output=True, text=True).stdout
version = next(line.split()[1] for line in text.splitlines() if line.startswith("release:"))
with open("../applied", "a") as applied:
    applied.write(version + "\\n")
broken = pathlib.Path("../broken")
outcome = "FAILED" if broken.exists() and broken.read_text() == version else "PASSED"
release = {"version": version, "digest": digest}
steps = [{"name": "fetch", "seconds": 0.5}, {"name": "route", "seconds": 1.0}, {"name": "stop", "seconds": 9.0}]
record = {"id": f"{version}-id", "release": release, "steps": steps}
print(json.dumps({"outcome": outcome, "reason": "as it is", "release": release, "record": record}))
sys.exit(0 if outcome == "PASSED" else 1)
"""


@pytest.fixture
def rehearsed(git_repository: Path, tmp_path: Path) -> Callable[..., tuple[int, str, list[str]]]:
    """Holds a drill of preprod, which runs 1.1.0: exit code, summary and the versions that were applied."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "gitrain").write_text(f"#!{sys.executable}\n{_GITRAIN}", encoding="utf-8")
    (folder / "gitrain").chmod(0o755)
    (git_repository / "environments").mkdir()
    file = git_repository / "environments/preprod.yaml"
    file.write_text(f"schema_version: 1\nrelease: 1.1.0 # a note\ndigest: sha256:{'b' * 64}\n", encoding="utf-8")
    for command in (["add", "--all"], ["commit", "-q", "-m", "preprod"], ["checkout", "-q", "--detach"]):
        subprocess.run(["git", *command], cwd=git_repository, check=True)
    beside = git_repository.parent

    def rehearsed(*arguments: str) -> tuple[int, str, list[str]]:
        out, summary = beside / "drill.json", beside / "summary"
        done = subprocess.run(
            [sys.executable, str(CI / "drill.py"), "preprod", "--out", str(out), "--summary", str(summary), *arguments],
            cwd=git_repository,
            env={**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        status = subprocess.run(
            ["git", "status", "--porcelain"], cwd=git_repository, check=True, capture_output=True, text=True
        )
        assert (status.stdout, "1.1.0" in file.read_text(encoding="utf-8")) == ("", True)
        return done.returncode, summary.read_text(encoding="utf-8"), (beside / "applied").read_text().split()

    return rehearsed


def test_a_drill_goes_back_and_comes_again(rehearsed: Callable[..., Any], git_repository: Path) -> None:
    code, summary, applied = rehearsed("--within", "2")
    assert (code, applied) == (0, ["1.1.0", "1.0.0", "1.1.0"])
    assert "went back from 1.1.0 to 1.0.0 in 1.5 s" in summary
    measured = json.loads((git_repository.parent / "drill.json").read_text())
    assert measured == {
        "environment": "preprod",
        "present": "1.1.0",
        "former": "1.0.0",
        "recovery_seconds": 1.5,
        "return_seconds": 1.5,
        "records": ["1.0.0-id", "1.1.0-id"],
        "within_seconds": 2.0,
        "outcome": "PASSED",
    }


def test_a_drill_that_takes_too_long_fails(rehearsed: Callable[..., Any]) -> None:
    code, summary, applied = rehearsed("--within", "1.4")
    assert (code, applied[-1]) == (1, "1.1.0")
    assert "took too long" in summary


@pytest.mark.parametrize(("broken", "applied"), [("1.1.0", ["1.1.0"]), ("1.0.0", ["1.1.0", "1.0.0"])])
def test_a_drill_that_goes_wrong_fails(
    rehearsed: Callable[..., Any], git_repository: Path, broken: str, applied: list[str]
) -> None:
    (git_repository.parent / "broken").write_text(broken)
    code, summary, found = rehearsed()
    assert (code, found) == (1, applied)
    assert "The drill failed" in summary


def test_a_drill_that_may_not_be_held_fails(rehearsed: Callable[..., Any], git_repository: Path) -> None:
    (git_repository.parent / "refused").touch()
    code, summary, applied = rehearsed()
    assert (code, applied) == (1, ["1.1.0"])
    assert "may not go back: preprod:release: so" in summary
