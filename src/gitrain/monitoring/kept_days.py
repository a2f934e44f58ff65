"""Days that have counted, as they are kept between looks: a log is cut at its end, and a sequence is not.

A test that is begun anew at each first day that a log still holds is another test every day, and some of these alarm.
What a sequence needs of a day is five numbers, which outlive the predictions that they were made from.
"""

import math
from collections.abc import Collection
from typing import NamedTuple, Protocol, Self

from pydantic import Field, model_validator

from gitrain.documents import Document, ExactSection

__all__ = ["DayStore", "KeptDays", "KeptPart", "Part"]


class Part(NamedTuple):
    """The rows of a release, or those of a group of a slice."""

    release: str
    slice: str | None = None
    group: str | None = None


class KeptPart(ExactSection):
    """The days of a part. All sequences have one item a day.

    Attributes:
        release: that predicted.
        slice: of the project; None for all rows.
        group: of the slice.
        days: their names, in order.
        predicted: how many predictions the day had, with and without a label.
        rows: those that have one, at least 1.
        loss: the sum of their log losses, in nats.
        positives: of the labels.
        probability: of the probabilities.
    """

    release: str
    slice: str | None = None
    group: str | None = None
    days: tuple[str, ...]
    predicted: tuple[float, ...]
    rows: tuple[float, ...]
    loss: tuple[float, ...]
    positives: tuple[float, ...]
    probability: tuple[float, ...]

    @property
    def part(self) -> Part:
        """Whose days these are."""
        return Part(self.release, self.slice, self.group)

    @model_validator(mode="after")
    def _days_are_possible(self) -> Self:
        columns = (self.predicted, self.rows, self.loss, self.positives, self.probability)
        if any(len(column) != len(self.days) for column in columns):
            raise ValueError("not every day has all of its numbers")
        if any(first >= second for first, second in zip(self.days, self.days[1:], strict=False)):
            raise ValueError("the days are not in order, or one stands twice")
        for predicted, rows, loss, positives, probability in zip(*columns, strict=True):
            within = 1 <= rows <= predicted and 0 <= positives <= rows and 0 <= probability <= rows * (1 + 1e-9)
            if not (within and loss >= 0 and math.isfinite(predicted + loss)):
                raise ValueError("a day has numbers that cannot be")
        return self


class KeptDays(Document):
    """A file of days that have counted.

    Attributes:
        rules: the digest of what makes the numbers what they are: days of other rules are no days of this sequence.
        log: the folder of the predictions that they were made from, to be shown.
        parts: each once.
    """

    rules: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    log: str = ""
    parts: tuple[KeptPart, ...] = ()

    @model_validator(mode="after")
    def _each_part_stands_once(self) -> Self:
        if len({each.part for each in self.parts}) < len(self.parts):
            raise ValueError("a part stands twice")
        return self


class DayStore(Protocol):
    """Where days are kept between looks at a log; those of another log are none of them."""

    def read(self, rules: str) -> KeptDays:
        """What was kept under some rules; no parts where nothing was, or it cannot be used."""

    def write(self, days: KeptDays) -> None:
        """Put it in the place of what was kept under the same rules, in one step. A full disk is told, no error."""

    def tidy(self, releases: Collection[str]) -> None:
        """Remove days that nobody reads any more: those of no release that the log has predictions of, or that runs."""
