"""From blocks to the values of features: one reader a track."""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gitrain.features.definitions import FeatureSet
from gitrain.online.blocks import MOMENTS_OF, found_in
from gitrain.online.columns import Columns
from gitrain.online.exact_totals import ZERO, ExactTotal, rounded_difference
from gitrain.online.records import newest_numbers, text_at, window_record
from gitrain.online.state import EVERYTHING
from gitrain.online.tracks import Track

__all__ = ["ColumnMaker", "NewestReader", "WindowReader"]

_MICROSECOND = timedelta(microseconds=1)
_NAN = math.nan
_COUNT, _MEAN, _SUM, _EXACT_MEAN, _EXACT_SUM = range(5)
_LEAST, _MOST = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class _Slot:
    """One of the moments that a track is asked for.

    Attributes:
        track: whose.
        offset: how long before the decision, microseconds.
        size: of a record; None where records have exact sums, which differ in length.
        unpack: the part of the record that has a fixed length.
        nothing: what stands for it before the group's first row.
        no_exact: the same for the exact sums.
    """

    track: Track
    offset: int
    size: int | None
    unpack: Callable[[bytes, int], tuple[int, ...]]
    nothing: tuple[int, ...]
    no_exact: tuple[ExactTotal, ...]


class _Feature(NamedTuple):
    """A window feature.

    Attributes:
        later: the slot of the decision.
        earlier: the slot of the window's start.
        how: what it is.
        count_at: where in the record its count is.
        total_at: where its sum is, in the record or among the exact sums.
        held_from: from when on all rows of its history are held.
        offset: the window's length, microseconds.
        history: the history's name.
    """

    later: int
    earlier: int
    how: int
    count_at: int
    total_at: int
    held_from: int
    offset: int
    history: str


