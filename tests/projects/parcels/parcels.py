"""A project with time and histories, made up: parcels that leave three depots, late when roads are icy.

It has what the feature store has to serve: as-of features, windows over integers, floats and booleans, counts, groups
of no, one and two columns, nulls, and ties in time. The numbers come from a generator with a seed of each month.
"""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandera.polars as pa
import polars as pl

from gitrain.data.batches import Months
from gitrain.data.contracts import OpenCategory, TableContract
from gitrain.data.tables import Table
from gitrain.errors import DataError
from gitrain.features.definitions import (
    Aggregation,
    AsOfFeatures,
    Entity,
    FeatureSet,
    History,
    RowFeature,
    WindowFeatures,
)
from gitrain.metrics import LOG_LOSS, ROC_AUC
from gitrain.project import Project, Slice, Target
from gitrain.training.estimators import hist_gradient_boosting, logistic_regression

__all__ = ["PROJECT"]

ROWS = 900
DEPOTS = ("NORTH", "EAST", "WEST")
_UTC = pl.Datetime("us", "UTC")
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


def _month(batch: str | None) -> tuple[datetime, int, np.random.Generator]:
    if batch is None or not "2024-01" <= batch <= "2024-06":
        raise DataError(f"the depots have no month {batch!r}", fix="lower data.through.")
    start = datetime.strptime(batch, "%Y-%m").replace(tzinfo=UTC)
    days = ((start.replace(day=28) + timedelta(days=4)).replace(day=1) - start).days
    return start, days, np.random.default_rng(int(batch.replace("-", "")))


def _temperatures(batch: str | None) -> tuple[datetime, np.ndarray]:
    start, days, random = _month(batch)
    return start, np.round(random.normal(1.0, 4.0, size=(3, days)).repeat(24, axis=1), 1)


class Road:
    """The temperature at each depot, hour by hour; an hour in twenty is missing its measurement."""

    def fingerprint(self, batch: str | None) -> str:
        return "road-1"

    def read(self, batch: str | None) -> pl.DataFrame:
        start, temperatures = _temperatures(batch)
        hours = temperatures.shape[1]
        times = [start + number * _HOUR for number in range(hours)]
        frame = pl.DataFrame(
            {
                "depot": [depot for depot in DEPOTS for _ in times],
                "hour": pl.Series(times * 3, dtype=_UTC),
                "temperature": temperatures.ravel(),
            }
        )
        missing = pl.int_range(pl.len()) % 20 == 7
        return frame.with_columns(
            known_at=pl.col("hour") + _HOUR, temperature=pl.when(~missing).then(pl.col("temperature"))
        )


