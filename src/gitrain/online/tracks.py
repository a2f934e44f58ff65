"""Tracks: how the past of a history, divided into groups, is laid out so that a feature is one or two look-ups.

For every history and every set of columns that features group it by there are up to two tracks: of windows, with
running counts and sums after each moment at which rows became known, so that a window is the difference of two
records; and of the newest rows, with the values that as-of features take.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, cast

import polars as pl

from gitrain.features.definitions import AsOfFeatures, FeatureSet, History, WindowFeatures
from gitrain.features.history import EVENT_TIME, group_key, readers, taken
from gitrain.lineage import digest_of_bytes, digest_of_value

__all__ = [
    "Track",
    "definitions_digest",
    "key_text",
    "kind_of",
    "place_of",
    "places",
    "read_histories",
    "ties",
    "tracks_of",
]

_TEXT = "String"
_SEPARATOR = ":"
_NOWHERE = ""


@dataclass(frozen=True)
class Track:
    """The past of one history in groups.

    Attributes:
        number: its place among the project's tracks.
        history: the history's name.
        by: pairs of the entity's and the history's column, sorted.
        kind: what its records hold.
        features: the definitions that read it, each with its place among all.
        categorical: the features that are text.
    """

    number: int
    history: str
    by: tuple[tuple[str, str], ...]
    kind: Literal["windows", "newest"]
    features: tuple[tuple[int, AsOfFeatures | WindowFeatures], ...]
    categorical: tuple[str, ...]

    @property
    def windows(self) -> tuple[tuple[int, WindowFeatures], ...]:
        """The window features, each with its place among all definitions."""
        return tuple((index, each) for index, each in self.features if isinstance(each, WindowFeatures))

    @property
    def newest(self) -> tuple[AsOfFeatures, ...]:
        """The as-of features."""
        return tuple(each for _, each in self.features if isinstance(each, AsOfFeatures))

    @cached_property
    def values(self) -> tuple[int, ...]:
        """The places of the window features that have values; of each, a record holds a count and a sum."""
        return tuple(index for index, feature in self.windows if feature.aggregation != "count")

    def whole(self, real: Iterable[int]) -> tuple[int, ...]:
        """Those of `values` that are integers."""
        return tuple(index for index in self.values if index not in real)

    def fixed(self, real: Iterable[int]) -> struct.Struct:
        """The part of a window's record that has a fixed length; the exact sums of floats follow it.

        It is the number of rows, then for each value how many are not null, then the sums of those that are integers.
        """
        return struct.Struct(f"<{1 + len(self.values) + len(self.whole(real))}q")

    @cached_property
    def numbers(self) -> tuple[tuple[str, str], ...]:
        """The as-of features that are numbers, with the columns that they take."""
        return tuple(pair for pair in self._taken if pair[0] not in self.categorical)

    @cached_property
    def texts(self) -> tuple[tuple[str, str], ...]:
        """The as-of features that are text, with the columns that they take."""
        return tuple(pair for pair in self._taken if pair[0] in self.categorical)

    def places_of(self, keys: Mapping[str, Sequence[str | None]], height: int) -> list[str]:
        """The places of rows, by the texts of their keys. A null equals nothing: no place has the name that it gets."""
        columns = [keys[column] for column, _ in self.by]
        if not columns:
            return [place_of(self.number, ())] * height
        if len(columns) == 1:
            prefix = place_of(self.number, ("",))
            return [_NOWHERE if key is None else prefix + key for key in columns[0]]
        return [
            _NOWHERE if None in found else place_of(self.number, cast("tuple[str, ...]", found))
            for found in zip(*columns, strict=True)
        ]

    @property
    def _taken(self) -> list[tuple[str, str]]:
        return [pair for feature in self.newest for pair in feature.columns.items()]


def tracks_of(features: FeatureSet) -> tuple[Track, ...]:
    """All tracks of a project, in an order that depends on the definitions alone."""
    found: list[Track] = []
    for history in read_histories(features):
        grouped: dict[tuple[tuple[tuple[str, str], ...], Literal["windows", "newest"]], list[int]] = {}
        reading = dict(readers(features, history.name))
        for index, feature in reading.items():
            kind: Literal["windows", "newest"] = "newest" if isinstance(feature, AsOfFeatures) else "windows"
            grouped.setdefault((tuple(sorted(feature.by.items())), kind), []).append(index)
        for (by, kind), indices in grouped.items():
            chosen = tuple((index, reading[index]) for index in indices)
            found.append(Track(len(found), history.name, by, kind, chosen, features.categorical))
    return tuple(found)


def read_histories(features: FeatureSet) -> list[History]:
    """The histories that features read."""
    return [history for history in features.histories if readers(features, history.name)]


def ties(features: FeatureSet, name: str) -> list[str]:
    """The prepared columns that decide which of several rows that became known together is the newest.

    The engine sorts a history's rows by these; the last one counts.
    """
    takes = [each for _, each in readers(features, name) if isinstance(each, AsOfFeatures)]
    return [EVENT_TIME, *dict.fromkeys(taken(column) for each in takes for column in each.columns.values())]


def definitions_digest(features: FeatureSet) -> str:
    """The digest of everything that decides what the store holds: histories, and what is read of them.

    Row features are computed at the look-up, so they are not part of it. An expression that calls a Python function
    counts as another one once the function has changed, or lies elsewhere.
    """
    described: dict[str, object] = {"layout": 1, "categorical": list(features.categorical)}
    for history in read_histories(features):
        described[history.name] = {
            "table": history.table,
            "known_at": _digest(history.known_at),
            "event_time": _digest(history.event_time),
            "where": None if history.where is None else _digest(history.where),
            "max_delay": str(history.max_delay),
            "features": [[index, *_described(each)] for index, each in readers(features, history.name)],
        }
    return digest_of_value(described)


def _described(feature: AsOfFeatures | WindowFeatures) -> list[object]:
    by = sorted(feature.by.items())
    if isinstance(feature, AsOfFeatures):
        return ["as of", by, list(feature.columns.items()), str(feature.max_age)]
    value = None if feature.aggregation == "count" else _digest(feature.value)
    lengths = {label: str(length) for label, length in feature.windows.items()}
    return ["window", feature.prefix, by, feature.aggregation, value, lengths]


def _digest(expression: pl.Expr) -> str:
    return digest_of_bytes(expression.meta.serialize())


def kind_of(dtype: pl.DataType) -> str:
    """The kind of a key's values; keys of different kinds are never equal. `dtype` is what `as_key` gives."""
    return _TEXT if isinstance(dtype, pl.String | pl.Categorical | pl.Enum) else str(dtype)


