"""Retrainings on real Git: one pull request, one issue or nothing; what breaks on the way is told and gone past."""

import errno
import json
import os
from datetime import timedelta

import pytest
from tests.gitrain.retraining import NOW, git, world_at

from gitrain.errors import IntegrationError, PipelineError
from gitrain.integrations.retraining_branch import RetrainingBranch
from gitrain.operations.open_retraining import open_retraining
from gitrain.operations.plan_retraining import plan_retraining
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


def test_json_says_all_of_it(world, retrain):
    world.deliver("2024-05")
    said = json.loads(json.dumps(retrain().to_json()))
    assert said["plan"]["decision"] == "RETRAIN"
    assert said["plan"]["data"] == {"former": "2024-04", "through": "2024-05", "batches": ["2024-05"]}
    assert said["record"]["ending"] == "PROPOSED"
    assert said["closed"] == []
