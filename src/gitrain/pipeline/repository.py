"""What operations need of Git and of the DVC cache."""

from pathlib import Path
from typing import Protocol

from gitrain.pipeline.file_change import FileChange

__all__ = ["ArtifactCache", "Comparison", "Repository"]


class Repository(Protocol):
    """The Git repository that the workspace lies in."""

    def commit(self, ref: str) -> str:
        """The full hash of the commit that `ref` names. Raises UsageError if there is none."""

    def read(self, ref: str, path: str) -> bytes | None:
        """A file as it is in a commit; None if the commit has no such file."""

    def head(self) -> str | None:
        """The full hash of the commit that is checked out; None before the first commit."""

    def changed(self) -> list[str]:
        """Tracked files that differ from the commit, and untracked ones that are not ignored, sorted."""


class Comparison(Repository, Protocol):
    """A repository whose tree can be compared with a commit."""

    def contains(self, commit: str) -> bool:
        """Whether the commit that is checked out has `commit`, a full hash, in its history."""

    def differences(self, commit: str) -> list[FileChange]:
        """The tracked files of the working tree that differ from `commit`, a full hash, by path."""


class ArtifactCache(Protocol):
    """Content by its hash: the DVC cache, and behind it the remote where one is configured."""

    def find(self, md5: str) -> Path | None:
        """The path of a file with exactly this content, fetched if need be; None if neither cache nor remote has it.

        Raises:
            PipelineError: what is stored under the hash has another content.
        """
