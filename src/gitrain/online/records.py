"""Records: what is written after each moment of a group's past. From prepared rows to blocks."""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.errors import FeatureError
from gitrain.features.history import KNOWN_AT, taken, value_of
from gitrain.online.blocks import entries_of, first_moment, in_blocks
from gitrain.online.exact_totals import ZERO, ExactTotal, packed, unpacked
from gitrain.online.store import Found, Point, Run
from gitrain.online.tracks import Track, places

__all__ = ["WindowRecord", "newest_numbers", "runs_of", "text_at", "window_record"]

_LENGTH = struct.Struct("<i")
_NULL = -1
_PLACE = "place"


@dataclass(frozen=True)
class WindowRecord:
    """What is known of a group's windows after a moment.

    Attributes:
        fixed: rows, then for each value its count, then the sums of those that are integers.
        exact: the sums of those that are floats.
    """

    fixed: tuple[int, ...]
    exact: tuple[ExactTotal, ...]


def window_record(track: Track, real: Sequence[int], block: bytes, offset: int) -> WindowRecord:
    """The record that begins at an offset."""
    layout = track.fixed(real)
    exact = []
    fixed = layout.unpack_from(block, offset)
    offset += layout.size
    for _ in range(len(track.values) - len(track.whole(real))):
        total, offset = unpacked(block, offset)
        exact.append(total)
    return WindowRecord(fixed, tuple(exact))


def newest_numbers(track: Track) -> struct.Struct:
    """The part of a record of newest rows that has a fixed length: the numbers; the texts follow it."""
    return struct.Struct(f"<{len(track.numbers)}d")


def text_at(block: bytes, offset: int) -> tuple[str | None, int]:
    """A text of a record of newest rows, and the offset after it."""
    length: int = _LENGTH.unpack_from(block, offset)[0]
    start = offset + _LENGTH.size
    if length == _NULL:
        return None, start
    return block[start : start + length].decode(), start + length


def runs_of(
    track: Track,
    rows: pl.DataFrame,
    changed: pl.DataFrame,
    *,
    ties: Sequence[str],
    real: Sequence[int],
    find: Callable[[list[Point]], Found] | None,
) -> Iterator[Run]:
    """The blocks of the groups that a change touches, from the earliest moment on that it touches.

    Args:
        track: which track.
        rows: all rows of the history that count afterwards, prepared, at least from that moment on.
        changed: the rows that were removed or added, prepared.
        ties: what decides between rows that became known together.
        real: the window features whose values are floats.
        find: reads the store as it is before the change; None if nothing in it is to be kept.

    Raises:
        FeatureError: a value that no feature can have.
    """
    touched = changed.select(place=places(track, changed), moment=pl.col(KNOWN_AT).to_physical()).drop_nulls()
    if touched.is_empty():
        return
    since: int = touched["moment"].min()  # type: ignore[assignment]
    names = touched["place"].unique(maintain_order=True)
    tail = rows.filter(pl.col(KNOWN_AT).to_physical() >= since)
    tail = tail.with_columns(places(track, tail).alias(_PLACE)).filter(pl.col(_PLACE).is_in(names.implode()))
    kept = _kept(names.to_list(), since, find)
    order = ties if track.kind == "newest" else []
    tail = tail.sort(_PLACE, KNOWN_AT, *order)
    make = _Newest(track, tail) if track.kind == "newest" else _Windows(track, tail, real)
    bounds = _bounds(tail[_PLACE])
    moments = tail[KNOWN_AT].to_physical().to_numpy()
    for name, (first, before) in kept.items():
        start, stop = bounds.get(name, (0, 0))
        # The last row of each moment: what holds from then on.
        ends = np.flatnonzero(np.diff(moments[start:stop], append=np.iinfo(np.int64).max)) + start
        records = make.records(start, ends, before[-1][1] if before else None)
        times = [*(moment for moment, _ in before), *moments[ends].tolist()]
        yield Run(place=name, since=first, blocks=list(in_blocks(times, [*(each for _, each in before), *records])))


