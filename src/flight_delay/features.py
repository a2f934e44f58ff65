"""What is known of a flight two hours before its scheduled departure: its schedule, the weather, how others fared."""

from datetime import timedelta

import polars as pl

from gitrain.features.definitions import AsOfFeatures, Entity, FeatureSet, History, RowFeature, WindowFeatures

__all__ = ["FEATURES", "KEY", "UNIT"]

KEY = ("date", "carrier", "flight", "origin")
UNIT = "day"

_BEFORE_DEPARTURE = timedelta(hours=2)
# The contract lets flights leave up to an hour early: what becomes of a flight is not known before that.
_EARLIEST_DEPARTURE = pl.col("sched_dep") - timedelta(hours=1)
# The contract's bounds of planned minutes and delays add up to less; with 14 days of window it makes 17 of look-back.
_MAX_DELAY = timedelta(days=3)

_HOURS_3 = {"3h": timedelta(hours=3)}
_DAY = {"24h": timedelta(hours=24)}
_WEEK = {"7d": timedelta(days=7)}
_FORTNIGHT = {"14d": timedelta(days=14)}

# A few flights are delayed by most of a day: beyond four hours more says nothing more of the next flight.
_DEPARTURE_DELAY = pl.col("dep_delay").clip(-15, 240)
_LATE = pl.col("arr_delay") >= 15
_CANCELLED = pl.col("dep_time").is_null()

_FLIGHT = Entity(
    table="flights",
    key=KEY,
    # tailnum is not among them: it is recorded after aircraft were swapped, and null only for cancelled flights.
    known_in_advance=(*KEY, "dest", "distance", "sched_dep", "sched_dep_local", "planned_minutes"),
    decision_time=pl.col("sched_dep") - _BEFORE_DEPARTURE,
    unit=(UNIT, pl.col("date")),
)

_HISTORIES = (
    History(
        name="departures",
        table="flights",
        known_at=pl.col("departure_known_at"),
        event_time=_EARLIEST_DEPARTURE,
        max_delay=_MAX_DELAY,
    ),
    History(
        name="arrivals",
        table="flights",
        known_at=pl.col("outcome_known_at"),
        event_time=_EARLIEST_DEPARTURE,
        max_delay=_MAX_DELAY,
    ),
    History(
        name="weather",
        table="weather",
        known_at=pl.col("known_at"),
        event_time=pl.col("hour"),
        max_delay=timedelta(hours=1),
    ),
)

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

_WEATHER = AsOfFeatures(
    history="weather",
    by={"origin": "origin"},
    columns={name: name for name in ("temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib")},
    max_age=timedelta(hours=6),
)


def _share_late(prefix: str, by: tuple[str, ...], windows: dict[str, timedelta]) -> WindowFeatures:
    return WindowFeatures(
        prefix=f"late_{prefix}",
        history="arrivals",
        by={column: column for column in by},
        value=_LATE,
        aggregation="mean",
        windows=windows,
    )


def _departure_delay(prefix: str, by: tuple[str, ...], windows: dict[str, timedelta]) -> WindowFeatures:
    return WindowFeatures(
        prefix=f"dep_delay_{prefix}",
        history="departures",
        by={column: column for column in by},
        value=_DEPARTURE_DELAY,
        aggregation="mean",
        windows=windows,
    )


FEATURES = FeatureSet(
    entity=_FLIGHT,
    features=(
        *_SCHEDULE,
        _WEATHER,
        _share_late("origin", ("origin",), _HOURS_3 | _DAY | _WEEK),
        _share_late("carrier", ("carrier",), _HOURS_3 | _DAY | _FORTNIGHT),
        _share_late("route", ("origin", "dest"), _WEEK | _FORTNIGHT),
        _departure_delay("origin", ("origin",), _HOURS_3 | _DAY),
        _departure_delay("carrier_origin", ("carrier", "origin"), _HOURS_3 | _DAY),
        WindowFeatures(
            prefix="cancelled_origin",
            history="departures",
            by={"origin": "origin"},
            value=_CANCELLED,
            aggregation="mean",
            windows=_DAY,
        ),
    ),
    categorical=("carrier", "origin", "dest"),
    histories=_HISTORIES,
)
