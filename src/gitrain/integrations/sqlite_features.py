"""The online store in a SQLite file: readers never wait for a writer, and one that is killed has written nothing."""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gitrain.errors import IntegrationError
from gitrain.integrations.sqlite_mirror import MIRROR_TABLES, SqliteMirror, note_touched
from gitrain.online.store import Change, Found, Point, StoredText

__all__ = ["SqliteStore"]

_TABLES = """
CREATE TABLE IF NOT EXISTS state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL, cleared INTEGER NOT NULL, version TEXT NOT NULL, text TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS blocks (
    place TEXT NOT NULL, first INTEGER NOT NULL, block BLOB NOT NULL, PRIMARY KEY (place, first)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tables (name TEXT PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID;
"""
# Written into the file's header: a database of something else is left alone.
_APPLICATION = 0x6717A1
_VERSION = "(SELECT version FROM state)"
_NEWEST = "(SELECT block FROM blocks WHERE place = p.place AND first <= p.moment ORDER BY first DESC LIMIT 1)"
# Two parameters a point; SQLite's limit is 32,766 of them, and a text of this length is parsed once a connection.
_POINTS_AT_ONCE = 1024
_MAPPED_BYTES = 2**30
_PATIENCE_SECONDS = 30


class SqliteStore:
    """An `OnlineStore` in one file.

    Args:
        path: of the file; it is made by the first change, and a missing one is an empty store.
        mirrored: keep a copy of the blocks in memory, for who looks up again and again.
    """

    def __init__(self, path: Path, *, mirrored: bool = False) -> None:
        self._path = path
        self._mirror = SqliteMirror() if mirrored else None
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        self._statements: dict[int, str] = {}

    @property
    def address(self) -> str:
        """Where it is."""
        return f"sqlite:///{self._path}"

    def state(self) -> StoredText | None:
        """The newest state; None before anything was written."""
        with self._reading() as connection:
            row = None if connection is None else connection.execute("SELECT version, text FROM state").fetchone()
        return None if row is None else StoredText(version=row[0], text=row[1])

    def find(self, points: Sequence[Point]) -> Found:
        """The blocks that hold at these points, read in one step."""
        with self._reading() as connection:
            if connection is None:
                return Found(version=None, blocks=[None] * len(points))
            mirrored = None if self._mirror is None else self._mirror.find(connection, points)
            if mirrored is not None:
                return mirrored
            if len(points) <= _POINTS_AT_ONCE:
                return _found(connection.execute(self._statement(len(points)), _flat(points)).fetchall())
            # One transaction sees one version.
            connection.execute("BEGIN")
            try:
                rows: list[tuple[str | None, bytes | None]] = []
                for start in range(0, len(points), _POINTS_AT_ONCE):
                    part = points[start : start + _POINTS_AT_ONCE]
                    rows += connection.execute(self._statement(len(part)), _flat(part)).fetchall()
            finally:
                connection.execute("ROLLBACK")
            return _found(rows)

    def tables(self, names: Sequence[str]) -> list[bytes | None]:
        """Tables by name; None for what is not there."""
        with self._reading() as connection:
            if connection is None:
                return [None] * len(names)
            rows = [
                connection.execute("SELECT content FROM tables WHERE name = ?", (name,)).fetchone() for name in names
            ]
        return [None if row is None else row[0] for row in rows]

    def places(self) -> list[str]:
        """All places that have blocks."""
        with self._reading() as connection:
            if connection is None:
                return []
            return [place for (place,) in connection.execute("SELECT DISTINCT place FROM blocks")]

    def apply(self, change: Change, *, expected: str | None) -> bool:
        """Make a change in one transaction."""
        with self._reporting():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=_PATIENCE_SECONDS)
            try:
                self._prepare(connection)
                connection.execute("BEGIN IMMEDIATE")
                row = connection.execute("SELECT version FROM state").fetchone()
                if (None if row is None else row[0]) != expected:
                    connection.execute("ROLLBACK")
                    return False
                _write(connection, change)
                connection.execute("COMMIT")
            finally:
                # What has not been committed is rolled back.
                connection.close()
        return True

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._guard:
            for connection in self._open:
                connection.close()
            self._open.clear()
            self._local = threading.local()

    def _prepare(self, connection: sqlite3.Connection) -> None:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        if application != _APPLICATION:
            if application or connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                raise IntegrationError(
                    f"{self.address} is a database of something else",
                    fix="name another file with --store, or remove this one.",
                )
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(
                f"BEGIN IMMEDIATE; {_TABLES} {MIRROR_TABLES} PRAGMA application_id = {_APPLICATION}; COMMIT;"
            )
        # In WAL mode this survives a killed process; after a power cut the newest change may be missing, whole.
        connection.execute("PRAGMA synchronous = NORMAL")

    def _statement(self, count: int) -> str:
        if count not in self._statements:
            # Built of question marks alone; the values are bound.
            values = ",".join(["(?,?)"] * count)
            self._statements[count] = f"WITH p(place, moment) AS (VALUES {values}) SELECT {_VERSION}, {_NEWEST} FROM p"  # noqa: S608
        return self._statements[count]

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        with self._reporting():
            yield self._connection()

    def _connection(self) -> sqlite3.Connection | None:
        """This thread's connection; None while there is no file."""
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            return None
        file = (found.st_dev, found.st_ino)
        # A file that was put in the place of the former one is another store.
        if getattr(self._local, "file", None) == file:
            connection: sqlite3.Connection = self._local.connection
            return connection
        if self._mirror is not None:
            self._mirror.forget()
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=rw",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=_PATIENCE_SECONDS,
        )
        try:
            connection.execute(f"PRAGMA mmap_size = {_MAPPED_BYTES}")
            if connection.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION:
                connection.close()
                return None
            connection.execute("PRAGMA query_only = ON")
        except sqlite3.Error:
            connection.close()
            raise
        with self._guard:
            self._open.append(connection)
            self._local.connection, self._local.file = connection, file
        return connection

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise IntegrationError(
                f"the online store {self.address} cannot be used: {error}",
                fix="correct the path or its permissions; if the file is damaged, remove it and run "
                "`gitrain features materialize`.",
            ) from error


def _flat(points: Sequence[Point]) -> list[str | int]:
    return [part for point in points for part in point]


def _found(rows: Sequence[tuple[str | None, bytes | None]]) -> Found:
    return Found(version=rows[0][0] if rows else None, blocks=[block for _, block in rows])


def _write(connection: sqlite3.Connection, change: Change) -> None:
    if change.clear:
        for table in ("blocks", "tables"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608  (one of the two names above)
    connection.executemany("DELETE FROM blocks WHERE place = ? AND first < ?", change.forget.items())
    connection.executemany(
        "DELETE FROM blocks WHERE place = ? AND first >= ?", ((run.place, run.since) for run in change.runs)
    )
    # In the order of the tree, which is twice as quick.
    rows = sorted((run.place, first, block) for run in change.runs for first, block in run.blocks)
    connection.executemany("INSERT INTO blocks VALUES (?, ?, ?)", rows)
    connection.executemany("DELETE FROM tables WHERE name = ?", ((name,) for name in change.drop))
    connection.executemany("REPLACE INTO tables VALUES (?, ?)", change.put.items())
    row = connection.execute("SELECT number + 1, cleared FROM state").fetchone()
    number, cleared = (1, 1) if row is None else row
    note_touched(connection, change, number)
    connection.execute(
        "REPLACE INTO state VALUES (1, ?, ?, ?, ?)",
        (number, number if change.clear else cleared, change.state.version, change.state.text),
    )
