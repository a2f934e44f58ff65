"""What predictions in service are compared with: the features of training, and the holdout of the model."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.evaluation.predictions import LABEL, SCORE, slice_column
from gitrain.features.definitions import FeatureSet
from gitrain.monitoring.drift import PREDICTION, ReferenceColumn, reference_of
from gitrain.monitoring.performance import DailyLosses, daily_losses

__all__ = ["Holdout", "numbered_days", "reference_columns"]

# Where units are no dates, so many parts of the reference stand for days.
_PARTS = 30
_THREADS = 2


def numbered_days(
    frame: pl.DataFrame, unit: str, *, rows_a_day: int | None = None
) -> tuple[list[str], NDArray[np.int64]]:
    """The days of some rows, in order, and the number of each row's day.

    Units that are dates are days. Others (patients) have no place in time: equal parts of the rows, in their order,
    stand for days.

    Args:
        frame: with the column `unit`.
        unit: the resampling unit.
        rows_a_day: of such parts; by default there are thirty of them.
    """
    if isinstance(frame.schema[unit], pl.Date):
        days = frame[unit].cast(pl.String)
        names = days.unique().sort()
        # Without a row, Polars would forget the type.
        numbers = days.replace_strict(names, pl.int_range(names.len(), eager=True), return_dtype=pl.Int64)
        return names.to_list(), numbers.cast(pl.Int64).to_numpy()
    size = max(1, rows_a_day or -(-frame.height // _PARTS))
    found = np.arange(frame.height, dtype=np.int64) // size
    return [f"part {number + 1}" for number in range(int(found[-1]) + 1 if found.size else 0)], found


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """The holdout's predictions.

    Attributes:
        frame: as `gitrain.evaluation.predictions` describes it.
        unit: the name of the resampling unit's column.
        rows_a_day: of parts that stand for days, where units are no dates.
    """

    frame: pl.DataFrame
    unit: str
    rows_a_day: int | None = None

    def losses(self, minimum_rows: int, slice_name: str | None = None, group: str | None = None) -> DailyLosses:
        """The losses by day, of all rows or of a group of a slice."""
        frame = self.frame
        if slice_name is not None:
            frame = frame.filter(pl.col(slice_column(slice_name)).eq_missing(pl.lit(group)))
        days, day = numbered_days(frame, self.unit, rows_a_day=self.rows_a_day)
        labels = cast("NDArray[np.bool_]", frame[LABEL].to_numpy())
        return daily_losses(days, day, labels, frame[SCORE].to_numpy(), minimum_rows=minimum_rows)

    def predictions(self) -> ReferenceColumn:
        """The probabilities by day, for drift."""
        days, day = numbered_days(self.frame, self.unit, rows_a_day=self.rows_a_day)
        return reference_of(self.frame[SCORE].alias(PREDICTION), day, len(days), category=False)

    def observed(self, bins: int) -> list[float | None]:
        """The share of positives by bin of probability; None for a bin without rows."""
        number = np.minimum((self.frame[SCORE].to_numpy() * bins).astype(np.int64), bins - 1)
        rows = np.bincount(number, minlength=bins)
        positives = np.bincount(number, weights=self.frame[LABEL].to_numpy(), minlength=bins)
        return [float(true / count) if count else None for true, count in zip(positives, rows, strict=True)]


def reference_columns(tables: Sequence[pl.DataFrame], features: FeatureSet) -> list[ReferenceColumn]:
    """The features of training by day, in their order.

    Args:
        tables: the features of batches; each has the resampling unit and all features.
        features: the definitions.
    """
    if not tables:
        return []
    frame = pl.concat(tables)
    if frame.is_empty():
        return []
    days, day = numbered_days(frame, features.entity.unit[0])

    def column(name: str) -> ReferenceColumn:
        return reference_of(frame[name], day, len(days), category=name in features.categorical)

    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(column, features.names))
