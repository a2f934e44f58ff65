"""What gates measure: a metric of one model, or the difference of two, with the interval over whole units."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gitrain.block_statistics import BlockStatistic
from gitrain.evaluation.bootstrap import Interval
from gitrain.evaluation.document import significant
from gitrain.evaluation.estimates import Resampling
from gitrain.metrics import Metric
from gitrain.verdicts import Figure

__all__ = ["Difference", "Holdout", "Measurement", "Scores", "differences", "measure", "number", "signed", "span"]

Scores = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """The labelled rows that models are judged on.

    Attributes:
        labels: 0 or 1, shape (rows,).
        blocks: the number of each row's resampling unit, 0 to units - 1, shape (rows,).
        units: how many units there are.
    """

    labels: NDArray[np.int8]
    blocks: NDArray[np.int64]
    units: int

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return int(self.labels.size)

    def part(self, mask: NDArray[np.bool_]) -> "Holdout":
        """The rows where `mask` is true, their units numbered anew."""
        present, blocks = np.unique(self.blocks[mask], return_inverse=True)
        return Holdout(labels=self.labels[mask], blocks=blocks.reshape(-1), units=int(present.size))


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A metric of one model.

    Attributes:
        value: the metric; NaN where it is undefined.
        interval: what the bootstrap over units gives.
        rows: how many rows there were.
        units: how many units they lie in.
    """

    value: float
    interval: Interval
    rows: int
    units: int

    def figures(self) -> dict[str, Figure]:
        """The numbers of a verdict."""
        return {
            "value": significant(self.value),
            "low": significant(self.interval.low),
            "high": significant(self.interval.high),
            "rows": self.rows,
            "units": self.units,
        }


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A metric of the challenger minus that of the champion, on the same rows.

    Attributes:
        challenger: the challenger's value; NaN where it is undefined.
        champion: the champion's.
        interval: of their difference, both measured on the same units in every draw.
    """

    challenger: float
    champion: float
    interval: Interval

    @property
    def value(self) -> float:
        """The difference of the two values."""
        return self.challenger - self.champion


@dataclass(frozen=True)
class _Paired:
    """The difference of two statistics in every draw: what makes a day hard for both models cancels out."""

    challenger: BlockStatistic
    champion: BlockStatistic

    def __call__(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        difference: NDArray[np.float64] = self.challenger(counts) - self.champion(counts)
        return difference


def measure(metric: Metric, holdout: Holdout, scores: Scores, resampling: Resampling) -> Measurement:
    """The metric, and its interval by a bootstrap over whole units.

    Args:
        metric: what is measured.
        holdout: the rows.
        scores: probabilities, shape (rows,).
        resampling: how the interval is made.
    """
    if holdout.units == 0:
        return Measurement(value=math.nan, interval=_no_rows(), rows=0, units=0)
    statistic = metric.prepare(holdout.labels, scores, holdout.blocks)
    (found,) = resampling.intervals([statistic], holdout.units)
    return Measurement(value=_undrawn(statistic, holdout.units), interval=found, rows=holdout.rows, units=holdout.units)


def differences(
    metrics: Sequence[Metric], holdout: Holdout, challenger: Scores, champion: Scores, resampling: Resampling
) -> Mapping[str, Difference]:
    """What the challenger's metrics differ from the champion's by: a paired bootstrap over whole units.

    Every draw takes the same units for both models. The intervals are widened for few units
    (`gitrain.evaluation.bootstrap.interval`).

    Args:
        metrics: what is compared, each once.
        holdout: the rows.
        challenger: probabilities, shape (rows,).
        champion: probabilities, shape (rows,).
        resampling: how the intervals are made.

    Returns:
        The differences by the metric's name.
    """
    if holdout.units == 0:
        nothing = Difference(challenger=math.nan, champion=math.nan, interval=_no_rows())
        return {metric.name: nothing for metric in metrics}
    pairs = [
        _Paired(
            metric.prepare(holdout.labels, challenger, holdout.blocks),
            metric.prepare(holdout.labels, champion, holdout.blocks),
        )
        for metric in metrics
    ]
    intervals = resampling.intervals(pairs, holdout.units)
    return {
        metric.name: Difference(
            challenger=_undrawn(pair.challenger, holdout.units),
            champion=_undrawn(pair.champion, holdout.units),
            interval=found,
        )
        for metric, pair, found in zip(metrics, pairs, intervals, strict=True)
    }


def number(value: float) -> str:
    """A value in a sentence."""
    return f"{value:.4g}"


def signed(value: float) -> str:
    """A difference in a sentence, with its sign."""
    return f"{value:+.4g}"


def span(found: Interval, *, sign: bool = False) -> str:
    """An interval in a sentence, with a space before it; empty if there is none."""
    if found.low is None or found.high is None:
        return ""
    shown = signed if sign else number
    return f" [{shown(found.low)}, {shown(found.high)}]"


def _undrawn(statistic: BlockStatistic, units: int) -> float:
    """The metric of the rows as they are: every unit once."""
    return float(statistic(np.ones((1, units)))[0])


def _no_rows() -> Interval:
    return Interval(low=None, high=None, draws=0, undefined=0, reason="no rows with a label")
