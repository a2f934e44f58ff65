"""Values of an expression over stretches of the one column that it reads: computed once, then found in memory.

Entering Polars takes a tenth of a millisecond, for one value as for a thousand. Flights of a day are asked for one by
one, each at a minute of its own: the first of them computes the whole day.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

import polars as pl

from gitrain.online.given_rows import names_what_it_reads

__all__ = ["ValueBlocks"]

# Divides the bounds of all types of integers, so that a block has no value that its type lacks.
_NEIGHBOURS = 64
_ORDINAL_1970 = date(1970, 1, 1).toordinal()
_DAY_MICROSECONDS, _MINUTE_MICROSECONDS = 86_400_000_000, 60_000_000
# Two megabytes of a day's numbers.
_MOST_BLOCKS = 32
# More at once are quicker computed for just the rows that ask.
_MOST_NEW = 2

_Split = Callable[[Any], tuple[int, int] | None]


class ValueBlocks:
    """Remembers an expression, which has to be a function of one row.

    Args:
        expression: reads `column` alone.
        column: of integers, dates or times in microseconds, without a zone or in UTC.
        dtype: of the column.
    """

    def __init__(self, expression: pl.Expr, column: str, dtype: pl.DataType) -> None:
        self.column = column
        self._expression = expression.alias("value")
        self._dtype = dtype
        self._split, self._step = _shape(dtype)
        self._blocks: dict[int, list[Any]] = {}

    @staticmethod
    def take(expression: pl.Expr, schema: pl.Schema) -> "ValueBlocks | None":
        """Blocks of an expression; None for one that reads other than one column of such a type."""
        roots = sorted(set(expression.meta.root_names()))
        if not names_what_it_reads(expression) or len(roots) != 1 or not _can_be_split(schema[roots[0]]):
            return None
        return ValueBlocks(expression, roots[0], schema[roots[0]])

    def values(self, given: Sequence[Any]) -> list[Any] | None:
        """The expression's values for values of the column; None where it has to be asked for just these.

        That is so for null, for a time between two minutes, for rows from many days, and where the expression fails for
        a neighbour.
        """
        places = [self._split(value) for value in given]
        if None in places:
            return None
        split: list[tuple[int, int]] = places  # type: ignore[assignment]  # None is not among them
        # Other threads may change what is remembered: what this call reads stays its own.
        blocks = self._blocks
        new = {block for block, _ in split if block not in blocks}
        if len(new) > _MOST_NEW:
            return None
        if len(blocks) + len(new) > _MOST_BLOCKS:
            blocks, new = {}, {block for block, _ in split}
        for block in new:
            try:
                blocks[block] = self._computed(block)
            # A panic is no PolarsError.
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
                return None
        self._blocks = blocks
        return [blocks[block][place] for block, place in split]

    def _computed(self, block: int) -> list[Any]:
        width = _NEIGHBOURS if self._step == 1 else _DAY_MICROSECONDS
        # The end of a range has to be a number of the type, too.
        numbers = pl.int_range(0, width, self._step, dtype=pl.Int64, eager=True) + block * width
        column = numbers.cast(pl.Int32) if self._dtype == pl.Date else numbers
        return column.cast(self._dtype).alias(self.column).to_frame().select(self._expression).to_series().to_list()


def _can_be_split(dtype: pl.DataType) -> bool:
    if isinstance(dtype, pl.Datetime):
        return dtype.time_unit == "us" and dtype.time_zone in (None, "UTC")
    # Python's numbers beyond 64 bits are not Polars'.
    return isinstance(dtype, pl.Date) or (dtype.is_integer() and dtype not in (pl.UInt64, pl.Int128, pl.UInt128))


def _shape(dtype: pl.DataType) -> tuple[_Split, int]:
    """How a value is split into its block and its place there, and the step from value to value."""
    if isinstance(dtype, pl.Datetime):
        return _minute, _MINUTE_MICROSECONDS
    return (_day if isinstance(dtype, pl.Date) else _number), 1


def _minute(value: datetime | None) -> tuple[int, int] | None:
    if value is None or value.second or value.microsecond:
        return None
    return value.toordinal() - _ORDINAL_1970, 60 * value.hour + value.minute


def _day(value: date | None) -> tuple[int, int] | None:
    return None if value is None else divmod(value.toordinal() - _ORDINAL_1970, _NEIGHBOURS)


def _number(value: int | None) -> tuple[int, int] | None:
    return None if value is None else divmod(value, _NEIGHBOURS)
