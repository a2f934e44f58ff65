"""What is known of a flight two hours before its scheduled departure: its schedule, the weather, how others fared.

How others fared is asked in two ways. Whether and by how much they were late is known when they have arrived: exact,
and hours old. Whether they are overdue is known at a fixed moment whatever happens next: 15 minutes after its scheduled
time a flight has left, or landed, or it has not. Nothing waits for the flights that are still stuck, so a storm shows
at once; a cancelled flight is overdue, for its cancellation is not recorded before.
"""

from dataclasses import replace
from datetime import timedelta

import polars as pl

from gitrain.features.definitions import AsOfFeatures, Entity, FeatureSet, History, RowFeature, WindowFeatures

__all__ = ["FEATURES", "KEY", "UNIT"]

KEY = ("date", "carrier", "flight", "origin")
UNIT = "day"

_BEFORE_DEPARTURE = timedelta(hours=2)

_SCHED_DEP = pl.col("sched_dep")
_SCHED_ARR = _SCHED_DEP + pl.duration(minutes=pl.col("planned_minutes"))
_QUARTER, _HOUR = timedelta(minutes=15), timedelta(hours=1)

# More than the contract's bounds of planned minutes and delays add up to.
_OUTCOME_WITHIN = timedelta(days=3)
_PLANNED_WITHIN = timedelta(days=1)
# Nothing leaves New York between midnight and five, and little lands: half a day without news is no night any more.
_A_NIGHT = timedelta(hours=12)

_FLIGHT = Entity(
    table="flights",
    key=KEY,
    # tailnum is not among them: it is recorded after aircraft were swapped, and null only for cancelled flights.
    known_in_advance=(*KEY, "dest", "distance", "sched_dep", "sched_dep_local", "planned_minutes"),
    decision_time=_SCHED_DEP - _BEFORE_DEPARTURE,
    unit=(UNIT, pl.col("date")),
)

_HISTORIES = (
    History(
        name="arrivals",
        table="flights",
        known_at=pl.col("outcome_known_at"),
        # The contract lets flights leave up to an hour early: nothing becomes of a flight before that.
        event_time=_SCHED_DEP - _HOUR,
        max_delay=_OUTCOME_WITHIN,
        stale_after=_A_NIGHT,
    ),
    History(
        name="departures_due",
        table="flights",
        known_at=_SCHED_DEP + _QUARTER,
        event_time=_SCHED_DEP,
        max_delay=_PLANNED_WITHIN,
        stale_after=_A_NIGHT,
    ),
    History(
        name="departures_long_due",
        table="flights",
        known_at=_SCHED_DEP + _HOUR,
        event_time=_SCHED_DEP,
        max_delay=_PLANNED_WITHIN,
        stale_after=_A_NIGHT,
    ),
    History(
        name="arrivals_due",
        table="flights",
        known_at=_SCHED_ARR + _QUARTER,
        event_time=_SCHED_DEP,
        max_delay=_PLANNED_WITHIN,
        stale_after=_A_NIGHT,
    ),
    History(
        name="weather",
        table="weather",
        known_at=pl.col("known_at"),
        event_time=pl.col("hour"),
        max_delay=_HOUR,
        stale_after=6 * _HOUR,
    ),
)

# Each of these is decided at the `known_at` of its history: what is null by then has not happened.
_LATE = pl.col("arr_delay") >= 15
# A few flights are late by most of a day: beyond four hours more says nothing more of the next flight.
_ARRIVAL_DELAY = pl.col("arr_delay").clip(-60, 240)
_NOT_LEFT = (pl.col("dep_delay") > 15).fill_null(True)
_NOT_LEFT_IN_AN_HOUR = (pl.col("dep_delay") > 60).fill_null(True)
_NOT_LANDED = (pl.col("arr_delay") > 15).fill_null(True)

_SCHEDULE = (
    # No month: one year of data cannot tell a season from what else happened then.
    RowFeature(
        name="hour",
        expression=pl.col("sched_dep_local").dt.hour() + pl.col("sched_dep_local").dt.minute() / 60,
    ),
    RowFeature(name="weekday", expression=pl.col("date").dt.weekday().cast(pl.Int32)),
    *(RowFeature(name=name, expression=pl.col(name)) for name in ("carrier", "origin", "dest")),
    *(RowFeature(name=name, expression=pl.col(name)) for name in ("distance", "planned_minutes")),
)

_MEASUREMENTS = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")

_WEATHER = AsOfFeatures(
    history="weather",
    by={"origin": "origin"},
    columns={name: name for name in _MEASUREMENTS},
    max_age=timedelta(hours=6),
)


_WINDOWS = {
    "1h": timedelta(hours=1),
    "3h": timedelta(hours=3),
    "24h": timedelta(hours=24),
    "14d": timedelta(days=14),
}


def _mean(prefix: str, history: str, value: pl.Expr, by: tuple[str, ...], *windows: str) -> WindowFeatures:
    """The mean of `value` in each window, over the flights that have the columns `by` in common with this one."""
    return WindowFeatures(
        prefix=prefix,
        history=history,
        by={column: column for column in by},
        value=value,
        aggregation="mean",
        windows={window: _WINDOWS[window] for window in windows},
    )


def _count(prefix: str, history: str, by: tuple[str, ...], *windows: str) -> WindowFeatures:
    """The number of flights in each window that have the columns `by` in common with this one."""
    return replace(_mean(prefix, history, pl.lit(1), by, *windows), aggregation="count")


FEATURES = FeatureSet(
    entity=_FLIGHT,
    features=(
        *_SCHEDULE,
        _WEATHER,
        _mean("late_carrier", "arrivals", _LATE, ("carrier",), "14d"),
        _mean("late_carrier_origin", "arrivals", _LATE, ("carrier", "origin"), "14d"),
        _mean("late_route", "arrivals", _LATE, ("origin", "dest"), "14d"),
        # How late says more than whether: early arrivals tell padded schedules and winds on the way.
        _mean("arr_delay", "arrivals", _ARRIVAL_DELAY, (), "3h"),
        _mean("arr_delay_origin", "arrivals", _ARRIVAL_DELAY, ("origin",), "3h"),
        _mean("arr_delay_dest", "arrivals", _ARRIVAL_DELAY, ("dest",), "3h", "24h"),
        _mean("arr_delay_carrier", "arrivals", _ARRIVAL_DELAY, ("carrier",), "24h"),
        _mean("arr_delay_route", "arrivals", _ARRIVAL_DELAY, ("origin", "dest"), "24h"),
        _mean("not_left", "departures_due", _NOT_LEFT, (), "1h"),
        _mean("not_left_origin", "departures_due", _NOT_LEFT, ("origin",), "1h", "3h"),
        _mean("not_left_carrier_origin", "departures_due", _NOT_LEFT, ("carrier", "origin"), "3h"),
        _mean("not_left_dest", "departures_due", _NOT_LEFT, ("dest",), "3h"),
        _mean("not_left_in_an_hour_origin", "departures_long_due", _NOT_LEFT_IN_AN_HOUR, ("origin",), "3h"),
        _mean("not_landed_origin", "arrivals_due", _NOT_LANDED, ("origin",), "24h"),
        _mean("not_landed_carrier", "arrivals_due", _NOT_LANDED, ("carrier",), "24h"),
        _count("flights_carrier_origin", "arrivals", ("carrier", "origin"), "14d"),
        _count("flights_route", "arrivals", ("origin", "dest"), "14d"),
    ),
    categorical=("carrier", "origin", "dest"),
    histories=_HISTORIES,
)
