"""Scoring: from features to the probability of the positive class, and nothing that is not one."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.errors import ModelError
from gitrain.training.estimators import Estimator, FeatureColumns
from gitrain.training.matrix import feature_matrix, true_probabilities

__all__ = ["score"]


def score(
    estimator: Estimator, features: pl.DataFrame, columns: FeatureColumns, *, key: Sequence[str] = ()
) -> NDArray[np.float64]:
    """The probability of the positive class for each row.

    Args:
        estimator: a fitted classifier.
        features: one row a prediction, with at least the columns of `columns` and `key`.
        columns: what the estimator takes, in its order.
        key: the columns that messages name a row by; without them it is the row's number.

    Returns:
        Probabilities, shape (rows,).

    Raises:
        FeatureError: a column that the model takes is missing, or is neither number nor category.
        ModelError: the estimator raises, gives something other than two columns of probabilities, or gives a value that
            is NaN or outside 0 to 1; the message names the first such row.
    """
    matrix = feature_matrix(features, columns)
    if matrix.is_empty():
        return np.zeros(0)
    try:
        probabilities = np.asarray(estimator.predict_proba(matrix))
    except Exception as error:  # an estimator of the project's own may raise anything
        message = " ".join(str(error).split())[:300]
        raise ModelError(
            f"the model cannot score {matrix.height} rows: {type(error).__name__}: {message}",
            fix="train it anew with the features as they are now (`dvc repro`), or mend the estimator.",
        ) from error
    if probabilities.shape != (matrix.height, 2) or probabilities.dtype.kind not in "fiub":
        raise ModelError(
            f"for {matrix.height} rows predict_proba gave {probabilities.dtype} of the shape {probabilities.shape}",
            fix="use an estimator that gives one probability for each of two classes.",
        )
    scores = true_probabilities(probabilities)
    wrong = np.flatnonzero(~((scores >= 0) & (scores <= 1)))  # NaN is wrong too
    if wrong.size:
        first = int(wrong[0])
        raise ModelError(
            f"the model gives {scores[first]:.6g} as the probability of {_row(features, first, key)} "
            f"({wrong.size} such rows of {scores.size})",
            fix="look at that row's features, and train with an estimator that gives probabilities from 0 to 1.",
        )
    return scores


def _row(features: pl.DataFrame, number: int, key: Sequence[str]) -> str:
    if not key:
        return f"row {number}"
    return ", ".join(f"{name}={features[name][number]}" for name in key)
