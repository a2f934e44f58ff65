"""Lines of a prediction log, and the types of what they hold."""

from datetime import UTC, datetime, timedelta

import polars as pl
from tests.gitrain.serving.predicted import predicted

from gitrain.serving.log_records import encode_records

__all__ = ["BROKEN", "NOON", "SCHEMA", "WHOLE", "at"]

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


def at(*hours: float) -> bytes:
    """A record at each of some hours after noon."""
    return b"".join(encode_records([predicted(0.5, time=NOON + timedelta(hours=each))]) for each in hours)
