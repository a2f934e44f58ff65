"""The last days of what can be judged, and the worst of them.

In a log of ninety days a feature that is gone since yesterday is one value in ninety. So what can be judged at once
(the service, what came in, how far it has moved) is judged by the last days, and each of these days by itself as well:
seven days hide a bad one much as ninety do.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import numpy as np
import polars as pl

from gitrain.block_statistics import Floats

__all__ = ["FEWEST_ROWS", "WorstDay", "days_in_words", "names_of_days", "recent_since", "rows_by_day", "worst_day"]

#: A day with fewer rows is judged with the others alone.
FEWEST_ROWS = 30
# A day's share is beyond a limit by more than chance: so many standard errors of a share that is the limit.
_ERRORS = 3.0
_DAY_MICROSECONDS = 86_400 * 10**6


@dataclass(frozen=True, kw_only=True)
class WorstDay:
    """The day whose share is farthest beyond what is let.

    Attributes:
        day: its name.
        rows: how many it has.
        share: of its rows that are bad.
        beyond: whether that is more than is let, and more than chance makes of so many rows.
    """

    day: str
    rows: int
    share: float
    beyond: bool


def recent_since(times: pl.Series, days: int) -> datetime | None:
    """The first of the last days' moments; None without any.

    A day is 24 hours, counted back from the newest moment, so that each has all hours of a day, whenever it is looked
    at; 24 hours without a moment are no day.

    Args:
        times: moments, UTC, without nulls.
        days: how many, 1 or more.
    """
    newest = times.max()
    if not isinstance(newest, datetime):
        return None
    back = (pl.lit(newest) - pl.col("time")).dt.total_microseconds() // _DAY_MICROSECONDS
    found = times.alias("time").to_frame().select("time", back.alias("back"))
    last = found["back"].unique().sort().head(days).max()
    first = found.filter(pl.col("back") <= last)["time"].min()
    return first if isinstance(first, datetime) else None


def days_in_words(day: pl.Series) -> str:
    """The first and the last of the days of some rows, one or more.

    Args:
        day: of each row, in categories that are in order.
    """
    ends = [str(day.min()), str(day.max())]
    return " to ".join(dict.fromkeys(ends))


def names_of_days(day: pl.Series) -> list[str]:
    """All days that the type of a series of names has, in order."""
    return cast(pl.Enum, day.dtype).categories.to_list()


def rows_by_day(day: pl.Series) -> Floats:
    """How many rows each day has, of all days that the type of a series of names has, shape (days,)."""
    size = len(names_of_days(day))
    return np.bincount(day.to_physical().cast(pl.Int64).to_numpy(), minlength=size).astype(np.float64)


def worst_day(days: Sequence[str], rows: Floats, bad: Floats, limit: float) -> WorstDay | None:
    """The day that is farthest beyond a limit, or least within it; None where no day has rows enough.

    Args:
        days: their names.
        rows: how many each has, shape (days,).
        bad: how many of these are bad, likewise.
        limit: the share that may be.
    """
    bound = min(max(limit, 0.0), 1.0)
    found: tuple[float, WorstDay] | None = None
    for day, count, wrong in zip(days, rows.tolist(), bad.tolist(), strict=True):
        if count < FEWEST_ROWS:
            continue
        share = wrong / count
        surplus = share - bound - _ERRORS * math.sqrt(bound * (1 - bound) / count)
        if found is None or surplus > found[0]:
            found = surplus, WorstDay(day=day, rows=int(count), share=share, beyond=surplus > 0)
    return None if found is None else found[1]