def _kept(
    names: Sequence[str], since: int, find: Callable[[list[Point]], Found] | None
) -> dict[str, tuple[int, list[tuple[int, bytes]]]]:
    """By place, the moment from which on blocks are replaced, and the entries of those blocks that stay."""
    if find is None:
        return dict.fromkeys(names, (since, []))
    found = find([(name, since - 1) for name in names])
    kept: dict[str, tuple[int, list[tuple[int, bytes]]]] = {}
    for name, block in zip(names, found.blocks, strict=True):
        if block is None:
            kept[name] = (since, [])
        else:
            kept[name] = (first_moment(block), [entry for entry in entries_of(block) if entry[0] < since])
    return kept


def _bounds(names: pl.Series) -> dict[str, tuple[int, int]]:
    lengths = names.rle().struct.unnest()
    stops = lengths["len"].cum_sum().to_list()
    starts = [0, *stops[:-1]]
    return dict(zip(lengths["value"].to_list(), zip(starts, stops, strict=True), strict=True)) if stops else {}


class _Windows:
    """Running counts and sums; `tail` is sorted by place and moment."""

    def __init__(self, track: Track, tail: pl.DataFrame, real: Sequence[int]) -> None:
        self._track, self._real = track, real
        whole = track.whole(real)
        steps = [np.ones(tail.height, dtype=np.int64)]
        steps.extend(tail[value_of(index)].is_not_null().to_numpy().astype(np.int64) for index in track.values)
        steps.extend(tail[value_of(index)].fill_null(0).to_numpy() for index in whole)
        # Sums that overflow wrap around, and so do their differences: back to the right value.
        self._running = np.cumsum(np.column_stack(steps), axis=0, dtype=np.int64)
        self._width = track.fixed(real).size
        self._values = [tail[value_of(index)].to_list() for index in track.values if index not in whole]

    def records(self, start: int, ends: NDArray[np.intp], before: bytes | None) -> list[bytes]:
        """The records after the rows at `ends`; the group's rows begin at `start` and follow the record `before`."""
        if not len(ends):
            return []
        running = self._running[ends] - (self._running[start - 1] if start else 0)
        last = None if before is None else window_record(self._track, self._real, before, 0)
        if last is not None:
            running += np.array(last.fixed, dtype=np.int64)
        content = running.astype("<i8").tobytes()
        records = [content[place : place + self._width] for place in range(0, len(content), self._width)]
        for number, values in enumerate(self._values):
            total = ZERO if last is None else last.exact[number]
            row = start
            for place, end in enumerate(ends.tolist()):
                for value in values[row : end + 1]:
                    if value is not None:
                        total = total.with_value(value)
                row = end + 1
                records[place] += packed(total)
        return records


class _Newest:
    """The values of the newest row; `tail` is sorted by place, moment and ties."""

    def __init__(self, track: Track, tail: pl.DataFrame) -> None:
        self._numbers = _numbers(track, tail)
        self._texts = [tail[taken(column)].cast(pl.String).to_list() for _, column in track.texts]

    def records(self, start: int, ends: NDArray[np.intp], before: bytes | None) -> list[bytes]:
        """The records after the rows at `ends`."""
        records = [row.tobytes() for row in self._numbers[ends]]
        for texts in self._texts:
            for place, end in enumerate(ends.tolist()):
                text = texts[end]
                content = b"" if text is None else text.encode()
                records[place] += _LENGTH.pack(_NULL if text is None else len(content)) + content
        return records


def _numbers(track: Track, tail: pl.DataFrame) -> NDArray[np.float64]:
    numbers = np.empty((tail.height, len(track.numbers)), dtype="<f8")
    for place, (name, column) in enumerate(track.numbers):
        values = tail[taken(column)]
        if not (values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Null)):
            raise FeatureError(
                f"the feature {name!r} has the type {values.dtype}, which is no number",
                fix=f"take a number, or list {name!r} under `categorical` of the feature set.",
            )
        numbers[:, place] = values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return numbers
