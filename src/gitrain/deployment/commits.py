"""What is asked of Git's history: versions of a file, and what lies between two commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gitrain.documents import Section

__all__ = ["CommitHistory", "CommitLine", "FileVersion"]


class CommitLine(Section):
    """A commit in one line.

    Attributes:
        commit: the full hash.
        author: who wrote it.
        at: when it was committed, in UTC.
        subject: the first line of its message.
    """

    commit: str
    author: str
    at: datetime
    subject: str


@dataclass(frozen=True, kw_only=True)
class FileVersion:
    """A file in a commit that changed it.

    Attributes:
        commit: the full hash.
        author: who wrote the change.
        at: when it was committed, in UTC.
        message: of the commit, the whole of it.
        text: of the file; None in a commit that removed it.
    """

    commit: str
    author: str
    at: datetime
    message: str
    text: str | None


class CommitHistory(Protocol):
    """The history of a Git repository. All of it raises PipelineError where Git cannot read the repository."""

    def resolve(self, ref: str) -> str | None:
        """The full hash of the commit that a name stands for; None if it stands for none."""

    def merge_base(self, one: str, other: str) -> str | None:
        """The commit at which two histories part; None if they have nothing in common."""

    def read(self, commit: str, path: str) -> str | None:
        """A file of a commit as text; None if there is none, or the commit is not here."""

    def files(self, commit: str, folder: str) -> Sequence[str]:
        """The paths of the files directly in a folder, sorted."""

    def versions(self, path: str, *, commit: str = "HEAD", main_line: bool = False) -> Sequence[FileVersion]:
        """The commits that changed a file, the newest first.

        Args:
            path: the file.
            commit: whose history.
            main_line: the commits of the branch itself alone: a merge instead of what it brought.
        """

    def between(self, old: str, new: str) -> Sequence[CommitLine]:
        """The commits that `new` has and `old` has not, the newest first; without merges."""
