"""Metrics of a binary classifier, prepared so that a bootstrap over blocks of rows costs next to nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gitrain.block_statistics import (
    AveragePrecision,
    BlockStatistic,
    CalibrationError,
    Concordance,
    MeanOfRows,
    Rows,
    SkillRatio,
    base_rate,
)

__all__ = [
    "AVERAGE_PRECISION",
    "AVERAGE_PRECISION_RATIO",
    "BRIER",
    "EXPECTED_CALIBRATION_ERROR",
    "LOG_LOSS",
    "LOG_LOSS_RATIO",
    "METRICS",
    "ROC_AUC",
    "BlockStatistic",
    "Blocks",
    "Labels",
    "Metric",
    "Scores",
    "expected_calibration_error",
]

Labels = NDArray[np.int8]
Scores = NDArray[np.float64]
Blocks = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric by name.

    Attributes:
        name: the key in params.yaml and in metrics.json.
        direction: which values are better.
        no_skill: what a model without skill reaches; a threshold that it would pass is trivial.
        prepare: from labels (0 or 1), scores (probabilities) and block numbers (0 to blocks - 1), each of shape
            (rows,), to the statistic. ValueError if they are not that.
    """

    name: str
    direction: Literal["higher", "lower"]
    no_skill: float
    prepare: Callable[[Labels, Scores, Blocks], BlockStatistic]

    def value(self, labels: Labels, scores: Scores) -> float:
        """The metric on these rows, each counted once; NaN where it is undefined (no rows, one class only).

        Raises:
            ValueError: see `prepare`.
        """
        blocks = np.zeros(np.shape(labels), dtype=np.int64)
        return float(self.prepare(labels, scores, blocks)(np.ones((1, 1)))[0])


# Of scikit-learn: a score of exactly 0 or 1 that is wrong costs 36, not infinity.
_SMALLEST = float(np.finfo(np.float64).eps)


def _losses(rows: Rows) -> Scores:
    of_the_label = np.where(rows.labels == 1, rows.scores, 1 - rows.scores)
    # Clipping from above matters for the exact equality with scikit-learn only.
    losses: Scores = -np.log(np.clip(of_the_label, _SMALLEST, 1 - _SMALLEST))
    return losses


def _entropy(rate: Scores) -> Scores:
    """The log loss of the constant score at the base rate; 0 where there is one class only."""
    inside = np.clip(rate, _SMALLEST, 1 - _SMALLEST)
    entropy = -(inside * np.log(inside) + (1 - inside) * np.log1p(-inside))
    return np.where((rate > 0) & (rate < 1), entropy, 0.0)


def _roc_auc(labels: Labels, scores: Scores, blocks: Blocks) -> BlockStatistic:
    return Concordance(Rows.of(labels, scores, blocks))


def _average_precision(labels: Labels, scores: Scores, blocks: Blocks) -> BlockStatistic:
    return AveragePrecision(Rows.of(labels, scores, blocks))


def _average_precision_ratio(labels: Labels, scores: Scores, blocks: Blocks) -> BlockStatistic:
    rows = Rows.of(labels, scores, blocks)
    return SkillRatio(AveragePrecision(rows), base_rate(rows), lambda rate: rate)


def _log_loss(labels: Labels, scores: Scores, blocks: Blocks) -> BlockStatistic:
    rows = Rows.of(labels, scores, blocks)
    return MeanOfRows(rows, _losses(rows))


def _log_loss_ratio(labels: Labels, scores: Scores, blocks: Blocks) -> BlockStatistic:
    rows = Rows.of(labels, scores, blocks)
    return SkillRatio(MeanOfRows(rows, _losses(rows)), base_rate(rows), _entropy)


def _brier(labels: Labels, scores: Scores, blocks: Blocks) -> BlockStatistic:
    rows = Rows.of(labels, scores, blocks)
    return MeanOfRows(rows, (rows.scores - rows.labels) ** 2)


def expected_calibration_error(bins: int = 10) -> Metric:
    """The calibration error over that many bins of equal width (Naeini, Cooper and Hauskrecht, AAAI 2015).

    The mean over rows of |share of positives - mean score| in the bin of the row. It is biased upwards where bins hold
    few rows, and says nothing of skill: the base rate given as a constant score reaches 0. `no_skill` is what scores
    drawn evenly from 0 to 1 reach at best, at a base rate of one half.

    Raises:
        ValueError: fewer than one bin.
    """
    if bins < 1:
        raise ValueError(f"there must be at least one bin: {bins}")

    def prepare(labels: Labels, scores: Scores, blocks: Blocks) -> BlockStatistic:
        return CalibrationError(Rows.of(labels, scores, blocks), bins)

    return Metric(name="expected_calibration_error", direction="lower", no_skill=0.25, prepare=prepare)


#: The area under the ROC curve: the chance that a positive scores higher than a negative, ties counting one half
#: (Hanley and McNeil, Radiology 143, 1982). Undefined with one class only.
ROC_AUC = Metric(name="roc_auc", direction="higher", no_skill=0.5, prepare=_roc_auc)

#: The mean over positives of the precision at their score. Without skill it is the base rate, whatever that is: compare
#: it over time by `AVERAGE_PRECISION_RATIO`. Undefined without positives.
AVERAGE_PRECISION = Metric(name="average_precision", direction="higher", no_skill=0.0, prepare=_average_precision)

#: Average precision divided by the base rate of the same rows.
AVERAGE_PRECISION_RATIO = Metric(
    name="average_precision_ratio", direction="higher", no_skill=1.0, prepare=_average_precision_ratio
)

#: The mean of -log of the probability given to what came true, in nats. Without skill at most ln 2.
LOG_LOSS = Metric(name="log_loss", direction="lower", no_skill=float(np.log(2)), prepare=_log_loss)

#: Log loss divided by that of the constant score at the base rate of the same rows. Undefined with one class only.
LOG_LOSS_RATIO = Metric(name="log_loss_ratio", direction="lower", no_skill=1.0, prepare=_log_loss_ratio)

#: The mean of (score - label) squared (Brier, Monthly Weather Review 78, 1950). Without skill at most 1/4.
BRIER = Metric(name="brier", direction="lower", no_skill=0.25, prepare=_brier)

#: The calibration error over ten bins.
EXPECTED_CALIBRATION_ERROR = expected_calibration_error()

#: The metrics above by name.
METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            ROC_AUC,
            AVERAGE_PRECISION,
            AVERAGE_PRECISION_RATIO,
            LOG_LOSS,
            LOG_LOSS_RATIO,
            BRIER,
            EXPECTED_CALIBRATION_ERROR,
        )
    }
)
