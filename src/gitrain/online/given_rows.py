"""Rows that are to be predicted, as whoever asks has them: values of Python, or a frame.

A service is asked for a row or two at a time, and to make a frame of them, only to take the values out again, costs as
much as looking up half of their features. The frame is made when something cannot be had without it.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import polars as pl

__all__ = ["GivenRows", "RowSchema", "can_be_remembered", "is_short", "names_what_it_reads"]

# A text is somebody's who asks: what is remembered of texts has to be bounded, too.
_LONGEST = 64


class RowSchema:
    """The columns of rows: made once for all rows of a kind.

    Attributes:
        names: of the columns, in their order.
        dtypes: by name.
    """

    def __init__(self, dtypes: Mapping[str, pl.DataType]) -> None:
        self.dtypes = dict(dtypes)
        self.names = tuple(dtypes)

    def __eq__(self, other: object) -> bool:
        """Whether these are the same columns of the same types, in the same order."""
        if self is other:
            return True
        return isinstance(other, RowSchema) and self.names == other.names and self.dtypes == other.dtypes

    def __hash__(self) -> int:
        return hash(self.names)

    @cached_property
    def as_given(self) -> frozenset[str]:
        """The columns whose values a frame gives back as they were: it rounds other times, and smaller floats."""
        return frozenset(name for name, dtype in self.dtypes.items() if can_be_remembered(dtype))

    @cached_property
    def nanoseconds(self) -> frozenset[str]:
        """The columns of times that Python's cannot say: those end at microseconds."""
        return frozenset(
            name for name, dtype in self.dtypes.items() if isinstance(dtype, pl.Datetime) and dtype.time_unit == "ns"
        )


class GivenRows:
    """Some rows; nothing changes them.

    Args:
        rows: values by column, as the contract's validator gives them; a column that is not there is null.
        schema: their columns.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]], schema: RowSchema) -> None:
        self.schema = schema
        self.height = len(rows)
        self._rows: Sequence[Mapping[str, Any]] | None = rows

    @classmethod
    def of(cls, rows: "pl.DataFrame | GivenRows") -> "GivenRows":
        """The rows of a frame; what is given already stays as it is."""
        if isinstance(rows, GivenRows):
            return rows
        found = cls.__new__(cls)
        found.schema, found.height, found._rows = RowSchema(rows.schema), rows.height, None
        # Where a cached property keeps it.
        found.__dict__["frame"] = rows
        return found

    def __len__(self) -> int:
        return self.height

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The rows as a frame."""
        return pl.DataFrame([dict(row) for row in self._rows or ()], schema=self.schema.dtypes)

    def values(self, name: str) -> list[Any]:
        """A column's values, as its frame gives them to Python."""
        rows = self._rows
        if rows is not None:
            if name in self.schema.as_given:
                return [row.get(name) for row in rows]
            if self.schema.dtypes[name] == pl.Float64:
                # A whole number is one for JSON.
                return [None if (value := row.get(name)) is None else float(value) for row in rows]
        elif self.height == 1:
            return [self._only[name]]
        return self.frame.get_column(name).to_list()

    def where(self, kept: Sequence[bool]) -> "GivenRows":
        """Some of the rows.

        Args:
            kept: one for each row.
        """
        if self._rows is None:
            return GivenRows.of(self.frame.filter(pl.Series(kept, dtype=pl.Boolean)))
        return GivenRows([row for row, keep in zip(self._rows, kept, strict=True) if keep], self.schema)

    def by_row(self) -> list[dict[str, Any]]:
        """The values of each row, by column in the order of the schema; a time of nanoseconds as text (ISO 8601)."""
        names = self.schema.names
        columns = [self._texts(name) if name in self.schema.nanoseconds else self.values(name) for name in names]
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]

    @cached_property
    def _only(self) -> dict[str, Any]:
        """One call for all columns, with those that nobody asks for."""
        return dict(zip(self.schema.names, self.frame.row(0), strict=True))

    def _texts(self, name: str) -> list[str | None]:
        return self.frame.get_column(name).dt.to_string("iso:strict").to_list()


def can_be_remembered(dtype: pl.DataType) -> bool:
    """Whether Python takes two values for one only if they are: not so for -0.0 and 0.0, nor for an hour set back."""
    if isinstance(dtype, pl.Datetime):
        return dtype.time_unit == "us" and dtype.time_zone in (None, "UTC")
    return isinstance(dtype, pl.String | pl.Enum | pl.Categorical | pl.Boolean | pl.Date) or dtype.is_integer()


def names_what_it_reads(expression: pl.Expr) -> bool:
    """Whether `meta.root_names()` are all columns that an expression reads: those of a selector are not among them."""
    return not expression.meta.has_multiple_outputs()


def is_short(values: Sequence[Any]) -> bool:
    """Whether values that can be remembered may be: no text among them is longer than 64 characters."""
    return all(not isinstance(value, str) or len(value) <= _LONGEST for value in values)
