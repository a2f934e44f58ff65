"""The lines of one file of a prediction log, and what they are as a table.

What cannot be read is counted and passed over: a log is what monitoring is about, and half a line is no reason to see
nothing.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, BinaryIO

import polars as pl

from gitrain.monitoring.log_content import DamagedLines, LoggedPredictions, of_known_years
from gitrain.serving.log_records import SCHEMA_VERSION

__all__ = ["no_predictions", "parse_log"]

# Bytes that are parsed at a time: little to hold, and little that a line which cannot be read makes slow.
_BLOCK = 4 * 2**20


def parse_log(stream: BinaryIO, schema: Mapping[str, pl.DataType]) -> LoggedPredictions:
    """The records of one file; what follows the last line feed was cut short and is passed over.

    Args:
        stream: the file, read to its end, or to half a line where it ended meanwhile: what is added to that is left.
        schema: of a record; see `gitrain.monitoring.logged.logged_schema`.
    """
    frames: list[pl.DataFrame] = []
    broken: Counter[int] = Counter()
    height, torn = 0, 0
    while block := stream.read(_BLOCK):
        # The rest of the last line, so that blocks are of whole ones.
        lines = block if block.endswith(b"\n") else block + stream.readline()
        end = lines.rfind(b"\n") + 1
        if end < len(lines):
            torn = 1
            lines = lines[:end]
        if lines:
            frame, places = _block(lines, schema)
            broken.update(height + place for place in places)
            frames.append(frame)
            height += frame.height
        if torn:
            break
    frame = pl.concat(frames).rechunk() if frames else no_predictions(schema)
    return LoggedPredictions(frame=frame, files=1, torn=torn, damaged=_damaged(frame["time"], broken))


def no_predictions(schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """A table of records without any."""
    return pl.DataFrame(schema={**schema, "time": pl.Datetime("us", "UTC")})


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
