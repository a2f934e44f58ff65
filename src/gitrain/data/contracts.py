"""Data contracts: a pandera schema for the rows, and rules for the batch as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import pandera.polars as pa
import polars as pl

__all__ = ["TableContract"]


@dataclass(frozen=True, kw_only=True)
class TableContract:
    """What one table's batches must be like.

    Attributes:
        schema: columns, types and row rules. A row that breaks a row rule goes to quarantine; a wrong type or a
            missing or unknown column fails the batch.
        key: columns that identify a row; two rows with one key fail the batch.
        row_rules: rules over several columns of a row, by name: an expression that is true for a good row.
        max_null_share: the largest share of nulls by column, 0 to 1; beyond it the batch fails.
        warn_null_share: the same, beyond which the report warns.
        rows: the smallest and the largest number of rows of a batch.
        max_quarantined_share: the largest share of rows, 0 to 1, that may go to quarantine.
        event_time: the column that freshness and future timestamps are judged by.
        max_age: how far the newest `event_time` may lie before the end of the batch.
    """

    schema: pa.DataFrameSchema
    key: tuple[str, ...] = ()
    row_rules: Mapping[str, pl.Expr] = field(default_factory=dict)
    max_null_share: Mapping[str, float] = field(default_factory=dict)
    warn_null_share: Mapping[str, float] = field(default_factory=dict)
    rows: tuple[int, int | None] = (1, None)
    max_quarantined_share: float = 0.001
    event_time: str | None = None
    max_age: timedelta | None = None
