"""A remote that several look at, and change, from one clone at the same time."""

import threading
from functools import partial

import pytest
from tests.gitrain.forge import git

from gitrain.errors import IntegrationError
from gitrain.integrations.git_remote import GitRemote


@pytest.fixture
def remote(git_repository, tmp_path):
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "origin.git")
    git(git_repository, "remote", "add", "origin", str(tmp_path / "origin.git"))
    git(git_repository, "push", "-q", "origin", "main")
    git(tmp_path, "clone", "-q", "origin.git", "other")
    return GitRemote(git_repository)


def move(remote, branch):
    """Somebody pushes from another clone; the commit."""
    other = remote.root.parent / "other"
    git(other, "commit", "-q", "--allow-empty", "-m", "More")
    git(other, "push", "-q", "--force", "origin", f"HEAD:refs/heads/{branch}")
    return git(other, "rev-parse", "HEAD")


def at_once(calls):
    """What the calls come to, each in a thread of its own; errors are told as what they say."""
    found = []

    def tell(call):
        try:
            found.append(call())
        except IntegrationError as error:
            found.append(error.what)

    threads = [threading.Thread(target=tell, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_many_see_a_branch_that_moves_in_one_clone(remote):
    for _ in range(4):
        tip = move(remote, "feature")
        assert at_once([partial(remote.branch, "feature")] * 6) == [tip] * 6
        assert git(remote.root, "rev-parse", "refs/remotes/origin/feature") == tip


def test_a_name_that_stays_locked_is_told(remote):
    move(remote, "feature")
    lock = remote.root / ".git/refs/remotes/origin/feature.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    with pytest.raises(IntegrationError, match=r"feature\.lock"):
        remote.branch("feature")


def test_a_branch_that_goes_while_it_is_looked_at_is_not_there(remote, monkeypatch):
    move(remote, "feature")
    listing = remote._run

    def listed(_, *arguments, **options):
        found = listing(*arguments, **options)
        if b"feature" in found:
            git(remote.root.parent / "other", "push", "-q", "--delete", "origin", "feature")
        return found

    monkeypatch.setattr(GitRemote, "_run", listed)
    assert remote.branch("feature") is None


def test_one_of_many_that_push_at_once_is_the_first(remote):
    for number in range(4):
        tree = git(remote.root, "rev-parse", "HEAD^{tree}")
        commits = [git(remote.root, "commit-tree", tree, "-m", f"{number}-{each}") for each in range(6)]
        pushed = at_once([partial(remote.push, commit, f"feature-{number}", None) for commit in commits])
        assert sorted(pushed) == [False] * 5 + [True]
