"""The contract keeps the real year and finds what is wrong in a doctored month."""

from datetime import timedelta

import polars as pl
import pytest

from flight_delay import contract
from flight_delay.features import FEATURES
from flight_delay.project import PROJECT
from gitrain.data.validation import Validation, validate

MONTHS = [f"2013-{month:02d}" for month in range(1, 13)]


def judge(name: str, frame: pl.DataFrame, batch: str | None) -> Validation:
    table = PROJECT.table(name)
    return validate(frame, table.contract, table=name, batch=batch, scheme=PROJECT.batches, batch_of=table.batch_of)


def read(name: str, batch: str | None) -> pl.DataFrame:
    return PROJECT.table(name).source.read(batch)


def of_severity(validation: Validation, severity: str) -> dict[str, tuple[str, ...]]:
    return {finding.rule: finding.columns for finding in validation.summary.findings if finding.severity == severity}


# --- the year as it is


@pytest.mark.parametrize("month", MONTHS)
def test_a_real_month_of_flights_is_kept_whole(month):
    validation = judge("flights", read("flights", month), month)
    assert validation.summary.findings == ()
    assert validation.quarantined.is_empty()


def test_of_the_weather_one_hour_goes_to_quarantine():
    quarantined = []
    for month in MONTHS:
        validation = judge("weather", read("weather", month), month)
        assert of_severity(validation, "fail") == {}
        assert of_severity(validation, "warn") == {}
        quarantined += validation.quarantined.select("origin", "hour_local", "wind_speed", "reason").rows()
    assert [(origin, str(hour)) for origin, hour, _, _ in quarantined] == [("EWR", "2013-02-12 03:00:00")]
    assert "wind_speed" in quarantined[0][3]
    assert "1048" in quarantined[0][3]


def test_the_airports_pass():
    validation = judge("airports", read("airports", None), None)
    assert validation.summary.findings == ()


# --- rows that are wrong: one doctored row, one rule

FIRST = pl.int_range(pl.len()) == 0


def doctored(frame: pl.DataFrame, **values: pl.Expr) -> pl.DataFrame:
    """`frame` with other values in its first row."""
    return frame.with_columns(
        pl.when(FIRST).then(value.cast(frame.schema[name])).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )


def completed_first(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.sort(pl.col("arr_delay").is_null(), maintain_order=True)


def cancelled_first(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.sort(pl.col("dep_time").is_not_null(), maintain_order=True)


def lit(value: object) -> pl.Expr:
    return pl.lit(value)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"carrier": lit("ZZ")}, "carrier"),
        ({"origin": lit("PHL")}, "origin"),
        ({"flight": lit(0)}, "flight"),
        ({"dest": lit("Boston")}, "dest"),
        ({"dest": pl.col("origin")}, "leaves and lands elsewhere"),
        ({"distance": lit(60_000)}, "distance"),
        ({"planned_minutes": lit(None)}, "planned_minutes"),
        ({"planned_minutes": lit(29)}, "planned_minutes"),
        ({"dep_delay": lit(99_999)}, "dep_delay"),
        ({"air_time": lit(5)}, "air_time"),
        ({"sched_dep_time": lit(2_500)}, "sched_dep_time"),
        ({"sched_dep_time": pl.col("sched_dep_time") + 100}, "sched_dep_time is that of the departure"),
        ({"dep_delay": pl.col("dep_delay") + 7}, "dep_delay leads to dep_time"),
        ({"arr_delay": pl.col("arr_delay") + 7}, "arr_delay leads to arr_time"),
        ({"arr_delay": pl.col("arr_delay") + 1_440}, "delays and time in the air fit the plan"),
        ({"air_time": lit(None)}, "a completed flight has all its times"),
        ({"dep_delay": lit(None), "arr_delay": lit(None)}, "a departed flight has its delay"),
        (
            {"outcome_known_at": pl.col("outcome_known_at") - timedelta(hours=1)},
            "outcome_known_at is when the outcome was known",
        ),
        ({"date": pl.col("date") + timedelta(days=1)}, "date is that of the departure"),
    ],
)
def test_a_wrong_flight_goes_to_quarantine(values, reason):
    frame = doctored(completed_first(read("flights", "2013-05")), **values)
    validation = judge("flights", frame, "2013-05")
    assert validation.quarantined.height == 1
    assert reason in validation.quarantined["reason"].item()
    assert validation.kept.height == frame.height - 1


