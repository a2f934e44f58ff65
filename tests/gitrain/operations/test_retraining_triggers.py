"""Many triggers at once, and a trigger that is killed anywhere: one pull request in the end, and nothing half done."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.gitrain.retraining import git, world_at

from gitrain.integrations.retraining_branch import RetrainingBranch
from gitrain.triggers.record import RetrainingEnding, last_words

REPOSITORY = Path(__file__).parents[3]
PROGRAM = "tests.gitrain.operations.retraining_triggers"
# A `git` that ends whoever called it: before or after the nth call of one verb.
SHIM = """\
#!/bin/sh
hit=
for word in "$@"; do [ "$word" = "$KILL_AT" ] && hit=1; done
if [ -n "$hit" ]; then echo x >> "$KILL_DONE"; [ "$(wc -l < "$KILL_DONE")" -eq "$KILL_NTH" ] || hit=; fi
if [ -n "$hit" ] && [ "$KILL_WHEN" = before ]; then kill -9 $PPID; exit 1; fi
"$REAL_GIT" "$@"
code=$?
if [ -n "$hit" ]; then kill -9 $PPID; fi
exit $code
"""
# The pushes of a retraining: its beginning, its branch, where it is refused the branch put away, and its end.
PUSHES = {"PASSED": 3, "FAILED": 4}


@pytest.fixture
def world(git_repository, tmp_path):
    return world_at(git_repository, tmp_path)


@pytest.fixture
def triggers(world):
    """Calls triggers, each in a process of its own; what came of those that were not killed."""
    command = [sys.executable, "-m", PROGRAM, str(world.root), str(world.origin), str(world.folder)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        orders, answers = program.stdin, program.stdout
        assert orders is not None and answers is not None

        def called(count, *clones, **variables):
            roots = [str(root) for root in (world.root, *clones)]
            orders.write(json.dumps({"count": count, "roots": roots, "variables": variables}) + "\n")
            orders.flush()
            return json.loads(answers.readline())

        yield called
        program.communicate()
    assert program.returncode == 0


@pytest.mark.slow
def test_a_hundred_at_once_make_one(world, triggers, tmp_path):
    clones = [tmp_path / f"clone-{number}" for number in range(4)]
    for clone in clones:
        git(tmp_path, "clone", "-q", str(world.origin), str(clone))
    world.deliver("2024-05")
    came = Counter(triggers(100, *clones))
    assert sum(came.values()) == 100, came
    assert came.pop("PROPOSED") == 1, came
    # All others found it at work, or done.
    assert set(came) <= {"running", "open", "tried"}, came
    assert len([name for name in world.branches() if "/retrain/" in name]) == 1
    records = RetrainingBranch(world.root).list()
    assert [record.ending for record in records] == [None, RetrainingEnding.PROPOSED]
    assert world.commands().count("dvc repro") == 1


@pytest.mark.slow
@pytest.mark.parametrize(("when", "gates"), [("before", "PASSED"), ("after", "PASSED"), ("after", "FAILED")])
def test_whatever_it_was_doing_the_next_run_heals_it(world, triggers, tmp_path, when, gates):
    world.deliver("2024-05")
    world.judge("gates", gates)
    shims = tmp_path / "bin"
    shims.mkdir()
    (shims / "git").write_text(SHIM)
    (shims / "git").chmod(0o755)
    given = {"PATH": f"{shims}{os.pathsep}{os.environ['PATH']}", "REAL_GIT": str(shutil.which("git"))}
    ending, place, done = ("PROPOSED", "heads", "open") if gates == "PASSED" else ("REFUSED", "closed", "tried")
    points = [("clone", 1), ("commit", 1), *(("push", number) for number in range(1, PUSHES[gates] + 1))]
    for point in points:
        verb, nth = point
        calls = tmp_path / f"{verb}-{nth}"
        where = {"KILL_AT": verb, "KILL_NTH": str(nth), "KILL_WHEN": when, "KILL_DONE": str(calls)}
        killed = triggers(1, **given, **where)
        assert len(calls.read_text().splitlines()) == nth, point
        assert killed == [], point
        (healed,) = triggers(1)
        # Only the end itself may have been told before.
        assert healed == (done if when == "after" and point == points[-1] else ending), point
        refs = [name for name in world.branches() if "/retrain/" in name]
        assert len(refs) == 1, (point, refs)
        assert refs[0].startswith(f"refs/{place}/"), point
        assert git(world.root, "status", "--porcelain") == ""
        assert last_words(RetrainingBranch(world.root).list())[-1].ending is RetrainingEnding[ending], point
        assert not list((world.root / ".gitrain/retraining").glob("run-*")), point
        for name in (refs[0], "refs/heads/retraining"):
            git(world.origin, "update-ref", "-d", name)