def key_text(dtype: pl.DataType, column: pl.Expr) -> pl.Expr:
    """A key's values as text: numbers, dates and times by the integer that stands for them."""
    if kind_of(dtype) == _TEXT:
        return column.cast(pl.String)
    return column.to_physical().cast(pl.Int64).cast(pl.String)


def place_of(number: int, keys: Sequence[str]) -> str:
    """The place of a group: the number of its track and its keys. Different keys never have one place."""
    if not keys:
        return f"{number}|"
    # The length goes before every key but the last, so that no key can pretend to be two.
    return f"{number}|{''.join(f'{len(key)}{_SEPARATOR}{key}' for key in keys[:-1])}{keys[-1]}"


def places(track: Track, rows: pl.DataFrame) -> pl.Series:
    """The place of each of a history's prepared rows; null for rows of which a key is null: they are in no group."""
    names = [group_key(other) for _, other in track.by]
    parts: list[pl.Expr] = [pl.lit(f"{track.number}|")]
    for place, name in enumerate(names, start=1):
        text = key_text(rows.schema[name], pl.col(name))
        if place < len(names):
            parts.extend((text.str.len_chars().cast(pl.String), pl.lit(_SEPARATOR)))
        parts.append(text)
    return rows.with_columns(pl.concat_str(parts, ignore_nulls=False).alias("place"))["place"]
