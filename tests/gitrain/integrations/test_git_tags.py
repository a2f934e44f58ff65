"""Tags of real repositories, those of others among them."""

import subprocess

import pytest

from gitrain.errors import PipelineError, ReleaseError
from gitrain.integrations.git import GitRepository
from gitrain.release.tags import ReleaseTag, named_record, release_tag
from gitrain.testing.releases import make_release


def git(folder, *arguments, **options):
    return subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True, **options
    ).stdout.strip()


@pytest.fixture
def head(git_repository):
    return git(git_repository, "rev-parse", "HEAD")


def test_tags_of_all_kinds_are_read(git_repository, head):
    git(git_repository, "tag", "light")
    git(git_repository, "tag", "-a", "-m", "one\n\ntwo", "a/annotated")
    git(git_repository, "tag", "a-tree", "HEAD^{tree}")
    git(git_repository, "tag", "-a", "-m", "of a tree", "annotated-tree", "HEAD^{tree}")

    assert {tag.name: (tag.commit, tag.message) for tag in GitRepository(git_repository).tags()} == {
        "light": (head, ""),
        "a/annotated": (head, "one\n\ntwo\n"),
    }


def test_a_tag_is_one_of_git_and_of_gto(git_repository, head, tmp_path):
    record = make_release(tmp_path / "bundle", "1.4.0", project="flight-delay", commit=head).record

    assert GitRepository(git_repository).add_tag(release_tag(record))

    assert git(git_repository, "cat-file", "-t", "flight-delay@v1.4.0") == "tag"
    assert git(git_repository, "rev-parse", "flight-delay@v1.4.0^{commit}") == head
    assert f"record: {record.digest}" in git(git_repository, "tag", "-n99", "-l", "flight-delay@v1.4.0")
    (tag,) = GitRepository(git_repository).tags()
    assert named_record(tag) == record.digest


def test_a_light_tag_on_another_commit_is_not_moved(git_repository, head):
    git(git_repository, "tag", "p@v1.0.0")
    git(git_repository, "commit", "-q", "--allow-empty", "-m", "second")
    second = git(git_repository, "rev-parse", "HEAD")

    with pytest.raises(ReleaseError, match=f"is on commit {head[:12]}") as raised:
        GitRepository(git_repository).add_tag(ReleaseTag(name="p@v1.0.0", commit=second, message="m\n"))

    assert "next version" in raised.value.fix
    assert not GitRepository(git_repository).add_tag(ReleaseTag(name="p@v1.0.0", commit=head, message="m\n"))


def test_nobody_to_name_as_the_tagger(git_repository, head, monkeypatch):
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.delenv(name, raising=False)
    git(git_repository, "config", "user.useConfigOnly", "true")

    with pytest.raises(PipelineError, match="nobody to name") as raised:
        GitRepository(git_repository).add_tag(ReleaseTag(name="p@v1.0.0", commit=head, message="m\n"))

    assert "user.name" in raised.value.fix
    assert GitRepository(git_repository).tags() == []


def test_hooks_are_not_run(git_repository, head, tmp_path):
    hook = git_repository / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    hook.chmod(0o755)

    assert GitRepository(git_repository).add_tag(ReleaseTag(name="p@v1.0.0", commit=head, message="m\n"))

    assert not (tmp_path / "sprung").exists()
    git(git_repository, "tag", "another")
    assert (tmp_path / "sprung").exists()  # the trap works


def test_before_the_first_commit(tmp_path):
    git(tmp_path, "init", "-q")
    assert GitRepository(tmp_path).tags() == []
