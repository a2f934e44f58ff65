"""From blocks to the values of features: one reader a track."""

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from gitrain.features.definitions import FeatureSet
from gitrain.online.blocks import found_in
from gitrain.online.columns import Columns
from gitrain.online.exact_totals import ZERO, rounded_difference
from gitrain.online.records import newest_numbers, text_at, window_record
from gitrain.online.tracks import Track

__all__ = ["NewestReader", "WindowReader", "columns_from"]

_MICROSECOND = timedelta(microseconds=1)


class WindowReader:
    """Reads the window features of a track.

    Args:
        track: which.
        real: the window features whose values are floats.
        held_from: from when on all rows of the history are held.
    """

    def __init__(self, track: Track, real: Sequence[int], held_from: int) -> None:
        self.track = track
        self.history = track.history
        lengths = {length // _MICROSECOND for _, feature in track.windows for length in feature.windows.values()}
        #: How long before the decision the track is asked.
        self.offsets = (0, *sorted(lengths))
        self.width = len(self.offsets)
        self._held_from = held_from
        self._real = tuple(real)
        self._fixed = track.fixed(real)
        self._zeros = (0,) * (self._fixed.size // 8)
        whole = track.whole(real)
        exact = [index for index in track.values if index not in whole]
        self._has_exact = bool(exact)
        self._no_exact = (ZERO,) * len(exact)
        #: By feature: its name, which moment the window begins at, what it is, where its count and its sum are.
        self._plan: list[tuple[str, int, str, int, int]] = []
        for index, feature in track.windows:
            for name, length in zip(feature.names, feature.windows.values(), strict=True):
                start = self.offsets.index(length // _MICROSECOND)
                if feature.aggregation == "count":
                    self._plan.append((name, start, "count", 0, 0))
                    continue
                count = 1 + track.values.index(index)
                if index in whole:
                    total = 1 + len(track.values) + whole.index(index)
                    self._plan.append((name, start, feature.aggregation, count, total))
                else:
                    self._plan.append((name, start, f"exact {feature.aggregation}", count, exact.index(index)))

    def read(
        self, values: dict[str, Sequence[Any]], decisions: Sequence[int], blocks: Sequence[bytes | None]
    ) -> list[int]:
        """Add the features' values, a list each, one value a row.

        Args:
            values: what is added to.
            decisions: of the rows.
            blocks: `width` for each row, at its decision and so long before it as `offsets` say.

        Returns:
            The rows with a window that begins before all rows are held; their value is NaN.
        """
        columns: list[list[float]] = [[] for _ in self._plan]
        uncovered = []
        width, offsets, longest = self.width, self.offsets, self.offsets[-1]
        for row, decision in enumerate(decisions):
            found = [
                (self._zeros, self._no_exact) if block is None else self._record(block, decision - offset)
                for block, offset in zip(blocks[row * width : (row + 1) * width], offsets, strict=True)
            ]
            later, later_exact = found[0]
            covered = decision - longest >= self._held_from
            if not covered:
                uncovered.append(row)
            for column, (_, start, how, count_at, total_at) in zip(columns, self._plan, strict=True):
                if not covered and decision - offsets[start] < self._held_from:
                    column.append(math.nan)
                    continue
                earlier, earlier_exact = found[start]
                count = later[count_at] - earlier[count_at]
                if how == "count":
                    column.append(float(count))
                elif how == "mean":
                    column.append(_whole(later[total_at] - earlier[total_at]) / count if count else math.nan)
                elif how == "sum":
                    column.append(_whole(later[total_at] - earlier[total_at]))
                else:
                    total = rounded_difference(later_exact[total_at], earlier_exact[total_at])
                    column.append(total if how == "exact sum" else total / count if count else math.nan)
        values.update((name, column) for (name, *_), column in zip(self._plan, columns, strict=True))
        return uncovered

    def _record(self, block: bytes, moment: int) -> tuple[tuple[int, ...], tuple[Any, ...]]:
        _, offset = found_in(block, moment)
        if self._has_exact:
            record = window_record(self.track, self._real, block, offset)
            return record.fixed, record.exact
        return self._fixed.unpack_from(block, offset), ()


def _whole(total: int) -> float:
    """A sum of 64 bits, as a float; running sums that overflowed have wrapped around."""
    if not -(2**63) <= total < 2**63:
        total = (total + 2**63) % 2**64 - 2**63
    return float(total)


class NewestReader:
    """Reads the as-of features of a track.

    Args:
        track: which.
        held_from: from when on all rows of the history are held.
    """

    def __init__(self, track: Track, held_from: int) -> None:
        self.track = track
        self.history = track.history
        #: How long before the decision the track is asked.
        self.offsets = (0,)
        self.width = 1
        self._held_from = held_from
        self._numbers = newest_numbers(track)
        self._places = {name: place for place, (name, _) in enumerate((*track.numbers, *track.texts))}
        self._features = [(list(each.columns), each.max_age // _MICROSECOND) for each in track.newest]

    def read(
        self, values: dict[str, Sequence[Any]], decisions: Sequence[int], blocks: Sequence[bytes | None]
    ) -> list[int]:
        """Add the features' values, as `WindowReader.read` does."""
        columns: dict[str, list[Any]] = {name: [] for name in self._places}
        uncovered = []
        for row, (decision, block) in enumerate(zip(decisions, blocks, strict=True)):
            known_at, offset = (None, 0) if block is None else found_in(block, decision)
            if known_at is not None and known_at < self._held_from:
                # A newer one may be among the rows that are not held.
                known_at = None
            record = [] if known_at is None or block is None else self._record(block, offset)
            for names, max_age in self._features:
                if known_at is None and decision - max_age < self._held_from:
                    uncovered.append(row)
                fresh = known_at is not None and known_at >= decision - max_age
                for name in names:
                    columns[name].append(record[self._places[name]] if fresh else None)
        values.update(columns)
        return uncovered

    def _record(self, block: bytes, offset: int) -> list[Any]:
        found: list[Any] = [*self._numbers.unpack_from(block, offset)]
        offset += self._numbers.size
        for _ in self.track.texts:
            text, offset = text_at(block, offset)
            found.append(text)
        return found


def columns_from(features: FeatureSet, values: Mapping[str, Sequence[Any]], height: int) -> Columns:
    """The values, a sequence of `height` for each feature, as arrays; null becomes NaN in numbers."""
    numeric = [name for name in features.names if name not in features.categorical]
    matrix = np.array([values[name] for name in numeric], dtype=np.float64).reshape(len(numeric), height)
    found = dict(zip(numeric, matrix, strict=True))
    for name in features.categorical:
        texts = np.empty(height, dtype=object)
        texts[:] = values[name]
        found[name] = texts
    return {name: found[name] for name in features.names}
