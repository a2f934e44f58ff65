"""Retrainings whose forge is GitHub: what it refuses or loses is gone past by the next run, with one pull request."""

from datetime import timedelta

import pytest
from tests.gitrain.fake_github import REPOSITORY, FakeGitHub, serving
from tests.gitrain.retraining import git, world_at

from gitrain.errors import IntegrationError
from gitrain.integrations.git_remote import GitRemote
from gitrain.integrations.github_api import GitHubApi
from gitrain.integrations.github_proposals import GitHubIssues, GitHubProposals
from gitrain.operations.open_retraining import open_retraining
from gitrain.triggers.decision import Decision, Hindrance
from gitrain.triggers.record import RetrainingEnding

PLACE = f"/repos/{REPOSITORY}"


@pytest.fixture
def world(git_repository, tmp_path):
    return world_at(git_repository, tmp_path)


@pytest.fixture
def fake(world):
    with serving(FakeGitHub(world.origin)) as fake:
        yield fake


@pytest.fixture
def retrain(world, fake):
    def retrain():
        api = GitHubApi(REPOSITORY, "ghs_secret", url=fake.url, pause=lambda _: None)
        proposals = GitHubProposals(GitRemote(world.root), api)
        tools = world.tools(proposals=proposals, issues=GitHubIssues(api))
        return open_retraining(tools, progress=lambda _: None)

    return retrain


@pytest.mark.parametrize("status", [403, 502])
def test_a_forge_that_refuses_ends_in_one_pull_request_later(world, fake, retrain, status):
    world.deliver("2024-05")
    fake.faults[f"POST {PLACE}/pulls"] = [status] * 4
    with pytest.raises(IntegrationError, match=str(status)):
        retrain()
    assert fake.pulls == {}
    assert fake.issues[1]["title"] == "Retraining on data through 2024-05 broke off"
    fake.faults.clear()
    result = retrain()
    assert result.record.ending is RetrainingEnding.PROPOSED
    assert [pull["state"] for pull in fake.pulls.values()] == ["open"]
    assert fake.issues[1]["state"] == "closed"
    assert retrain().plan.hindrance is Hindrance.OPEN


def test_a_forge_that_is_down_from_the_start_begins_nothing(world, fake, retrain):
    world.deliver("2024-05")
    fake.faults[f"GET {PLACE}/pulls"] = [502] * 4
    with pytest.raises(IntegrationError, match="502"):
        retrain()
    assert world.branches() == ["refs/heads/main"]
    assert world.commands() == []


def test_a_newer_one_closes_an_older_one_and_a_refused_one_is_closed(world, fake, retrain):
    world.deliver("2024-05")
    retrain()
    world.deliver("2024-06")
    world.now += timedelta(days=2)
    retrain()
    assert {number: pull["state"] for number, pull in fake.pulls.items()} == {1: "closed", 2: "open"}
    assert fake.comments == {1: ["Superseded by #2, on data through 2024-06."]}
    world.deliver("2024-06", "with late rows")
    world.judge("gates", "FAILED")
    world.now += timedelta(days=2)
    assert retrain().record.ending is RetrainingEnding.REFUSED
    assert {number: pull["state"] for number, pull in fake.pulls.items()} == {1: "closed", 2: "open", 3: "closed"}
    assert fake.pulls[3]["title"] == "Retrain on data through 2024-06: refused"
    assert fake.comments[3][0].startswith("Refused: champion FAILED: ")


def test_policy_merges_once_the_forge_lets_it(world, fake, retrain):
    world.set_policy(merge="gates-passed")
    world.deliver("2024-05")
    fake.faults[f"PUT {PLACE}/pulls/1/merge"] = [405]
    assert retrain().record.ending is RetrainingEnding.PROPOSED
    assert fake.pulls[1]["merged_at"] is None
    # Its required checks have passed meanwhile.
    assert retrain().plan.hindrance is Hindrance.OPEN
    assert fake.pulls[1]["merged_at"] is not None
    assert 'through: "2024-05"' in git(world.origin, "show", "main:params.yaml")
    assert retrain().plan.decision is Decision.NOTHING


def test_what_a_person_closed_is_not_opened_again(world, fake, retrain):
    world.deliver("2024-05")
    retrain()
    fake.pulls[1]["state"] = "closed"
    world.now += timedelta(days=3)
    assert retrain().plan.hindrance is Hindrance.TRIED
    assert list(fake.pulls) == [1]


def test_bad_data_that_comes_back_has_an_issue_again(world, fake, retrain):
    world.deliver("2024-05", "renamed")
    retrain()
    assert retrain().plan.hindrance is Hindrance.TRIED
    whole = fake.issues[1]["body"]
    world.withdraw("2024-05")
    assert retrain().plan.decision is Decision.NOTHING
    assert fake.issues[1]["state"] == "closed"
    world.deliver("2024-05", "renamed")
    assert retrain().plan.hindrance is Hindrance.TRIED
    assert retrain().plan.hindrance is Hindrance.TRIED
    assert {number: each["state"] for number, each in fake.issues.items()} == {1: "closed", 2: "open"}
    assert "the column depot is missing" in fake.issues[2]["body"]
    assert fake.issues[1]["body"] == whole
