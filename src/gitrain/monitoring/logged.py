"""Predictions as a log has them, and as they are judged: each once, within the window, with the types of the contract.

What a log holds was asked by anybody: a time may lie in the future, a request may stand twice, an input may be no date.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from gitrain.data.contracts import TableContract
from gitrain.features.definitions import Entity, FeatureSet
from gitrain.monitoring.log_content import DamagedLines, LoggedPredictions, PredictionSource, of_known_years
from gitrain.serving.log_records import SCHEMA_VERSION

__all__ = [
    "DAY",
    "DUE",
    "DamagedLines",
    "LoggedPredictions",
    "MonitoredRows",
    "PredictionSource",
    "all_differ",
    "logged_schema",
    "monitored_rows",
    "of_known_years",
]

#: The column that holds the name of a row's day (its resampling unit), in `MonitoredRows.frame`: an Enum in order.
DAY = "day"
#: And the one that says when its prediction was due.
DUE = "due"

#: What a client calls a prediction.
_NAMES = ("request_id", "row")
_EVER = datetime.min.replace(tzinfo=UTC)
_TIME = pl.Datetime("us", "UTC")
_RFC_3339 = "%+"
_WALL_CLOCK = "%Y-%m-%dT%H:%M:%S%.f"


@dataclass(frozen=True, kw_only=True)
class MonitoredRows:
    """The predictions that are judged.

    Attributes:
        frame: `time`, `release`, `probability`, `decision`, `stale`, `DAY`, `DUE`, the struct `features`, and the
            columns known in advance under ``in:NAME``, with the types of the contract; in the order of time.
        known: the columns known in advance, under their own names, of the same rows.
        days: the names of the days, in order.
        dated: whether they are the entity's own units; else these are no dates, and days are those of the answers.
        repeated: records that stand in the log again, the same in everything. A request's name is no proof: clients
            choose it.
        asked_again: predictions of an entity that the same release has predicted later in the window; a row of which
            part of the key is not known is of none.
        early: records from before the window.
        ahead: records from beyond the clock, and a little time.
        farthest: how far the last of them is ahead; None without any.
        unreadable: lines of the window that are no records, as far as it is known when they were written.
        impossible: records of the window without a time, a release, an input or a probability from 0 to 1. One without
            a time is of that of the record before it.
        foreign: those of another version of the log.
        lines: all lines of the window.
    """

    frame: pl.DataFrame
    known: pl.DataFrame
    days: tuple[str, ...]
    dated: bool
    repeated: int
    asked_again: int
    early: int
    ahead: int
    farthest: timedelta | None
    unreadable: int
    impossible: int
    foreign: int
    lines: int


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
    now: datetime,
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
        through: the window's end; what is later is left out.
        now: the clock: what is later by more than `leeway` is left out and named; the rest counts where the window ends
            now.
        leeway: of clocks.
    """
    entity = features.entity
    frame = logged.frame
    until = through if through < now else now + leeway
    right = (
        (pl.col("schema_version") == SCHEMA_VERSION)
        & pl.col("time").is_not_null()
        & pl.col("release").is_not_null()
        & pl.col("probability").is_between(0, 1)
        & pl.col("inputs").is_not_null()
    ).fill_null(False)
    possible = _filtered(frame, right)
    others = frame.clear() if possible.height == frame.height else _others(frame, right)
    others = others.filter(pl.col("time").is_null() | pl.col("time").is_between(pl.lit(since or _EVER, _TIME), until))
    foreign = others.filter(pl.col("schema_version") != SCHEMA_VERSION).height
    unreadable = sum(each.lines for each in logged.damaged if each.touches(since, until))
    late = possible.filter(pl.col("time") > now + leeway)
    farthest = late["time"].max()
    window = _filtered(possible, pl.col("time") <= until)
    early = 0
    if since is not None:
        height = window.height
        window = _filtered(window, pl.col("time") >= since)
        early = height - window.height
    once = window
    if not all_differ(window, [*_NAMES, "time", "release", "probability"]):
        once = window.unique(keep="first", maintain_order=True)
    repeated = window.height - once.height
    if not once["time"].is_sorted():
        once = once.sort("time", maintain_order=True)
    typed = _typed(once["inputs"].struct.unnest() if once.height else _no_inputs(entity, contract), contract, entity)
    named = typed.rename({name: f"in:{name}" for name in typed.columns})
    last = once.drop("schema_version", "inputs", *_NAMES).hstack(named)
    judged = _each_once(last, [f"in:{name}" for name in entity.key])
    known = judged.select(pl.col(f"in:{name}").alias(name) for name in typed.columns)
    days, names, dated = _days(entity, known, judged["time"])
    judged = judged.hstack([days, _due(entity, known, judged["time"])])
    return MonitoredRows(
        frame=judged,
        known=known,
        days=tuple(names),
        dated=dated,
        repeated=repeated,
        asked_again=last.height - judged.height,
        early=early,
        ahead=late.height,
        farthest=farthest - now if isinstance(farthest, datetime) else None,
        unreadable=unreadable,
        impossible=others.height - foreign,
        foreign=foreign,
        lines=window.height + others.height + unreadable,
    )


