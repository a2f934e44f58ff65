"""The curves that DVC plots: ROC, precision and recall, calibration; as CSV, with a few hundred points at most."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from gitrain.evaluation.document import CalibrationBin, significant

__all__ = ["Floats", "calibration_csv", "precision_recall_csv", "roc_csv"]

_POINTS = 300

Floats = NDArray[np.float64]


def roc_csv(labels: NDArray[np.int8], scores: Floats) -> str:
    """The ROC curve: columns false_positive_rate, true_positive_rate, threshold (empty at the origin).

    The points are spaced evenly along the curve, its two ends among them. With one class only there is no curve: the
    header stands alone.

    Args:
        labels: 0 or 1, shape (rows,).
        scores: probabilities, shape (rows,).
    """
    header = ("false_positive_rate", "true_positive_rate", "threshold")
    thresholds, positives, rows = _above(labels, scores)
    negatives = rows - positives
    if not thresholds.size or positives[-1] == 0 or negatives[-1] == 0:
        return _csv(header, [])
    false_rate = np.concatenate([[0.0], negatives / negatives[-1]])
    true_rate = np.concatenate([[0.0], positives / positives[-1]])
    kept = _spaced(false_rate + true_rate)
    cells: list[float | None] = [None, *thresholds.tolist()]
    return _csv(header, ((float(false_rate[i]), float(true_rate[i]), cells[i]) for i in kept))


def precision_recall_csv(labels: NDArray[np.int8], scores: Floats) -> str:
    """Precision against recall: columns recall, precision, threshold.

    A point for each threshold that lets another positive in, spaced evenly by recall, both ends among them. Without
    positives there is no curve: the header stands alone.

    Args:
        labels: 0 or 1, shape (rows,).
        scores: probabilities, shape (rows,).
    """
    header = ("recall", "precision", "threshold")
    thresholds, positives, rows = _above(labels, scores)
    if not thresholds.size or positives[-1] == 0:
        return _csv(header, [])
    steps = np.flatnonzero(np.diff(positives, prepend=0.0))
    recall = positives[steps] / positives[-1]
    precision = positives[steps] / rows[steps]
    kept = _spaced(recall)
    return _csv(header, ((float(recall[i]), float(precision[i]), float(thresholds[steps[i]])) for i in kept))


def calibration_csv(bins: Sequence[CalibrationBin]) -> str:
    """The calibration table: columns predicted, observed, observed_low, observed_high, rows, bin_low, bin_high."""
    return _csv(
        ("predicted", "observed", "observed_low", "observed_high", "rows", "bin_low", "bin_high"),
        (
            (bin_.predicted, bin_.observed, bin_.observed_low, bin_.observed_high, bin_.rows, bin_.low, bin_.high)
            for bin_ in bins
        ),
    )


def _above(labels: NDArray[np.int8], scores: Floats) -> tuple[Floats, Floats, Floats]:
    """The distinct scores, descending, and how many positives and rows score at least that; each (distinct,)."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.flatnonzero(np.diff(ordered, append=-1.0))
    positives: Floats = labels[order].cumsum(dtype=np.float64)[last]
    return ordered[last], positives, (last + 1).astype(np.float64)


def _spaced(places: Floats) -> list[int]:
    """The positions of at most `_POINTS` points, evenly spaced along `places` (ascending), first and last included."""
    if places.size <= _POINTS:
        return list(range(places.size))
    wanted = np.linspace(places[0], places[-1], _POINTS)
    nearest = np.searchsorted(places, wanted, side="left").clip(0, places.size - 1)
    return sorted({0, *nearest.tolist()[1:-1], places.size - 1})


def _csv(header: Sequence[str], rows: Iterable[Sequence[float | int | None]]) -> str:
    lines = [",".join(header)]
    lines.extend(",".join(_cell(value) for value in row) for row in rows)
    return "\n".join(lines) + "\n"


def _cell(value: float | int | None) -> str:
    if value is None or isinstance(value, int):
        return "" if value is None else str(value)
    return repr(significant(value))
