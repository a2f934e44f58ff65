"""Rows of the holdout as a request has them, with their features and the answer of the model that is served."""

from datetime import UTC, date, datetime, time
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.errors import ProjectError
from gitrain.serving.manifest import KnownAnswer, KnownAnswers
from gitrain.training.estimators import FeatureColumns
from gitrain.training.matrix import feature_matrix

__all__ = ["known_answers", "request_rows"]

# A processor that adds in another order must not change the file.
_DECIMALS = 12


def known_answers(
    inputs: pl.DataFrame,
    features: pl.DataFrame,
    scores: NDArray[np.float64],
    columns: FeatureColumns,
    *,
    tolerance: float,
) -> KnownAnswers:
    """The document, row by row.

    Args:
        inputs: the columns known in advance.
        features: the same rows' features.
        scores: what the served model gives for them, shape (rows,).
        columns: what the model takes.
        tolerance: the largest difference that counts as equal.

    Raises:
        ProjectError: an input has a type that JSON cannot hold.
        FeatureError: a feature is missing, or is neither a category nor a number.
    """
    matrix = feature_matrix(features, columns).with_columns(pl.col(pl.Float64).fill_nan(None))
    rows = zip(request_rows(inputs), matrix.iter_rows(named=True), scores.tolist(), strict=True)
    return KnownAnswers(
        schema_version=1,
        tolerance=tolerance,
        rows=tuple(
            KnownAnswer(inputs=asked, features=known, score=round(answer, _DECIMALS)) for asked, known, answer in rows
        ),
    )


def request_rows(inputs: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows as the body of a request has them: dates and times in ISO 8601, those with a zone in UTC and with a Z.

    Raises:
        ProjectError: a column has a type that JSON cannot hold.
    """
    for name, kind in inputs.schema.items():
        simple = kind.is_numeric() or kind in (pl.String, pl.Categorical, pl.Enum, pl.Boolean, pl.Null)
        if not simple and kind not in (pl.Date, pl.Datetime, pl.Time):
            raise ProjectError(
                f"the column {name!r}, known in advance, has the type {kind}, which a request cannot hold",
                fix="make it a number, a string, a Boolean, a date or a time.",
            )
    return [{name: _as_json(value) for name, value in row.items()} for row in inputs.iter_rows(named=True)]


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    # Decimal, and what NumPy has of its own.
    return value if value is None or isinstance(value, (str, bool, int, float)) else float(value)