def _filtered(frame: pl.DataFrame, condition: pl.Expr) -> pl.DataFrame:
    """Most often all rows pass: a million of them need no copy then."""
    keeps = frame.select(condition.fill_null(False)).to_series()
    return frame if keeps.all() else frame.filter(keeps)


def _others(frame: pl.DataFrame, right: pl.Expr) -> pl.DataFrame:
    """The rows that are not right, those without a time at the time of their neighbours."""
    wrong = frame.select(~right).to_series()
    return frame.with_columns(pl.col("time").forward_fill().backward_fill()).filter(wrong)


def _each_once(frame: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """The last row of each entity and release, and all rows that do not say of which entity they are."""
    if not set(key) <= set(frame.columns) or all_differ(frame, ["release", *key]):
        return frame
    nameless = pl.any_horizontal(pl.col(name).is_null() for name in key)
    return frame.filter(nameless | pl.struct("release", *key).is_last_distinct())


def _in_json(dtype: pl.DataType) -> pl.DataType:
    if dtype.is_integer():
        return pl.Int64()
    if dtype.is_float() or dtype.is_decimal():
        return pl.Float64()
    return pl.Boolean() if dtype == pl.Boolean else pl.String()


def all_differ(frame: pl.DataFrame, by: Sequence[str]) -> bool:
    """Whether all rows differ in some columns, as far as hashes prove it; costs a tenth of looking.

    Args:
        frame: the rows.
        by: the columns.
    """
    hashes = frame.select(pl.struct(by).hash()).to_series()
    return hashes.n_unique() == frame.height


def _no_inputs(entity: Entity, contract: TableContract) -> pl.DataFrame:
    return pl.DataFrame(schema={name: _in_json(contract.dtypes[name]) for name in entity.known_in_advance})


def _typed(inputs: pl.DataFrame, contract: TableContract, entity: Entity) -> pl.DataFrame:
    """The inputs in the types of the contract; what cannot be read so is null, and for the contract to name."""
    columns = []
    for name in entity.known_in_advance:
        dtype, values = contract.dtypes[name], inputs[name]
        if isinstance(dtype, pl.Date):
            values = of_known_years(values.str.to_date("%Y-%m-%d", strict=False))
        elif isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
            values = values.str.to_datetime(_RFC_3339, time_unit=dtype.time_unit, time_zone="UTC", strict=False)
            values = of_known_years(of_known_years(values).dt.convert_time_zone(dtype.time_zone))
        elif isinstance(dtype, pl.Datetime):
            values = of_known_years(values.str.to_datetime(_WALL_CLOCK, time_unit=dtype.time_unit, strict=False))
        else:
            values = values.cast(dtype, strict=False)
        columns.append(values.alias(name))
    return pl.DataFrame(columns)


def _days(entity: Entity, known: pl.DataFrame, times: pl.Series) -> tuple[pl.Series, list[str], bool]:
    """The day of each row, the names of the days in order, and whether units are dates."""
    answered = times.dt.date()
    found = known.with_columns(entity.unit[1].alias(DAY))[DAY] if known.width else answered
    dated = known.width > 0 and isinstance(found.dtype, pl.Date)
    days = found.fill_null(answered) if dated else answered
    # There are few days, and many rows whose day would have to be written out.
    dates = days.unique().sort()
    names = dates.cast(pl.String).to_list()
    named = pl.Series(DAY, names, dtype=pl.Enum(names))
    return named.gather(dates.to_physical().search_sorted(days.to_physical())), names, dated


def _due(entity: Entity, known: pl.DataFrame, times: pl.Series) -> pl.Series:
    if entity.decision_time is None:
        return times.alias(DUE)
    due = known.with_columns(entity.decision_time.alias(DUE))[DUE].cast(_TIME)
    return of_known_years(due).fill_null(times).alias(DUE)
