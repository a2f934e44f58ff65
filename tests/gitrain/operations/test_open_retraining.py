"""Retrainings on real Git: one pull request, one issue or nothing; what breaks on the way is told and gone past."""

import errno
import json
import os
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.gitrain.retraining import NOW, git, world_at

from gitrain.errors import IntegrationError, PipelineError
from gitrain.integrations.retraining_branch import RetrainingBranch
from gitrain.operations.open_retraining import open_retraining
from gitrain.operations.plan_retraining import plan_retraining
from gitrain.reports.retraining_markdown import render_retraining_plan
from gitrain.triggers.decision import Decision, Hindrance
from gitrain.triggers.record import RetrainingEnding, last_words


@pytest.fixture
def world(git_repository, tmp_path):
    return world_at(git_repository, tmp_path)


@pytest.fixture
def retrain(world):
    def retrain(**how):
        tools = how.pop("tools", None) or world.tools()
        return open_retraining(tools, progress=lambda _: None, **how)

    return retrain


def endings(world):
    return [
        record.ending.value if record.ending else None for record in last_words(RetrainingBranch(world.root).list())
    ]


def proposals(world):
    return [name for name in world.branches() if "/retrain/" in name]


def test_nothing_new_is_nothing_to_do(world, retrain):
    result = retrain()
    assert (result.plan.decision, result.record, result.exit_code) == (Decision.NOTHING, None, 0)
    assert result.plan.notes == ("parcels 2024-05: nothing of 2024-05 has been delivered",)
    assert world.branches() == ["refs/heads/main"]
    assert world.commands() == []


def test_a_new_batch_becomes_one_proposal(world, retrain):
    world.deliver("2024-05")
    result = retrain()
    assert result.record.ending is RetrainingEnding.PROPOSED
    (branch,) = proposals(world)
    assert branch == f"refs/heads/{result.record.branch}"
    changed = git(world.origin, "diff", "--name-only", "main", branch).splitlines()
    # Not what a stage did to the sources, nor what it left behind.
    assert changed == ["dvc.lock", "models/model.json", "params.yaml"]
    assert 'through: "2024-05"   # moved on' in git(world.origin, "show", f"{branch}:params.yaml")
    assert git(world.origin, "log", "-1", "--format=%s", branch) == "Retrain on data through 2024-05"
    base = git(world.origin, "rev-parse", "main")
    assert world.commands() == [
        "gitrain data advance --to 2024-05",
        "gitrain data ingest",
        "gitrain data validate --json",
        "dvc repro",
        f"gitrain check data --base {base} --json",
        f"gitrain check training --base {base} --json",
        f"gitrain check artifacts --base {base} --json",
        f"gitrain gate check --base {base} --json",
        f"gitrain report pr --base {base} --gates .gitrain/retraining/gates.json"
        " --checks .gitrain/retraining/check-data.json --checks .gitrain/retraining/check-training.json"
        " --checks .gitrain/retraining/check-artifacts.json",
    ]


def test_the_users_tree_is_left_alone(world, retrain):
    world.deliver("2024-05")
    (world.root / "params.yaml").write_text("half written")
    before = git(world.root, "rev-parse", "HEAD")
    retrain()
    assert (world.root / "params.yaml").read_text() == "half written"
    assert git(world.root, "status", "--porcelain") == "M params.yaml"
    assert git(world.root, "rev-parse", "HEAD") == before
    assert git(world.root, "branch", "--format=%(refname:short)") == "main"
    assert sorted(path.name for path in (world.root / ".gitrain/retraining").iterdir()) == ["holder", "lock"]


def test_again_is_nothing_more(world, retrain):
    world.deliver("2024-05")
    first = retrain()
    before, commands = world.branches(), world.commands()
    again = retrain()
    assert (again.plan.decision, again.plan.hindrance) == (Decision.WAIT, Hindrance.OPEN)
    assert again.plan.waiting.branch == first.record.branch
    assert (world.branches(), world.commands()) == (before, commands)


