"""What is asked of Git to find out what is desired: the protocol."""

from typing import Protocol

__all__ = ["Commits"]


class Commits(Protocol):
    """The commits of a repository."""

    def commit(self, ref: str) -> str:
        """The full hash of the commit that `ref` names. Raises UsageError where it names none."""

    def read(self, ref: str, path: str) -> bytes | None:
        """The content of a file as it is in a commit; None if the commit has no such file."""

    def files(self, ref: str, folder: str) -> list[str]:
        """The names of the files directly inside a folder of a commit, sorted."""

    def changed_by(self, ref: str, path: str) -> str:
        """The last commit up to `ref` that changed a file. Raises PipelineError where Git cannot tell."""

    def has(self, commit: str, ref: str) -> bool:
        """Whether `commit` is in the history of `ref`; False for one that this clone does not know."""