def test_a_cancelled_flight_with_an_arrival_goes_to_quarantine():
    frame = doctored(cancelled_first(read("flights", "2013-05")), arr_delay=lit(3))
    validation = judge("flights", frame, "2013-05")
    assert "a cancelled flight has no outcome" in validation.quarantined["reason"].item()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"temp": lit(130.0)}, "temp"),
        ({"dewp": pl.col("temp") + 1}, "drier than the dew point"),
        ({"wind_gust": lit(20.0), "wind_speed": lit(30.0)}, "gusts are faster than the wind"),
        ({"pressure": lit(29.9)}, "pressure"),
        ({"visib": lit(float("nan"))}, "visib"),
        ({"known_at": pl.col("hour")}, "an hour is known when it has passed"),
    ],
)
def test_a_wrong_hour_of_weather_goes_to_quarantine(values, reason):
    validation = judge("weather", doctored(read("weather", "2013-05"), **values), "2013-05")
    assert validation.quarantined.height == 1
    assert reason in validation.quarantined["reason"].item()


# --- months that are wrong


@pytest.mark.parametrize(
    ("table", "change", "rule"),
    [
        ("flights", lambda frame: pl.concat([frame, frame.head(1)]), "key"),
        ("flights", lambda frame: frame.head(20_000), "rows"),
        ("flights", lambda frame: pl.concat([frame, frame]), "rows"),
        ("flights", lambda frame: frame.filter(pl.col("date").dt.day() < 31), "freshness"),
        ("flights", lambda frame: frame.drop("tailnum"), "column"),
        ("flights", lambda frame: frame.with_columns(pl.col("distance") * 1.609), "type"),
        ("flights", lambda frame: frame.with_columns((pl.col("distance") * 1.609).cast(pl.Int32)), "typical"),
        ("flights", lambda frame: frame.with_columns((pl.col("dep_delay") * 0 + 61).cast(pl.Int32)), "quarantine"),
        ("weather", lambda frame: frame.with_columns((pl.col("temp", "dewp") - 32) / 1.8), "typical"),
        ("weather", lambda frame: frame.with_columns(pl.col("wind_speed", "wind_gust") * 0.447), "typical"),
        ("weather", lambda frame: frame.filter(pl.col("origin") != "LGA"), "rows"),
        ("weather", lambda frame: frame.with_columns(temp=pl.lit(None, pl.Float64)), "null"),
    ],
)
def test_a_wrong_month_fails(table, change, rule):
    validation = judge(table, change(read(table, "2013-05")), "2013-05")
    failed = of_severity(validation, "fail")
    assert any(rule in name for name in failed), failed


def test_another_month_fails():
    assert of_severity(judge("flights", read("flights", "2013-05"), "2013-07"), "fail")


def test_a_new_destination_is_kept_and_many_of_them_warn():
    may = read("flights", "2013-05")
    one = judge("flights", doctored(may, dest=lit("XXX")), "2013-05")
    assert one.quarantined.is_empty()
    assert one.summary.findings == ()
    to_boston = may.with_columns(dest=pl.col("dest").replace("HNL", "XXX").replace("BUR", "XXX").replace("OAK", "XXX"))
    many = judge("flights", to_boston, "2013-05")
    assert many.quarantined.is_empty()
    assert "dest" in {column for columns in of_severity(many, "warn").values() for column in columns}


# --- features and predictions


def test_the_feature_contract_names_every_column():
    names = ("date", "carrier", "flight", "origin", "day", "decision_time", *FEATURES.names, "late")
    assert set(contract.FEATURES.schema.columns) == set(names)


def test_every_number_of_the_features_has_bounds():
    open_ended = ("date", "day", "decision_time", "late")
    for name, column in contract.FEATURES.schema.columns.items():
        assert bool(column.checks) == (name not in open_ended), name


@pytest.mark.parametrize(("score", "good"), [(0.5, True), (1.5, False), (float("nan"), False), (None, False)])
def test_a_prediction_is_a_probability(score, good):
    flights = read("flights", "2013-05").select(*contract.PREDICTIONS.key).head(3)
    predictions = flights.with_columns(score=pl.Series([0.1, score, 0.9], dtype=pl.Float64))
    validation = validate(
        predictions, contract.PREDICTIONS, table="predictions", batch="2013-05", scheme=PROJECT.batches
    )
    assert (validation.summary.findings == ()) is good
