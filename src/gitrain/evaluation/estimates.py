"""Metrics of scored rows with their intervals, on all rows and on each group of each slice."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.block_statistics import MeanOfRows, Rows, calibration_bin
from gitrain.evaluation.bootstrap import Interval, block_numbers, draw_chunks, interval
from gitrain.evaluation.document import (
    CalibrationBin,
    Estimate,
    MetricEstimate,
    SliceEvaluation,
    SliceGroup,
    significant,
)
from gitrain.metrics import BlockStatistic, Metric

__all__ = ["Resampling", "ScoredRows", "calibration_bins", "group_estimates", "metric_estimates"]


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """How intervals are made: so many draws of whole units with this seed, to this confidence."""

    replicates: int
    seed: int
    confidence: float

    def intervals(self, statistics: Sequence[BlockStatistic], units: int) -> list[Interval]:
        """The interval of each statistic, all over the same draws."""
        values: list[list[NDArray[np.float64]]] = [[] for _ in statistics]
        for counts in draw_chunks(units, self.replicates, self.seed):
            for found, statistic in zip(values, statistics, strict=True):
                found.append(statistic(counts))
        return [interval(np.concatenate(found), self.confidence, units=units) for found in values]


@dataclass(frozen=True, kw_only=True)
class ScoredRows:
    """Rows with a label and a score, and the resampling unit of each.

    Attributes:
        labels: 0 or 1, shape (rows,).
        scores: probabilities, shape (rows,).
        blocks: the number of each row's unit, 0 to units - 1, shape (rows,).
        units: how many units there are.
    """

    labels: NDArray[np.int8]
    scores: NDArray[np.float64]
    blocks: NDArray[np.int64]
    units: int

    @classmethod
    def of(cls, labels: pl.Series, scores: pl.Series, units: pl.Series) -> "ScoredRows":
        """From the columns of a table of predictions. ValueError where a row has no unit."""
        blocks, count = block_numbers(units)
        return cls(
            labels=labels.cast(pl.Int8).to_numpy(),
            scores=scores.cast(pl.Float64).to_numpy(),
            blocks=blocks,
            units=count,
        )

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return int(self.labels.size)

    @property
    def positives(self) -> int:
        """How many labels are 1."""
        return int(self.labels.sum())

    def take(self, positions: NDArray[np.int64]) -> "ScoredRows":
        """The rows at `positions`; their units are numbered anew, since only these can be drawn."""
        present, blocks = np.unique(self.blocks[positions], return_inverse=True)
        return ScoredRows(
            labels=self.labels[positions],
            scores=self.scores[positions],
            blocks=blocks.reshape(-1),
            units=int(present.size),
        )


def metric_estimates(
    rows: ScoredRows, metrics: Sequence[Metric], reported: Sequence[Metric], resampling: Resampling
) -> dict[str, MetricEstimate]:
    """Each metric on all rows, with its interval.

    Args:
        rows: at least one.
        metrics: what models are judged by.
        reported: what is measured besides.
        resampling: how intervals are made.
    """
    measured = (*metrics, *reported)
    judged = {metric.name for metric in metrics}
    return {
        metric.name: MetricEstimate(
            **estimate.model_dump(),
            direction=metric.direction,
            no_skill=significant(metric.no_skill),
            judged=metric.name in judged,
        )
        for metric, estimate in zip(measured, _estimates(rows, measured, resampling), strict=True)
    }


def group_estimates(
    rows: ScoredRows, groups: pl.Series, metrics: Sequence[Metric], resampling: Resampling, *, min_rows: int
) -> SliceEvaluation:
    """Each metric on the rows of each group. Groups with fewer than `min_rows` rows get values and no intervals.

    Args:
        rows: at least one.
        groups: the group's name of each row; null is a group of its own.
        metrics: what is measured.
        resampling: how intervals are made.
        min_rows: the least rows of a group that is judged.
    """
    places = (
        pl.DataFrame({"group": groups, "row": np.arange(rows.rows)})
        .group_by("group", maintain_order=True)
        .agg("row")
        .sort("group", nulls_last=True)
    )
    found: list[SliceGroup] = []
    for name, positions in zip(places["group"], places["row"], strict=True):
        here = rows.take(positions.to_numpy())
        judged = here.rows >= min_rows
        estimates = _estimates(here, metrics, resampling if judged else f"fewer than {min_rows} rows: not judged")
        found.append(
            SliceGroup(
                group=name,
                rows=here.rows,
                units=here.units,
                positives=here.positives,
                judged=judged,
                metrics={metric.name: estimate for metric, estimate in zip(metrics, estimates, strict=True)},
            )
        )
    return SliceEvaluation(min_rows=min_rows, groups=tuple(found))


def calibration_bins(rows: ScoredRows, bins: int, resampling: Resampling) -> tuple[CalibrationBin, ...]:
    """Mean score against share of positives, by bins of equal width; bins without rows are left out."""
    numbers = calibration_bin(rows.scores, bins)
    found: list[CalibrationBin] = []
    for number in np.unique(numbers).tolist():
        here = rows.take(np.flatnonzero(numbers == number))
        block_rows = Rows.of(here.labels, here.scores, here.blocks)
        (observed,) = resampling.intervals([MeanOfRows(block_rows, here.labels.astype(np.float64))], here.units)
        found.append(
            CalibrationBin(
                low=_certain(number / bins),
                high=_certain((number + 1) / bins),
                rows=here.rows,
                predicted=_certain(float(here.scores.mean())),
                observed=_certain(here.positives / here.rows),
                observed_low=significant(observed.low),
                observed_high=significant(observed.high),
            )
        )
    return tuple(found)


def _estimates(rows: ScoredRows, metrics: Sequence[Metric], resampling: Resampling | str) -> list[Estimate]:
    """Each metric with its interval, or with the reason why none is wanted."""
    statistics = [metric.prepare(rows.labels, rows.scores, rows.blocks) for metric in metrics]
    values = [float(statistic(np.ones((1, rows.units)))[0]) for statistic in statistics]
    if isinstance(resampling, str):
        return [
            Estimate(value=significant(value), reason=_undefined(rows) if math.isnan(value) else resampling)
            for value in values
        ]
    found = zip(values, resampling.intervals(statistics, rows.units), strict=True)
    return [_estimate(rows, value, spread) for value, spread in found]


def _estimate(rows: ScoredRows, value: float, spread: Interval) -> Estimate:
    if math.isnan(value):
        return Estimate(value=None, undefined_draws=spread.undefined, reason=_undefined(rows))
    return Estimate(
        value=significant(value),
        low=significant(spread.low),
        high=significant(spread.high),
        undefined_draws=spread.undefined,
        reason=spread.reason,
    )


def _undefined(rows: ScoredRows) -> str:
    if rows.positives == 0:
        return "undefined: no label is true"
    return "undefined: every label is true" if rows.positives == rows.rows else "undefined on these rows"


def _certain(value: float) -> float:
    return float(significant(value) or 0.0)