class Counter:
    """What left the depots, and when it arrived; one parcel in forty never does."""

    def fingerprint(self, batch: str | None) -> str:
        return "counter-1"

    def read(self, batch: str | None) -> pl.DataFrame:
        start, days, random = _month(batch)
        _, temperatures = _temperatures(batch)
        # Whole minutes, so that several share one.
        minutes = np.sort(random.integers(0, days * 24 * 60, size=ROWS))
        depot = random.integers(0, 3, size=ROWS)
        zone = random.integers(1, 13, size=ROWS)
        weight = np.round(random.gamma(2.0, 1.7, size=ROWS), 3)
        promised = random.integers(4, 30, size=ROWS)
        cold = temperatures[depot, minutes // 60] < 0
        pressure = 0.12 + 0.45 * cold + 0.12 * (depot == 2) + 0.10 * (weight > 5) + 0.08 * (zone > 9)
        late = random.random(ROWS) < pressure
        delay = np.where(late, random.integers(30, 300, size=ROWS), random.integers(-60, 30, size=ROWS))
        lost = random.random(ROWS) < 0.025
        number = int(batch.replace("-", "")) * 10_000 if batch else 0
        frame = pl.DataFrame(
            {
                "parcel": np.arange(ROWS, dtype=np.int64) + number,
                "depot": [DEPOTS[index] for index in depot],
                "zone": [f"Z{index:02d}" for index in zone],
                "weight": weight,
                "sent": pl.Series([start + timedelta(minutes=int(each)) for each in minutes], dtype=_UTC),
                "promised_hours": promised.astype(np.int32),
                "delay": pl.Series(
                    [None if gone else int(each) for each, gone in zip(delay, lost, strict=True)], dtype=pl.Int32
                ),
            }
        )
        due = pl.col("sent") + pl.duration(hours=pl.col("promised_hours"))
        return frame.with_columns(known_at=due + pl.duration(minutes=pl.col("delay").fill_null(0)))


_DEPOT = pa.Column(pl.String, pa.Check.isin(DEPOTS))
_ZONES = OpenCategory(known=frozenset(f"Z{number:02d}" for number in range(1, 13)), warn_share=0.01, max_share=0.2)

PARCELS = TableContract(
    schema=pa.DataFrameSchema(
        {
            "parcel": pa.Column(pl.Int64, pa.Check.ge(0)),
            "depot": _DEPOT,
            "zone": pa.Column(pl.String, pa.Check.str_matches(r"^Z[0-9]{2}$")),
            "weight": pa.Column(pl.Float64, pa.Check.in_range(0, 60)),
            "sent": pa.Column(_UTC),
            "promised_hours": pa.Column(pl.Int32, pa.Check.in_range(1, 96)),
            "delay": pa.Column(pl.Int32, pa.Check.in_range(-600, 6000), nullable=True),
            "known_at": pa.Column(_UTC),
        },
        strict=True,
    ),
    key=("parcel",),
    row_rules={
        "a heavy parcel is promised for a later hour": (pl.col("weight") < 50) | (pl.col("promised_hours") > 2),
        "known after it was sent": pl.col("known_at") > pl.col("sent"),
    },
    max_null_share={"delay": 0.3},
    rows=(ROWS // 2, 2 * ROWS),
    event_time="sent",
    open_categories={"zone": _ZONES},
)

ROAD = TableContract(
    schema=pa.DataFrameSchema(
        {
            "depot": _DEPOT,
            "hour": pa.Column(_UTC),
            "known_at": pa.Column(_UTC),
            "temperature": pa.Column(pl.Float64, pa.Check.in_range(-40, 50), nullable=True),
        },
        strict=True,
    ),
    key=("depot", "hour"),
    max_null_share={"temperature": 0.2},
    event_time="hour",
)


def _window(prefix: str, history: str, by: tuple[str, ...], value: pl.Expr, how: Aggregation, **windows: timedelta):
    return WindowFeatures(
        prefix=prefix, history=history, by={name: name for name in by}, value=value, aggregation=how, windows=windows
    )


_LATE = pl.col("delay") >= 30

FEATURES = FeatureSet(
    entity=Entity(
        table="parcels",
        key=("parcel",),
        known_in_advance=("parcel", "depot", "zone", "weight", "sent", "promised_hours"),
        decision_time=pl.col("sent") - _HOUR,
        unit=("day", pl.col("sent").dt.date()),
    ),
    features=(
        RowFeature(name="hour", expression=pl.col("sent").dt.hour().cast(pl.Int32)),
        *(RowFeature(name=name, expression=pl.col(name)) for name in ("depot", "zone", "weight", "promised_hours")),
        AsOfFeatures(history="road", by={"depot": "depot"}, columns={"temperature": "temperature"}, max_age=6 * _HOUR),
        _window("late", "deliveries", (), _LATE, "mean", **{"1d": _DAY, "7d": 7 * _DAY}),
        _window("late_depot", "deliveries", ("depot",), _LATE, "mean", **{"1d": _DAY, "7d": 7 * _DAY}),
        _window("delay_zone", "deliveries", ("zone",), pl.col("delay") / 7.0, "mean", **{"7d": 7 * _DAY}),
        _window("delays_depot", "deliveries", ("depot",), pl.col("delay"), "sum", **{"1d": _DAY}),
        _window("load_depot", "departures", ("depot",), pl.col("weight"), "sum", **{"6h": 6 * _HOUR, "1d": _DAY}),
        _window("parcels_route", "departures", ("depot", "zone"), pl.lit(1), "count", **{"7d": 7 * _DAY}),
    ),
    categorical=("depot", "zone"),
    histories=(
        History(
            name="deliveries",
            table="parcels",
            known_at=pl.col("known_at"),
            event_time=pl.col("sent"),
            max_delay=timedelta(days=9),
            stale_after=2 * _DAY,
        ),
        History(
            name="departures",
            table="parcels",
            known_at=pl.col("sent"),
            event_time=pl.col("sent"),
            max_delay=timedelta(0),
        ),
        History(
            name="road",
            table="road",
            known_at=pl.col("known_at"),
            event_time=pl.col("hour"),
            max_delay=_HOUR,
            stale_after=6 * _HOUR,
        ),
    ),
)

_SHARES = ("late_1d", "late_7d", "late_depot_1d", "late_depot_7d")

PROJECT = Project(
    name="parcels",
    tables=(
        Table(name="parcels", source=Counter(), contract=PARCELS, batch_of=pl.col("sent").dt.strftime("%Y-%m")),
        Table(name="road", source=Road(), contract=ROAD, batch_of=pl.col("hour").dt.strftime("%Y-%m")),
    ),
    batches=Months(),
    features=FEATURES,
    feature_contract=TableContract(
        schema=pa.DataFrameSchema(
            {
                "parcel": pa.Column(pl.Int64),
                "day": pa.Column(pl.Date),
                "decision_time": pa.Column(_UTC),
                "hour": pa.Column(pl.Int32, pa.Check.in_range(0, 23)),
                "depot": _DEPOT,
                "zone": pa.Column(pl.String),
                "weight": pa.Column(pl.Float64, pa.Check.in_range(0, 60)),
                "promised_hours": pa.Column(pl.Int32, pa.Check.in_range(1, 96)),
                "temperature": pa.Column(pl.Float64, pa.Check.in_range(-40, 50), nullable=True),
                **{name: pa.Column(pl.Float64, pa.Check.in_range(0, 1), nullable=True) for name in _SHARES},
                "delay_zone_7d": pa.Column(pl.Float64, pa.Check.in_range(-100, 1000), nullable=True),
                "delays_depot_1d": pa.Column(pl.Int64, pa.Check.in_range(-60_000, 600_000)),
                "load_depot_6h": pa.Column(pl.Float64, pa.Check.in_range(0, 10_000)),
                "load_depot_1d": pa.Column(pl.Float64, pa.Check.in_range(0, 40_000)),
                "parcels_route_7d": pa.Column(pl.Int64, pa.Check.in_range(0, 10_000)),
                "late": pa.Column(pl.Boolean, nullable=True),
            },
            strict=True,
        ),
        key=("parcel",),
        max_null_share={"late": 0.3, "temperature": 0.5},
    ),
    prediction_contract=TableContract(
        schema=pa.DataFrameSchema(
            {"parcel": pa.Column(pl.Int64), "score": pa.Column(pl.Float64, pa.Check.in_range(0, 1))}
        )
    ),
    target=Target(name="late", label=_LATE),
    estimators={"hist_gradient_boosting": hist_gradient_boosting, "logistic_regression": logistic_regression},
    metrics=(ROC_AUC, LOG_LOSS),
    slices=(Slice(name="depot", by=pl.col("depot"), min_rows=50),),
)