def test_commits_that_make_no_model_change_nothing(world, retrain):
    world.deliver("2024-05")
    retrain()
    world.commit("Words", **{"README.md": "other words\n"})
    assert retrain().plan.hindrance is Hindrance.OPEN


def test_a_newer_one_takes_the_place_of_an_open_one(world, retrain):
    world.deliver("2024-05")
    first = retrain()
    world.deliver("2024-06")
    world.now += timedelta(hours=1)
    held = retrain()
    assert (held.plan.hindrance, held.plan.until) == (Hindrance.COOLDOWN, NOW + timedelta(days=1))
    world.now = held.plan.until
    second = retrain()
    assert second.closed == (first.record.branch,)
    assert proposals(world) == [f"refs/closed/{first.record.branch}", f"refs/heads/{second.record.branch}"]
    said = git(world.origin, "log", "-1", "--format=%B", f"refs/closed/{first.record.branch}")
    assert said == f"Closed\n\nSuperseded by the branch {second.record.branch}, on data through 2024-06."
    # What was proposed is kept below it.
    assert git(world.origin, "rev-parse", f"refs/closed/{first.record.branch}^") == first.record.commit


@pytest.mark.parametrize(("who", "outcome"), [("gates", "FAILED"), ("gates", "ERROR"), ("checks", "FAILED")])
def test_a_candidate_that_fails_is_reported_and_closed(world, retrain, who, outcome):
    world.deliver("2024-05")
    world.judge(who, outcome)
    main = git(world.origin, "rev-parse", "main")
    result = retrain()
    assert (result.record.ending, result.exit_code) == (RetrainingEnding.REFUSED, 1)
    assert proposals(world) == [f"refs/closed/{result.record.branch}"]
    assert "Refused: " in git(world.origin, "log", "-1", "--format=%B", f"refs/closed/{result.record.branch}")
    assert git(world.origin, "rev-parse", "main") == main
    again = retrain()
    assert (again.plan.decision, again.plan.hindrance) == (Decision.WAIT, Hindrance.TRIED)


def test_a_refused_one_leaves_an_open_one_alone(world, retrain):
    world.deliver("2024-05")
    first = retrain()
    world.deliver("2024-06")
    world.judge("gates", "FAILED")
    world.now += timedelta(days=2)
    assert retrain().record.ending is RetrainingEnding.REFUSED
    assert f"refs/heads/{first.record.branch}" in proposals(world)


def test_what_is_inconclusive_waits_for_a_person(world, retrain):
    world.set_policy(merge="gates-passed")
    world.deliver("2024-05")
    world.judge("gates", "INCONCLUSIVE")
    main = git(world.origin, "rev-parse", "main")
    result = retrain()
    assert result.record.ending is RetrainingEnding.PROPOSED
    assert "INCONCLUSIVE" in result.record.reason
    assert retrain().plan.hindrance is Hindrance.OPEN
    assert git(world.origin, "rev-parse", "main") == main


def test_policy_merges_what_passed(world, retrain):
    world.set_policy(merge="gates-passed")
    world.deliver("2024-05")
    result = retrain()
    assert result.record.ending is RetrainingEnding.MERGED
    assert 'through: "2024-05"' in git(world.origin, "show", "main:params.yaml")
    world.now += timedelta(days=2)
    assert retrain().plan.decision is Decision.NOTHING


