"""What stages need of a file system, and of the memo of finished batches."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import polars as pl

from gitrain.lineage import digest_of_value

__all__ = ["BatchMemo", "Workspace", "memo_key"]


class Workspace(Protocol):
    """A repository's files; paths are relative to its root and written with slashes. Writes are atomic."""

    @property
    def root(self) -> Path:
        """The absolute path of the repository."""

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder at `path`."""

    def list(self, folder: str, suffix: str) -> list[str]:
        """The paths of the files directly inside `folder` whose names end in `suffix`, sorted; empty if no folder."""

    def folders(self, folder: str) -> Sequence[str]:
        """The paths of the folders directly inside `folder`, sorted; empty if there is no such folder."""

    def files(self, path: str) -> Sequence[str]:
        """The paths of all files below a folder, sorted, hidden ones left out; of a file, itself; empty for neither."""

    def size(self, path: str) -> int:
        """The bytes of a file, or of all files below a folder. Raises PipelineError if there is none."""

    def digest(self, path: str) -> str:
        """The SHA-256 of the file at `path`."""

    def read_text(self, path: str) -> str:
        """The text of a file. Raises PipelineError if there is none."""

    def write_text(self, path: str, text: str) -> None:
        """Replace a file in one step; its folders are made."""

    def read_bytes(self, path: str) -> bytes:
        """The content of a file. Raises PipelineError if there is none."""

    def write_bytes(self, path: str, content: bytes) -> None:
        """Replace a file in one step; its folders are made."""

    def read_table(self, path: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """A parquet file. Raises DataError if it is missing, cut short or no parquet."""

    def write_table(self, path: str, frame: pl.DataFrame) -> None:
        """Replace a parquet file in one step; equal frames give equal bytes."""

    def remove(self, path: str) -> None:
        """Remove a file if it is there."""


class BatchMemo(Protocol):
    """Remembers the files that a stage made of a batch, by the digest of everything they were made from."""

    def restore(self, key: str, files: Sequence[str]) -> bool:
        """Put the remembered files back at their paths; False, and nothing written, if not all are there and whole."""

    def store(self, key: str, files: Sequence[str]) -> None:
        """Remember the files at these paths. A path that does not exist is remembered as absent."""


def memo_key(stage: str, batch: str | None, inputs: Mapping[str, object]) -> str:
    """The key of a stage's work on a batch: equal only if everything in `inputs` is equal."""
    return digest_of_value({"stage": stage, "batch": batch, "inputs": dict(inputs)})
