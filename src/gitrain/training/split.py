"""The split in time: the newest units of the training window give the validation loss."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.errors import TrainingError
from gitrain.training.estimators import FeatureColumns
from gitrain.training.matrix import check_matrix, feature_matrix

__all__ = ["TrainingRows", "split_in_time"]


@dataclass(frozen=True, kw_only=True)
class TrainingRows:
    """The labelled rows of the training window.

    Attributes:
        matrix: the features, what `gitrain.training.matrix.feature_matrix` gives.
        labels: 0 or 1, shape (rows,).
        validation: which rows belong to the newest units, shape (rows,).
        units: the newest units, as text, in order.
    """

    matrix: pl.DataFrame
    labels: NDArray[np.int8]
    validation: NDArray[np.bool_]
    units: tuple[str, ...]


def split_in_time(
    frame: pl.DataFrame, *, columns: FeatureColumns, target: str, unit: str, validation_units: int
) -> TrainingRows:
    """Keep the rows with a label and set the newest `validation_units` units apart.

    Args:
        frame: the rows of the window, with the feature columns, `target` and `unit`.
        columns: the feature columns.
        target: the column that is predicted: true, false, or null where a row has no label.
        unit: the column of the resampling unit; its sorted values are the order of time.
        validation_units: how many units the validation part takes.

    Raises:
        FeatureError: a feature column is missing or of an impossible type.
        TrainingError: too few rows or units, one class only, NaN or infinity, a column without any value.
    """
    if target in columns.names:
        raise TrainingError(
            f"the target {target!r} is among the features", fix="remove it from the features: it is what is predicted."
        )
    for name in (target, unit):
        if name not in frame.columns:
            raise TrainingError(f"the features have no column {name!r}", fix="run `dvc repro` to build them anew.")
    if frame.schema[target] != pl.Boolean:
        raise TrainingError(
            f"the target {target!r} has the type {frame.schema[target]}, not Boolean",
            fix="make the target's label a comparison: true, false, or null where there is no label.",
        )
    labelled = frame.filter(pl.col(target).is_not_null())
    if labelled.is_empty():
        raise TrainingError(
            f"no row of the training window has a label: {target!r} is null in all {frame.height} rows",
            fix="widen the window (data.from, training.window), or correct the target's label.",
        )
    if labelled[unit].null_count():
        raise TrainingError(
            f"the unit {unit!r} is null in {labelled[unit].null_count()} rows",
            fix="correct the entity's unit: it places a row in time.",
        )
    units = labelled[unit].unique().sort()
    if len(units) <= validation_units:
        raise TrainingError(
            f"the training window has {len(units)} of {unit!r}, and validation takes the last {validation_units}",
            fix="lower training.validation_units, or widen the window (data.from, training.window).",
        )
    newest = units.tail(validation_units)
    rows = TrainingRows(
        matrix=feature_matrix(labelled, columns),
        labels=labelled[target].cast(pl.Int8).to_numpy(),
        validation=labelled[unit].is_in(newest.implode()).to_numpy(),
        units=tuple(str(value) for value in newest),
    )
    earlier = ~rows.validation
    check_matrix(
        rows.matrix.filter(earlier),
        rows.labels[earlier],
        columns=columns,
        part=f"the training rows before the last {validation_units} of {unit!r}",
    )
    check_matrix(rows.matrix, rows.labels, columns=columns, part="the training rows")
    return rows