class WindowReader:
    """Reads all window features of a row in one go: a service does this for every request.

    Args:
        tracks: those of windows.
        real: by history, the window features whose values are floats.
        held_from: by history, from when on all rows are held.
    """

    def __init__(
        self, tracks: Sequence[Track], real: Mapping[str, Sequence[int]], held_from: Mapping[str, int]
    ) -> None:
        self._real = real
        self._slots: list[_Slot] = []
        self._plan: list[_Feature] = []
        #: The features, in the order in which they are read.
        self.names: list[str] = []
        for track in tracks:
            self._add(track, real[track.history], held_from[track.history])
        #: At which track, counted among these, and how long before the decision each row is asked.
        self.points = [(tracks.index(slot.track), slot.offset) for slot in self._slots]
        self._quick = [(slot.offset, slot.size, slot.unpack, slot.nothing) for slot in self._slots]
        self._has_exact = any(slot.size is None for slot in self._slots)
        # From this decision on every window is covered.
        self._covered_from = max((each.held_from + each.offset for each in self._plan), default=EVERYTHING)

    def _add(self, track: Track, real: Sequence[int], held_from: int) -> None:
        layout, whole = track.fixed(real), track.whole(real)
        exact = [index for index in track.values if index not in whole]
        lengths = {length // _MICROSECOND for _, feature in track.windows for length in feature.windows.values()}
        later = len(self._slots)
        places = {}
        for offset in (0, *sorted(lengths)):
            places[offset] = len(self._slots)
            nothing, no_exact = (0,) * (layout.size // 8), (ZERO,) * len(exact)
            size = None if exact else layout.size
            self._slots.append(_Slot(track, offset, size, layout.unpack_from, nothing, no_exact))
        for index, feature in track.windows:
            for name, length in zip(feature.names, feature.windows.values(), strict=True):
                offset = length // _MICROSECOND
                how, count, total = _COUNT, 0, 0
                if feature.aggregation != "count":
                    mean, count = feature.aggregation == "mean", 1 + track.values.index(index)
                    if index in whole:
                        how, total = _MEAN if mean else _SUM, 1 + len(track.values) + whole.index(index)
                    else:
                        how, total = _EXACT_MEAN if mean else _EXACT_SUM, exact.index(index)
                self.names.append(name)
                self._plan.append(_Feature(later, places[offset], how, count, total, held_from, offset, track.history))

    def read(
        self, decisions: Sequence[int], blocks: Sequence[bytes | None]
    ) -> tuple[NDArray[np.float64], list[tuple[int, str]]]:
        """The features' values.

        Args:
            decisions: of the rows.
            blocks: for each row those at `points`.

        Returns:
            Shape (features, rows), and the rows and histories of windows that begin before all rows are held: their
            values are NaN.
        """
        values: list[list[float]] = []
        uncovered: list[tuple[int, str]] = []
        width = len(self._slots)
        for row, decision in enumerate(decisions):
            found = self._row(decision, blocks[row * width : (row + 1) * width])
            if decision < self._covered_from:
                for place, feature in enumerate(self._plan):
                    if decision - feature.offset < feature.held_from:
                        found[place] = _NAN
                        uncovered.append((row, feature.history))
            values.append(found)
        matrix = np.array(values, dtype=np.float64).reshape(len(decisions), len(self._plan))
        return np.ascontiguousarray(matrix.T), uncovered

    def _row(self, decision: int, blocks: Sequence[bytes | None]) -> list[float]:
        records: list[tuple[int, ...]] = []
        last, moments, start = None, (), 0
        for (offset, size, unpack, nothing), block in zip(self._quick, blocks, strict=True):
            if block is None:
                records.append(nothing)
            elif size is None:
                records.append(unpack(block, found_in(block, decision - offset, None)[1]))
            else:
                # `found_in`, in place: here is where the time of a look-up goes.
                # Moments that lie close together are in one block.
                if block is not last:
                    count = block[0] | block[1] << 8
                    last, moments, start = block, MOMENTS_OF[count](block, 2), 2 + 12 * count - size
                records.append(unpack(block, start + size * bisect_right(moments, decision - offset)))
        exact = self._exact(decision, blocks) if self._has_exact else []
        values: list[float] = []
        for later, earlier, how, count_at, total_at, *_ in self._plan:
            until, since = records[later], records[earlier]
            if how == _MEAN:
                count = until[count_at] - since[count_at]
                values.append(_whole(until[total_at] - since[total_at]) / count if count else _NAN)
            elif how == _COUNT:
                values.append(until[0] - since[0])
            elif how == _SUM:
                values.append(_whole(until[total_at] - since[total_at]))
            else:
                total = rounded_difference(exact[later][total_at], exact[earlier][total_at])
                if how == _EXACT_SUM:
                    values.append(total)
                else:
                    count = until[count_at] - since[count_at]
                    values.append(total / count if count else _NAN)
        return values

    def _exact(self, decision: int, blocks: Sequence[bytes | None]) -> list[tuple[ExactTotal, ...]]:
        """For each slot the exact sums."""
        found = []
        for slot, block in zip(self._slots, blocks, strict=True):
            if block is None or slot.size is not None:
                found.append(slot.no_exact)
                continue
            _, at = found_in(block, decision - slot.offset, None)
            found.append(window_record(slot.track, self._real[slot.track.history], block, at).exact)
        return found


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
        self._held_from = held_from
        self._numbers = newest_numbers(track)
        self._size = None if track.texts else self._numbers.size
        self._places = {name: place for place, (name, _) in enumerate((*track.numbers, *track.texts))}
        self._features = [(list(each.columns), each.max_age // _MICROSECOND) for each in track.newest]

    def read(
        self, values: dict[str, Sequence[Any]], decisions: Sequence[int], blocks: Sequence[bytes | None]
    ) -> list[int]:
        """Add the features' values, a list each, one value a row.

        Args:
            values: what is added to.
            decisions: of the rows.
            blocks: one for each row, at its decision.

        Returns:
            The rows of which nobody can tell, because a newer row may be missing; their values are None.
        """
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
        self._numeric = frozenset(features.names) - frozenset(features.categorical)

    def make(self, values: Mapping[str, Sequence[Any]], height: int, ready: Mapping[str, NDArray[Any]]) -> Columns:
        """The values as arrays; null becomes NaN in numbers.

        Args:
            values: a sequence of `height` for each feature that is not ready.
            height: how many rows there are.
            ready: columns as they are.
        """
        numeric = [name for name in values if name in self._numeric]
        matrix = np.array([value for name in numeric for value in values[name]], dtype=np.float64)
        found = dict(ready)
        found.update(zip(numeric, matrix.reshape(len(numeric), height), strict=True))
        for name in values:
            if name not in self._numeric:
                texts = np.empty(height, dtype=object)
                texts[:] = values[name]
                found[name] = texts
        return {name: found[name] for name in self._names}
