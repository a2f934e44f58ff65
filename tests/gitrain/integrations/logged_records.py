"""Lines of a prediction log, and the types of what they hold."""

import contextlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import polars as pl
import pytest
from tests.gitrain.serving.predicted import predicted

from gitrain.integrations.log_lines import parse_log
from gitrain.monitoring.log_content import LoggedPredictions
from gitrain.serving.log_records import encode_records

__all__ = ["BROKEN", "NOON", "SCHEMA", "WHOLE", "at", "names_of_parsed"]

SCHEMA = {
    "schema_version": pl.Int64(),
    "time": pl.String(),
    "request_id": pl.String(),
    "row": pl.Int64(),
    "release": pl.String(),
    "inputs": pl.Struct({"origin": pl.String(), "day": pl.String()}),
    "features": pl.Struct({"wind": pl.Float64(), "place": pl.String()}),
    "stale": pl.List(pl.String),
    "probability": pl.Float64(),
    "decision": pl.Boolean(),
}
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
WHOLE = encode_records([predicted(0.25, 0.75, request_id="a", wind=1.5)])
BROKEN = b"no record\n"


@contextlib.contextmanager
def names_of_parsed() -> Iterator[list[str]]:
    """The names of the files that looks parse meanwhile, instead of reading their copies."""
    parsed: list[str] = []

    def noted(stream: BinaryIO, schema: Mapping[str, pl.DataType]) -> LoggedPredictions:
        parsed.append(Path(stream.name).name)
        return parse_log(stream, schema)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gitrain.integrations.log_scan.parse_log", noted)
        yield parsed


def at(*hours: float) -> bytes:
    """A record at each of some hours after noon."""
    return b"".join(encode_records([predicted(0.5, time=NOON + timedelta(hours=each))]) for each in hours)
