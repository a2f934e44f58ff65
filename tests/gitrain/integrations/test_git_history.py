"""What deployments ask of a real repository's history."""

import subprocess

import pytest

from gitrain.errors import UsageError
from gitrain.integrations.git_history import GitHistory, person_of


def git(root, *arguments):
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(root, path, text):
    (root / path).parent.mkdir(exist_ok=True)
    (root / path).write_text(text)
    git(root, "add", "--all")
    git(root, "commit", "-q", "-m", path)
    return git(root, "rev-parse", "HEAD")


def test_the_last_commit_that_changed_a_file(git_repository):
    history = GitHistory(git_repository)
    asked = commit(git_repository, "environments/test.yaml", "a")
    later = commit(git_repository, "other", "b")
    assert history.changed_by("HEAD", "environments/test.yaml") == asked
    assert history.changed_by("HEAD", "other") == later
    assert history.changed_by(asked, "other") == asked
    with pytest.raises(UsageError):
        history.changed_by("nowhere", "other")


def test_which_commits_a_branch_holds(git_repository):
    history = GitHistory(git_repository)
    start = git(git_repository, "rev-parse", "HEAD")
    git(git_repository, "checkout", "-q", "-b", "aside")
    aside = commit(git_repository, "aside", "a")
    git(git_repository, "checkout", "-q", "main")
    main = commit(git_repository, "main", "a")
    assert [history.has(each, "main") for each in (start, main, aside, "0" * 40)] == [True, True, False, False]
    assert history.has(aside, "aside")
    assert not history.has(main, "nowhere")


def test_the_files_of_a_folder(git_repository):
    history = GitHistory(git_repository)
    commit(git_repository, "environments/test.yaml", "a")
    commit(git_repository, "environments/é b.yaml", "a")
    (git_repository / "environments/untracked.yaml").write_text("a")
    assert history.files("HEAD", "environments") == ["test.yaml", "é b.yaml"]
    assert history.files("HEAD", "nowhere") == []


def test_whom_git_names(git_repository):
    assert person_of(git_repository) is None
    git(git_repository, "config", "user.name", "Grace")
    assert person_of(git_repository) == "Grace"