@pytest.mark.parametrize(("content", "said"), [("renamed", "the column depot is missing"), ("empty", "has no rows")])
def test_bad_data_ends_in_one_issue_and_no_model(world, retrain, content, said):
    world.deliver("2024-05", content)
    result = retrain()
    assert (result.record.ending, result.exit_code) == (RetrainingEnding.BAD_DATA, 1)
    assert said in result.record.reason
    assert proposals(world) == []
    issue = git(world.origin, "show", "issues:retraining.md")
    assert issue.startswith("# Data through 2024-05 cannot be used")
    assert said in issue
    assert not any("repro" in command for command in world.commands())
    # Looking again every day changes nothing.
    world.now += timedelta(days=1)
    assert retrain().plan.hindrance is Hindrance.TRIED
    assert git(world.origin, "rev-list", "--count", "issues") == "1"
    # It is delivered again, and is good.
    world.deliver("2024-05", "mended")
    assert retrain().record.ending is RetrainingEnding.PROPOSED
    assert git(world.origin, "ls-tree", "--name-only", "issues") == ""


def test_a_source_that_fails_on_a_batch_is_not_waited_for(world, retrain):
    world.deliver("2024-05", "broken")
    plan = plan_retraining(world.tools())
    assert plan.unreadable == "the source of parcels failed on 2024-05: KeyError: 'depot'"
    assert plan.unreadable in plan.notes
    assert "⚠️ The source of parcels failed on 2024-05" in render_retraining_plan(plan)
    result = retrain()
    assert (result.record.ending, result.exit_code) == (RetrainingEnding.BAD_DATA, 1)
    assert result.record.reason == plan.unreadable
    assert world.commands() == []
    issue = git(world.origin, "show", "issues:retraining.md")
    assert issue.startswith("# Data through 2024-05 cannot be read")
    assert "KeyError" in issue and "DataError" in issue
    # Looking again every day changes nothing.
    world.now += timedelta(days=1)
    assert retrain().plan.hindrance is Hindrance.TRIED
    assert git(world.origin, "rev-list", "--count", "issues") == "1"
    world.deliver("2024-05", "mended")
    assert retrain().record.ending is RetrainingEnding.PROPOSED
    assert git(world.origin, "ls-tree", "--name-only", "issues") == ""


def test_a_good_batch_before_one_that_fails_is_told_apart(world, retrain):
    world.deliver("2024-05")
    world.deliver("2024-06", "broken")
    record = retrain().record
    assert record.batches == ("2024-05", "2024-06")
    assert record.evidence == (
        "2024-05 is there, the source of parcels failed on 2024-06: KeyError: 'depot', and the model knows 2024-04",
    )


@pytest.mark.parametrize("there", [True, False])
def test_a_source_that_was_down_leaves_nothing_behind(world, retrain, there):
    """Whether the batch has come meanwhile or not: its bytes, and so its fingerprint, are what they were."""
    down = world.folder / "down"
    if there:
        world.deliver("2024-05")
    down.touch()
    assert retrain().record.ending is RetrainingEnding.BAD_DATA
    assert "ConnectionError: nobody answers" in git(world.origin, "show", "issues:retraining.md")
    down.unlink()
    again = retrain()
    if there:
        assert again.record.ending is RetrainingEnding.PROPOSED
    else:
        assert again.plan.decision is Decision.NOTHING
    assert git(world.origin, "ls-tree", "--name-only", "issues") == ""


def test_the_issue_of_data_that_is_still_there_stays(world, retrain):
    world.deliver("2024-05", "renamed")
    retrain()
    retrain()
    assert "retraining.md" in git(world.origin, "ls-tree", "--name-only", "issues")
    world.withdraw("2024-05")
    assert retrain().plan.decision is Decision.NOTHING
    assert git(world.origin, "ls-tree", "--name-only", "issues") == ""


def test_a_batch_that_is_delivered_twice_is_the_same_batch(world, retrain):
    world.deliver("2024-05")
    retrain()
    world.deliver("2024-05")
    assert retrain().plan.hindrance is Hindrance.OPEN
    world.deliver("2024-05", "with late rows")
    world.now += timedelta(days=2)
    result = retrain()
    assert result.record.ending is RetrainingEnding.PROPOSED
    assert len(result.closed) == 1


def test_a_late_batch_is_waited_for_and_those_after_it_too(world, retrain):
    world.deliver("2024-06")
    assert retrain().plan.decision is Decision.NOTHING
    world.deliver("2024-05")
    assert retrain().record.batches == ("2024-05", "2024-06")


