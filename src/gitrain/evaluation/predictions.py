"""The predictions of the holdout as a table: what `data/predictions/holdout.parquet` holds. Part of the public API.

One row for each row of the holdout that has a label, in the order of the batches and of their features:

* the columns of the entity's key and the resampling unit, under their own names (one that is both stands once);
* ``batch``: the name of its batch, a string;
* ``decision_time``: where the project has one;
* ``label``: a Boolean, and ``score``: the probability that it is true;
* ``slice_NAME`` for each slice of the project: the row's group, a string, null where it has none.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.errors import ProjectError

__all__ = ["BATCH", "DECISION_TIME", "LABEL", "SCORE", "group_columns", "prediction_table", "slice_column"]

BATCH = "batch"
DECISION_TIME = "decision_time"
LABEL = "label"
SCORE = "score"

_RESERVED = (BATCH, LABEL, SCORE)


def slice_column(name: str) -> str:
    """The column that holds the groups of the slice `name`."""
    return f"slice_{name}"


def group_columns(features: pl.DataFrame, slices: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """The group of each row in each slice, as strings: one column `slice_NAME` a slice.

    Args:
        features: the feature columns.
        slices: name to the expression whose values are the groups.

    Raises:
        ProjectError: an expression that cannot be evaluated, or whose values are no names (lists, structs).
    """
    columns: list[pl.Series] = []
    for name, expression in slices.items():
        column = slice_column(name)
        try:
            # with_columns, because an expression may be one value for all rows.
            groups = features.with_columns(expression.cast(pl.String).alias(column))[column]
        except pl.exceptions.PolarsError as error:
            raise ProjectError(
                f"slice {name!r} cannot be evaluated on the features: {' '.join(str(error).split())[:300]}",
                fix=f"make `by` of slice {name!r} an expression over features that gives a name, number or Boolean.",
            ) from error
        columns.append(groups)
    return pl.DataFrame(columns)


def prediction_table(
    features: pl.DataFrame,
    batches: pl.Series,
    labels: pl.Series,
    scores: NDArray[np.float64],
    *,
    key: Sequence[str],
    unit: str,
    slices: Mapping[str, pl.Expr],
) -> pl.DataFrame:
    """The table of predictions that the module's docstring describes.

    Args:
        features: key, unit, decision time if any, and the columns that the slices read; one row a prediction.
        batches: the batch of each row.
        labels: Booleans.
        scores: probabilities, shape (rows,).
        key: the entity's key.
        unit: the name of the resampling unit's column.
        slices: name to the expression whose values are the groups.

    Raises:
        ProjectError: the key or the unit has the name of one of the other columns, or a slice cannot be evaluated.
    """
    own = list(dict.fromkeys([*key, unit]))
    for name in own:
        if name in _RESERVED or name in map(slice_column, slices):
            raise ProjectError(
                f"the key or unit column {name!r} has the name of a column of the predictions",
                fix=f"name it otherwise: {', '.join(_RESERVED)} and slice_... are taken.",
            )
    times = [DECISION_TIME] if DECISION_TIME in features.columns and DECISION_TIME not in own else []
    table = features.select(own).with_columns(
        batches.cast(pl.String).alias(BATCH),
        *features.select(times),
        labels.alias(LABEL),
        pl.Series(SCORE, scores, dtype=pl.Float64),
    )
    return table.hstack(group_columns(features, slices)) if slices else table
