"""The one issue of retraining: open while what it tells of holds, also for the second time; closed once it is over."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.gitrain.retraining import git, world_at

from gitrain.errors import PipelineError, UsageError
from gitrain.integrations.retraining_branch import RetrainingBranch
from gitrain.operations.open_retraining import open_retraining
from gitrain.triggers.decision import Decision, Hindrance
from gitrain.triggers.record import RetrainingEnding, last_words


@pytest.fixture
def world(git_repository, tmp_path):
    return world_at(git_repository, tmp_path)


@pytest.fixture
def retrain(world):
    """A look a day."""

    def retrain(**how):
        world.now += timedelta(days=1)
        tools = how.pop("tools", None) or world.tools()
        return open_retraining(tools, progress=lambda _: None, **how)

    return retrain


def issue(world):
    """What the open issue says; nothing where none is open."""
    return git(world.origin, "show", "issues:retraining.md", check=False)


def changes(world):
    return git(world.origin, "rev-list", "--count", "issues")


def test_a_source_that_answers_again_closes_the_issue_where_a_pull_request_waits(world, retrain):
    world.deliver("2024-05")
    waiting = retrain().record
    (world.folder / "down").touch()
    assert retrain().record.ending is RetrainingEnding.BAD_DATA
    assert "nobody answers" in issue(world)
    (world.folder / "down").unlink()
    assert retrain().plan.hindrance is Hindrance.OPEN
    assert issue(world) == ""
    said = git(world.origin, "log", "-1", "--format=%B", "issues")
    assert f"the branch {waiting.branch} was made from the same inputs" in said


def test_a_source_that_answers_again_closes_the_issue_where_the_answer_was_tried(world, retrain):
    world.deliver("2024-05")
    world.judge("gates", "FAILED")
    assert retrain().record.ending is RetrainingEnding.REFUSED
    (world.folder / "down").touch()
    assert retrain().record.ending is RetrainingEnding.BAD_DATA
    (world.folder / "down").unlink()
    assert retrain().plan.hindrance is Hindrance.TRIED
    assert issue(world) == ""
    before = changes(world)
    assert retrain().plan.hindrance is Hindrance.TRIED
    assert changes(world) == before


def test_a_month_that_broke_its_contract_and_is_good_as_before_closes_the_issue(world, retrain):
    world.deliver("2024-05")
    retrain()
    world.deliver("2024-05", "renamed")
    assert retrain().record.ending is RetrainingEnding.BAD_DATA
    world.deliver("2024-05")
    assert retrain().plan.hindrance is Hindrance.OPEN
    assert issue(world) == ""


def test_what_broke_off_is_over_once_there_is_nothing_to_try_again(world, retrain):
    world.deliver("2024-05")
    retrain()
    world.deliver("2024-06")
    mend = world.break_("dvc repro")
    with pytest.raises(PipelineError):
        retrain()
    assert "broke off" in issue(world)
    mend.unlink()
    world.withdraw("2024-06")
    assert retrain().plan.hindrance is Hindrance.OPEN
    assert issue(world) == ""


def test_what_broke_off_on_a_request_is_not_over_because_the_same_inputs_were_tried(world, retrain):
    world.deliver("2024-05")
    world.judge("gates", "FAILED")
    retrain()
    world.break_("dvc repro")
    with pytest.raises(PipelineError):
        retrain(request="the board wants one")
    assert retrain().plan.hindrance is Hindrance.TRIED
    assert "broke off" in issue(world)


def test_bad_data_that_comes_back_opens_the_issue_again(world, retrain):
    world.deliver("2024-05", "renamed")
    first = retrain().record
    assert first.ending is RetrainingEnding.BAD_DATA
    world.withdraw("2024-05")
    assert retrain().plan.decision is Decision.NOTHING
    assert issue(world) == ""
    world.deliver("2024-05", "renamed")
    again = retrain()
    assert (again.plan.hindrance, again.record) == (Hindrance.TRIED, None)
    assert issue(world).startswith("# Data through 2024-05 cannot be used")
    assert "the column depot is missing" in issue(world)
    assert "gitrain data validate" in issue(world)
    before = changes(world)
    retrain()
    assert changes(world) == before
    # And is closed, as the first one was.
    world.deliver("2024-05", "mended")
    assert retrain().record.ending is RetrainingEnding.PROPOSED
    assert issue(world) == ""


def test_bad_data_that_comes_back_in_place_of_good_data_opens_it_again(world, retrain):
    world.deliver("2024-05", "renamed")
    retrain()
    world.deliver("2024-05", "mended")
    assert retrain().record.ending is RetrainingEnding.PROPOSED
    world.deliver("2024-05", "renamed")
    assert retrain().plan.hindrance is Hindrance.TRIED
    assert "the column depot is missing" in issue(world)
    before = changes(world)
    retrain()
    assert changes(world) == before


def test_a_source_that_is_down_again_opens_it_again(world, retrain):
    down = world.folder / "down"
    down.touch()
    assert retrain().record.ending is RetrainingEnding.BAD_DATA
    first = issue(world)
    down.unlink()
    assert retrain().plan.decision is Decision.NOTHING
    assert issue(world) == ""
    down.touch()
    assert retrain().plan.hindrance is Hindrance.TRIED
    assert issue(world) == first


def test_a_month_that_is_bad_as_before_is_told_where_the_source_was_down_in_between(world, retrain):
    """The open issue speaks of the source, which is up."""
    world.deliver("2024-05", "renamed")
    retrain()
    (world.folder / "down").touch()
    retrain()
    assert "cannot be read" in issue(world)
    (world.folder / "down").unlink()
    assert retrain().plan.hindrance is Hindrance.TRIED
    assert issue(world).startswith("# Data through 2024-05 cannot be used")


def test_what_an_open_issue_says_of_bad_data_stays_whole(world, retrain):
    """A retraining that died does not count: it told nobody anything."""
    world.deliver("2024-05", "renamed")
    retrain()
    whole = issue(world)
    assert "| --- |" in whole
    world.deliver("2024-05", "mended")

    def killed(line):
        if "dvc repro" in line:
            raise KeyboardInterrupt

    world.now += timedelta(days=1)
    with pytest.raises(KeyboardInterrupt):
        open_retraining(world.tools(), progress=killed)
    world.deliver("2024-05", "renamed")
    assert retrain().plan.hindrance is Hindrance.TRIED
    assert issue(world) == whole


def test_who_may_not_write_issues_is_told_the_plan_all_the_same(world, retrain):
    world.deliver("2024-05", "renamed")
    retrain()
    world.withdraw("2024-05")
    retrain()
    world.deliver("2024-05", "renamed")

    class Refusing:
        def find(self, key):
            return None

        def keep(self, key, title, body):
            raise UsageError("opening an issue needs a token", fix="set one.")

    assert retrain(tools=replace(world.tools(), issues=Refusing())).plan.hindrance is Hindrance.TRIED


def test_one_that_was_declared_dead_and_breaks_then_tells_nobody(world, tmp_path):
    """Who took its place has told what there is to tell: an issue of this one would be closed by nobody."""
    world.deliver("2024-05")
    git(tmp_path, "clone", "-q", str(world.origin), "second")
    said = []

    def progress(line):
        said.append(line)
        if "dvc repro" in line:
            world.now += timedelta(hours=3)
            other = open_retraining(world.tools(tmp_path / "second"), progress=lambda _: None).record
            assert other is not None and other.ending is RetrainingEnding.PROPOSED
            world.break_("dvc repro")

    with pytest.raises(PipelineError, match="it broke"):
        open_retraining(world.tools(), progress=progress)
    records = last_words(RetrainingBranch(world.root).list())
    assert [record.ending.value for record in records if record.ending] == ["LOST", "PROPOSED"]
    assert "refs/heads/issues" not in world.branches()
    assert any("raise retraining.longest_minutes" in line for line in said)
