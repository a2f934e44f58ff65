"""Monitoring in a replay: a look at each day of a release, once its labels are known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gitrain.errors import DataError
from gitrain.monitoring.judgement import METRIC, OVERALL
from gitrain.monitoring.performance import DailyLosses, daily_losses, look_at
from gitrain.monitoring.report import Look, LookSequence
from gitrain.pipeline.monitoring_params import PerformanceParams

__all__ = ["PERFORMANCE", "DayOfLabels", "Watch"]

#: The verdict that the looks belong to.
PERFORMANCE = f"performance:{METRIC}"
_LEAST_REFERENCE = 3


@dataclass(frozen=True, kw_only=True)
class DayOfLabels:
    """The rows of one unit that have a label.

    Attributes:
        day: the unit's name.
        labels: 0 or 1, shape (rows,).
        scores: the probabilities that were answered, shape (rows,).
    """

    day: str
    labels: NDArray[np.int8]
    scores: NDArray[np.float64]


class Watch:
    """Tests the performance of one release, one day after another.

    Each look is what `gitrain.monitoring.judgement` gives of all days so far: rows are summed up by day once, and the
    limits of a look depend on no later day.

    Args:
        release: its name.
        reference: the days of the holdout that its recipe was judged on.
        params: how performance is tested.

    Raises:
        DataError: fewer than three days of reference have enough rows.
    """

    def __init__(self, release: str, reference: Sequence[DayOfLabels], params: PerformanceParams) -> None:
        self._release = release
        self._params = params
        self._reference = _losses(reference, params.minimum_rows).ratio
        if self._reference.size < _LEAST_REFERENCE:
            raise DataError(
                f"the holdout of {release} has {self._reference.size} days with {params.minimum_rows} labelled rows "
                f"or more, and {_LEAST_REFERENCE} are needed",
                fix="lower monitoring.performance.minimum_rows in params.yaml, or judge on more batches.",
            )
        self._waiting: list[DayOfLabels] = []
        self._days: list[str] = []
        self._ratios: list[float] = []

    def look(self, day: DayOfLabels) -> Look | None:
        """The look after one more day; None where its rows are too few and wait for those of the next."""
        self._waiting.append(day)
        losses = _losses(self._waiting, self._params.minimum_rows)
        if not losses.days:
            return None
        self._waiting = []
        self._days += losses.days
        self._ratios += losses.ratio.tolist()
        return self.sequence.looks[-1]

    @property
    def sequence(self) -> LookSequence:
        """All looks so far."""
        return look_at(
            PERFORMANCE,
            self._release,
            self._days,
            np.array(self._ratios),
            self._reference,
            alpha=self._params.alpha * OVERALL,
            tolerated=self._params.tolerated,
        )


def _losses(days: Sequence[DayOfLabels], minimum_rows: int) -> DailyLosses:
    numbers = np.repeat(np.arange(len(days)), [day.labels.size for day in days])
    labels = np.concatenate([np.zeros(0, dtype=bool), *(day.labels == 1 for day in days)])
    scores = np.concatenate([np.zeros(0), *(day.scores for day in days)])
    return daily_losses([day.day for day in days], numbers, labels, scores, minimum_rows=minimum_rows)
