"""The prediction log of a replay: the records that a service would have written, written and read back each day."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.online.columns import columns_of
from gitrain.operations.build_features import DECISION_TIME
from gitrain.operations.replay.rows import DayOfRows, RowsOfBatch
from gitrain.serving.log_records import PredictedRows, ReadRecords, encode_records
from gitrain.training.estimators import FeatureColumns

__all__ = ["BatchRecords", "DayLog"]


class DayLog(Protocol):
    """Where records go. A day that is written again, by a run that follows a killed one, replaces itself."""

    def write(self, day: str, time: datetime, lines: bytes) -> None:
        """Keep the records of a day, in one step; `time` is that of its first decision."""

    def read(self, day: str, time: datetime) -> ReadRecords:
        """Read them back."""

    def forget(self, day: str, time: datetime) -> None:
        """They are no longer needed."""


class BatchRecords:
    """Makes the records of a batch, day by day.

    Args:
        rows: the batch.
        columns: the features, in the order of the definitions.
        threshold: predictions at or above it are decided as true.
    """

    def __init__(self, rows: RowsOfBatch, columns: FeatureColumns, threshold: float) -> None:
        self._rows = rows
        self._threshold = threshold
        self._columns = columns_of(rows.features, columns)
        self._missing = _missing(rows.features, columns.names)

    def of_day(self, day: DayOfRows, release: str, probabilities: NDArray[np.float64]) -> bytes:
        """The lines of a day: rows are asked for together, hour by hour, once the last of them is to be decided.

        Args:
            day: one of the batch's.
            release: who answered.
            probabilities: of all rows of the batch, shape (rows,).
        """
        decided = self._rows.features[DECISION_TIME][day.positions]
        inputs = self._rows.inputs[day.positions]
        parts: list[PredictedRows] = []
        for start, end in _runs(decided.dt.truncate("1h")):
            positions = day.positions[start:end]
            # In the order of the decisions: the last is the latest.
            time: datetime = decided[end - 1]
            scores = probabilities[positions]
            parts.append(
                PredictedRows(
                    time=time,
                    release=release,
                    request_ids=[f"{time:%Y%m%dT%H%M}-{int(positions[0]):x}"] * (end - start),
                    places=range(end - start),
                    inputs=inputs[start:end],
                    features={name: values[positions] for name, values in self._columns.items()},
                    missing=[self._missing[position] for position in positions.tolist()],
                    stale=[()] * (end - start),
                    probabilities=scores,
                    decisions=scores >= self._threshold,
                )
            )
        return encode_records(parts)


def _runs(values: pl.Series) -> list[tuple[int, int]]:
    """The stretches of equal values, which lie together."""
    ends = values.rle_id().unique_counts().cum_sum().to_list()
    return list(zip([0, *ends[:-1]], ends, strict=True))


def _missing(frame: pl.DataFrame, names: Sequence[str]) -> list[tuple[str, ...]]:
    found: list[list[str]] = [[] for _ in range(frame.height)]
    for name in names:
        values = frame[name]
        absent = values.is_null() | values.is_nan().fill_null(True) if values.dtype.is_float() else values.is_null()
        for position in absent.arg_true().to_list():
            found[position].append(name)
    return list(map(tuple, found))
