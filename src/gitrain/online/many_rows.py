"""Look-ups of many rows: the histories are read whole, and the engine computes all features at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import polars as pl

from gitrain.features.definitions import AsOfFeatures, FeatureSet, History, RowFeature, WindowFeatures
from gitrain.features.engine import compute_features, decision_times
from gitrain.features.history import KNOWN_AT, taken
from gitrain.online.columns import Columns, columns_of
from gitrain.online.history_rows import for_engine
from gitrain.online.revision import load_history
from gitrain.online.state import EVERYTHING, StoredHistory, StoreState
from gitrain.online.store import OnlineStore
from gitrain.online.tracks import read_histories
from gitrain.training.estimators import FeatureColumns

__all__ = ["ComputedRows", "ManyRows"]

# A column that every row of a history has: whether an as-of feature found one is seen by it.
_ANY = "\0any"
_Feature = RowFeature | AsOfFeatures | WindowFeatures


@dataclass(frozen=True, kw_only=True)
class ComputedRows:
    """The features of many rows.

    Attributes:
        columns: the features.
        decisions: microseconds since 1970, UTC.
        uncovered: by history the rows with features that reach back to before all its rows are held.
    """

    columns: Columns
    decisions: Sequence[int]
    uncovered: Mapping[str, Sequence[int]]


class ManyRows:
    """Computes features from histories that are read from a store, and kept as long as it holds them.

    Args:
        features: the definitions.
        store: where the histories are.
    """

    def __init__(self, features: FeatureSet, store: OnlineStore) -> None:
        self._features = features
        self._store = store
        self._marked = replace(
            features, features=tuple(_marked(index, each) for index, each in enumerate(features.features))
        )
        # The frames of one version of a history, replaced as a whole: threads see one or the other.
        self._frames: dict[str, tuple[StoredHistory, pl.DataFrame]] = {}

    def compute(self, rows: pl.DataFrame, state: StoreState, held_from: Mapping[str, int]) -> ComputedRows | None:
        """The features of rows.

        Args:
            rows: the columns `known_in_advance`.
            state: what the store holds.
            held_from: by history.

        Returns:
            None if the store has changed since its state was read.

        Raises:
            FeatureError: as `compute_features` does.
            IntegrationError: the store cannot be reached.
        """
        histories: dict[str, pl.DataFrame] = {}
        for history in read_histories(self._features):
            frame = self._frame(history, state.histories[history.name])
            if frame is None:
                return None
            histories[history.name] = frame
        computed = compute_features(self._marked, rows, histories)
        decisions = decision_times(self._features.entity, rows.select(self._features.entity.known_in_advance))
        moments = decisions.to_physical().to_numpy()
        uncovered: dict[str, set[int]] = {}
        masked: list[pl.Series] = []
        for index, feature in enumerate(self._features.features):
            if isinstance(feature, WindowFeatures):
                start = held_from[feature.history]
                for name, length in zip(feature.names, feature.windows.values(), strict=True):
                    before = moments - _microseconds(length) < start
                    if before.any():
                        uncovered.setdefault(feature.history, set()).update(np.flatnonzero(before).tolist())
                        masked.append(computed[name].cast(pl.Float64).set(pl.Series(before), None))
            elif isinstance(feature, AsOfFeatures):
                before = moments - _microseconds(feature.max_age) < held_from[feature.history]
                unknown = before & computed[f"{_ANY}{index}"].is_null().to_numpy()
                if unknown.any():
                    uncovered.setdefault(feature.history, set()).update(np.flatnonzero(unknown).tolist())
        columns = FeatureColumns(names=self._features.names, categorical=self._features.categorical)
        return ComputedRows(
            columns=columns_of(computed.with_columns(masked), columns),
            decisions=moments.tolist(),
            uncovered={name: sorted(places) for name, places in uncovered.items()},
        )

    def _frame(self, history: History, stored: StoredHistory) -> pl.DataFrame | None:
        known = self._frames.get(history.name)
        if known is not None and known[0] == stored:
            return known[1]
        loaded = load_history(self._store, stored)
        if loaded is None:
            return None
        rows = for_engine(loaded.rows)
        if stored.held_from != EVERYTHING:
            # Newer ones of the same group may be missing among the rows before.
            rows = rows.filter(pl.col(KNOWN_AT).to_physical() >= stored.held_from)
        frame = rows.with_columns(pl.lit(True).alias(taken(_ANY)))
        self._frames[history.name] = stored, frame
        return frame


def _marked(index: int, feature: _Feature) -> _Feature:
    if not isinstance(feature, AsOfFeatures):
        return feature
    return replace(feature, columns={**feature.columns, f"{_ANY}{index}": _ANY})


def _microseconds(length: timedelta) -> int:
    return length // timedelta(microseconds=1)
