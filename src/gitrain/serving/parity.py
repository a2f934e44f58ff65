"""Whether a converted model is the judged one: on every row of the holdout, and on rows made to find a difference."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.errors import GitrainError
from gitrain.online.columns import columns_of
from gitrain.serving.manifest import Parity
from gitrain.serving.model import ServedModel
from gitrain.training.estimators import FeatureColumns

__all__ = ["Comparison", "JudgedRows", "compare"]

# Sums taken in another order differ by less; more digits would change from one processor to the next.
_NOTHING = 1e-12
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class JudgedRows:
    """Rows and what the judged model says of them.

    Attributes:
        kind: how messages call one of them.
        matrix: the rows, as `feature_matrix` gives them.
        scores: the judged model's probabilities, shape (rows,).
    """

    kind: str
    matrix: pl.DataFrame
    scores: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What came out.

    Attributes:
        equal: whether the converted model may serve.
        reason: one sentence with the figures.
        parity: the figures.
    """

    equal: bool
    reason: str
    parity: Parity


def compare(
    convert: Callable[[], ServedModel],
    columns: FeatureColumns,
    *,
    holdout: JudgedRows,
    adversarial: JudgedRows,
    tolerance: float,
    threshold: float,
) -> Comparison:
    """Compare a converted model with the judged one.

    Equal means that no probability differs by more than `tolerance`, so that a decision can differ only where the
    judged probability lies within it of the threshold. Rows go through the model one call for all, and some alone:
    what is right in a matrix may be wrong in a row.

    Args:
        convert: gives the converted model; a model that cannot be made or does not run is not equal, and no error.
        columns: what it takes.
        holdout: every row of the holdout.
        adversarial: what `adversarial_rows` gave.
        tolerance: the largest difference that counts as equal.
        threshold: predictions at or above it are decided as true.
    """

    def result(equal: bool, reason: str, largest: float | None = None, flipped: int | None = None) -> Comparison:
        parity = Parity(
            tolerance=tolerance,
            holdout_rows=len(holdout.scores),
            adversarial_rows=len(adversarial.scores),
            largest_difference=None if largest is None else _rounded_up(largest),
            flipped_decisions=flipped,
        )
        return Comparison(equal=equal, reason=reason, parity=parity)

    largest, worst, flipped = -1.0, "", 0
    try:
        model = convert()
        for rows in (holdout, adversarial):
            scores = _scored(model, rows.matrix, columns)
            difference = np.abs(scores - rows.scores)
            flipped += int(((scores >= threshold) != (rows.scores >= threshold)).sum())
            if difference.size and difference.max() > largest:
                at = int(difference.argmax())
                largest = float(difference[at])
                worst = (
                    f"{scores[at]:.6g} for {rows.kind} {at} ({_shown(rows.matrix, at)}), judged {rows.scores[at]:.6g}"
                )
    except GitrainError as error:
        return result(False, error.what)
    total = len(holdout.scores) + len(adversarial.scores)
    if largest > tolerance:
        return result(
            False,
            f"the converted model gives {worst}: a difference of {largest:.2g}, beyond {tolerance:g}, "
            f"and {flipped:,} of {total:,} decisions flipped",
            largest,
            flipped,
        )
    return result(
        True,
        f"equal to the judged model within {tolerance:g} on {len(holdout.scores):,} rows of the holdout and "
        f"{len(adversarial.scores):,} made to find a difference",
        max(largest, 0.0),
        flipped,
    )


def _scored(model: ServedModel, matrix: pl.DataFrame, columns: FeatureColumns) -> NDArray[np.float64]:
    """The scores of all rows; the first and the last few are scored alone as well, and these scores count."""
    scores = model.score(columns_of(matrix, columns)).copy()
    alone = sorted({*range(min(_ALONE, matrix.height)), *range(max(0, matrix.height - _ALONE), matrix.height)})
    for number in alone:
        scores[number] = model.score(columns_of(matrix[number], columns))[0]
    return scores


_ALONE = 50


def _rounded_up(difference: float) -> float:
    """Two digits, never less than it is."""
    if difference <= _NOTHING:
        return _NOTHING
    scale = 10.0 ** (1 - math.floor(math.log10(difference)))
    return float(f"{math.ceil(difference * scale) / scale:.2g}")


def _shown(matrix: pl.DataFrame, number: int) -> str:
    row = matrix.row(number, named=True)
    shown = [f"{name}={str(value)[:20]}" for name, value in row.items()][:_SHOWN]
    return ", ".join([*shown, "..."] if len(row) > _SHOWN else shown)
