"""Tables: what a project reads, where from, and what each table must be like."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from gitrain.data.contracts import TableContract

__all__ = ["Source", "Table"]


class Source(Protocol):
    """Where a table comes from. Reading the same batch twice gives the same rows in the same order."""

    def fingerprint(self, batch: str | None) -> str:
        """Something that changes whenever what `read` would give changes: a digest, an ETag, a version."""

    def read(self, batch: str | None) -> pl.DataFrame:
        """The rows of one batch; None asks for the whole of a table that has no batches.

        Raises:
            DataError: the source has no such batch, or is not what it was.
        """


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table of a project.

    Attributes:
        name: the folder's name under ``data/raw``.
        source: where rows come from.
        contract: what rows and batches must be like.
        batched: whether it arrives batch by batch; a table that does not (a list of airports) is read whole.
        batch_of: an expression that gives the name of the batch that a row belongs to; needed where `batched`.
    """

    name: str
    source: Source
    contract: TableContract
    batched: bool = True
    batch_of: Callable[[], pl.Expr] | pl.Expr | None = None
