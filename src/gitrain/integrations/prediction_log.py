"""The prediction log on disk: JSON lines in a folder, written by a thread of their own.

A request hands its rows over and goes on: it never waits for a disk. Twenty times a second, under load a hundred times,
and when the service ends, the thread writes what has come together, whole lines at a time. One process writes one file,
which it holds a lock on; a file of 32 MB is followed by the next, and the oldest go, with their copies, once the folder
holds more than it may. What does not fit the bounded queue, or cannot be written, is counted and dropped.

After ``kill -9`` a file may end in half a line, and up to a twentieth of a second of records may be missing; nothing
else is lost, and the reader passes over the half line.
"""

import contextlib
import fcntl
import os
import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import polars as pl

from gitrain.integrations.log_copier import LogCopier
from gitrain.integrations.log_copies import copies_by_file
from gitrain.serving.log_records import LogObserver, PredictedRows, ReadRecords, encode_records, parse_records

__all__ = ["PredictionLog", "read_predictions"]

#: Seconds between two writes while nothing comes, and while something does: what is written often is little each time,
#: and hardly holds up the thread that answers.
_INTERVAL, _SHORT_INTERVAL = 0.05, 0.01
#: Rows that are made into text in one go, a third of a millisecond of work, and how long who answers goes first then.
_ROWS_AT_ONCE = 16
_BREATH_SECONDS = 0.001


class PredictionLog:
    """Writes predictions into a folder.

    Args:
        folder: made if it is not there.
        clock: the time now, UTC; it names files.
        observer: learns what became of records.
        copier: has copies made of the files that are finished; None: nobody has.
        max_file_bytes: a file that would grow beyond this is followed by the next.
        max_total_bytes: the oldest files of the folder are removed beyond this, copies counted; those that a process is
            writing stay.
        max_waiting: rows that may wait to be written; more are dropped.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], datetime],
        observer: LogObserver,
        copier: LogCopier | None = None,
        max_file_bytes: int = 32 * 2**20,
        max_total_bytes: int = 5 * 2**28,
        max_waiting: int = 20_000,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._observer = observer
        self._copier = copier
        self._max_file_bytes = max_file_bytes
        self._max_total_bytes = max_total_bytes
        self._max_waiting = max_waiting
        self._parts: deque[PredictedRows] = deque()
        self._waiting = 0
        self._lock = threading.Lock()
        self._file: _File | None = None
        self._files = 0
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, rows: PredictedRows) -> bool:
        """Take over some rows; never waits. Returns False where they had to be dropped: the queue is full."""
        with self._lock:
            taken = self._waiting + len(rows) <= self._max_waiting
            if taken:
                self._waiting += len(rows)
                self._parts.append(rows)
        if not taken:
            self._observer.dropped(len(rows), "full")
        return taken

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what waits and end the thread."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.write_waiting()
        self._close_file()
        if self._copier is not None:
            self._copier.close()

    def write_waiting(self) -> None:
        """Write what waits now. The thread does this; nobody else has to."""
        self._write_all()

    def _write_all(self) -> int:
        """Gives the number of rows."""
        count = 0
        while parts := self._take():
            rows = sum(map(len, parts))
            try:
                self._write(encode_records(parts))
            except Exception as error:  # a log never ends its service
                self._observer.dropped(rows, "error")
                self._observer.failed(error)
                # What follows half a line would be unreadable: the next write begins a new file.
                self._close_file()
            else:
                self._observer.written(rows)
            count += rows
            # Requests that came in meanwhile go first; once the service ends there are none.
            if self._parts:
                self._ending.wait(_BREATH_SECONDS)
        return count

    def _run(self) -> None:
        interval = _INTERVAL
        while not self._ending.wait(interval):
            interval = _SHORT_INTERVAL if self._write_all() else _INTERVAL
            if self._copier is not None:
                try:
                    self._copier.turn()
                except Exception as error:  # a log never ends its service
                    self._observer.failed(error)

    def _take(self) -> list[PredictedRows]:
        taken: list[PredictedRows] = []
        rows = 0
        with self._lock:
            while self._parts and rows < _ROWS_AT_ONCE:
                part = self._parts.popleft()
                taken.append(part)
                rows += len(part)
            self._waiting -= rows
        return taken

    def _write(self, lines: bytes) -> None:
        if self._file is not None and self._file.size + len(lines) > self._max_file_bytes:
            self._close_file()
        if self._file is None:
            self._file = self._next_file()
            room = self._max_file_bytes
            if self._copier is not None:
                self._copier.begun()
                # Its copy will be a quarter of it, or less.
                room += room // 4
            self._remove_oldest(room=room)
        self._file.write(lines)

    def _next_file(self) -> "_File":
        self._folder.mkdir(parents=True, exist_ok=True)
        while True:
            self._files += 1
            name = f"predictions-{self._clock():%Y%m%dT%H%M%S.%fZ}-{os.getpid()}-{self._files:06}.jsonl"
            file = _File.create(self._folder / name)
            if file is not None:
                return file

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _remove_oldest(self, *, room: int) -> None:
        """Remove files, oldest first, until `room` bytes are left; a file that somebody writes is locked and stays."""
        # Copies first: one whose file is there afterwards is no orphan.
        copies = copies_by_file(self._folder)
        # Names begin with the time, so that they sort by age.
        sizes = {path: _size(path) for path in _files(self._folder)}
        for name in set(copies) - {path.name for path in sizes}:
            _remove(copies.pop(name))
        copied = {name: sum(map(_size, paths)) for name, paths in copies.items()}
        surplus = sum(sizes.values()) + sum(copied.values()) + room - self._max_total_bytes
        for path, size in sizes.items():
            if surplus <= 0:
                break
            if _remove_unless_locked(path):
                _remove(copies.get(path.name, []))
                surplus -= size + copied.get(path.name, 0)


def read_predictions(folder: Path) -> ReadRecords:
    """All records of a folder, oldest file first. Files that are being written may be read.

    Raises:
        DataError: a file holds something else.
    """
    read = [parse_records(path.read_bytes(), source=str(path)) for path in _files(folder)]
    frames = [part.frame for part in read if part.frame.height]
    if not frames:
        return ReadRecords(
            frame=read[0].frame if read else parse_records(b"", source="").frame, torn=sum(part.torn for part in read)
        )
    # A release may have other inputs or features than the one before it.
    frame = pl.concat(frames, how="diagonal_relaxed") if len(frames) > 1 else frames[0]
    return ReadRecords(frame=frame, torn=sum(part.torn for part in read))


class _File:
    """An open file of the log, locked as long as its process lives."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = 0

    @classmethod
    def create(cls, path: Path) -> "_File | None":
        """A new file; None where there is one of that name, or another worker has just removed this one."""
        try:
            # They hold what users asked: nobody else's business.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o640)
        except FileExistsError:
            return None
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink == 0:
            os.close(descriptor)
            return None
        return cls(descriptor)

    def write(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            count = os.write(self._descriptor, view)
            self.size += count
            view = view[count:]

    def close(self) -> None:
        os.close(self._descriptor)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("predictions-*.jsonl"))


def _size(path: Path) -> int:
    # Another worker may have removed it.
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def _remove(copies: list[Path]) -> None:
    for path in copies:
        # One that cannot be removed costs room, and no record.
        with contextlib.suppress(OSError):
            path.unlink()


def _remove_unless_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        # Who writes holds it alone; who looks shares it, and does not keep the oldest file in its place.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        path.unlink(missing_ok=True)
        return True
    finally:
        os.close(descriptor)
