"""Features as arrays by column: what the online store gives, and what a served model takes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.training.estimators import FeatureColumns
from gitrain.training.matrix import feature_matrix

__all__ = ["Columns", "columns_of", "frame_of"]

#: By feature, an array of the shape (rows,): numbers as float64 with NaN where nothing is known, categories as objects,
#: each a string or None.
Columns = Mapping[str, NDArray[Any]]


def columns_of(frame: pl.DataFrame, columns: FeatureColumns) -> dict[str, NDArray[Any]]:
    """The columns that a model takes, as arrays.

    Raises:
        FeatureError: a column is missing, or is neither a category nor a number.
    """
    matrix = feature_matrix(frame, columns)
    found: dict[str, NDArray[Any]] = {}
    for name in columns.names:
        if name in columns.categorical:
            values = np.empty(matrix.height, dtype=object)
            values[:] = matrix[name].to_list()
            found[name] = values
        else:
            found[name] = matrix[name].fill_null(float("nan")).to_numpy()
    return found


def frame_of(values: Columns, columns: FeatureColumns) -> pl.DataFrame:
    """The other way round: the frame that scikit-learn's models were fitted on. NaN becomes null."""
    return pl.DataFrame(
        [
            pl.Series(name, values[name].tolist(), dtype=pl.String)
            if name in columns.categorical
            else pl.Series(name, values[name], dtype=pl.Float64).fill_nan(None)
            for name in columns.names
        ]
    )
