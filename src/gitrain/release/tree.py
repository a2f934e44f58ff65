"""What a release is made from: the files of one commit, whatever lies in the working tree."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

__all__ = ["CommitTree"]


class CommitTree(Protocol):
    """The files of a commit below the repository's root."""

    def files(self, commit: str) -> Sequence[str]:
        """The paths of all regular files, relative to the root, sorted.

        Raises:
            PipelineError: Git cannot read the commit.
        """

    def export(self, commit: str, paths: Sequence[str], folder: Path) -> None:
        """Write files as the commit has them, byte for byte, below a folder, at their own paths.

        Raises:
            PipelineError: the commit has no such file, or Git cannot read it.
        """

    def committed_at(self, commit: str) -> datetime:
        """The time of a commit, in UTC, whole seconds."""
