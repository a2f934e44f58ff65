"""The prediction log's records, one JSON object a line: what was asked, what it was judged on, what was answered.

A record:

::

    {"schema_version": 1,
     "time": "2013-09-30T21:05:11.250000+00:00",   when it was answered, UTC
     "request_id": "7f0c2b6e5a4d1938-2a",           as in the answer and its header
     "row": 0,                                      its place in the request
     "release": "1.4.0",
     "inputs": {...},                               the columns known in advance, dates and times in ISO 8601
     "features": {...},                             what the model was given; null where nothing was known
     "missing": ["wind_gust"],                      the features that are null
     "stale": [],                                   the histories that the store was behind with
     "probability": 0.41,
     "decision": true}

Numbers keep every bit. `request_id` and `row` together name a prediction: labels that arrive later are joined by them,
or by the entity's key among the inputs.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic_core import to_json

from gitrain.errors import DataError
from gitrain.online.columns import Columns
from gitrain.online.given_rows import GivenRows

__all__ = ["SCHEMA_VERSION", "LogObserver", "PredictedRows", "ReadRecords", "encode_records", "parse_records"]

SCHEMA_VERSION = 1

_OUTER: dict[str, pl.DataType | type[pl.DataType]] = {
    "schema_version": pl.Int64,
    "time": pl.Datetime("us", "UTC"),
    "request_id": pl.String,
    "row": pl.Int64,
    "release": pl.String,
    "missing": pl.List(pl.String),
    "stale": pl.List(pl.String),
    "probability": pl.Float64,
    "decision": pl.Boolean,
}


@dataclass(frozen=True, kw_only=True)
class PredictedRows:
    """Rows that were predicted together, perhaps of several requests. All sequences have one item a row.

    Attributes:
        time: when, UTC.
        release: the version that answered.
        request_ids: each row's request.
        places: each row's place in its request, from 0.
        inputs: the columns known in advance.
        features: what the model was given.
        missing: the features that are null.
        stale: the histories that the store was behind with.
        probabilities: shape (rows,).
        decisions: shape (rows,).
        copies: whether their requests were copies of what another release has answered.
    """

    time: datetime
    release: str
    request_ids: Sequence[str]
    places: Sequence[int]
    inputs: pl.DataFrame | GivenRows
    features: Columns
    missing: Sequence[tuple[str, ...]]
    stale: Sequence[tuple[str, ...]]
    probabilities: NDArray[np.float64]
    decisions: NDArray[np.bool_]
    copies: bool = False

    def __len__(self) -> int:
        return len(self.request_ids)


class LogObserver(Protocol):
    """Learns what became of records. Called from the log's thread and from the one that adds."""

    def written(self, rows: int) -> None:
        """So many records are in a file."""

    def dropped(self, rows: int, reason: Literal["full", "error"]) -> None:
        """So many records are lost: the queue was full, or they could not be written."""

    def failed(self, error: Exception) -> None:
        """Why records, or a copy of them, could not be written."""


@dataclass(frozen=True, kw_only=True)
class ReadRecords:
    """What a log holds.

    Attributes:
        frame: one row a record, in the order of the files; `inputs` and `features` are structs.
        torn: files whose last line was cut short by the end of their process, and was passed over.
    """

    frame: pl.DataFrame
    torn: int


def encode_records(parts: Sequence[PredictedRows]) -> bytes:
    """The lines of some rows.

    Object by object: parts under load are of few rows, and a dozen calls of Polars, each of which gives up Python's
    lock and waits for it again, hold up the thread that answers requests for longer than this does.
    """
    lines: list[bytes] = []
    for part in parts:
        time = part.time.astimezone(UTC).isoformat()
        names = tuple(part.features)
        rows = zip(
            part.request_ids,
            part.places,
            GivenRows.of(part.inputs).by_row(),
            zip(*(values.tolist() for values in part.features.values()), strict=True),
            part.missing,
            part.stale,
            part.probabilities.tolist(),
            part.decisions.tolist(),
            strict=True,
        )
        lines += [
            to_json(
                {
                    "schema_version": SCHEMA_VERSION,
                    "time": time,
                    "request_id": request_id,
                    "row": place,
                    "release": part.release,
                    "inputs": inputs,
                    "features": dict(zip(names, features, strict=True)),
                    "missing": missing,
                    "stale": stale,
                    "probability": probability,
                    "decision": decision,
                },
                inf_nan_mode="null",
            )
            for request_id, place, inputs, features, missing, stale, probability, decision in rows
        ]
    return b"".join(line + b"\n" for line in lines)


def parse_records(content: bytes, *, source: str) -> ReadRecords:
    """The records of one file.

    Args:
        content: the file's bytes; what follows the last line feed was cut short and is passed over.
        source: the file's name in messages.

    Raises:
        DataError: a whole line that is no record.
    """
    whole, line_feed, tail = content.rpartition(b"\n")
    torn = 1 if tail else 0
    if not line_feed:
        return ReadRecords(frame=pl.DataFrame(schema=_OUTER), torn=torn)
    try:
        frame = pl.read_ndjson(io.BytesIO(whole + line_feed), infer_schema_length=None)
        outer = [pl.col(name) for name in _OUTER if name != "time"]
        return ReadRecords(
            frame=frame.with_columns(
                pl.col("time").str.to_datetime(time_unit="us", time_zone="UTC"),
                *(column.cast(_OUTER[column.meta.output_name()]) for column in outer),
            ),
            torn=torn,
        )
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"{source} holds a line that is no record of a prediction: {' '.join(str(error).split())[:200]}",
            fix="take the file out of the folder; a log is written by services alone.",
        ) from error
