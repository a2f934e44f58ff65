"""From blocks to the values of features: one reader a track."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gitrain.features.definitions import FeatureSet
from gitrain.online.blocks import MOMENTS_OF, found_in
from gitrain.online.columns import Columns
from gitrain.online.exact_totals import ZERO, ExactTotal, rounded_difference
from gitrain.online.records import newest_numbers, text_at, window_record
from gitrain.online.tracks import Track

__all__ = ["ColumnMaker", "NewestReader", "WindowReader"]

_MICROSECOND = timedelta(microseconds=1)
_NAN = math.nan
_COUNT, _MEAN, _SUM, _EXACT_MEAN, _EXACT_SUM = range(5)
_LEAST, _MOST = -(2**63), 2**63 - 1


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
        fixed = track.fixed(real)
        self._unpack, self._size = fixed.unpack_from, fixed.size
        whole = track.whole(real)
        exact = [index for index in track.values if index not in whole]
        self._has_exact = bool(exact)
        self._nothing = (0,) * (fixed.size // 8)
        self._no_exact = (ZERO,) * len(exact)
        self._names: list[str] = []
        #: By feature: at which of `offsets` its window begins, what it is, where its count and its sum are.
        self._plan: list[tuple[int, int, int, int]] = []
        for index, feature in track.windows:
            for name, length in zip(feature.names, feature.windows.values(), strict=True):
                start = self.offsets.index(length // _MICROSECOND)
                self._names.append(name)
                if feature.aggregation == "count":
                    self._plan.append((start, _COUNT, 0, 0))
                    continue
                count, mean = 1 + track.values.index(index), feature.aggregation == "mean"
                if index in whole:
                    total = 1 + len(track.values) + whole.index(index)
                    self._plan.append((start, _MEAN if mean else _SUM, count, total))
                else:
                    how = _EXACT_MEAN if mean else _EXACT_SUM
                    self._plan.append((start, how, count, exact.index(index)))

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
        held_from = self._held_from
        for row, decision in enumerate(decisions):
            mine = blocks[row * width : (row + 1) * width]
            found = self._fixed_parts(mine, decision)
            exact = self._exact_parts(mine, decision) if self._has_exact else None
            later = found[0]
            covered = decision - longest >= held_from
            if not covered:
                uncovered.append(row)
            for column, (start, how, count_at, total_at) in zip(columns, self._plan, strict=True):
                if not covered and decision - offsets[start] < held_from:
                    column.append(_NAN)
                    continue
                earlier = found[start]
                count = later[count_at] - earlier[count_at]
                if how == _MEAN:
                    column.append(_whole(later[total_at] - earlier[total_at]) / count if count else _NAN)
                elif how == _COUNT:
                    column.append(count)
                elif how == _SUM:
                    column.append(_whole(later[total_at] - earlier[total_at]))
                elif exact is not None:
                    total = rounded_difference(exact[0][total_at], exact[start][total_at])
                    column.append(total if how == _EXACT_SUM else total / count if count else _NAN)
        for name, column in zip(self._names, columns, strict=True):
            values[name] = column
        return uncovered

    def _fixed_parts(self, blocks: Sequence[bytes | None], decision: int) -> list[tuple[int, ...]]:
        """For each of `offsets` the part of the record that has a fixed length."""
        if self._has_exact:
            return [
                self._nothing if block is None else self._unpack(block, found_in(block, decision - offset, None)[1])
                for block, offset in zip(blocks, self.offsets, strict=True)
            ]
        unpack, size, nothing = self._unpack, self._size, self._nothing
        found = []
        for block, offset in zip(blocks, self.offsets, strict=True):
            if block is None:
                found.append(nothing)
                continue
            # `found_in`, in place: this line is where the time of a look-up goes.
            count = block[0] | block[1] << 8
            place = bisect_right(MOMENTS_OF[count](block, 2), decision - offset) - 1
            found.append(unpack(block, 2 + 12 * count + size * place))
        return found

    def _exact_parts(self, blocks: Sequence[bytes | None], decision: int) -> list[tuple[ExactTotal, ...]]:
        """For each of `offsets` the exact sums."""
        return [
            self._no_exact
            if block is None
            else window_record(self.track, self._real, block, found_in(block, decision - offset, None)[1]).exact
            for block, offset in zip(blocks, self.offsets, strict=True)
        ]


def _whole(total: int) -> float:
    """A sum of 64 bits, as a float; running sums that overflowed have wrapped around."""
    if not _LEAST <= total <= _MOST:
        total = (total - _LEAST) % 2**64 + _LEAST
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
        self._size = None if track.texts else self._numbers.size
        self._places = {name: place for place, (name, _) in enumerate((*track.numbers, *track.texts))}
        self._features = [(list(each.columns), each.max_age // _MICROSECOND) for each in track.newest]

    def read(
        self, values: dict[str, Sequence[Any]], decisions: Sequence[int], blocks: Sequence[bytes | None]
    ) -> list[int]:
        """Add the features' values, as `WindowReader.read` does."""
        columns: dict[str, list[Any]] = {name: [] for name in self._places}
        uncovered = []
        for row, (decision, block) in enumerate(zip(decisions, blocks, strict=True)):
            known_at, offset = (None, 0) if block is None else found_in(block, decision, self._size)
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


class ColumnMaker:
    """Makes arrays of the values of features.

    Args:
        features: the definitions; they say what is text.
    """

    def __init__(self, features: FeatureSet) -> None:
        self._names = features.names
        self._numeric = [name for name in features.names if name not in features.categorical]
        self._categorical = frozenset(features.categorical)

    def make(self, values: Mapping[str, Sequence[Any]], height: int) -> Columns:
        """The values, a sequence of `height` for each feature, as arrays; null becomes NaN in numbers."""
        numbers = [value for name in self._numeric for value in values[name]]
        matrix = np.array(numbers, dtype=np.float64).reshape(len(self._numeric), height)
        rows = iter(matrix)
        found: dict[str, NDArray[Any]] = {}
        for name in self._names:
            if name in self._categorical:
                texts = np.empty(height, dtype=object)
                texts[:] = values[name]
                found[name] = texts
            else:
                found[name] = next(rows)
        return found
