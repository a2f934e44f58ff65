"""The rows of a file that is to be predicted: read part by part, so that a file may be larger than memory."""

from typing import Protocol

import polars as pl

from gitrain.data.validation_report import Finding

__all__ = ["RowSource"]


class RowSource(Protocol):
    """A file of rows. Reading a part twice gives the same rows in the same order."""

    @property
    def digest(self) -> str:
        """The SHA-256 of the file."""

    @property
    def rows(self) -> int:
        """How many there are."""

    @property
    def schema(self) -> pl.Schema:
        """The columns that the file has, of those that were asked for."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What keeps the file's text from having the contract's types; nothing where the file has types of its own."""

    def read(self, start: int, count: int) -> pl.DataFrame:
        """Rows from number `start` (from 0) on, at most `count`, with the columns of `schema`.

        Raises:
            DataError: the file cannot be read any more.
        """
