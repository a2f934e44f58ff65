"""Proposals and issues on a bare repository: branches, put away with a reason, and files of a branch."""

import pytest
from tests.gitrain.forge import forge_at, git

from gitrain.environments.forge import ProposalState
from gitrain.errors import DeploymentError, UsageError
from gitrain.integrations.bare_proposals import BareIssues, BareProposals
from gitrain.integrations.git_remote import GitRemote
from gitrain.triggers.forge import BranchProposal, Issue

MARK = "Gitrain-Retraining: sha256:0123"


@pytest.fixture
def forged(git_repository, tmp_path):
    return forge_at(git_repository, tmp_path)


@pytest.fixture
def proposals(forged):
    return BareProposals(GitRemote(forged.root))


@pytest.fixture
def issues(forged):
    return BareIssues(GitRemote(forged.root))


@pytest.fixture
def wanted(forged, proposals):
    def wanted(branch="retrain/0123"):
        tree = git(forged.root, "rev-parse", "HEAD^{tree}")
        commit = git(forged.root, "commit-tree", tree, "-p", "HEAD", "-m", f"Retrain\n\n{MARK}")
        return BranchProposal(
            branch=branch, commit=commit, head=proposals.head(), mark=MARK, title="Retrain", body="why"
        )

    return wanted


def test_it_is_proposed_once_and_found(proposals, wanted, forged):
    assert proposals.find("retrain/0123") is None
    first, again = proposals.propose(wanted()), proposals.propose(wanted())
    assert (first.created, again.created, again.commit) == (True, False, first.commit)
    assert proposals.find("retrain/0123").state is ProposalState.OPEN
    assert [each.branch for each in proposals.waiting("retrain/")] == ["retrain/0123"]
    assert proposals.waiting("retrain/4") == []
    assert proposals.waiting("etrain/") == []


def test_one_that_is_closed_is_put_away_and_stays_so(proposals, wanted, forged):
    made = proposals.propose(wanted())
    proposals.close("retrain/0123", "worse by far")
    proposals.close("retrain/0123", "worse by far")
    refs = git(forged.origin, "for-each-ref", "--format=%(refname)").splitlines()
    assert refs == ["refs/closed/retrain/0123", "refs/heads/main"]
    assert git(forged.origin, "log", "-1", "--format=%B", "refs/closed/retrain/0123") == "Closed\n\nworse by far"
    assert git(forged.origin, "rev-parse", "refs/closed/retrain/0123^") == made.commit
    assert proposals.find("retrain/0123").state is ProposalState.DECLINED
    assert proposals.propose(wanted()).state is ProposalState.DECLINED
    assert proposals.waiting("retrain/") == []


def test_one_that_is_merged_waits_no_more(proposals, wanted, forged):
    made = proposals.propose(wanted())
    assert proposals.merge(made, "Retrain").state is ProposalState.MERGED
    assert proposals.waiting("retrain/") == []
    assert proposals.find("retrain/0123").state is ProposalState.MERGED


def test_a_branch_of_somebody_else_is_left_alone(proposals, wanted, forged):
    git(forged.root, "commit", "-q", "--allow-empty", "-m", "Somebody's")
    git(forged.root, "push", "-q", "origin", "HEAD:refs/heads/retrain/0123")
    with pytest.raises(DeploymentError, match="holds something else"):
        proposals.propose(wanted())


def test_one_that_contradicts_the_default_branch_is_left_open(proposals, wanted, forged):
    git(forged.root, "switch", "-q", "-c", "theirs")
    (forged.root / "params.yaml").write_text("one\n")
    git(forged.root, "commit", "-q", "-a", "-m", f"Retrain\n\n{MARK}")
    commit = git(forged.root, "rev-parse", "HEAD")
    git(forged.root, "switch", "-q", "main")
    forged.commit("Another", **{"params.yaml": "two\n"})
    head = proposals.head()
    made = proposals.propose(
        BranchProposal(branch="retrain/0123", commit=commit, head=head, mark=MARK, title="Retrain", body="")
    )
    assert proposals.merge(made, "Retrain").state is ProposalState.OPEN
    assert proposals.head() == head


def test_an_issue_is_a_file_that_is_kept_current(issues, forged):
    assert issues.keep("monitoring/production", "It is worse", "by far\n").created
    assert not issues.keep("monitoring/production", "It is worse", "by far").created
    assert git(forged.origin, "show", "issues:monitoring/production.md") == "# It is worse\n\nby far"
    assert git(forged.origin, "rev-list", "--count", "issues") == "1"
    issues.keep("monitoring/production", "It is worse", "by very far")
    issues.keep("retraining", "Broken", "alas")
    assert issues.find("monitoring/production") == Issue(key="monitoring/production")
    assert issues.close("monitoring/production", "good again")
    assert issues.find("monitoring/production") is None
    assert not issues.close("monitoring/production", "good again")
    assert git(forged.origin, "ls-tree", "-r", "--name-only", "issues") == "retraining.md"
    assert git(forged.origin, "log", "-1", "--format=%B", "issues") == "Close monitoring/production\n\ngood again"


@pytest.mark.parametrize("key", ["", "../up", "a//b", "a/", "A", "a.md"])
def test_a_key_is_checked(issues, key):
    with pytest.raises(UsageError, match="no key of an issue"):
        issues.keep(key, "Broken", "alas")
