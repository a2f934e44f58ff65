import subprocess
from datetime import UTC, datetime

import pytest

from gitrain.errors import PipelineError
from gitrain.integrations.git_tree import GitTree


def git(root, *arguments):
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def tree(git_repository):
    """A commit with everything that could go wrong, and a working tree that is something else."""
    files = {
        "plain.txt": b"one\ntwo\n",
        "crlf.txt": b"one\r\ntwo\r\n",
        "sub/bär x.bin": bytes(range(256)),
        "empty": b"",
        "stamp.txt": b"$Format:%H$\n",
        "hidden.txt": b"here\n",
        ".gitattributes": b"stamp.txt export-subst\nhidden.txt export-ignore\n*.txt text eol=crlf\n",
    }
    (git_repository / "sub").mkdir()
    for name, content in files.items():
        (git_repository / name).write_bytes(content)
    (git_repository / "run.sh").write_bytes(b"#!/bin/sh\n")
    (git_repository / "run.sh").chmod(0o755)
    (git_repository / "link").symlink_to("plain.txt")
    git(git_repository, "-c", "core.autocrlf=false", "add", "--all")
    git(git_repository, "commit", "-q", "-m", "Files")
    (git_repository / "plain.txt").write_bytes(b"changed\n")
    (git_repository / "untracked.txt").write_bytes(b"x")
    return git_repository


def test_files_are_those_of_the_commit_without_links(tree):
    found = GitTree(tree).files("HEAD")

    assert "untracked.txt" not in found
    assert "link" not in found
    assert {"plain.txt", "sub/bär x.bin", "hidden.txt", "run.sh", ".gitattributes"} <= set(found)
    assert list(found) == sorted(found)


def test_files_are_exported_as_git_has_them_whatever_attributes_and_tree_say(tree, tmp_path):
    kept = GitTree(tree)
    target = tmp_path / "out"

    kept.export("HEAD", kept.files("HEAD"), target)

    assert (target / "plain.txt").read_bytes() == b"one\ntwo\n"
    assert (target / "stamp.txt").read_bytes() == b"$Format:%H$\n"
    assert (target / "hidden.txt").exists()
    assert (target / "empty").read_bytes() == b""
    assert (target / "sub/bär x.bin").read_bytes() == bytes(range(256))
    assert (target / "run.sh").stat().st_mode & 0o111
    assert not (target / "plain.txt").stat().st_mode & 0o111


def test_a_root_inside_the_working_tree_has_its_own_paths(tree, tmp_path):
    kept = GitTree(tree / "sub")

    assert list(kept.files("HEAD")) == ["bär x.bin"]
    kept.export("HEAD", ["bär x.bin"], tmp_path / "out")
    assert (tmp_path / "out/bär x.bin").stat().st_size == 256


def test_the_time_is_the_commits(tree):
    assert GitTree(tree).committed_at("HEAD") == datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_what_is_not_there_is_an_error(tree, tmp_path):
    with pytest.raises(PipelineError, match=r"has no file untracked\.txt"):
        GitTree(tree).export("HEAD", ["untracked.txt"], tmp_path / "out")
    with pytest.raises(PipelineError, match="`git ls-tree` failed"):
        GitTree(tree).files("0" * 40)
