"""What a log of predictions holds, as it was read.

By itself, without what it is judged with: a process beside a service reads logs as well, and has to be small.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, datetime
from typing import Protocol

import polars as pl

__all__ = ["DamagedLines", "LoggedPredictions", "PredictionSource", "of_known_years"]


@dataclass(frozen=True, kw_only=True)
class DamagedLines:
    """Whole lines between two records of a file that are no records, or hold a value that cannot be there.

    Attributes:
        lines: how many.
        first: the time of the records around them, UTC, the earlier. Where no record of the file has a time: when the
            file was begun; None where that is not known.
        last: the later; there, when the file was changed last.
    """

    lines: int
    first: datetime | None
    last: datetime | None

    def touches(self, since: datetime | None, until: datetime) -> bool:
        """Whether the lines may be of that time: records around them, or their file, tell when they were written."""
        over = self.last is not None and since is not None and self.last < since
        return not over and (self.first is None or self.first <= until)


@dataclass(frozen=True, kw_only=True)
class LoggedPredictions:
    """What a log holds.

    Attributes:
        frame: one row a record, in the order of the files: `schema_version`, `time` (UTC), `request_id`, `row`,
            `release`, `probability`, `decision`, `stale` (names), and the structs `inputs` and `features`, as of
            `logged_schema`. Records of another version of the log may hold nothing but `schema_version` and `time`.
        files: how many files there were.
        torn: those whose last line was cut short.
        damaged: where lines cannot be read.
    """

    frame: pl.DataFrame
    files: int
    torn: int
    damaged: tuple[DamagedLines, ...] = ()

    @property
    def unreadable(self) -> int:
        """Lines that cannot be read."""
        return sum(each.lines for each in self.damaged)


class PredictionSource(Protocol):
    """Where logged predictions are read from."""

    def read(self, schema: Mapping[str, pl.DataType]) -> LoggedPredictions:
        """All records.

        Args:
            schema: what `logged_schema` gives; keys of a record that it does not name are passed over.
        """


def of_known_years(values: pl.Series) -> pl.Series:
    """Dates or times as they are, but null where Python knows no such year: Polars does, and a log may hold any.

    Args:
        values: dates, or times of any zone.
    """
    ends = [place for place in (values.arg_min(), values.arg_max()) if place is not None]
    if values.gather(ends).dt.year().is_between(MINYEAR, MAXYEAR).all():
        return values
    return values.set(~values.dt.year().is_between(MINYEAR, MAXYEAR), None)
