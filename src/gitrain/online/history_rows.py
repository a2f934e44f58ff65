"""The rows of a history as the store keeps them: made ready for the engine, each with the key of its table's row."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import polars as pl

from gitrain.errors import IntegrationError
from gitrain.features.definitions import AsOfFeatures, FeatureSet
from gitrain.features.history import KNOWN_AT, group_key, taken

__all__ = ["BATCH", "HistoryRows", "as_stored", "for_engine", "from_bytes", "in_effect", "to_bytes", "with_row_keys"]

#: The column of pushed rows that says which batch each belongs to.
BATCH = "batch:of"
_BY = group_key("")


def with_row_keys(features: FeatureSet, keys: Mapping[str, Sequence[str]]) -> FeatureSet:
    """The definitions, so that prepared rows hold the key of their table's row (as the columns ``take:COLUMN``) too.

    Args:
        features: the definitions.
        keys: by table, the columns that identify a row; none for a table that has no key.
    """
    added = [
        AsOfFeatures(history=each.name, by={}, columns={f"{each.name} {name}": name for name in key}, max_age=_NO_TIME)
        for each in features.histories
        if (key := keys.get(each.table, ()))
    ]
    return replace(features, features=(*features.features, *added))


_NO_TIME = timedelta(0)


@dataclass(frozen=True)
class HistoryRows:
    """What is held of one history.

    Attributes:
        key: the columns that identify a row of its table; empty where it has no key.
        batches: prepared rows by batch.
        pushed: rows that were pushed, with `BATCH`; `KNOWN_AT` is null for a row that does not count (any more).
    """

    key: tuple[str, ...]
    batches: dict[str, pl.DataFrame]
    pushed: pl.DataFrame | None

    @property
    def rows(self) -> pl.DataFrame:
        """The rows that count, in no order: pushed ones take the place of those with the same key."""
        return in_effect(list(self.batches.values()), self.pushed, self.key)

    def replaced(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Those of `rows` that have one of these keys (a frame with the key's columns)."""
        return self.rows.join(keys.select(self.columns), on=self.columns, how="semi", nulls_equal=True)

    @property
    def columns(self) -> list[str]:
        """The prepared columns that hold the key."""
        return [taken(name) for name in self.key]


def in_effect(batches: Sequence[pl.DataFrame], pushed: pl.DataFrame | None, key: Sequence[str]) -> pl.DataFrame:
    """The rows that count, in no order: pushed ones take the place of those with the same key."""
    rows = pl.concat(batches)
    if pushed is None or pushed.is_empty():
        return rows
    columns = [taken(name) for name in key]
    kept = rows.join(pushed.select(columns), on=columns, how="anti", nulls_equal=True)
    return pl.concat([kept, pushed.filter(pl.col(KNOWN_AT).is_not_null()).select(rows.columns)])


def to_bytes(rows: pl.DataFrame) -> bytes:
    """The rows as Arrow's file format; equal rows give equal bytes."""
    buffer = io.BytesIO()
    rows.rechunk().write_ipc(buffer, compression="lz4")
    return buffer.getvalue()


def from_bytes(content: bytes, *, name: str) -> pl.DataFrame:
    """The rows of a table.

    Raises:
        IntegrationError: it is damaged.
    """
    try:
        return pl.read_ipc(io.BytesIO(content))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise IntegrationError(
            f"the table {name!r} of the online store is damaged: {' '.join(str(error).split())[:200]}",
            fix="remove the store and run `gitrain features materialize`.",
        ) from error


def as_stored(rows: pl.DataFrame) -> pl.DataFrame:
    """Keys as the text that they stand for: the numbers of categories depend on what the process has seen."""
    return rows.with_columns(
        pl.col(name).cast(pl.String)
        for name, dtype in rows.schema.items()
        if name.startswith(_BY) and dtype == pl.Categorical
    )


def for_engine(rows: pl.DataFrame) -> pl.DataFrame:
    """The other way round: rows as `compute_features` takes them."""
    return rows.sort(KNOWN_AT).with_columns(
        pl.col(name).cast(pl.Categorical)
        for name, dtype in rows.schema.items()
        if name.startswith(_BY) and dtype == pl.String
    )
