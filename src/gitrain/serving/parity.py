"""Whether a converted model is the judged one: on every row of the holdout, and on rows made to find a difference."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.errors import GitrainError
from gitrain.online.columns import columns_of
from gitrain.serving.manifest import Parity
from gitrain.serving.model import ServedModel
from gitrain.training.estimators import FeatureColumns

__all__ = ["Comparison", "JudgedRows", "compare", "not_compared"]

# Sums taken in another order differ by less; more digits would change from one processor to the next.
_NOTHING = 1e-12
_SHOWN = 3
_ALONE = 60


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
    largest, worst, flipped = -1.0, "", 0
    try:
        model = convert()
        for rows in (holdout, adversarial):
            apart = np.zeros(len(rows.scores), dtype=np.bool_)
            for numbers, scores in _scored(model, rows, columns):
                judged = rows.scores[numbers]
                apart[numbers] |= (scores >= threshold) != (judged >= threshold)
                difference = np.abs(scores - judged)
                if difference.size and difference.max() > largest:
                    at = int(difference.argmax())
                    largest = float(difference[at])
                    row = f"{rows.kind} {numbers[at]} ({_shown(rows.matrix, int(numbers[at]))})"
                    worst = f"{scores[at]:.6g} for {row}, judged {judged[at]:.6g}"
            flipped += int(apart.sum())
    except GitrainError as error:
        return not_compared(error.what, holdout=holdout, adversarial=adversarial, tolerance=tolerance)
    equal = largest <= tolerance
    made_up, total = len(adversarial.scores), len(holdout.scores) + len(adversarial.scores)
    return Comparison(
        equal=equal,
        reason=f"equal to the judged model within {tolerance:g} on {len(holdout.scores):,} rows of the holdout and "
        f"{made_up:,} made to find a difference"
        if equal
        else f"the converted model gives {worst}: {largest:.2g} apart, beyond {tolerance:g}, and {flipped:,} of "
        f"{total:,} decisions differ",
        parity=Parity(
            tolerance=tolerance,
            holdout_rows=len(holdout.scores),
            adversarial_rows=made_up,
            largest_difference=_rounded_up(largest),
            flipped_decisions=flipped,
        ),
    )


def not_compared(reason: str, *, holdout: JudgedRows, adversarial: JudgedRows, tolerance: float) -> Comparison:
    """The outcome where there is nothing to compare with: not equal, without figures."""
    parity = Parity(tolerance=tolerance, holdout_rows=len(holdout.scores), adversarial_rows=len(adversarial.scores))
    return Comparison(equal=False, reason=reason, parity=parity)


def _scored(
    model: ServedModel, rows: JudgedRows, columns: FeatureColumns
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Numbers of rows and their scores: all at once, then some one at a time."""
    height = rows.matrix.height
    yield np.arange(height), model.score(columns_of(rows.matrix, columns))
    alone = np.unique(np.linspace(0, height - 1, min(_ALONE, height)).astype(np.int64))
    yield alone, np.array([model.score(columns_of(rows.matrix[int(at)], columns))[0] for at in alone])


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
