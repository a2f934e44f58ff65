"""Retrainings on a disk that becomes full anywhere: told, recorded where that can be, and done by the next run."""

import contextlib
import re

import pytest
from tests.gitrain.full_disk import DISKS, small_disk
from tests.gitrain.retraining import git, world_at

from gitrain.errors import GitrainError, IntegrationError
from gitrain.integrations.retraining_branch import RetrainingBranch
from gitrain.operations.open_retraining import open_retraining
from gitrain.triggers.record import RetrainingEnding, last_words


@pytest.fixture
def world(git_repository, tmp_path):
    return world_at(git_repository, tmp_path)


def endings(world):
    return [record.ending for record in last_words(RetrainingBranch(world.root).list())]


def proposals(world):
    return [name for name in world.branches() if "/retrain/" in name]


@pytest.mark.parametrize("kind", DISKS)
@pytest.mark.parametrize("when", ["data advance", "dvc repro", "check data"])
def test_room_that_runs_out_in_a_clone(world, kind, when):
    with small_disk(kind, world.root / ".gitrain/retraining", kilobytes=512, most=16) as disk:
        world.deliver("2024-05")
        filled, said = [], []

        def progress(line):
            said.append(line)
            if when in line and not filled:
                filled.append(disk.full())
                filled[0].__enter__()

        with pytest.raises(IntegrationError) as error:
            try:
                open_retraining(world.tools(), progress=progress)
            finally:
                for full in filled:
                    full.__exit__(None, None, None)
        assert re.search("No space left on device|File too large", error.value.what)
        assert error.value.fix.startswith("make room")
        assert proposals(world) == []
        if kind == "tmpfs":
            assert endings(world) == [RetrainingEnding.ERROR]
            assert "broke off" in git(world.origin, "show", "issues:retraining.md")
        else:
            # Nothing can be written anywhere, so neither can this be: it has begun, and never says how it ended.
            assert endings(world) == [None]
            assert any("could not be recorded" in line for line in said)
        # What was half made takes no room.
        assert not list(disk.folder.glob("run-*"))
        assert git(world.root, "status", "--porcelain") == ""
        result = open_retraining(world.tools(), progress=lambda _: None)
    assert result.record is not None and result.record.ending is RetrainingEnding.PROPOSED
    assert len(proposals(world)) == 1
    assert git(world.origin, "ls-tree", "--name-only", "issues", check=False) == ""


@pytest.mark.parametrize("when", ["from the start", "report pr"])
def test_room_that_runs_out_where_the_origin_is(git_repository, tmp_path, when):
    """Neither branch nor record can be pushed."""
    with small_disk("tmpfs", tmp_path / "origin.git", kilobytes=1024) as disk:
        world = world_at(git_repository, tmp_path)
        world.deliver("2024-05")
        with contextlib.ExitStack() as filled:

            def fill(line):
                if when in line:
                    filled.enter_context(disk.full())

            fill("from the start")
            with pytest.raises(GitrainError, match=r"(?i)no space left|unable to (write|create)|unpack|temporary"):
                open_retraining(world.tools(), progress=fill)
            assert git(world.root, "status", "--porcelain") == ""
        assert endings(world) == ([] if when == "from the start" else [None])
        assert proposals(world) == []
        result = open_retraining(world.tools(), progress=lambda _: None)
        assert result.record is not None and result.record.ending is RetrainingEnding.PROPOSED
        assert len(proposals(world)) == 1
        git(world.origin, "fsck", "--strict")
