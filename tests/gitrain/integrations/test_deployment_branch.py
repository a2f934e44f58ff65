"""Records on an orphan branch, in real repositories: alone, shared, raced for, refused."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gitrain.deployment.record import DeploymentRecord, Ending, RunningRelease
from gitrain.errors import PipelineError, SettingsError
from gitrain.integrations.deployment_branch import BRANCH, DeploymentBranch

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def record(number=0, *, environment="test", **values):
    began = START + timedelta(minutes=number)
    return DeploymentRecord(
        schema_version=1,
        id=f"{number:016x}",
        project="parcels",
        environment=environment,
        release=RunningRelease(version="1.4.0", digest=f"sha256:{'a' * 64}"),
        desired_by="b" * 40,
        actor="Ada",
        reason=values.pop("reason", "release 1.4.0 is to run"),
        began=began,
        ended=began + timedelta(seconds=9),
        ending=Ending.SUCCEEDED,
        **values,
    )


def git(root, *arguments):
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def alone(git_repository):
    return DeploymentBranch(git_repository)


@pytest.fixture
def forge(tmp_path):
    git(tmp_path, "init", "-q", "--bare", "forge")
    return tmp_path / "forge"


@pytest.fixture
def clones(git_repository, forge, tmp_path):
    """Two clones of one forge."""
    git(git_repository, "remote", "add", "origin", str(forge))
    git(git_repository, "push", "-q", "origin", "main")
    git(tmp_path, "clone", "-q", str(forge), "second")
    return DeploymentBranch(git_repository), DeploymentBranch(tmp_path / "second")


def test_nothing_is_recorded_yet(alone):
    assert alone.list() == []


def test_records_come_back_in_order_and_by_environment(alone):
    for number, environment in ((2, "test"), (0, "production"), (1, "test")):
        alone.add(record(number, environment=environment))
    assert [each.id[-1] for each in alone.list()] == ["0", "1", "2"]
    assert [each.id[-1] for each in alone.list("test")] == ["1", "2"]
    assert alone.list("tes") == []
    assert alone.list("test")[0] == record(1)


def test_the_branch_has_nothing_in_common_with_the_sources(alone):
    head, files = git(alone.root, "rev-parse", "HEAD"), git(alone.root, "status", "--porcelain")
    alone.add(record(0))
    alone.add(record(1))
    assert git(alone.root, "ls-tree", "-r", "--name-only", BRANCH).splitlines() == [record(0).path, record(1).path]
    assert git(alone.root, "rev-list", "--count", BRANCH) == "2"
    assert subprocess.run(["git", "merge-base", "main", BRANCH], cwd=alone.root, check=False).returncode == 1
    assert (git(alone.root, "rev-parse", "HEAD"), git(alone.root, "status", "--porcelain")) == (head, files)
    assert git(alone.root, "log", "-1", "--format=%s", BRANCH) == "test: deploy 1.4.0 SUCCEEDED"


def test_adding_again_changes_nothing(alone):
    alone.add(record(0))
    before = git(alone.root, "rev-parse", BRANCH)
    alone.add(record(0))
    assert git(alone.root, "rev-parse", BRANCH) == before


def test_a_record_is_never_changed(alone):
    alone.add(record(0))
    with pytest.raises(PipelineError, match="has another content"):
        alone.add(record(0, reason="something else"))
    assert alone.list() == [record(0)]


def test_clones_share_their_records(clones, forge):
    first, second = clones
    first.add(record(0))
    second.add(record(1))
    first.add(record(2))
    assert first.list() == second.list() == [record(0), record(1), record(2)]
    assert git(forge, "rev-list", "--count", BRANCH) == "3"
    assert git(first.root, "branch", "--list", BRANCH) == ""


def test_many_at_once_lose_nothing(clones):
    first, _ = clones
    program = (
        "import sys; from pathlib import Path\n"
        "from tests.gitrain.integrations.test_deployment_branch import record\n"
        "from gitrain.integrations.deployment_branch import DeploymentBranch\n"
        "for number in map(int, sys.argv[2:]): DeploymentBranch(Path(sys.argv[1])).add(record(number))"
    )
    repository = Path(__file__).parents[3]
    numbers = [[str(each) for each in range(start, 12, 3)] for start in range(3)]
    roots = [clones[0].root, clones[1].root, clones[1].root]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(root), *some], cwd=repository, stderr=subprocess.PIPE, text=True
        )
        for root, some in zip(roots, numbers, strict=True)
    ]
    told = [writer.communicate(timeout=300)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0], told
    assert first.list() == [record(number) for number in range(12)]


def test_a_forge_that_refuses_is_told(clones, forge):
    hook = forge / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'the branch is protected' >&2\nexit 1\n")
    hook.chmod(0o755)
    paused = []
    branch = DeploymentBranch(clones[0].root, pause=paused.append)
    with pytest.raises(PipelineError, match="the branch is protected"):
        branch.add(record(0))
    assert paused == []
    hook.unlink()
    branch.add(record(0))
    assert branch.list() == [record(0)]


def test_a_forge_that_is_gone_is_told(clones, forge):
    clones[0].add(record(0))
    forge.rename(forge.with_name("away"))
    with pytest.raises(PipelineError, match="ls-remote"):
        clones[0].list()
    with pytest.raises(PipelineError, match="ls-remote"):
        clones[0].add(record(1))


def test_a_file_that_is_no_record_is_named(alone):
    alone.add(record(0))
    git(alone.root, "checkout", "-q", BRANCH)
    (alone.root / record(0).path).write_text('{"schema_version": 1}')
    git(alone.root, "commit", "-q", "-a", "-m", "Tampered with")
    git(alone.root, "checkout", "-q", "main")
    with pytest.raises(SettingsError, match=f"{BRANCH}:{record(0).path}"):
        alone.list()


def test_a_machine_that_knows_nobody_records_all_the_same(alone, monkeypatch):
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.delenv(name)
    alone.add(record(0))
    assert git(alone.root, "log", "-1", "--format=%an", BRANCH) == "gitrain"


def test_hooks_of_the_clone_do_not_run(clones):
    hook = clones[0].root / ".git/hooks/pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    clones[0].add(record(0))
    assert clones[1].list() == [record(0)]
