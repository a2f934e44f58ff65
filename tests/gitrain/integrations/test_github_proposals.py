"""Pull requests of retrainings and issues on GitHub: one each, closed with a reason, whatever the forge answers."""

from dataclasses import replace

import pytest
from starlette.responses import JSONResponse
from tests.gitrain.fake_github import REPOSITORY, FakeGitHub, serving
from tests.gitrain.forge import forge_at, git

from gitrain.environments.forge import ProposalState
from gitrain.errors import DeploymentError, IntegrationError, UsageError
from gitrain.integrations.git_remote import GitRemote
from gitrain.integrations.github_api import GitHubApi
from gitrain.integrations.github_proposals import GitHubIssues, GitHubProposals
from gitrain.triggers.forge import BranchProposal

TOKEN = "ghs_a-secret-token"
PLACE = f"/repos/{REPOSITORY}"
MARK = "Gitrain-Retraining: sha256:0123"


@pytest.fixture
def forged(git_repository, tmp_path):
    return forge_at(git_repository, tmp_path)


@pytest.fixture
def fake(forged):
    with serving(FakeGitHub(forged.origin)) as fake:
        yield fake


@pytest.fixture
def api(fake):
    return GitHubApi(REPOSITORY, TOKEN, url=fake.url, pause=lambda _: None)


@pytest.fixture
def proposals(forged, api):
    return GitHubProposals(GitRemote(forged.root), api)


@pytest.fixture
def issues(api):
    return GitHubIssues(api)


@pytest.fixture
def wanted(forged, proposals):
    def wanted(branch="retrain/0123", mark=MARK):
        tree = git(forged.root, "rev-parse", "HEAD^{tree}")
        commit = git(forged.root, "commit-tree", tree, "-p", "HEAD", "-m", f"Retrain\n\n{mark}")
        head = proposals.head()
        return BranchProposal(branch=branch, commit=commit, head=head, mark=mark, title="Retrain", body="why")

    return wanted


def posts(fake):
    return [line for line in fake.asked if not line.startswith("GET")]


def test_it_is_proposed_once(proposals, fake, wanted, forged):
    first = proposals.propose(wanted())
    git(forged.root, "commit", "-q", "--allow-empty", "-m", "Later")
    again = proposals.propose(wanted())
    assert (first.number, first.created, again.number, again.created) == (1, True, 1, False)
    assert again.commit == first.commit == git(forged.origin, "rev-parse", "retrain/0123")
    assert posts(fake) == [f"POST {PLACE}/pulls?"]
    assert fake.tokens == {f"token {TOKEN}"}


@pytest.mark.parametrize("status", [403, 502])
def test_a_forge_that_refuses_is_gone_past_later(proposals, fake, wanted, status):
    fake.faults[f"POST {PLACE}/pulls"] = [status] * 4
    with pytest.raises(IntegrationError, match=str(status)) as error:
        proposals.propose(wanted())
    assert TOKEN not in str(error.value) + repr(proposals)
    fake.faults.clear()
    assert proposals.propose(wanted()).number == 1
    assert len(fake.pulls) == 1


def test_a_branch_of_somebody_else_is_left_alone(proposals, wanted, forged):
    git(forged.root, "push", "-q", "origin", "HEAD:refs/heads/retrain/0123")
    with pytest.raises(DeploymentError, match="holds something else"):
        proposals.propose(wanted())


def test_those_that_wait_are_ours(proposals, fake, wanted):
    proposals.propose(wanted())
    fake.pull(7, "retrain/4567", head="e" * 40)
    fake.pulls[7]["head"]["repo"] = {"full_name": "mallory/tumours"}
    fake.pull(8, "retrain/89ab")
    fake.pulls[8]["head"]["repo"] = None
    fake.pull(9, "promote/preprod/1.0.0")
    assert [each.number for each in proposals.waiting("retrain/")] == [1]


def test_it_is_closed_with_a_reason_once(proposals, fake, wanted, forged):
    proposals.propose(wanted())
    proposals.close("retrain/0123", "worse")
    proposals.close("retrain/0123", "worse")
    proposals.close("retrain/none", "worse")
    assert (fake.pulls[1]["state"], fake.comments) == ("closed", {1: ["worse"]})
    assert proposals.waiting("retrain/") == []
    # Who reopens it finds the branch.
    assert git(forged.origin, "rev-parse", "--verify", "retrain/0123")
    assert proposals.propose(wanted()).state is ProposalState.DECLINED
    assert len(fake.pulls) == 1


