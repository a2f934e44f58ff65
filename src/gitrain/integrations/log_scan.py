"""A folder of prediction logs, read fast and again and again: each file is parsed once, and kept as Parquet.

Monitoring looks at the same predictions every day, and reading a million of them from JSON takes longer than judging
them. What was parsed of a file is kept under its name, size, time and schema, behind its own digest; a file that has
grown is parsed anew, and so is one whose copy is damaged.
What cannot be read is counted and passed over: a log is what monitoring is about, and half a line is no reason to see
nothing.
"""

import contextlib
import hashlib
import io
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from gitrain.errors import DataError
from gitrain.integrations.files import replacing
from gitrain.lineage import digest_of_value
from gitrain.monitoring.logged import DamagedLines, LoggedPredictions, of_known_years
from gitrain.serving.log_records import SCHEMA_VERSION

__all__ = ["LogScan", "parse_log"]

_TIME = pl.Datetime("us", "UTC")
_COUNTS = "gitrain"
_FORMAT = 4
# The structs of a record, whose fields are kept as columns of their own: five times as fast to read.
_STRUCTS = ("inputs", "features")
# Files at a time. While one is taken apart, which Polars does in parallel, another is read, typed and kept.
_THREADS = 2
# Bytes that are parsed at a time: little to hold, and little that a line which cannot be read makes slow.
_BLOCK = 4 * 2**20
# Of a copy: the SHA-256 of all that follows it.
_DIGEST_BYTES = 32
# Copies of other logs, and what runs that were killed left half written, stay so long.
_STAYS_SECONDS = 7 * 86_400


class LogScan:
    """Reads the logs of a folder.

    Args:
        folder: that services write.
        kept: where what was parsed is kept, of other logs as well; None keeps nothing.
        clock: seconds since the epoch, as files have them.
    """

    def __init__(self, folder: Path, *, kept: Path | None, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._kept = kept
        self._clock = clock
        self._log = _short(digest_of_value(str(folder.resolve())))

    def read(self, schema: Mapping[str, pl.DataType]) -> LoggedPredictions:
        """All records. Files that are being written may be read.

        Raises:
            DataError: there is no such folder, or a file cannot be read at all.
        """
        if not self._folder.is_dir():
            raise DataError(
                f"there is no folder of predictions {self._folder}",
                fix="name the one that services log to (GITRAIN_PREDICTION_LOG) with --log, or deploy first.",
            )
        paths = sorted(self._folder.glob("predictions-*.jsonl"))
        with ThreadPoolExecutor(_THREADS) as pool:
            found = [each for each in pool.map(lambda path: self._found(path, schema), paths) if each is not None]
        self._forget({name for _, name in found})
        parts = [part for part, _ in found]
        return LoggedPredictions(
            frame=pl.concat(part.frame for part in parts) if parts else _empty(schema),
            files=len(paths),
            torn=sum(part.torn for part in parts),
            damaged=tuple(each for part in parts for each in part.damaged),
        )

    def _found(self, path: Path, schema: Mapping[str, pl.DataType]) -> tuple[LoggedPredictions, str] | None:
        try:
            return self._file(path, schema)
        except FileNotFoundError:
            return None  # the oldest are removed by the services that write them
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}", fix="see to its permissions.") from error

    def _file(self, path: Path, schema: Mapping[str, pl.DataType]) -> tuple[LoggedPredictions, str]:
        state = path.stat()
        key = digest_of_value(
            {
                "size": state.st_size,
                "time": state.st_mtime_ns,
                "format": _FORMAT,
                "schema": {name: str(dtype) for name, dtype in schema.items()},
            }
        )
        name = f"{path.stem}.{self._log}.{_short(key)}.kept"
        if self._kept is not None:
            found = _kept(self._kept / name, schema)
            if found is not None:
                return found, name
        content = path.read_bytes()
        part = parse_log(content, schema)
        # A file that has grown since its size was taken would be kept under the wrong name.
        if self._kept is not None and len(content) == state.st_size:
            _keep(self._kept / name, part)
        return part, name

    def _forget(self, current: set[str]) -> None:
        """Remove what this log has no use for any more; what cannot be removed costs room alone."""
        if self._kept is None:
            return
        with contextlib.suppress(OSError):
            copies = [path for path in self._kept.glob("predictions-*") if path.name not in current]
            for path in [*copies, *self._kept.glob(".predictions-*.part")]:
                with contextlib.suppress(OSError):
                    # Another log's copies, and what another run may be writing: their age tells.
                    ours = path.match(f"*.{self._log}.*.kept")
                    if ours or self._clock() - path.stat().st_mtime > _STAYS_SECONDS:
                        path.unlink()


