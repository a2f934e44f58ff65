"""The blocks of a SQLite store in memory: a look-up then costs one small query, for what has changed since the last."""

import sqlite3
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gitrain.online.store import Change, Found, Point

__all__ = ["MIRROR_TABLES", "SqliteMirror", "note_touched"]

MIRROR_TABLES = """
CREATE TABLE IF NOT EXISTS touched (
    number INTEGER NOT NULL, place TEXT NOT NULL, since INTEGER NOT NULL, PRIMARY KEY (number, place)
) WITHOUT ROWID;
"""
# Who has fallen further behind than so many changes reads everything again.
_REMEMBERED = 100
_EARLIEST = -(2**63)
# Of all blocks together: a service has memory for this, and a larger store is asked by SQL.
_MOST_BYTES = 128 * 2**20

_Blocks = tuple[list[int], list[bytes]]


@dataclass(frozen=True)
class _Copy:
    """The blocks of one version, by place: the moments that they begin at, and the blocks; None if they are too many.

    Attributes:
        number: of the change that made the version.
        version: as the state has it.
        blocks: by place.
    """

    number: int
    version: str | None
    blocks: Mapping[str, _Blocks] | None


class SqliteMirror:
    """A copy of the blocks that follows the file. Safe to use from several threads."""

    def __init__(self) -> None:
        self._copy: _Copy | None = None
        self._guard = threading.Lock()

    def find(self, connection: sqlite3.Connection, points: Sequence[Point]) -> Found | None:
        """The blocks that hold at these points, in the file's newest version; None if it has more than fits."""
        copy = self._copy
        row = connection.execute("SELECT number FROM state").fetchone()
        if copy is None or copy.number != (0 if row is None else row[0]):
            with self._guard:
                copy = self._follow(connection)
        if copy.blocks is None:
            return None
        get = copy.blocks.get
        found: list[bytes | None] = []
        for place, moment in points:
            known = get(place)
            at = 0 if known is None else bisect_right(known[0], moment)
            found.append(known[1][at - 1] if at and known is not None else None)
        return Found(version=copy.version, blocks=found)

    def forget(self) -> None:
        """Another file has taken the place of the former."""
        self._copy = None

    def _follow(self, connection: sqlite3.Connection) -> _Copy:
        # One transaction sees one version.
        connection.execute("BEGIN")
        try:
            row = connection.execute("SELECT number, cleared, version FROM state").fetchone()
            number, cleared, version = (0, 0, None) if row is None else row
            known = self._copy
            if known is None or known.blocks is None or known.number < max(cleared, number - _REMEMBERED):
                copy = _Copy(number, version, _all_blocks(connection))
            elif known.number == number:
                return known
            else:
                copy = _Copy(number, version, _changed(connection, known.blocks, known.number))
        finally:
            connection.execute("ROLLBACK")
        self._copy = copy
        return copy


def note_touched(connection: sqlite3.Connection, change: Change, number: int) -> None:
    """Write down which places a change touches, and forget who did so long ago."""
    since = {run.place: run.since for run in change.runs} | dict.fromkeys(change.forget, _EARLIEST)
    rows = [(number, place, moment) for place, moment in since.items()]
    # After a clearing everything is read again.
    if not change.clear:
        connection.executemany("INSERT INTO touched VALUES (?, ?, ?)", rows)
    connection.execute("DELETE FROM touched WHERE number <= ?", (number if change.clear else number - _REMEMBERED,))


def _all_blocks(connection: sqlite3.Connection) -> dict[str, _Blocks] | None:
    blocks: dict[str, _Blocks] = {}
    size = 0
    for place, first, block in connection.execute("SELECT place, first, block FROM blocks ORDER BY place, first"):
        size += len(block)
        if size > _MOST_BYTES:
            return None
        firsts, contents = blocks.setdefault(place, ([], []))
        firsts.append(first)
        contents.append(block)
    return blocks


def _changed(connection: sqlite3.Connection, blocks: Mapping[str, _Blocks], number: int) -> dict[str, _Blocks]:
    """A copy in which the places that were touched since a change are read again, from where they were touched."""
    changed = dict(blocks)
    touched = "SELECT place, min(since) FROM touched WHERE number > ? GROUP BY place"
    for place, since in connection.execute(touched, (number,)).fetchall():
        firsts, contents = blocks.get(place, ([], []))
        kept = bisect_left(firsts, since)
        rows = connection.execute(
            "SELECT first, block FROM blocks WHERE place = ? AND first >= ? ORDER BY first", (place, since)
        ).fetchall()
        changed[place] = (
            [*firsts[:kept], *(first for first, _ in rows)],
            [*contents[:kept], *(block for _, block in rows)],
        )
    return changed