def test_a_comment_whose_answer_is_lost_stops_nothing(proposals, fake, wanted):
    proposals.propose(wanted())
    fake.faults[f"POST {PLACE}/issues/1/comments"] = [502]
    proposals.close("retrain/0123", "worse")
    assert fake.pulls[1]["state"] == "closed"


def test_it_is_merged_if_the_forge_lets_it(proposals, fake, wanted, forged):
    made = proposals.propose(wanted())
    fake.faults[f"PUT {PLACE}/pulls/1/merge"] = [405]
    assert proposals.merge(made, "Retrain").state is ProposalState.OPEN
    assert proposals.merge(made, "Retrain").state is ProposalState.MERGED
    assert git(forged.origin, "rev-parse", "main") == made.commit
    assert proposals.find("retrain/0123").state is ProposalState.MERGED


def test_an_issue_is_kept_current(issues, fake):
    first = issues.keep("monitoring/production", "It is worse", "by far")
    again = issues.keep("monitoring/production", "It is worse", "by far")
    assert (first.number, first.created, again.number, again.created) == (1, True, 1, False)
    assert posts(fake) == [f"POST {PLACE}/issues?"]
    issues.keep("monitoring/production", "It is worse", "by very far")
    assert fake.issues[1]["body"] == "<!-- gitrain: monitoring/production -->\nby very far\n"
    assert issues.keep("monitoring/test", "It is worse", "by far").number == 2
    assert issues.find("monitoring/production") == again
    assert issues.close("monitoring/production", "good again")
    assert issues.find("monitoring/production") is None
    assert not issues.close("monitoring/production", "good again")
    assert (fake.issues[1]["state"], fake.issues[2]["state"]) == ("closed", "open")
    assert fake.comments == {1: ["good again"]}
    assert issues.keep("monitoring/production", "Worse again", "alas").number == 3


def test_an_issue_that_anybody_wrote_is_not_ours(issues, fake):
    body = "<!-- gitrain: retraining -->\nhello"
    fake.issues[5] = {"number": 5, "state": "open", "title": "Mine", "body": body, "labels": []}
    assert issues.keep("retraining", "Broken", "alas").number == 6
    assert issues.close("retraining", "mended")
    assert fake.issues[5]["state"] == "open"


def test_of_two_issues_the_older_stays(issues, fake):
    issues.keep("retraining", "Broken", "alas")
    fake.issues[4] = fake.issues[1] | {"number": 4}
    assert issues.keep("retraining", "Broken", "alas").number == 1
    assert (fake.issues[1]["state"], fake.issues[4]["state"]) == ("open", "closed")
    assert fake.comments == {4: ["The same as #1."]}


def test_an_issue_whose_answer_is_lost_is_not_opened_twice(issues, fake):
    before = fake._file

    def lost(body):
        before(body)
        fake._file = before
        return JSONResponse({"message": "Bad gateway"}, 502)

    fake._file = lost
    assert issues.keep("retraining", "Broken", "alas").number == 1
    assert len(fake.issues) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_issue_is_told(issues, fake, status):
    fake.faults[f"POST {PLACE}/issues"] = [status]
    with pytest.raises(IntegrationError, match=str(status)) as error:
        issues.keep("retraining", "Broken", "alas")
    assert TOKEN not in str(error.value)
    fake.faults[f"GET {PLACE}/issues"] = [status]
    with pytest.raises(IntegrationError, match=str(status)):
        issues.find("retraining")


def test_an_issue_too_many_at_once_is_opened_after_a_while(issues, fake):
    fake.faults[f"POST {PLACE}/issues"] = [429]
    assert issues.keep("retraining", "Broken", "alas").number == 1
    assert len(fake.issues) == 1


def test_without_a_token_nothing_is_written(forged, fake, wanted):
    api = GitHubApi(REPOSITORY, None, url=fake.url)
    with pytest.raises(UsageError, match="needs a token"):
        GitHubIssues(api).keep("retraining", "Broken", "alas")
    with pytest.raises(UsageError, match="needs a token"):
        GitHubProposals(GitRemote(forged.root), api).propose(wanted())
    assert posts(fake) == []


@pytest.mark.parametrize("key", ["", "Upper", "-->", "a b", "/a"])
def test_a_key_is_checked(issues, key):
    with pytest.raises(UsageError, match="no key of an issue"):
        issues.keep(key, "Broken", "alas")


def test_what_is_too_long_is_cut(issues, proposals, fake, wanted):
    issues.keep("retraining", "t" * 900, "b" * 90_000)
    proposals.propose(replace(wanted(), title="t" * 900, body="b" * 90_000))
    for made in (fake.issues[1], fake.pulls[2]):
        assert (len(made["title"]), len(made["body"]) < 65_536) == (200, True)
