"""Copies of a log's files as Parquet: several times as fast to read, and the same to the last bit.

A copy is of one state of a file (its name, size and time) and of one schema: both are in its name, and the copy of
another state is none. It begins with the SHA-256 of what follows: bits that have flipped give other values without a
word from Polars. The lines are the truth: whatever is wrong with a copy, it counts as none.

Services have them made of what they have finished (`gitrain.integrations.log_copier`), in a folder inside that of the
log; looks make those that they find missing, in a folder of their own.
"""

import contextlib
import fcntl
import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import polars as pl

from gitrain.integrations.files import replacing
from gitrain.lineage import digest_of_value
from gitrain.monitoring.log_content import DamagedLines, LoggedPredictions

__all__ = [
    "COPIES",
    "copies_by_file",
    "copy_name",
    "finished_without_copy",
    "read_copy",
    "remove_unfinished",
    "short_digest",
    "write_copy",
    "writing_copies",
]

#: The folder inside that of a log which holds the copies that its services have made.
COPIES = "kept"

_SUFFIX = ".kept"
_LOCK = ".lock"
_COUNTS = "gitrain"
_FORMAT = 4
# The structs of a record, whose fields are kept as columns of their own: five times as fast to read.
_STRUCTS = ("inputs", "features")
_DIGEST_BYTES = 32


def copy_name(path: Path, state: os.stat_result, schema: Mapping[str, pl.DataType], *, log: str = "") -> str:
    """What the copy of a file is called.

    Args:
        path: the file.
        state: its size and time.
        schema: of its records.
        log: tells logs apart whose copies lie in one folder.
    """
    key = digest_of_value(
        {
            "size": state.st_size,
            "time": state.st_mtime_ns,
            "format": _FORMAT,
            "schema": {name: str(dtype) for name, dtype in schema.items()},
        }
    )
    return ".".join(part for part in (path.stem, log, short_digest(key)) if part) + _SUFFIX


def short_digest(digest: str) -> str:
    """Enough of a digest for a name."""
    return digest.removeprefix("sha256:")[:16]


def copies_by_file(folder: Path) -> dict[str, list[Path]]:
    """The copies inside a log's folder, by the names of the files that they were made of."""
    found: dict[str, list[Path]] = {}
    for path in sorted((folder / COPIES).glob(f"predictions-*{_SUFFIX}")):
        source = f"{path.name.removesuffix(_SUFFIX).rpartition('.')[0]}.jsonl"
        found.setdefault(source, []).append(path)
    return found


def finished_without_copy(folder: Path) -> list[Path]:
    """The files of a log that nobody writes any more and that have no copy inside its folder, oldest first.

    A copy for another schema is one: which release's copies are made is a matter of who was first.
    """
    copied = copies_by_file(folder)
    return [path for path in sorted(folder.glob("predictions-*.jsonl")) if path.name not in copied and _finished(path)]


def _finished(path: Path) -> bool:
    """Whoever writes a file holds its lock; one that is empty has just been made, and who made it waits for the lock.

    So that lock is not touched: a look that is given no core while it holds it would hold up the log.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if os.fstat(descriptor).st_size == 0:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def writing_copies(folder: Path) -> Iterator[bool]:
    """Whether this process is the one that makes copies inside a log's folder now; only one is at a time.

    Raises:
        OSError: nothing can be written there.
    """
    place = folder / COPIES
    # They hold what users asked: nobody else's business.
    place.mkdir(mode=0o750, exist_ok=True)
    descriptor = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def remove_unfinished(folder: Path) -> None:
    """Remove what was left half written, as who makes copies; what cannot be removed costs room alone."""
    for path in (folder / COPIES).glob(".predictions-*.part"):
        with contextlib.suppress(OSError):
            path.unlink()


def read_copy(path: Path, schema: Mapping[str, pl.DataType]) -> LoggedPredictions | None:
    """What a copy holds; None where there is none, or it is damaged."""
    try:
        with path.open("rb") as file:
            digest = file.read(_DIGEST_BYTES)
            content = file.read()
        if hashlib.sha256(content).digest() != digest:
            return None
        counts = json.loads(pl.read_parquet_metadata(io.BytesIO(content))[_COUNTS])
        frame = _nested(pl.read_parquet(io.BytesIO(content)), schema)
        damaged = tuple(
            DamagedLines(lines=lines, first=_moment(first), last=_moment(last))
            for lines, first, last in counts["damaged"]
        )
        return LoggedPredictions(frame=frame, files=1, torn=counts["torn"], damaged=damaged)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        OverflowError,
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,  # no Exception, as Python sees it
    ):
        return None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text is not None else None


def write_copy(path: Path, part: LoggedPredictions) -> None:
    """Make the copy of a file that was read, in one step.

    Raises:
        OSError, PolarsError: it cannot be written; of a full disk Polars tells in its own words.
    """
    damaged = [
        (each.lines, *(edge.isoformat() if edge is not None else None for edge in (each.first, each.last)))
        for each in part.damaged
    ]
    content = io.BytesIO()
    _flat(part.frame).write_parquet(
        content, compression="lz4", metadata={_COUNTS: json.dumps({"torn": part.torn, "damaged": damaged})}
    )
    with replacing(path) as file:
        file.write(hashlib.sha256(content.getbuffer()).digest())
        file.write(content.getbuffer())


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Each field of a struct, and whether the struct is there: one that is not is another thing than one of nulls."""
    columns: list[pl.Series] = []
    for column in frame:
        if column.name not in _STRUCTS:
            columns.append(column)
            continue
        columns.append(column.is_not_null())
        columns += [each.alias(f"{column.name}:{each.name}") for each in column.struct.unnest()]
    return pl.DataFrame(columns)


def _nested(flat: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    columns: list[pl.Expr] = []
    for name, dtype in schema.items():
        if not isinstance(dtype, pl.Struct) or name not in _STRUCTS:
            columns.append(pl.col(name))
            continue
        struct = pl.struct(pl.col(f"{name}:{field.name}").alias(field.name) for field in dtype.fields)
        if not flat[name].all():
            struct = pl.when(pl.col(name)).then(struct)
        columns.append(struct.alias(name))
    return flat.select(columns)
