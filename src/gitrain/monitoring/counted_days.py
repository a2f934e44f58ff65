"""The days that count, part by part: those that the log holds, and those that an earlier look has counted."""

from typing import NamedTuple, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.lineage import digest_of_value
from gitrain.monitoring.kept_days import KeptDays, KeptPart, Part
from gitrain.monitoring.labels import CAME, LABEL, MATURE
from gitrain.monitoring.logged import DAY
from gitrain.monitoring.performance import DailyLosses, DailySums, daily_losses, daily_sums, losses_of
from gitrain.pipeline.monitoring_params import PerformanceParams

__all__ = ["CountedDays", "losses_of_days"]


class _Day(NamedTuple):
    predicted: float
    rows: float
    loss: float
    positives: float
    probability: float


class CountedDays:
    """What is asked for the days of a part remembers them, so that the next look has them without the log.

    A day is the log's where the log counts it, and holds as many of its predictions as any look before; otherwise it is
    what that look counted: the log has been cut, or labels that were given then are not given now.

    Args:
        earlier: what was kept; None where nothing is to be: a look aside.
    """

    def __init__(self, earlier: KeptDays | None = None) -> None:
        self._earlier = earlier
        self._days: dict[Part, dict[str, _Day]] = {}
        for kept in earlier.parts if earlier is not None else ():
            columns = (kept.predicted, kept.rows, kept.loss, kept.positives, kept.probability)
            self._days[kept.part] = {day: _Day(*numbers) for day, *numbers in zip(kept.days, *columns, strict=True)}
        self._recalled: dict[Part, tuple[str, ...]] = {}

    @property
    def keeps(self) -> bool:
        """Whether what is counted is to be kept."""
        return self._earlier is not None

    def knows(self, release: str) -> bool:
        """Whether a day of the release has counted."""
        return bool(self._days.get(Part(release)))

    def groups(self, release: str) -> set[tuple[str, str]]:
        """The slices and groups of which a day of the release has counted."""
        return {
            (part.slice, part.group)
            for part, days in self._days.items()
            if days and part.release == release and part.slice is not None and part.group is not None
        }

    def losses(self, part: Part, rows: pl.DataFrame, params: PerformanceParams) -> DailyLosses:
        """The losses of a part by day.

        Args:
            part: whose.
            rows: all of its rows that the log holds, with the columns of `join_labels`.
            params: from how many rows, and with how many outcomes, a day counts.
        """
        days = dict(self._days.get(part, {}))
        logged = _days_of_log(rows, params.minimum_coverage)
        current = {
            day: found for day, found in logged.items() if day not in days or found.predicted >= days[day].predicted
        }
        self._recalled[part] = tuple(sorted(days.keys() - current.keys()))
        days |= current
        if self.keeps:
            self._days[part] = days
        return losses_of(_sums(days), minimum_rows=params.minimum_rows)

    def recalled(self, release: str) -> tuple[str, ...]:
        """The days of a release that an earlier look counted, and this one's log did not give."""
        return self._recalled.get(Part(release), ())

    def digest(self) -> str | None:
        """Of all days that were recalled so far, with their numbers; None without any."""
        found: list[object] = [
            [*part, day, *self._days[part][day]] for part, days in self._recalled.items() for day in days
        ]
        return digest_of_value(found) if found else None

    def kept(self) -> KeptDays:
        """All that is to be kept.

        Raises:
            ValueError: it is a look aside.
        """
        if self._earlier is None:
            raise ValueError("a look aside keeps nothing")
        parts = []
        for part in sorted(self._days, key=lambda each: [(value is not None, value or "") for value in each]):
            days = dict(sorted(self._days[part].items()))
            if days:
                columns = {name: tuple(float(getattr(day, name)) for day in days.values()) for name in _Day._fields}
                parts.append(KeptPart(**part._asdict(), days=tuple(days), **columns))
        return KeptDays(schema_version=1, rules=self._earlier.rules, parts=tuple(parts))


def losses_of_days(labelled: pl.DataFrame, minimum_rows: int) -> DailyLosses:
    """The losses by day of rows that all have a label."""
    return daily_losses(*_columns(labelled), minimum_rows=minimum_rows)


def _days_of_log(rows: pl.DataFrame, minimum_coverage: float) -> dict[str, _Day]:
    """The days whose outcomes are known: where all are due, and enough came."""
    day = _numbers(rows[DAY])
    all_rows = np.bincount(day)
    due, came = (np.bincount(day, weights=rows[name].to_numpy(), minlength=all_rows.size) for name in (MATURE, CAME))
    whole = (due == all_rows) & (came / np.maximum(all_rows, 1) >= minimum_coverage)
    counted = rows.select(DAY, "probability", LABEL).filter(pl.Series(whole[day]) & rows[LABEL].is_not_null())
    sums = daily_sums(*_columns(counted))
    predicted = dict(zip(_names(rows), all_rows.tolist(), strict=False))
    columns = (sums.rows, sums.loss, sums.positives, sums.probability)
    return {
        name: _Day(float(predicted[name]), *(float(column[number]) for column in columns))
        for number, name in enumerate(sums.days)
    }


def _sums(days: dict[str, _Day]) -> DailySums:
    names = tuple(sorted(days))
    rows, loss, positives, probability = (
        np.array([getattr(days[name], column) for name in names], dtype=np.float64) for column in _Day._fields[1:]
    )
    return DailySums(days=names, rows=rows, loss=loss, positives=positives, probability=probability)


def _columns(labelled: pl.DataFrame) -> tuple[list[str], NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
    labels = cast("NDArray[np.bool_]", labelled[LABEL].cast(pl.Boolean).to_numpy())
    return _names(labelled), _numbers(labelled[DAY]), labels, labelled["probability"].to_numpy()


def _names(rows: pl.DataFrame) -> list[str]:
    return cast(pl.Enum, rows[DAY].dtype).categories.to_list()


def _numbers(days: pl.Series) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = days.to_physical().cast(pl.Int64).to_numpy()
    return numbers
