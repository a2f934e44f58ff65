"""What answers are worth: metrics of the rows that have a label, and the difference between two models."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from gitrain.block_statistics import MeanOfRows, Rows
from gitrain.evaluation.document import significant
from gitrain.evaluation.estimates import Resampling
from gitrain.metrics import Metric

__all__ = ["Labels", "Scores", "entropy", "log_losses", "mean_difference", "metrics_of"]

Labels = NDArray[np.int8]
Scores = NDArray[np.float64]

_SMALLEST = float(np.finfo(np.float64).eps)


def metrics_of(metrics: Iterable[Metric], labels: Labels, scores: Scores) -> dict[str, float]:
    """Each metric by name to six significant digits; one that is undefined (one class only) is left out."""
    found = {metric.name: significant(metric.value(labels, scores)) for metric in metrics} if labels.size else {}
    return {name: value for name, value in found.items() if value is not None}


def log_losses(labels: Labels, scores: Scores) -> NDArray[np.float64]:
    """The log loss of each row, shape (rows,); a certain answer that is wrong costs 36, not infinity."""
    losses: NDArray[np.float64] = -np.log(np.clip(np.where(labels == 1, scores, 1 - scores), _SMALLEST, 1.0))
    return losses


def entropy(share: float) -> float:
    """The log loss of a share of positives itself; 0 where all labels are equal."""
    return float(-sum(part * np.log(part) for part in (share, 1 - share) if part > 0))


def mean_difference(
    units: Sequence[tuple[Labels, Scores, Scores]], resampling: Resampling
) -> tuple[float, float, float] | tuple[()]:
    """The mean difference of log loss a row, first scores less second, with its interval over whole units.

    Args:
        units: of each unit the labels and the scores of two models.
        resampling: how the interval is made.

    Returns:
        Value, low and high; nothing where there are fewer than two units with a label.
    """
    filled = [unit for unit in units if unit[0].size]
    if len(filled) < 2:
        return ()
    labels = np.concatenate([unit[0] for unit in filled])
    blocks = np.repeat(np.arange(len(filled)), [unit[0].size for unit in filled])
    gaps = np.concatenate([log_losses(unit[0], unit[1]) - log_losses(unit[0], unit[2]) for unit in filled])
    rows = Rows.of(labels, np.full(labels.size, 0.5), blocks)
    (found,) = resampling.intervals([MeanOfRows(rows, gaps)], len(filled))
    if found.low is None or found.high is None:
        return ()
    return float(gaps.mean()), found.low, found.high