def parse_log(content: bytes, schema: Mapping[str, pl.DataType]) -> LoggedPredictions:
    """The records of one file; what follows the last line feed was cut short and is passed over."""
    end = content.rfind(b"\n") + 1
    torn = 1 if end < len(content) else 0
    if not end:
        return LoggedPredictions(frame=_empty(schema), files=1, torn=torn)
    frames: list[pl.DataFrame] = []
    broken: Counter[int] = Counter()
    start, height = 0, 0
    while start < end:
        stop = content.find(b"\n", min(start + _BLOCK, end) - 1) + 1
        frame, places = _block(content[start:stop], schema)
        broken.update(height + place for place in places)
        frames.append(frame)
        height += frame.height
        start = stop
    frame = pl.concat(frames).rechunk()
    return LoggedPredictions(frame=frame, files=1, torn=torn, damaged=_damaged(frame["time"], broken))


def _block(lines: bytes, schema: Mapping[str, pl.DataType]) -> tuple[pl.DataFrame, list[int]]:
    """The records of whole lines, and of each line that is none how many of them stand before it."""
    broken: list[int] = []
    try:
        frame = pl.read_ndjson(lines, schema=dict(schema))
    except pl.exceptions.PolarsError:
        # One line is enough to stop Polars. This is thirty times as slow, and finds all others.
        records: list[dict[str, Any]] = []
        for line in lines.split(b"\n"):
            record = _record(line, schema)
            if record is not None:
                records.append(record)
            elif line.strip():
                broken.append(len(records))
        frame = pl.DataFrame(records, schema=dict(schema), orient="row")
    times = frame["time"].str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
    return frame.with_columns(of_known_years(times)), broken


def _damaged(times: pl.Series, broken: Mapping[int, int]) -> tuple[DamagedLines, ...]:
    """Where lines are none, with the times of the records around them.

    Args:
        times: of the records of a file, in its order.
        broken: how many such lines there are, by how many records stand before them.
    """
    if not broken:
        return ()
    places, none = sorted(broken), times.clear(1)
    before = pl.concat([none, times.forward_fill()]).gather(places)
    after = pl.concat([times.backward_fill(), none]).gather(places)
    found = []
    for place, *around in zip(places, before.to_list(), after.to_list(), strict=True):
        # Where only one of them is known, they were written next to it; and clocks are set back.
        known = [each for each in around if each is not None]
        found.append(DamagedLines(lines=broken[place], first=min(known, default=None), last=max(known, default=None)))
    return tuple(found)


def _empty(schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    return pl.DataFrame(schema={**schema, "time": _TIME})


def _record(line: bytes, schema: Mapping[str, pl.DataType]) -> dict[str, Any] | None:
    """One record with values of the right kinds; None where a value is of another, or the line is no record.

    Of another version of the log nothing is known but that it is one, and its time.
    """
    try:
        payload = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(payload, dict) or type(payload.get("schema_version")) is not int:
        return None
    if payload["schema_version"] != SCHEMA_VERSION:
        known = ("schema_version", "time")
        payload = {name: payload.get(name) for name in known}
    try:
        return {name: _value(payload.get(name), dtype) for name, dtype in schema.items()}
    except (TypeError, ValueError, OverflowError):
        return None


def _value(value: Any, dtype: pl.DataType) -> Any:
    if value is None:
        return None
    if isinstance(dtype, pl.Struct):
        if not isinstance(value, dict):
            raise TypeError(value)
        return {field.name: _value(value.get(field.name), _instance(field.dtype)) for field in dtype.fields}
    if isinstance(dtype, pl.List):
        if not isinstance(value, list):
            raise TypeError(value)
        return [_value(each, _instance(dtype.inner)) for each in value]
    if dtype == pl.String and isinstance(value, str):
        value.encode()  # half a surrogate pair is no text
        return value
    if dtype == pl.Boolean and isinstance(value, bool):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(value)
    if dtype == pl.Int64:
        if not isinstance(value, int) or not -(2**63) <= value < 2**63:
            raise TypeError(value)
        return value
    if dtype != pl.Float64 or not math.isfinite(float(value)):
        raise TypeError(value)
    return float(value)


def _instance(dtype: Any) -> pl.DataType:
    found: pl.DataType = dtype() if isinstance(dtype, type) else dtype
    return found


def _kept(path: Path, schema: Mapping[str, pl.DataType]) -> LoggedPredictions | None:
    """What was kept of a file; None where nothing was, or it is damaged."""
    try:
        with path.open("rb") as file:
            digest = file.read(_DIGEST_BYTES)
            content = file.read()
        # Bits that have flipped give other values without a word from Polars.
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


def _keep(path: Path, part: LoggedPredictions) -> None:
    # A full disk costs time at the next look, and no verdict; Polars tells of it in its own words.
    with contextlib.suppress(OSError, pl.exceptions.PolarsError):
        # They hold what users asked: nobody else's business.
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
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


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:16]


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
