"""From rows to predictions: features from the online store, probabilities from the model, decisions at the threshold.

A service and a batch of a million rows go through the same two calls, so they give the same numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.features.definitions import FeatureSet
from gitrain.online.columns import Columns
from gitrain.online.given_rows import GivenRows
from gitrain.online.lookup import FeatureLookup
from gitrain.serving.model import ServedModel

__all__ = ["Predictions", "Predictor"]

# From so many rows on arrays are quicker than loops.
_MANY = 16
_BITS = 24


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Predictions of some rows, in their order.

    Attributes:
        probabilities: of true, shape (rows,).
        decisions: whether the probability reaches the threshold, shape (rows,).
        missing: for each row the features without a value, in the order of the feature set.
        stale: for each row the histories that are behind in the store, sorted.
        features: what the model was given, by feature, shape (rows,).
        newest: by history, when its newest row in the store became known (UTC); None where the store has none.
    """

    probabilities: NDArray[np.float64]
    decisions: NDArray[np.bool_]
    missing: tuple[tuple[str, ...], ...]
    stale: tuple[tuple[str, ...], ...]
    features: Columns
    newest: Mapping[str, datetime | None]


class Predictor:
    """Predicts rows. Safe to call from several threads, as its parts are.

    Args:
        lookup: gives the features.
        model: scores them.
        features: the definitions; their order is that of `Predictions.missing`.
        threshold: predictions at or above it are decided as true.
    """

    def __init__(self, lookup: FeatureLookup, model: ServedModel, features: FeatureSet, threshold: float) -> None:
        self.lookup = lookup
        self.model = model
        self.threshold = threshold
        self._names = features.names

    def predict(self, rows: pl.DataFrame | GivenRows) -> Predictions:
        """The predictions of rows, which may come from many requests: each depends on its own row alone.

        Args:
            rows: with the columns known in advance; more are passed over.

        Raises:
            FeatureError: a row whose features cannot be computed.
            IntegrationError: the online store cannot be reached.
            ModelError: the model gives what is no probability.
        """
        found = self.lookup.look_up(rows)
        probabilities = self.model.score(found.columns)
        return Predictions(
            probabilities=probabilities,
            decisions=probabilities >= self.threshold,
            missing=_missing(found.columns, self._names, rows.height),
            stale=found.stale,
            features=found.columns,
            newest=found.newest,
        )


def _missing(columns: Columns, names: Sequence[str], rows: int) -> tuple[tuple[str, ...], ...]:
    if rows < _MANY:
        return _missing_of_few(columns, names, rows)
    # Few patterns of what is missing are met by many rows: they share one tuple.
    codes, patterns = _patterns(np.column_stack([_is_missing(columns[name]) for name in names]))
    shared = np.empty(len(patterns), dtype=object)
    shared[:] = [tuple(name for name, missing in zip(names, row, strict=True) if missing) for row in patterns.tolist()]
    return tuple(shared[codes].tolist())


def _missing_of_few(columns: Columns, names: Sequence[str], rows: int) -> tuple[tuple[str, ...], ...]:
    numbers = [place for place, name in enumerate(names) if columns[name].dtype.kind != "O"]
    together = np.concatenate([columns[names[place]] for place in numbers]) if numbers else np.zeros(0)
    # Each as the name's place and the row: sorted, the features of a row are in their order.
    missing = [(numbers[at // rows], at % rows) for at in np.flatnonzero(np.isnan(together)).tolist()]
    for place, name in enumerate(names):
        if columns[name].dtype.kind == "O":
            # NaN is what does not equal itself.
            missing += [
                (place, row)
                for row, value in enumerate(columns[name].tolist())
                if value is None or value != value  # noqa: PLR0124
            ]
    found: list[list[str]] = [[] for _ in range(rows)]
    for place, row in sorted(missing):
        found[row].append(names[place])
    return tuple(map(tuple, found))


def _patterns(masks: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """For each row the number of its pattern, and the patterns."""
    codes = np.zeros(len(masks), dtype=np.int64)
    first = np.zeros(1, dtype=np.int64)
    # The number so far and 24 columns more fit 63 bits.
    for start in range(0, masks.shape[1], _BITS):
        block = masks[:, start : start + _BITS]
        codes = (codes << _BITS) | (block @ (1 << np.arange(block.shape[1], dtype=np.int64)))
        _, first, codes = np.unique(codes, return_index=True, return_inverse=True)
    return codes, masks[first]


def _is_missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    missing: NDArray[np.bool_] = values == None if values.dtype == object else np.isnan(values)  # noqa: E711
    return missing
