import subprocess

import pytest

from gitrain.errors import PipelineError, UsageError
from gitrain.integrations.git import GitRepository
from gitrain.pipeline.file_change import FileChange


def git(root, *arguments):
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def commit(root, **files):
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "More")
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def base(git_repository):
    return commit(git_repository, a="1\n2\n3\n", old="x\n" * 20, gone="y\n")


def test_the_working_tree_is_compared_with_the_commit(git_repository, base):
    git(git_repository, "mv", "old", "new")
    git(git_repository, "rm", "-q", "gone")
    (git_repository / "picture").write_bytes(b"\0\1\2")
    (git_repository / "odd\tname\n'").write_text("z\n", encoding="utf-8")
    commit(git_repository, b="1\n")
    (git_repository / "a").write_text("1\n2\n4\n5\n", encoding="utf-8")
    (git_repository / "untracked").write_text("no\n", encoding="utf-8")

    assert GitRepository(git_repository).differences(base) == [
        FileChange(path="a", added=2, deleted=1),
        FileChange(path="b", added=1, deleted=0),
        FileChange(path="gone", added=0, deleted=1),
        FileChange(path="new", added=0, deleted=0, was="old"),
        FileChange(path="odd\tname\n'", added=1, deleted=0),
        FileChange(path="picture", added=None, deleted=None),
    ]


def test_in_a_folder_of_the_repository_paths_are_relative_to_it(git_repository, base):
    commit(git_repository, outside="1\n", inner__file="1\n")

    assert GitRepository(git_repository / "inner").differences(base) == [FileChange(path="file", added=1, deleted=0)]


def test_a_diff_program_of_the_configuration_is_not_run(git_repository, base):
    git(git_repository, "config", "diff.external", "false")
    (git_repository / "a").write_text("1\n", encoding="utf-8")

    assert GitRepository(git_repository).differences(base) == [FileChange(path="a", added=0, deleted=2)]


def test_a_base_is_contained_if_it_lies_in_the_history(git_repository, base):
    repository = GitRepository(git_repository)
    git(git_repository, "switch", "-q", "-c", "side")
    ahead = commit(git_repository, b="1\n")
    assert repository.contains(base)
    assert repository.contains(ahead)

    git(git_repository, "switch", "-q", "main")
    assert repository.contains(base)
    assert not repository.contains(ahead)


def test_what_is_no_commit_is_an_error(git_repository):
    repository = GitRepository(git_repository)

    with pytest.raises(UsageError, match="no commit"):
        repository.differences("0" * 40)
    with pytest.raises(UsageError, match="no name"):
        repository.contains("--all")


def test_outside_of_a_repository_nothing_can_be_told(tmp_path):
    with pytest.raises(PipelineError, match="no Git repository"):
        GitRepository(tmp_path).differences("main")
