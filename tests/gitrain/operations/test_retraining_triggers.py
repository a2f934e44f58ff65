"""Many triggers at once, and a trigger that is killed anywhere: one pull request in the end, and nothing half done."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.gitrain.operations.test_promotion_killed import SHIM
from tests.gitrain.retraining import git, world_at

from gitrain.integrations.retraining_branch import RetrainingBranch
from gitrain.triggers.record import RetrainingEnding, last_words

REPOSITORY = Path(__file__).parents[3]
PROGRAM = "tests.gitrain.operations.retraining_triggers"
# What a retraining does to Git, in order: of reading, one each is enough.
VERBS = ("ls-remote", "clone", "checkout", "add", "commit", "fetch", "push", "commit-tree", "update-index")


@pytest.fixture
def world(git_repository, tmp_path):
    return world_at(git_repository, tmp_path)


def trigger(world, count, *clones, **variables):
    command = [sys.executable, "-m", PROGRAM, str(world.root), str(world.origin), str(world.folder), str(count)]
    return subprocess.run(
        [*command, *map(str, clones)],
        cwd=REPOSITORY,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )


@pytest.mark.slow
def test_a_hundred_at_once_make_one(world, tmp_path):
    clones = [tmp_path / f"clone-{number}" for number in range(4)]
    for clone in clones:
        git(tmp_path, "clone", "-q", str(world.origin), str(clone))
    world.deliver("2024-05")
    done = trigger(world, 100, *clones)
    assert done.returncode == 0, done.stderr
    came = Counter(done.stdout.splitlines())
    assert sum(came.values()) == 100, came
    assert came.pop("PROPOSED") == 1, came
    # All others found it at work, or done.
    assert set(came) <= {"running", "open", "tried"}, came
    assert len([name for name in world.branches() if "/retrain/" in name]) == 1
    records = RetrainingBranch(world.root).list()
    assert [record.ending for record in records] == [None, RetrainingEnding.PROPOSED]
    assert world.commands().count("dvc repro") == 1


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("gates", ["PASSED", "FAILED"])
def test_whatever_it_was_doing_the_next_run_heals_it(world, tmp_path, when, gates):
    world.deliver("2024-05")
    world.judge("gates", gates)
    shims = tmp_path / "bin"
    shims.mkdir()
    (shims / "git").write_text(SHIM)
    (shims / "git").chmod(0o755)
    given = {"PATH": f"{shims}{os.pathsep}{os.environ['PATH']}", "REAL_GIT": str(shutil.which("git"))}
    ending = "PROPOSED" if gates == "PASSED" else "REFUSED"
    for verb in VERBS:
        flag = tmp_path / f"{verb}.done"
        killed = trigger(world, 1, **given, KILL_AT=verb, KILL_WHEN=when, KILL_DONE=str(flag))
        assert flag.exists(), verb
        assert killed.stdout == "", verb
        healed = trigger(world, 1)
        assert healed.stdout.strip() in (ending, "open" if gates == "PASSED" else "tried"), verb + healed.stdout
        refs = [name for name in world.branches() if "/retrain/" in name]
        assert len(refs) == 1, (verb, refs)
        assert refs[0].startswith("refs/heads/" if gates == "PASSED" else "refs/closed/"), verb
        assert git(world.root, "status", "--porcelain") == ""
        newest = last_words(RetrainingBranch(world.root).list())[-1]
        assert newest.ending is RetrainingEnding[ending], verb
        assert not list((world.root / ".gitrain/retraining").glob("run-*")), verb
        for name in (refs[0], "refs/heads/retraining", "refs/heads/issues"):
            git(world.origin, "update-ref", "-d", name)