def test_a_batch_that_is_not_over_is_not_taken(world, retrain):
    world.deliver("2024-05")
    world.now = NOW.replace(month=6, day=1)
    plan = plan_retraining(world.tools())
    assert plan.decision is Decision.NOTHING
    assert plan.notes == ("2024-05 is taken for whole from 2024-06-02 00:00 UTC on",)


def test_a_person_gets_an_answer_even_where_nothing_has_changed(world, retrain):
    world.deliver("2024-05")
    retrain()
    asked = retrain(request="the board wants a new one")
    assert asked.plan.hindrance is Hindrance.OPEN
    git(world.origin, "update-ref", "-d", f"refs/heads/{asked.plan.waiting.branch}")
    assert retrain().plan.hindrance is Hindrance.TRIED
    asked = retrain(request="the board wants a new one")
    assert asked.record.ending is RetrainingEnding.PROPOSED
    assert asked.record.reasons == ("request", "new-data")
    git(world.origin, "update-ref", "-d", f"refs/heads/{asked.record.branch}")
    # The same words are the same request: who asks again is told what would be another.
    same = retrain(request="the board wants a  new one")
    assert (same.record, same.plan.hindrance) == (None, Hindrance.TRIED)
    assert same.plan.sentence.endswith("give another reason to try them again")
    assert retrain(request="the board asks again").record.ending is RetrainingEnding.PROPOSED


def test_the_same_inputs_make_the_same_model(world, retrain):
    world.deliver("2024-05")
    tools = world.tools()
    branch = retrain(tools=tools).record.branch
    git(world.origin, "update-ref", "refs/heads/main", branch)
    result = retrain(request="try")
    assert result.record.ending is RetrainingEnding.UNCHANGED
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("words", "code"),
    [("data ingest", 3), ("dvc repro", 255), ("check training", 1), ("gate check", -9), ("report pr", 2)],
)
def test_a_command_that_breaks_is_told_and_the_next_run_goes_on(world, retrain, words, code):
    world.deliver("2024-05")
    mend = world.break_(words, code)
    with pytest.raises(PipelineError, match="it broke"):
        retrain()
    assert endings(world) == ["ERROR"]
    assert proposals(world) == []
    issue = git(world.origin, "show", "issues:retraining.md")
    assert issue.startswith("# Retraining on data through 2024-05 broke off")
    assert "it broke" in issue
    mend.unlink()
    assert retrain().record.ending is RetrainingEnding.PROPOSED
    assert git(world.origin, "ls-tree", "--name-only", "issues") == ""


@pytest.mark.parametrize(
    ("number", "fix"),
    [(errno.ENOSPC, "make room"), (errno.EDQUOT, "make room"), (errno.EACCES, "see that this user can read and write")],
)
def test_a_disk_that_refuses_is_told_and_the_next_run_goes_on(world, retrain, monkeypatch, number, fix):
    world.deliver("2024-05")

    def full(*_, **__):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr("gitrain.integrations.files.os.fsync", full)
        with pytest.raises(IntegrationError, match=os.strerror(number)) as error:
            retrain()
        assert error.value.fix.startswith(fix)
    assert endings(world) == ["ERROR"]
    assert sorted(path.name for path in (world.root / ".gitrain/retraining").iterdir()) == ["holder", "lock"]
    assert retrain().record.ending is RetrainingEnding.PROPOSED


def test_errors_are_tried_again_until_the_budget_is_used_up(world, retrain):
    world.set_policy(runs_a_week=3)
    world.deliver("2024-05")
    world.break_("dvc repro")
    for _ in range(3):
        with pytest.raises(PipelineError):
            retrain()
        world.now += timedelta(hours=1)
    held = retrain()
    assert (held.plan.hindrance, held.plan.until) == (Hindrance.BUDGET, NOW + timedelta(days=7))
    assert "3 have begun within a week" in held.plan.sentence


