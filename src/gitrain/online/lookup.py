"""What a service asks of the online store: the features of rows, as they were known at each row's decision."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import polars as pl

from gitrain.online.columns import Columns
from gitrain.online.given_rows import GivenRows

__all__ = ["FeatureLookup", "FoundFeatures"]


@dataclass(frozen=True, kw_only=True)
class FoundFeatures:
    """The features of some rows.

    Attributes:
        columns: by feature, shape (rows,): what `compute_features` gives for these rows, as arrays; NaN or None where
            nothing is known.
        stale: for each row the histories whose newest row in the store is too old for the row's decision
            (`History.stale_after`), sorted; mostly empty.
        newest: by history, when its newest row in the store became known (UTC); None where the store has none.
    """

    columns: Columns
    stale: tuple[tuple[str, ...], ...]
    newest: Mapping[str, datetime | None]


class FeatureLookup(Protocol):
    """Gives the features of rows that are to be predicted. Safe to call from several threads."""

    def look_up(self, rows: pl.DataFrame | GivenRows) -> FoundFeatures:
        """The features of rows.

        Args:
            rows: one or many rows with the columns `known_in_advance` of the entity.

        Raises:
            FeatureError: a row whose features cannot be computed.
            IntegrationError: the store cannot be reached.
        """
