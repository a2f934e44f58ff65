"""What a release store needs of the place that it keeps its files in: a folder or a bucket."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["Content", "Objects"]


@dataclass(frozen=True)
class Content:
    """What is expected of, or found in, a file: its bytes and their digest."""

    size: int
    digest: str


class Objects(Protocol):
    """Files by name. Names are relative, written with slashes, and never those of folders.

    Every method raises IntegrationError where the place cannot be reached or refuses.
    """

    @property
    def url(self) -> str:
        """Where it is, for messages; without passwords."""

    def writing(self) -> AbstractContextManager[None]:
        """Held by whoever writes several files; what killed writers left half done is cleared away."""

    def read(self, name: str) -> bytes | None:
        """The content of a small file; None if there is none."""

    def list(self, folder: str) -> Sequence[str]:
        """The names, without the folder, of the files directly inside a folder, sorted; empty if there is none."""

    def create(self, name: str, content: bytes) -> bool:
        """Make a file in one step; False, and nothing changed, if there is one already: exactly one caller gets True.

        Raises:
            ReleaseError: the place cannot promise that.
        """

    def missing(self, expected: Mapping[str, Content]) -> Sequence[str]:
        """The names of the files that are not there or not whole.

        Where reading is cheap the digest is computed; elsewhere the size decides, since files appear there whole.
        """

    def put(self, files: Mapping[str, Path]) -> None:
        """Copy local files to these names, each in one step.

        What is there is replaced: it is for names that say what the content is.
        """

    def fetch(self, files: Mapping[str, Path]) -> Sequence[str]:
        """Copy files to these local paths, whose folders exist; the names of those that are not there."""

    def contents(self, names: Sequence[str]) -> Mapping[str, Content]:
        """The size and the digest of files, computed from every byte; files that are not there are left out."""
