"""Predictions as a log has them, and as they are judged: each once, within the window, with the types of the contract.

What a log holds was asked by anybody: a time may lie in the future, a request may stand twice, an input may be no date.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import polars as pl

from gitrain.data.contracts import TableContract
from gitrain.features.definitions import Entity, FeatureSet
from gitrain.serving.log_records import SCHEMA_VERSION

__all__ = ["DAY", "DUE", "LoggedPredictions", "MonitoredRows", "PredictionSource", "logged_schema", "monitored_rows"]

#: The column that holds the name of a row's day (its resampling unit), in `MonitoredRows.frame`: an Enum in order.
DAY = "day"
#: And the one that says when its prediction was due.
DUE = "due"

_TIME = pl.Datetime("us", "UTC")
_RFC_3339 = "%+"
_WALL_CLOCK = "%Y-%m-%dT%H:%M:%S%.f"


@dataclass(frozen=True, kw_only=True)
class LoggedPredictions:
    """What a log holds.

    Attributes:
        frame: one row a record, in the order of the files: `schema_version`, `time` (UTC), `request_id`, `row`,
            `release`, `probability`, `decision`, `stale` (names), and the structs `inputs` and `features`, as of
            `logged_schema`.
        files: how many files there were.
        torn: those whose last line was cut short.
        unreadable: whole lines that are no records, or hold a value that cannot be there.
    """

    frame: pl.DataFrame
    files: int
    torn: int
    unreadable: int


class PredictionSource(Protocol):
    """Where logged predictions are read from."""

    def read(self, schema: Mapping[str, pl.DataType]) -> LoggedPredictions:
        """All records.

        Args:
            schema: what `logged_schema` gives; keys of a record that it does not name are passed over.
        """


@dataclass(frozen=True, kw_only=True)
class MonitoredRows:
    """The predictions that are judged.

    Attributes:
        frame: `time`, `release`, `probability`, `decision`, `stale`, `DAY`, `DUE`, the struct `features`, and the
            columns known in advance under ``in:NAME``, with the types of the contract; in the order of time.
        known: the columns known in advance, under their own names, of the same rows.
        days: the names of the days, in order.
        repeated: records that stand in the log again: the same request and row.
        asked_again: predictions of an entity that the same release has predicted later in the window.
        early: records from before the window.
        ahead: records from beyond the clock, and a little time.
        farthest: how far the last of them is ahead; None without any.
        impossible: records without a time or without a probability from 0 to 1.
    """

    frame: pl.DataFrame
    known: pl.DataFrame
    days: tuple[str, ...]
    repeated: int
    asked_again: int
    early: int
    ahead: int
    farthest: timedelta | None
    impossible: int


def logged_schema(features: FeatureSet, contract: TableContract) -> dict[str, pl.DataType]:
    """The types of a record's values as JSON has them; times are text.

    Args:
        features: of the project.
        contract: of the entity's table.
    """
    inputs = {name: _in_json(contract.dtypes[name]) for name in features.entity.known_in_advance}
    columns = {name: pl.String() if name in features.categorical else pl.Float64() for name in features.names}
    return {
        "schema_version": pl.Int64(),
        "time": pl.String(),
        "request_id": pl.String(),
        "row": pl.Int64(),
        "release": pl.String(),
        "inputs": pl.Struct(inputs),
        "features": pl.Struct(columns),
        "stale": pl.List(pl.String),
        "probability": pl.Float64(),
        "decision": pl.Boolean(),
    }


def monitored_rows(
    logged: LoggedPredictions,
    features: FeatureSet,
    contract: TableContract,
    *,
    since: datetime | None,
    through: datetime,
    leeway: timedelta,
) -> MonitoredRows:
    """The predictions of a window, each once, with their days.

    The day is the entity's resampling unit where that is a date, else the UTC date of the answer. Where a release
    predicted an entity several times, the last prediction counts.

    Args:
        logged: what the log holds.
        features: of the project.
        contract: of the entity's table.
        since: the window's first moment; None: no bound.
        through: the window's end, and the clock: what is later by more than `leeway` is named.
        leeway: of clocks.
    """
    entity = features.entity
    frame = logged.frame
    possible = _filtered(
        frame,
        (pl.col("schema_version") == SCHEMA_VERSION)
        & pl.col("time").is_not_null()
        & pl.col("release").is_not_null()
        & pl.col("probability").is_between(0, 1)
        & pl.col("inputs").is_not_null(),
    )
    late = possible.filter(pl.col("time") > through + leeway)
    farthest = late["time"].max()
    window = possible if late.is_empty() else possible.filter(pl.col("time") <= through + leeway)
    early = 0
    if since is not None:
        height = window.height
        window = _filtered(window, pl.col("time") >= since)
        early = height - window.height
    once = _once(window, ["request_id", "row"], keep="first")
    repeated = window.height - once.height
    if not once["time"].is_sorted():
        once = once.sort("time", maintain_order=True)
    typed = _typed(once["inputs"].struct.unnest() if once.height else _no_inputs(entity, contract), contract, entity)
    named = typed.rename({name: f"in:{name}" for name in typed.columns})
    last = once.drop("schema_version", "inputs", "request_id", "row").hstack(named)
    judged = _once(last, ["release", *(f"in:{name}" for name in entity.key if name in typed.columns)], keep="last")
    known = judged.select(pl.col(f"in:{name}").alias(name) for name in typed.columns)
    days = _days(entity, known, judged["time"])
    names = days.unique().sort().to_list()
    judged = judged.hstack([days.cast(pl.Enum(names)), _due(entity, known, judged["time"])])
    return MonitoredRows(
        frame=judged,
        known=known,
        days=tuple(names),
        repeated=repeated,
        asked_again=last.height - judged.height,
        early=early,
        ahead=late.height,
        farthest=farthest - through if isinstance(farthest, datetime) else None,
        impossible=frame.height - possible.height,
    )


def _filtered(frame: pl.DataFrame, condition: pl.Expr) -> pl.DataFrame:
    """Most often all rows pass: a million of them need no copy then."""
    keeps = frame.select(condition.fill_null(False)).to_series()
    return frame if keeps.all() else frame.filter(keeps)


def _in_json(dtype: pl.DataType) -> pl.DataType:
    if dtype.is_integer():
        return pl.Int64()
    if dtype.is_float() or dtype.is_decimal():
        return pl.Float64()
    return pl.Boolean() if dtype == pl.Boolean else pl.String()


def _once(frame: pl.DataFrame, by: list[str], *, keep: Any) -> pl.DataFrame:
    """Each combination once. That hashes are all different proves it at a tenth of the cost."""
    if not by or frame.select(pl.struct(by).hash().n_unique()).item() == frame.height:
        return frame
    return frame.unique(by, keep=keep, maintain_order=True)


def _no_inputs(entity: Entity, contract: TableContract) -> pl.DataFrame:
    return pl.DataFrame(schema={name: _in_json(contract.dtypes[name]) for name in entity.known_in_advance})


def _typed(inputs: pl.DataFrame, contract: TableContract, entity: Entity) -> pl.DataFrame:
    """The inputs in the types of the contract; what cannot be read so is null, and for the contract to name."""
    columns = []
    for name in entity.known_in_advance:
        dtype, values = contract.dtypes[name], inputs[name]
        if isinstance(dtype, pl.Date):
            values = values.str.to_date("%Y-%m-%d", strict=False)
        elif isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
            values = values.str.to_datetime(_RFC_3339, time_unit=dtype.time_unit, time_zone="UTC", strict=False)
            values = values.dt.convert_time_zone(dtype.time_zone)
        elif isinstance(dtype, pl.Datetime):
            values = values.str.to_datetime(_WALL_CLOCK, time_unit=dtype.time_unit, strict=False)
        else:
            values = values.cast(dtype, strict=False)
        columns.append(values.alias(name))
    return pl.DataFrame(columns)


def _days(entity: Entity, known: pl.DataFrame, times: pl.Series) -> pl.Series:
    answered = times.dt.date()
    found = known.with_columns(entity.unit[1].alias(DAY))[DAY] if known.width else answered
    days = found.fill_null(answered) if isinstance(found.dtype, pl.Date) else answered
    return days.cast(pl.String).alias(DAY)


def _due(entity: Entity, known: pl.DataFrame, times: pl.Series) -> pl.Series:
    if entity.decision_time is None:
        return times.alias(DUE)
    due = known.with_columns(entity.decision_time.alias(DUE))[DUE].cast(_TIME)
    return due.fill_null(times).alias(DUE)
