"""Batch schemes: how a project's data arrives in time, one batch after another."""

import calendar
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gitrain.errors import SettingsError

__all__ = ["BatchScheme", "Months", "Numbered", "batches_between"]


class BatchScheme(Protocol):
    """Names batches and knows their order. A batch's name is also its file's name."""

    def check(self, batch: str) -> None:
        """Raise SettingsError if `batch` is no name of this scheme."""

    def following(self, batch: str) -> str:
        """The name of the next batch."""

    def bounds(self, batch: str) -> tuple[datetime, datetime] | None:
        """The first moment of the batch and of the next, without a zone; None where batches have no time."""


@dataclass(frozen=True)
class Months:
    """One batch a calendar month, named ``2013-05``, by the local date of the rows."""

    def check(self, batch: str) -> None:
        """Raise SettingsError if `batch` is not a month."""
        if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", batch) or batch.startswith("0000"):
            raise SettingsError(f"{batch!r} is not a month", fix="write it as YYYY-MM, for example 2013-05.")

    def following(self, batch: str) -> str:
        """The next month."""
        self.check(batch)
        year, month = int(batch[:4]), int(batch[5:])
        return f"{year + month // 12:04d}-{month % 12 + 1:02d}"

    def bounds(self, batch: str) -> tuple[datetime, datetime]:
        """Midnight of the month's first day and of the next month's."""
        self.check(batch)
        start = datetime(int(batch[:4]), int(batch[5:]), 1)
        days = calendar.monthrange(start.year, start.month)[1]
        return start, datetime.fromordinal(start.toordinal() + days)


@dataclass(frozen=True)
class Numbered:
    """Batches without a calendar, named ``0001``, ``0002`` and so on."""

    def check(self, batch: str) -> None:
        """Raise SettingsError if `batch` is not a number of four digits."""
        if not re.fullmatch(r"\d{4}", batch):
            raise SettingsError(f"{batch!r} is not a batch number", fix="write four digits, for example 0001.")

    def following(self, batch: str) -> str:
        """The next number."""
        self.check(batch)
        return f"{int(batch) + 1:04d}"

    def bounds(self, batch: str) -> None:
        """None: numbered batches have no time."""


def batches_between(scheme: BatchScheme, first: str, last: str) -> list[str]:
    """All batches from `first` to `last`, both included, in order.

    Raises:
        SettingsError: a name that is none, or `last` before `first`.
    """
    scheme.check(first)
    scheme.check(last)
    if last < first:
        raise SettingsError(
            f"the last batch {last!r} comes before the first, {first!r}", fix="correct data.from or data.through."
        )
    batches = [first]
    while batches[-1] != last:
        batches.append(scheme.following(batches[-1]))
    return batches
