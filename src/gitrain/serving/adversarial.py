"""Rows that a converted model gets wrong first: what the feature contract allows at its edges, and what it forgets."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.checks.extremes import bounds, extreme_rows
from gitrain.data.contracts import TableContract
from gitrain.training.estimators import FeatureColumns
from gitrain.training.matrix import feature_matrix

__all__ = ["adversarial_rows"]

_EXTREMES = 3000
_AT_SPLITS = 6000
_MIXED = 2000
# Few columns leave a row on the paths of real rows, and many lead it to the others.
_SHARES = (0.1, 0.3, 1.0)
_UNKNOWN = 0.1
_REAL = 400
# What encoders could take for something else: no text at all, names of nothing, other cases and spaces, other bytes.
_TEXTS = ("", " ", "\x00", "\x00\x00", "null", "None", "nan", "NaN", "0", "-1", "true", "☃", "e\u0301", "x" * 10_000)
_SMALLEST = 5e-324


def adversarial_rows(
    features: pl.DataFrame,
    contract: TableContract,
    columns: FeatureColumns,
    *,
    split_points: Mapping[str, NDArray[np.float64]],
    never_null: Sequence[str],
    seed: int,
) -> pl.DataFrame:
    """Rows to compare two forms of a model on; equal arguments give equal rows.

    * The extremes of `gitrain.checks.extremes`: bounds, nulls where the contract allows them, unknown categories, and
      mixtures of them.
    * Nothing known, of each column and of all that the model can do without: a service has to answer then too.
    * Categories that are no text, or nearly a known one.
    * Numbers at the model's split points and one float to either side, or nothing, in one column of a real row, in
      some and in all; both zeros, and the smallest number above zero.

    Args:
        features: real rows of features, typed as the pipeline has them.
        contract: of the features.
        columns: what the model takes.
        split_points: by numeric column, from `gitrain.serving.split_points`.
        never_null: columns that the model refuses to score without.
        seed: of everything random.

    Returns:
        What `feature_matrix` gives, at least 2,000 rows for any contract.
    """
    random = np.random.default_rng(seed)
    extremes = extreme_rows(features, contract, names=columns.names, seed=seed, most=_EXTREMES)
    some = np.sort(random.choice(features.height, min(_REAL, features.height), replace=False)).tolist()
    real = feature_matrix(features[some], columns)
    # Integers stay whole: a feature that counts will never be half of one.
    near = {name: _near(points, features[name], contract, name) for name, points in split_points.items()}
    parts = [
        feature_matrix(extremes, columns),
        *_unknown(real, columns, never_null),
        *_texts(real, columns),
        *_at_splits(real, near, random),
        *(_mixed(real, near, random, share) for share in _SHARES),
    ]
    return pl.concat(part.select(columns.names) for part in parts).filter(
        pl.all_horizontal(pl.col(name).is_not_null() for name in never_null) if never_null else pl.lit(True)
    )


def _near(points: NDArray[np.float64], seen: pl.Series, contract: TableContract, name: str) -> NDArray[np.float64]:
    """The points, one float below and one above; of integers the whole numbers around; within the column's bounds."""
    if seen.dtype == pl.Boolean:
        return np.array([0.0, 1.0])
    if seen.dtype.is_integer():
        found = np.concatenate([np.floor(points), np.ceil(points)])
    else:
        around = [np.nextafter(points, -math.inf), points, np.nextafter(points, math.inf)]
        found = np.concatenate([*around, [0.0, -0.0, _SMALLEST, -_SMALLEST]])
    low, high = bounds(contract, name, seen)
    within = found[(found >= low) & (found <= high)]
    # -0.0 and 0.0 are equal and not the same.
    return np.concatenate([np.unique(within), [-0.0]]) if low <= 0 <= high else np.unique(within)


def _unknown(real: pl.DataFrame, columns: FeatureColumns, never_null: Sequence[str]) -> list[pl.DataFrame]:
    free = [name for name in columns.names if name not in never_null]
    each = [real.head(3).with_columns(_null(real, name)) for name in free]
    return [*each, real.with_columns(_null(real, name) for name in free)]


def _null(frame: pl.DataFrame, name: str) -> pl.Expr:
    return pl.lit(None, dtype=frame.schema[name]).alias(name)


def _texts(real: pl.DataFrame, columns: FeatureColumns) -> list[pl.DataFrame]:
    parts = []
    for name in columns.categorical:
        known = real[name].drop_nulls().unique().sort().to_list()
        close = [changed for text in known for changed in (text.lower(), f"{text} ", f" {text}", f"{text}\x00")]
        texts = [*known, *close, *_TEXTS]
        rows = _repeated(real, len(texts))
        parts.append(rows.with_columns(pl.Series(name, texts, dtype=pl.String)))
    return parts


def _at_splits(
    real: pl.DataFrame, near: Mapping[str, NDArray[np.float64]], random: np.random.Generator
) -> list[pl.DataFrame]:
    """One column at a time."""
    parts = []
    most = max(1, _AT_SPLITS // max(1, len(near)))
    for name, values in near.items():
        chosen = values if values.size <= most else np.sort(random.choice(values, most, replace=False))
        rows = _repeated(real, chosen.size)
        parts.append(rows.with_columns(pl.Series(name, chosen, dtype=pl.Float64)))
    return parts


def _mixed(
    real: pl.DataFrame, near: Mapping[str, NDArray[np.float64]], random: np.random.Generator, share: float
) -> pl.DataFrame:
    """A share of the columns at once, and of those some unknown: wherever a row comes to, it stands at an edge."""
    rows = _repeated(real, _MIXED)
    columns = []
    for name, values in near.items():
        if not values.size:
            continue
        chosen = pl.Series(name, random.choice(values, _MIXED), dtype=pl.Float64)
        unknown = pl.Series(random.random(_MIXED) < _UNKNOWN)
        moved = pl.Series(random.random(_MIXED) < share)
        edge = pl.when(unknown).then(None).otherwise(chosen)
        columns.append(pl.when(moved).then(edge).otherwise(rows[name]).alias(name))
    return rows.with_columns(columns)


def _repeated(rows: pl.DataFrame, height: int) -> pl.DataFrame:
    return rows[(np.arange(height) % max(1, rows.height)).tolist()]
