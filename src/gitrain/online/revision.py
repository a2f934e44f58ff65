"""What a change of a history's rows means for the store: pure, from rows to a `Change`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import polars as pl

from gitrain.documents import parse_json
from gitrain.errors import FeatureError, IntegrationError, SettingsError
from gitrain.features.definitions import FeatureSet
from gitrain.features.history import KNOWN_AT, group_key, value_of
from gitrain.lineage import digest_of_bytes
from gitrain.online.blocks import first_moment
from gitrain.online.history_rows import HistoryRows, from_bytes, to_bytes
from gitrain.online.records import runs_of
from gitrain.online.state import StoredHistory, StoredTable, StoreState
from gitrain.online.store import Found, OnlineStore, Point, Run, StoredText
from gitrain.online.tracks import Track, kind_of, ties

__all__ = ["Revision", "forgotten", "load_history", "pushed_table", "read_state", "runs", "summary"]


@dataclass(frozen=True, kw_only=True)
class Revision:
    """A history whose rows change.

    Attributes:
        name: of the history.
        after: its rows afterwards.
        changed: rows that were removed or added, at least those.
    """

    name: str
    after: HistoryRows
    changed: pl.DataFrame


def read_state(stored: StoredText, *, address: str) -> StoreState:
    """The document of a store.

    Raises:
        IntegrationError: it is of another version of Gitrain, or damaged.
    """
    try:
        return parse_json(StoreState, stored.text, source=address)
    except SettingsError as error:
        raise IntegrationError(
            f"the online store cannot be read: {error.what}",
            fix="run `gitrain features materialize`, which makes it anew.",
        ) from error


def load_history(store: OnlineStore, stored: StoredHistory) -> HistoryRows | None:
    """The rows that a store holds of a history; None if the store has changed since its state was read.

    Raises:
        IntegrationError: a table is damaged, or the store cannot be reached.
    """
    named = {**stored.batches, **({"": stored.pushed} if stored.pushed is not None else {})}
    contents = store.tables([table.name for table in named.values()])
    frames: dict[str, pl.DataFrame] = {}
    for (batch, table), content in zip(named.items(), contents, strict=True):
        if content is None:
            return None
        frames[batch] = from_bytes(content, name=table.name)
    pushed = frames.pop("", None)
    return HistoryRows(tuple(stored.key), frames, pushed)


def pushed_table(name: str, rows: pl.DataFrame | None) -> tuple[StoredTable | None, dict[str, bytes]]:
    """What the state says of the rows that were pushed to a history, and what is stored of them."""
    if rows is None:
        return None, {}
    content = to_bytes(rows)
    digest = digest_of_bytes(content)
    table = StoredTable(name=f"{name}/pushed/{digest[7:39]}", source=digest, rows=rows.height)
    return table, {table.name: content}


def summary(
    name: str,
    rows: HistoryRows,
    *,
    held_from: int,
    batches: Mapping[str, StoredTable],
    pushed: StoredTable | None,
) -> StoredHistory:
    """What the state says of a history.

    Raises:
        FeatureError: the batches do not agree on their types.
    """
    try:
        found = rows.rows
    except pl.exceptions.PolarsError as error:
        raise FeatureError(
            f"the batches of history {name!r} do not fit together: {' '.join(str(error).split())[:300]}",
            fix="give the columns that it reads one type in all batches.",
        ) from error
    newest = cast("int | None", found[KNOWN_AT].to_physical().max())
    prefix = group_key("")
    keys = {
        column.removeprefix(prefix): kind_of(dtype)
        for column, dtype in found.schema.items()
        if column.startswith(prefix)
    }
    return StoredHistory(
        held_from=held_from,
        newest=newest,
        rows=found.height,
        batches=dict(batches),
        pushed=pushed,
        key=rows.key,
        keys=keys,
        real=tuple(
            sorted(
                int(column.removeprefix(_VALUE))
                for column, dtype in found.schema.items()
                if column.startswith(_VALUE) and dtype.is_float()
            )
        ),
    )


_VALUE = value_of(0).removesuffix("0")


def runs(
    features: FeatureSet,
    tracks: Sequence[Track],
    revision: Revision,
    stored: StoredHistory,
    find: Callable[[list[Point]], Found] | None,
) -> list[Run]:
    """The blocks that change with a history's rows.

    Args:
        features: the definitions.
        tracks: of all histories.
        revision: what changes.
        stored: what the state will say of the history.
        find: reads the store as it is; None if nothing in it is kept.
    """
    rows = revision.after.rows
    order = ties(features, revision.name)
    found: list[Run] = []
    for track in tracks:
        if track.history == revision.name:
            found.extend(runs_of(track, rows, revision.changed, ties=order, real=stored.real, find=find))
    return found


def forgotten(
    tracks: Sequence[Track], name: str, moment: int, places: Sequence[str], find: Callable[[list[Point]], Found]
) -> dict[str, int]:
    """By place of a history, the moment before which no block is needed, if no window begins before `moment`."""
    numbers = {str(track.number) for track in tracks if track.history == name}
    mine = [place for place in places if place.partition("|")[0] in numbers]
    blocks = find([(place, moment) for place in mine]).blocks
    return {place: first_moment(block) for place, block in zip(mine, blocks, strict=True) if block is not None}
