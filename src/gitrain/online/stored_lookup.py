"""Look-ups in an online store: to the last bit what `compute_features` gives for the same rows and histories."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from gitrain.errors import FeatureError, IntegrationError
from gitrain.features.definitions import FeatureSet
from gitrain.online.coverage import NOTHING
from gitrain.online.given_rows import GivenRows, is_short
from gitrain.online.known_rows import KnownRows, RowReader
from gitrain.online.lookup import FoundFeatures
from gitrain.online.many_rows import ManyRows
from gitrain.online.readers import ColumnMaker, NewestReader, WindowReader
from gitrain.online.revision import read_state
from gitrain.online.state import StoreState, moment
from gitrain.online.store import OnlineStore, Point
from gitrain.online.tracks import definitions_digest, read_histories, tracks_of

__all__ = ["MANY_ROWS", "StoredLookup"]

#: From so many rows on it is quicker to compute all at once from the histories than to look each up.
MANY_ROWS = 400
_ATTEMPTS = 5
# Groups are few, and asked for again and again. Some megabytes.
_MOST_REMEMBERED = 2048

_Keys = tuple[str | None, ...]


@dataclass(frozen=True)
class _Held:
    """What a version of the store holds of a history that features read.

    Attributes:
        name: of the history.
        held_from: from when on all its rows are held; `NOTHING` if it is not held.
        newest: when its newest row became known.
        patience: how long before a decision that may be, microseconds; None for as long as you like.
    """

    name: str
    held_from: int
    newest: int | None
    patience: int | None

    def behind(self, decision: int) -> bool:
        """Whether the history has fallen behind a decision."""
        return self.newest is None or (self.patience is not None and decision - self.newest > self.patience)


@dataclass(frozen=True)
class _Version:
    """A version of the store, and how its records are read."""

    version: str | None
    state: StoreState | None
    held: tuple[_Held, ...]
    windows: WindowReader
    newest_readers: tuple[NewestReader, ...]
    newest: dict[str, datetime | None]


class StoredLookup:
    """A `FeatureLookup` over an online store.

    What cannot be known is never zero: if a history is not held, or a window begins before what is held of it, the
    features are NaN (or None), and the history is among the row's `stale` ones.

    Args:
        features: the definitions.
        store: where the histories are; None for a project without histories.
        many_rows: calls with at least so many rows are computed at once.
    """

    def __init__(self, features: FeatureSet, store: OnlineStore | None, *, many_rows: int = MANY_ROWS) -> None:
        self._features = features
        self._tracks = tracks_of(features)
        self._windows = [track for track in self._tracks if track.kind == "windows"]
        self._newest = [track for track in self._tracks if track.kind == "newest"]
        # Without histories nothing is asked of a store.
        self._store = store if self._tracks else None
        self._many_rows = many_rows
        self._histories = read_histories(features)
        if self._tracks and store is None:
            raise FeatureError("the features read histories, and there is no store", fix="name an online store.")
        self._definitions = definitions_digest(features)
        self._maker = ColumnMaker(features)
        self._reader = RowReader(features, self._tracks)
        self._many = None if self._store is None else ManyRows(features, self._store)
        self._known = self._version_of(None, None)
        # By the texts of a row's keys, its place for each of the windows' points, and for each track of newest rows.
        self._places: dict[_Keys, tuple[list[str], list[str]]] = {}
        self._checked: tuple[_Version, Mapping[str, str]] | None = None

    def look_up(self, rows: pl.DataFrame | GivenRows) -> FoundFeatures:
        """The features of rows, as they were known at each row's decision."""
        rows = GivenRows.of(rows)
        if self._store is None:
            read = self._reader.read(rows)
            columns = self._maker.make(read.features, rows.height, {})
            return FoundFeatures(columns=columns, stale=((),) * rows.height, newest={})
        if self._many is not None and rows.height >= self._many_rows:
            found = self._all_at_once(self._store, self._many, rows.frame)
            if found is not None:
                return found
        return self._one_by_one(self._store, rows.height, self._reader.read(rows))

    def newest(self) -> dict[str, datetime | None]:
        """By history, when its newest row became known; None where nothing is held.

        Raises:
            IntegrationError: the store cannot be reached, or was made with other definitions.
        """
        return dict(self._current().newest) if self._store is not None else {}

    def close(self) -> None:
        """Let go of the store's connections."""
        if self._store is not None:
            self._store.close()

    def _one_by_one(self, store: OnlineStore, height: int, read: KnownRows) -> FoundFeatures:
        points = self._points(height, read)
        for _ in range(_ATTEMPTS):
            found = store.find(points)
            known = self._known if self._known.version == found.version else self._current()
            if known.version != found.version:
                # Somebody changed it in between; what was found belongs to the version before.
                continue
            self._check_kinds(known, read)
            values: dict[str, Sequence[Any]] = dict(read.features)
            place = len(known.windows.points) * height
            windows, uncovered = known.windows.read(read.decisions, found.blocks[:place])
            for reader in known.newest_readers:
                rows = reader.read(values, read.decisions, found.blocks[place : place + height])
                place += height
                uncovered += [(row, reader.history) for row in rows]
            ready = dict(zip(known.windows.names, windows, strict=True))
            return FoundFeatures(
                columns=self._maker.make(values, height, ready),
                stale=_stale(known.held, read.decisions, uncovered),
                newest=known.newest,
            )
        raise _restless(store)

    def _points(self, height: int, read: KnownRows) -> list[Point]:
        """For each track and row the moments that it is asked for: of groups that do not exist as well."""
        # Where nothing is grouped there are no keys, and all rows are in one group.
        places = self._places_of(read, list(zip(*read.keys.values(), strict=True)) or [()] * height)
        offsets = [offset for _, offset in self._known.windows.points]
        points: list[Point] = []
        for (windows, _), decision in zip(places, read.decisions, strict=True):
            points += zip(windows, [decision - offset for offset in offsets], strict=True)
        for number in range(len(self._newest)):
            points += zip([newest[number] for _, newest in places], read.decisions, strict=True)
        return points

    def _places_of(self, read: KnownRows, keys: Sequence[_Keys]) -> list[tuple[list[str], list[str]]]:
        known = self._places
        new = [key for key in dict.fromkeys(keys) if key not in known]
        if not new:
            return [known[key] for key in keys]
        columns = dict(zip(read.keys, zip(*new, strict=True), strict=True))
        windows = [track.places_of(columns, len(new)) for track in self._windows]
        newest = [track.places_of(columns, len(new)) for track in self._newest]
        wanted = [track for track, _ in self._known.windows.points]
        added = {
            key: ([windows[track][row] for track in wanted], [found[row] for found in newest])
            for row, key in enumerate(new)
        }
        # Other threads read what is remembered: it is replaced, and never cleared.
        kept = {} if len(known) > _MOST_REMEMBERED else known
        self._places = kept | {key: found for key, found in added.items() if is_short(key)}
        return [added[key] if key in added else known[key] for key in keys]

    def _all_at_once(self, store: OnlineStore, many: ManyRows, rows: pl.DataFrame) -> FoundFeatures | None:
        """None if the store is empty: then there is nothing to compute from."""
        for _ in range(_ATTEMPTS):
            known = self._current()
            if known.state is None:
                return None
            held = {each.name: each.held_from for each in known.held}
            computed = many.compute(rows, known.state, held)
            if computed is None:
                continue
            uncovered = [(row, name) for name, places in computed.uncovered.items() for row in places]
            return FoundFeatures(
                columns=computed.columns, stale=_stale(known.held, computed.decisions, uncovered), newest=known.newest
            )
        raise _restless(store)

    def _current(self) -> _Version:
        """The store's newest version, read again if it is another one than before."""
        assert self._store is not None  # noqa: S101
        stored = self._store.state()
        known = self._known
        if (None if stored is None else stored.version) != known.version:
            state = None if stored is None else read_state(stored, address=self._store.address)
            known = self._version_of(None if stored is None else stored.version, state)
            self._known = known
        return known

    def _version_of(self, version: str | None, state: StoreState | None) -> _Version:
        if state is not None and self._store is not None and state.definitions != self._definitions:
            raise IntegrationError(
                f"the online store {self._store.address} was made with other feature definitions than these",
                fix="run `gitrain features materialize` with these definitions, or name another store: each set of "
                "definitions has its own.",
            )
        stored = {} if state is None else state.histories
        held = tuple(
            _Held(
                name=each.name,
                held_from=stored[each.name].held_from if each.name in stored else NOTHING,
                newest=stored[each.name].newest if each.name in stored else None,
                patience=None if each.stale_after is None else each.stale_after // timedelta(microseconds=1),
            )
            for each in self._histories
        )
        starts = {each.name: each.held_from for each in held}
        real = {each.name: stored[each.name].real if each.name in stored else () for each in held}
        windows = WindowReader(self._windows, real, starts)
        newest_readers = tuple(NewestReader(track, starts[track.history]) for track in self._newest)
        newest = {each.name: None if each.newest is None else moment(each.newest) for each in held}
        return _Version(version, state, held, windows, newest_readers, newest)

    def _check_kinds(self, known: _Version, read: KnownRows) -> None:
        """Keys of different types are equal to nothing: as in training that is an error, not an empty group."""
        # Rows of a service have one schema, and the store one version for a long time.
        if known.state is None or (
            self._checked is not None and self._checked[0] is known and self._checked[1] is read.kinds
        ):
            return
        for track in self._tracks:
            kinds = known.state.histories[track.history].keys
            for column, other in track.by:
                if read.kinds[column] != kinds[other]:
                    raise FeatureError(
                        f"the entity's {column!r} is of type {read.kinds[column]}, {other!r} of history "
                        f"{track.history!r} is of type {kinds[other]}",
                        fix="give both columns one type.",
                    )
        self._checked = known, read.kinds


def _stale(
    held: Sequence[_Held], decisions: Sequence[int], uncovered: Sequence[tuple[int, str]]
) -> tuple[tuple[str, ...], ...]:
    # A history that is not behind the latest decision is behind none.
    latest = max(decisions, default=0)
    late = [each for each in held if each.behind(latest)]
    if not late and not uncovered:
        return ((),) * len(decisions)
    found = [[each.name for each in late if each.behind(decision)] for decision in decisions]
    for row, name in uncovered:
        found[row].append(name)
    return tuple(tuple(sorted(set(names))) if names else () for names in found)


def _restless(store: OnlineStore) -> IntegrationError:
    return IntegrationError(
        f"{store.address} was changed {_ATTEMPTS} times while features were looked up",
        fix="try again; push rows together rather than one by one.",
    )
