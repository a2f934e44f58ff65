"""What the features may read, and that their values are those of the day."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from flight_delay.features import FEATURES
from flight_delay.project import PROJECT
from gitrain.features.definitions import AsOfFeatures, RowFeature, WindowFeatures
from gitrain.features.engine import compute_features, decision_times
from gitrain.features.history import prepare_history, reach

# What happens to a flight: none of it may be known in advance.
OUTCOMES = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "tailnum", "outcome_known_at"}


@pytest.fixture(scope="module")
def summer(flights, weather) -> dict[str, pl.DataFrame]:
    """The histories of June and July."""
    july = datetime(2013, 8, 1, tzinfo=UTC)
    tables = {
        "flights": flights.filter(pl.col("sched_dep").is_between(july - timedelta(days=50), july)),
        "weather": weather.filter(pl.col("hour").is_between(july - timedelta(days=50), july)),
    }
    return {history.name: prepare_history(FEATURES, history, tables[history.table]) for history in FEATURES.histories}


@pytest.fixture(scope="module")
def rows(flights) -> pl.DataFrame:
    return flights.filter(pl.col("date") == date(2013, 7, 10))


@pytest.fixture(scope="module")
def computed(rows, summer) -> pl.DataFrame:
    return compute_features(FEATURES, rows.select(FEATURES.entity.known_in_advance), summer)


def test_nothing_known_in_advance_is_an_outcome():
    assert not OUTCOMES & set(FEATURES.entity.known_in_advance)


def test_no_feature_reads_the_month_or_the_aircraft():
    assert not {"tailnum", "month"} & set(FEATURES.names)
    read = {
        name
        for feature in FEATURES.features
        if isinstance(feature, RowFeature)
        for name in feature.expression.meta.root_names()
    }
    assert read <= set(FEATURES.entity.known_in_advance)
    # The date gives the weekday and nothing else.
    weekday = [f for f in FEATURES.features if isinstance(f, RowFeature) and "date" in f.expression.meta.root_names()]
    assert [feature.name for feature in weekday] == ["weekday"]


def test_predictions_are_made_two_hours_before_departure(rows):
    assert (rows["sched_dep"] - decision_times(FEATURES.entity, rows) == timedelta(hours=2)).all()


def test_a_batch_looks_back_seventeen_days_at_most():
    delays = {history.name: history.max_delay for history in FEATURES.histories}
    back = {name: reach(FEATURES, name) + delay for name, delay in delays.items()}
    assert max(back.values()) == timedelta(days=17)


def test_outcomes_stay_within_the_bounds_of_their_histories(flights):
    for history in FEATURES.histories:
        if history.table != "flights":
            continue
        known, event = flights.select(known=history.known_at), flights.select(event=history.event_time)
        delay = (known.to_series() - event.to_series()).dt.total_seconds()
        assert delay.min() >= 0
        assert delay.max() <= history.max_delay.total_seconds()


def test_every_row_has_all_features_in_order(rows, computed):
    assert computed.columns == list(FEATURES.names)
    assert computed.height == rows.height
    assert len(FEATURES.names) == len(set(FEATURES.names))
    assert set(FEATURES.categorical) == {"carrier", "origin", "dest"}


def test_the_schedule_is_the_flight_s_own(rows, computed):
    assert computed["weekday"].unique().to_list() == [3]
    hour = rows["sched_dep_time"] // 100 + (rows["sched_dep_time"] % 100) / 60
    assert (computed["hour"] - hour).abs().max() < 1e-9


def test_the_weather_is_that_of_the_last_hour_that_has_passed(rows, computed, weather):
    for index in (0, 400, 900):
        flight, features = rows.row(index, named=True), computed.row(index, named=True)
        decision = flight["sched_dep"] - timedelta(hours=2)
        last = weather.filter(
            (pl.col("origin") == flight["origin"]) & (pl.col("hour") <= decision - timedelta(hours=1))
        ).row(-1, named=True)
        assert features["temp"] == last["temp"]
        assert features["wind_speed"] == last["wind_speed"]


def test_shares_are_counted_by_hand(flights, rows, computed):
    for index in (300, 700, 1_000):
        flight, features = rows.row(index, named=True), computed.row(index, named=True)
        decision = flight["sched_dep"] - timedelta(hours=2)
        known = flights.filter(
            (pl.col("carrier") == flight["carrier"])
            & (pl.col("outcome_known_at") <= decision)
            & (pl.col("outcome_known_at") > decision - timedelta(days=14))
        )
        last_day = known.filter(pl.col("outcome_known_at") > decision - timedelta(days=1))
        delay = last_day["arr_delay"].clip(-60, 240).mean()
        assert features["arr_delay_carrier_24h"] == pytest.approx(delay, abs=1e-9)
        assert features["flights_carrier_origin_14d"] == (known["origin"] == flight["origin"]).sum()
        assert features["late_carrier_14d"] == pytest.approx((known["arr_delay"] >= 15).mean(), abs=1e-12)
        due = flights.filter(
            (pl.col("origin") == flight["origin"])
            & (pl.col("sched_dep") <= decision - timedelta(minutes=15))
            & (pl.col("sched_dep") > decision - timedelta(minutes=15, hours=3))
        )
        left = due.filter(pl.col("sched_dep") + pl.duration(minutes=pl.col("dep_delay")) <= decision_of(due))
        assert features["not_left_origin_3h"] == pytest.approx(1 - left.height / due.height, abs=1e-12)


def decision_of(due: pl.DataFrame) -> pl.Expr:
    """The moment at which it is asked whether a flight has left."""
    return pl.col("sched_dep") + timedelta(minutes=15)


def overdue(name: str) -> pl.Expr:
    values = {feature.history: feature.value for feature in FEATURES.features if isinstance(feature, WindowFeatures)}
    return values[name]


@pytest.mark.parametrize("name", ["departures_due", "departures_long_due", "arrivals_due"])
def test_what_is_overdue_is_decided_when_the_history_says_so(flights, name):
    """Whatever happens after `known_at` cannot change the value: it is asked what had happened by then."""
    history = next(history for history in FEATURES.histories if history.name == name)
    delay, planned = ("arr_delay", pl.col("planned_minutes")) if "arrivals" in name else ("dep_delay", pl.lit(0))
    happened = pl.col("sched_dep") + pl.duration(minutes=planned + pl.col(delay))
    by_then = (happened <= history.known_at).fill_null(False)
    assert flights.select((overdue(name) == ~by_then).all()).item()
    # Rewriting what comes later, with any other delay or with a cancellation, leaves the value as it was.
    late = flights.filter(~by_then)
    assert late.height > 5_000
    later = late.with_columns(pl.lit(2_000, pl.Int32).alias(delay))
    never = late.with_columns(pl.lit(None, pl.Int32).alias(delay))
    for other in (later, never):
        assert other.select(overdue(name)).to_series().equals(late.select(overdue(name)).to_series())


def test_all_features_come_from_declared_histories():
    named = {feature.history for feature in FEATURES.features if isinstance(feature, AsOfFeatures | WindowFeatures)}
    assert named == {history.name for history in FEATURES.histories}
    tables = {table.name for table in PROJECT.tables}
    assert {history.table for history in FEATURES.histories} <= tables
