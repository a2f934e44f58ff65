"""A bare repository as the forge, and the Git behind every forge; on real Git."""

import os
import subprocess
import threading

import pytest
from tests.gitrain.forge import PREPROD, forge_at, git

from gitrain.environments.forge import Change, ProposalState, Unreadable
from gitrain.errors import DeploymentError, IntegrationError, UsageError
from gitrain.integrations.bare_forge import BareForge
from gitrain.integrations.git_remote import GitRemote, token_header

SUSPENDED = PREPROD.replace("suspend: false", "suspend: true")


@pytest.fixture
def forged(git_repository, tmp_path):
    return forge_at(git_repository, tmp_path)


@pytest.fixture
def forge(forged):
    return BareForge(GitRemote(forged.root))


def change(forge, content=SUSPENDED, path="environments/preprod.yaml"):
    return Change(
        environment="preprod",
        branch="suspend/preprod",
        head=forge.head(),
        path=path,
        content=content,
        values={"suspend": content == SUSPENDED},
        title="Suspend preprod",
    )


def test_a_change_is_a_branch_and_merging_it_is_a_merge(forge, forged):
    assert forge.find("suspend/preprod") is None
    proposal = forge.propose(change(forge))
    assert (proposal.state, proposal.created, proposal.url) == (ProposalState.OPEN, True, None)
    assert forge.propose(change(forge)).created is False
    # Somebody pushes something else meanwhile.
    forged.commit("Meanwhile", **{"README.md": "other words\n"})
    merged = forge.merge(proposal, "Suspend preprod")
    assert merged.state is ProposalState.MERGED
    assert forged.file("preprod") == SUSPENDED
    assert git(forged.origin, "show", "main:README.md") == "other words"
    assert len(git(forged.origin, "log", "-1", "--format=%P", "main").split()) == 2
    tip = git(forged.origin, "rev-parse", "main")
    assert forge.merge(proposal, "Suspend preprod").state is ProposalState.MERGED
    assert git(forged.origin, "rev-parse", "main") == tip
    assert forge.find("suspend/preprod").state is ProposalState.MERGED


def test_what_contradicts_is_not_merged(forge, forged):
    proposal = forge.propose(change(forge))
    (forged.root / "environments/preprod.yaml").write_text(PREPROD.replace("suspend: false", "suspend: false  # no"))
    git(forged.root, "commit", "-q", "-a", "-m", "Another")
    git(forged.root, "push", "-q", "origin", "main")
    with pytest.raises(DeploymentError, match="contradicts"):
        forge.merge(proposal, "Suspend preprod")


def test_many_at_once_end_with_one_branch(forged, forge):
    wanted, found = change(forge), []
    threads = [
        threading.Thread(target=lambda: found.append(BareForge(GitRemote(forged.root)).propose(wanted)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len({proposal.commit for proposal in found}) == 1


def test_a_branch_of_somebody_else_is_left_alone(forge, forged):
    git(forged.root, "switch", "-q", "-c", "suspend/preprod")
    git(forged.root, "commit", "-q", "--allow-empty", "-m", "Somebody's")
    git(forged.root, "push", "-q", "origin", "suspend/preprod")
    with pytest.raises(DeploymentError, match="says something else"):
        forge.propose(change(forge))


def test_what_somebody_added_is_not_thrown_away_where_a_branch_would_be_made_anew(forge, forged):
    proposed = forge.propose(change(forge))
    git(forged.root, "switch", "-q", "-c", "review", proposed.commit)
    git(forged.root, "commit", "-q", "--allow-empty", "-m", "A reviewer's")
    git(forged.root, "push", "-q", "origin", "review:suspend/preprod")
    git(forged.root, "switch", "-q", "main")
    assert forge.propose(change(forge)).created is False
    forged.commit("Meanwhile", **{"environments__preprod.yaml": f"# By hand\n{PREPROD}"})
    with pytest.raises(DeploymentError, match="somebody has added commits to it"):
        forge.propose(change(forge))
    assert git(forged.origin, "log", "-1", "--format=%s", "suspend/preprod") == "A reviewer's"


def test_it_knows_nothing_of_approvals(forge):
    answers = [
        forge.protection("production"),
        forge.plan(),
        forge.rulesets(),
        forge.changes("a" * 40, "environments/x.yaml"),
    ]
    assert all(isinstance(each, Unreadable) for each in answers)
    assert forge.members(["@ada"], ["ada"]) == []


def test_the_right_to_run_and_everything_beside_the_file_stay(forge, forged):
    (forged.root / "environments/preprod.yaml").chmod(0o755)
    git(forged.root, "commit", "-q", "-a", "-m", "Odd")
    git(forged.root, "push", "-q", "origin", "main")
    proposal = forge.propose(change(forge))
    changed = git(forged.origin, "diff", "--raw", "main", proposal.commit).split("\n")
    assert len(changed) == 1
    assert changed[0].startswith(":100755 100755")


def test_a_project_in_a_folder_of_a_repository(forged):
    (forged.root / "inner/environments").mkdir(parents=True)
    (forged.root / "inner/environments/preprod.yaml").write_text(PREPROD)
    forged.commit("A folder")
    forge = BareForge(GitRemote(forged.root / "inner"))
    proposal = forge.propose(change(forge))
    assert git(forged.origin, "diff", "--name-only", "main", proposal.commit) == "inner/environments/preprod.yaml"


def test_hooks_and_a_set_index_are_left_out(forge, forged, monkeypatch, tmp_path):
    hook = forged.root / ".git/hooks/pre-push"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    assert forge.propose(change(forge)).created


def test_a_remote_that_refuses_is_quoted_without_its_password(forged, forge):
    hook = forged.origin / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho 'no pushing on Fridays' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(IntegrationError, match="no pushing on Fridays"):
        forge.propose(change(forge))
    git(forged.root, "remote", "set-url", "origin", "http://ada:hunter2@127.0.0.1:9/x.git")
    with pytest.raises(IntegrationError) as error:
        forge.head()
    assert "hunter2" not in str(error.value) + forge.name


def test_a_remote_without_a_commit_says_so(git_repository, tmp_path):
    git(tmp_path, "init", "-q", "--bare", "empty.git")
    git(git_repository, "remote", "add", "origin", str(tmp_path / "empty.git"))
    with pytest.raises(UsageError, match="no default branch with a commit"):
        GitRemote(git_repository).head()


def test_a_runner_that_knows_nobody_commits_as_who_started_it(forge, forged, monkeypatch):
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("GITHUB_ACTOR", "promoter[bot]")
    monkeypatch.setenv("GITHUB_ACTOR_ID", "77")
    proposal = forge.propose(change(forge))
    assert git(forged.origin, "log", "-1", "--format=%an <%ae>", proposal.commit) == (
        "promoter[bot] <77+promoter[bot]@users.noreply.github.com>"
    )


def test_a_token_goes_to_one_server_and_stands_before_what_a_checkout_left(git_repository):
    git(git_repository, "config", "http.https://github.com/.extraheader", "AUTHORIZATION: basic left")
    variables = token_header("https://github.com", "ghs_secret")

    def header(url):
        command = ["git", "config", "--get-urlmatch", "http.extraheader", url]
        done = subprocess.run(
            command, cwd=git_repository, env=os.environ | variables, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    assert header("https://github.com/acme/tumours").startswith("AUTHORIZATION: basic ")
    assert "left" not in header("https://github.com/acme/tumours")
    assert header("https://example.com/acme/tumours") == ""
    assert "ghs_secret" not in repr(GitRemote(git_repository, variables=variables))
