"""The matrix that models take: the same columns and types in training, evaluation and serving."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.errors import FeatureError, TrainingError
from gitrain.training.estimators import FeatureColumns

__all__ = ["check_matrix", "feature_matrix", "true_probabilities"]


def feature_matrix(frame: pl.DataFrame, columns: FeatureColumns) -> pl.DataFrame:
    """The columns that a model takes, in its order: categories as strings, all others as 64-bit floats.

    Args:
        frame: rows with at least the columns of `columns`; others are left out.
        columns: what the model takes.

    Raises:
        FeatureError: a column is missing, or of a type that is neither a category nor a number.
    """
    expressions = []
    for name in columns.names:
        kind = frame.schema.get(name)
        if kind is None:
            raise FeatureError(
                f"the rows have no column {name!r}, which the model takes",
                fix="compute the features with the definitions that the model was trained with.",
            )
        if name in columns.categorical:
            if not (kind in (pl.String, pl.Categorical, pl.Enum, pl.Boolean, pl.Null) or kind.is_integer()):
                raise FeatureError(
                    f"the category {name!r} has the type {kind}", fix="make it a string, or take it off `categorical`."
                )
            expressions.append(pl.col(name).cast(pl.String))
        else:
            if not (kind.is_numeric() or kind in (pl.Boolean, pl.Null)):
                raise FeatureError(
                    f"the feature {name!r} has the type {kind}, which is no number",
                    fix=f"make it a number, or list {name!r} under `categorical` of the feature set.",
                )
            expressions.append(pl.col(name).cast(pl.Float64))
    return frame.select(expressions)


def check_matrix(matrix: pl.DataFrame, labels: NDArray[np.int8], *, columns: FeatureColumns, part: str) -> None:
    """Refuse what no estimator can learn from. Missing values (null) and constant columns are fine.

    Args:
        matrix: what `feature_matrix` gave.
        labels: 0 or 1, shape (rows,).
        columns: the columns of the matrix.
        part: which rows these are, in the plural, for messages.

    Raises:
        TrainingError: NaN or infinity, a column that is null in every row, or labels of one class only.
    """
    if not labels.size or labels.min() == labels.max():
        only = "no rows" if not labels.size else f"only the label {'true' if labels[0] else 'false'}"
        raise TrainingError(
            f"{part} hold {only}",
            fix="widen the window (data.from, training.window), or correct the target's label.",
        )
    counts = matrix.select(
        *(pl.col(name).is_not_null().any().alias(f"any:{name}") for name in columns.names),
        *(
            (pl.col(name).is_nan() | pl.col(name).is_infinite()).sum().fill_null(0).alias(f"bad:{name}")
            for name in columns.numeric
        ),
    ).row(0, named=True)
    for name in columns.names:
        if not counts[f"any:{name}"]:
            raise TrainingError(
                f"the feature {name!r} is null in every row of {part}",
                fix="remove the feature, widen the window, or mend the data that it comes from.",
            )
        if counts.get(f"bad:{name}", 0):
            raise TrainingError(
                f"the feature {name!r} is NaN or infinite in {counts[f'bad:{name}']} rows of {part}",
                fix="correct the feature's definition; a value that is not known is null.",
            )


def true_probabilities(probabilities: Any) -> NDArray[np.float64]:
    """The second column of what `predict_proba` gives: the probability of true, shape (rows,)."""
    return np.asarray(probabilities, dtype=np.float64)[:, 1]