def test_a_hook_that_refuses_leaves_nothing_half_pushed(world, retrain):
    world.deliver("2024-05")
    hook = world.origin / "hooks/update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ncase "$1" in refs/heads/retrain/*) echo "not today" >&2; exit 1;; esac\n')
    hook.chmod(0o755)
    with pytest.raises(IntegrationError, match="not today"):
        retrain()
    assert proposals(world) == []
    assert endings(world) == ["ERROR"]
    hook.unlink()
    assert retrain().record.ending is RetrainingEnding.PROPOSED


def test_another_clone_waits_for_one_that_is_at_work(world, retrain, tmp_path):
    world.deliver("2024-05")
    git(tmp_path, "clone", "-q", str(world.origin), "second")
    seen = []

    def progress(line):
        if "dvc repro" in line:
            other = world.tools(tmp_path / "second")
            seen.append(open_retraining(other, progress=lambda _: None).plan)
            seen.append(open_retraining(world.tools(), progress=lambda _: None).plan)
            seen.append(plan_retraining(world.tools()))

    open_retraining(world.tools(), progress=progress)
    assert [plan.hindrance for plan in seen] == [Hindrance.RUNNING] * 3
    assert endings(world) == ["PROPOSED"]


@pytest.mark.parametrize("slow", ["dvc repro", "dvc push"])
def test_who_was_declared_dead_proposes_nothing(world, retrain, tmp_path, slow):
    """It took so long that another clone took over; what the other one proposes is all that is proposed."""
    (world.folder / "remote").touch()
    world.deliver("2024-05")
    git(tmp_path, "clone", "-q", str(world.origin), "second")
    others, said = [], []

    def progress(line):
        said.append(line)
        if slow in line:
            world.now += timedelta(hours=3)
            others.append(open_retraining(world.tools(tmp_path / "second"), progress=lambda _: None).record)

    result = open_retraining(world.tools(), progress=progress)
    (other,) = others
    assert other is not None and other.ending is RetrainingEnding.PROPOSED
    assert result.record is not None
    assert (result.record.ending, result.exit_code) == (RetrainingEnding.LOST, 3)
    assert "raise retraining.longest_minutes" in said[-1]
    assert ("$ dvc push" in said) == (slow == "dvc push")
    assert endings(world) == ["LOST", "PROPOSED"]
    (branch,) = proposals(world)
    assert git(world.origin, "rev-parse", branch) == other.commit
    assert "issues" not in " ".join(world.branches())
    assert retrain().plan.hindrance is Hindrance.OPEN


def test_who_is_declared_dead_at_the_last_moment_changes_no_record(world, retrain, tmp_path):
    world.deliver("2024-05")
    git(tmp_path, "clone", "-q", str(world.origin), "second")

    class Slow:
        def __init__(self, inner):
            self._inner = inner

        def __getattr__(self, name):
            return getattr(self._inner, name)

        def propose(self, wanted):
            world.now += timedelta(hours=3)
            open_retraining(world.tools(tmp_path / "second"), progress=lambda _: None)
            return self._inner.propose(wanted)

    tools = world.tools()
    result = retrain(tools=replace(tools, proposals=Slow(tools.proposals)))
    assert (result.record.ending, result.exit_code) == (RetrainingEnding.LOST, 3)
    assert endings(world) == ["LOST", "PROPOSED"]
    assert len(proposals(world)) == 1


def test_json_says_all_of_it(world, retrain):
    world.deliver("2024-05")
    said = json.loads(json.dumps(retrain().to_json()))
    assert said["plan"]["decision"] == "RETRAIN"
    assert said["plan"]["data"] == {
        "former": "2024-04",
        "through": "2024-05",
        "batches": ["2024-05"],
        "unreadable": None,
    }
    assert said["record"]["ending"] == "PROPOSED"
    assert said["closed"] == []
