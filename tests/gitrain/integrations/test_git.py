"""`GitRepository` on real repositories."""

import subprocess
from pathlib import Path

import pytest

from gitrain.errors import PipelineError, UsageError
from gitrain.integrations.git import GitRepository


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with two commits, on main; `data.bin` is not text, `sub/inner.txt` lies in a folder."""
    root = tmp_path / "clone"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    (root / "sub").mkdir()
    (root / "dvc.lock").write_text("first")
    (root / "data.bin").write_bytes(b"\x00\xff\n\n")
    (root / "sub" / "inner.txt").write_text("inner")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    git(root, "tag", "-a", "v1", "-m", "an annotated tag is not a commit itself")
    (root / "dvc.lock").write_text("second")
    git(root, "commit", "-q", "-a", "-m", "second")
    return root


def test_names_of_a_commit_give_its_full_hash(clone: Path) -> None:
    repository = GitRepository(clone)
    first, second = git(clone, "rev-parse", "HEAD~1"), git(clone, "rev-parse", "HEAD")
    assert repository.head() == second
    assert repository.commit("main") == second
    assert repository.commit(second[:10]) == second
    assert repository.commit("HEAD~1") == first
    assert repository.commit("v1") == first


@pytest.mark.parametrize("ref", ["", "-h", "--all", "--output=evil", "main\nmain", "ma\0in"])
def test_what_could_be_an_option_is_no_ref(clone: Path, ref: str) -> None:
    with pytest.raises(UsageError, match="is no name of a commit"):
        GitRepository(clone).commit(ref)
    assert not (clone / "evil").exists()


@pytest.mark.parametrize("ref", ["gone", "HEAD:dvc.lock", "HEAD^{tree}", "0" * 40, "a..b", "main..v1"])
def test_what_names_no_commit_is_an_error_with_a_way_out(clone: Path, ref: str) -> None:
    with pytest.raises(UsageError, match="git fetch"):
        GitRepository(clone).commit(ref)


def test_a_branch_that_only_the_remote_has_is_suggested(clone: Path, tmp_path: Path) -> None:
    git(clone, "branch", "topic")
    copy = tmp_path / "copy"
    git(tmp_path, "clone", "-q", clone.as_uri(), str(copy))
    with pytest.raises(UsageError, match="did you mean 'origin/topic'"):
        GitRepository(copy).commit("topic")


def test_files_are_read_as_they_were(clone: Path) -> None:
    repository = GitRepository(clone)
    assert repository.read("HEAD~1", "dvc.lock") == b"first"
    assert repository.read("main", "./dvc.lock") == b"second"
    assert repository.read("HEAD", "data.bin") == b"\x00\xff\n\n"
    assert repository.read("HEAD", "sub/inner.txt") == b"inner"
    (clone / "dvc.lock").write_text("not committed")
    assert repository.read("HEAD", "dvc.lock") == b"second"


@pytest.mark.parametrize("path", ["gone", "sub", "sub/gone", "*", "dvc.loc?", ":/dvc.lock", "-z", "dvc.lock/x"])
def test_no_such_file_is_none(clone: Path, path: str) -> None:
    assert GitRepository(clone).read("HEAD", path) is None


def test_a_symbolic_link_is_no_file(clone: Path) -> None:
    (clone / "link").symlink_to("/etc/hostname")
    git(clone, "add", "link")
    git(clone, "commit", "-q", "-m", "link")
    assert GitRepository(clone).read("HEAD", "link") is None


@pytest.mark.parametrize("path", ["", "/etc/hostname", "../clone/dvc.lock", "sub/../dvc.lock"])
def test_paths_stay_inside(clone: Path, path: str) -> None:
    with pytest.raises(UsageError, match="no path inside"):
        GitRepository(clone).read("HEAD", path)


def test_names_that_git_would_quote(clone: Path) -> None:
    name = 'über "a"\tb\n.txt'
    (clone / name).write_text("odd")
    assert GitRepository(clone).changed() == [name]
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "odd")
    assert GitRepository(clone).read("HEAD", name) == b"odd"


def test_changed_lists_modified_deleted_staged_renamed_and_untracked_files(clone: Path) -> None:
    repository = GitRepository(clone)
    assert repository.changed() == []
    (clone / ".gitignore").write_text("ignored\n")
    (clone / "ignored").write_text("x")
    (clone / "dvc.lock").write_text("third")
    (clone / "new").mkdir()
    (clone / "new" / "file").write_text("x")
    (clone / "staged").write_text("x")
    git(clone, "add", "staged")
    git(clone, "mv", "data.bin", "moved.bin")
    (clone / "sub" / "inner.txt").unlink()
    expected = [".gitignore", "data.bin", "dvc.lock", "moved.bin", "new/file", "staged", "sub/inner.txt"]
    assert repository.changed() == expected


def test_a_project_in_a_subfolder_sees_only_itself(clone: Path) -> None:
    repository = GitRepository(clone / "sub")
    assert repository.read("HEAD", "inner.txt") == b"inner"
    assert repository.read("HEAD", "dvc.lock") is None
    (clone / "dvc.lock").write_text("outside")
    (clone / "sub" / "inner.txt").write_text("changed")
    assert repository.changed() == ["inner.txt"]
    assert repository.head() == git(clone, "rev-parse", "HEAD")


def test_a_linked_worktree(clone: Path, tmp_path: Path) -> None:
    git(clone, "worktree", "add", "-q", str(tmp_path / "linked"), "v1")
    repository = GitRepository(tmp_path / "linked")
    assert repository.head() == git(clone, "rev-parse", "v1^{commit}")
    assert repository.read("main", "dvc.lock") == b"second"
    assert repository.changed() == []


def test_a_shallow_clone_says_how_to_deepen_it(clone: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--depth", "1", clone.as_uri(), "shallow")
    repository = GitRepository(tmp_path / "shallow")
    assert repository.read("origin/main", "dvc.lock") == b"second"
    with pytest.raises(UsageError, match="git fetch --unshallow"):
        repository.commit("HEAD~1")


def test_before_the_first_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "new").write_text("x")
    repository = GitRepository(tmp_path)
    assert repository.head() is None
    assert repository.changed() == ["new"]
    with pytest.raises(UsageError, match="no commit 'HEAD'"):
        repository.commit("HEAD")


def test_outside_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    repository = GitRepository(tmp_path)
    for call in (repository.head, repository.changed, lambda: repository.commit("HEAD")):
        with pytest.raises(PipelineError, match="lies in no Git repository"):
            call()
    with pytest.raises(PipelineError, match="is no folder"):
        GitRepository(tmp_path / "gone").head()


def test_variables_of_a_hook_do_not_lead_elsewhere(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    expected = git(clone, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    assert GitRepository(clone).head() == expected
    assert GitRepository(clone).changed() == []


def test_nothing_configured_in_the_repository_is_run(clone: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    git(clone, "config", "core.fsmonitor", str(trap))
    GitRepository(clone).changed()
    assert not (tmp_path / "sprung").exists()
    git(clone, "status")
    assert (tmp_path / "sprung").exists()  # the trap works
