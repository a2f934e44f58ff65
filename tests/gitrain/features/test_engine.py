from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from gitrain.errors import FeatureError
from gitrain.features.brute_force import brute_force
from gitrain.features.comparison import Comparison
from gitrain.features.definitions import (
    Aggregation,
    AsOfFeatures,
    Entity,
    FeatureSet,
    History,
    RowFeature,
    WindowFeatures,
)
from gitrain.features.engine import compute_features
from gitrain.features.history import prepare_history

Row = Mapping[str, Any]
START = datetime(2024, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
TIME = pl.Datetime("us", "UTC")

PAST = History(
    name="past",
    table="events",
    known_at=pl.col("known"),
    event_time=pl.col("event"),
    max_delay=4 * HOUR,
    where=pl.col("counts"),
)


def windows(prefix: str, aggregation: Aggregation, value: pl.Expr, by: Mapping[str, str]) -> WindowFeatures:
    return WindowFeatures(
        prefix=prefix,
        history="past",
        by=by,
        value=value,
        aggregation=aggregation,
        windows={"1h": HOUR, "3h": 3 * HOUR, "all": 1000 * HOUR},
    )


FEATURES = FeatureSet(
    entity=Entity(
        table="rows",
        key=("id",),
        known_in_advance=("group", "lane", "at"),
        unit=("day", pl.col("at").dt.date()),
        decision_time=pl.col("at"),
    ),
    features=(
        RowFeature(name="hour", expression=pl.col("at").dt.hour()),
        AsOfFeatures(
            history="past", by={"group": "team"}, columns={"text": "text", "last": "number"}, max_age=2 * HOUR
        ),
        AsOfFeatures(history="past", by={}, columns={"any_flag": "flag"}, max_age=1000 * HOUR),
        windows("mean", "mean", pl.col("number"), {"group": "team"}),
        windows("sum", "sum", pl.col("whole"), {"group": "team", "lane": "lane"}),
        windows("flags", "sum", pl.col("flag"), {}),
        windows("share", "mean", pl.col("flag"), {"lane": "lane"}),
        windows("product", "sum", pl.col("number") * pl.col("whole"), {"group": "team"}),
        windows("count", "count", pl.lit(1), {"group": "team"}),
    ),
    categorical=("text",),
    histories=(PAST,),
)

HOURS = st.integers(0, 8)
MAYBE = st.none()
EVENT = st.fixed_dictionaries(
    {
        "event": HOURS,
        "delay": MAYBE | st.integers(0, 4),
        "team": MAYBE | st.sampled_from("ab"),
        "lane": MAYBE | st.integers(0, 1),
        "counts": MAYBE | st.booleans(),
        "number": MAYBE | st.sampled_from([0.1, 0.2, -3.0, 1e16, -1e16, 7.5]),
        "whole": MAYBE | st.integers(-3, 3),
        "flag": MAYBE | st.booleans(),
        "text": MAYBE | st.sampled_from("xyz"),
    }
)
ROW = st.fixed_dictionaries(
    {"group": MAYBE | st.sampled_from("abz"), "lane": MAYBE | st.integers(0, 2), "at": st.integers(-1, 13)}
)


def events(rows: Sequence[Row]) -> pl.DataFrame:
    values = [
        {
            **row,
            "event": START + row["event"] * HOUR,
            "known": None if row["delay"] is None else START + (row["event"] + row["delay"]) * HOUR,
        }
        for row in rows
    ]
    schema: dict[str, Any] = {
        "event": TIME,
        "known": TIME,
        "team": pl.String,
        "lane": pl.Int64,
        "counts": pl.Boolean,
        "number": pl.Float64,
        "whole": pl.Int64,
        "flag": pl.Boolean,
        "text": pl.String,
    }
    return pl.DataFrame([{name: row[name] for name in schema} for row in values], schema=schema)


def entities(rows: Sequence[Row]) -> pl.DataFrame:
    schema: dict[str, Any] = {"group": pl.String, "lane": pl.Int32, "at": TIME}
    return pl.DataFrame([{**row, "at": START + row["at"] * HOUR} for row in rows], schema=schema)


def computed(rows: pl.DataFrame, *parts: pl.DataFrame, features: FeatureSet = FEATURES) -> pl.DataFrame:
    prepared = pl.concat([prepare_history(features, PAST, part) for part in parts])
    return compute_features(features, rows, {"past": prepared})


@given(st.lists(ROW, max_size=8), st.lists(EVENT, max_size=25))
@settings(max_examples=80)
def test_the_engine_agrees_with_the_definitions_row_by_row(row_values, event_values):
    rows, past = entities(row_values), events(event_values)
    found = computed(rows, past)
    naive = brute_force(FEATURES, rows, {"past": past}, range(rows.height))
    assert tuple(found.columns) == FEATURES.names
    comparison = Comparison()
    comparison.add_values(found, naive, str)
    assert comparison.values == rows.height * len(FEATURES.names)
    assert not comparison.failed, comparison.figures


@given(st.lists(ROW, min_size=1, max_size=6), st.lists(EVENT, max_size=20), st.randoms(use_true_random=False))
def test_neither_order_nor_company_changes_a_value(row_values, event_values, random):
    rows, past = entities(row_values), events(event_values)
    expected = computed(rows, past)
    places = random.sample(range(rows.height), random.randint(1, rows.height))
    shuffled = past[random.sample(range(past.height), past.height)] if past.height else past
    cut = random.randint(0, past.height)
    found = computed(rows[places], shuffled.head(cut), shuffled.slice(cut))
    assert_frame_equal(found, expected[places], check_exact=True)


@given(st.lists(ROW, min_size=1, max_size=6), st.lists(EVENT, max_size=15), st.lists(EVENT, max_size=15))
def test_what_is_known_later_changes_nothing_before(row_values, event_values, later_values):
    """Two histories that agree on what is known up to a moment agree on all features up to that moment."""
    rows, past, other = entities(row_values), events(event_values), events(later_values)
    cutoff = START + 5 * HOUR
    known = past.filter((pl.col("known") <= cutoff).fill_null(False))
    future = other.filter((pl.col("known") > cutoff).fill_null(True))
    early = rows.filter(pl.col("at") <= cutoff)
    assert_frame_equal(computed(early, past), computed(early, known, future), check_exact=True)


@given(st.lists(ROW, min_size=1, max_size=6), st.lists(EVENT, max_size=20))
def test_history_that_is_too_old_changes_nothing(row_values, event_values):
    features = replace(
        FEATURES,
        features=tuple(
            replace(feature, windows={"3h": 3 * HOUR})
            if isinstance(feature, WindowFeatures)
            else replace(feature, max_age=2 * HOUR)
            if isinstance(feature, AsOfFeatures)
            else feature
            for feature in FEATURES.features
        ),
    )
    rows, past = entities(row_values), events(event_values)
    oldest = min(rows["at"]) - 3 * HOUR
    needed = past.filter((pl.col("known") >= oldest).fill_null(False))
    assert_frame_equal(
        computed(rows, past, features=features), computed(rows, needed, features=features), check_exact=True
    )


def one(name: str, at: int, *event_values: Row, features: FeatureSet = FEATURES) -> Any:
    return computed(entities([{"group": "a", "lane": 0, "at": at}]), events(event_values), features=features)[name][0]


def event(hour: int, delay: int = 0, **values: Any) -> Row:
    given_values = {"team": "a", "lane": 0, "counts": True, "number": 1.0, "whole": 1, "flag": True, "text": "x"}
    return {"event": hour, "delay": delay, **given_values, **values}


def test_a_window_is_open_at_its_old_end_and_closed_at_the_decision():
    assert one("count_3h", 5, event(2)) == 0
    assert one("count_3h", 5, event(3)) == 1
    assert one("count_3h", 5, event(5)) == 1
    assert one("count_3h", 5, event(6)) == 0


def test_a_row_counts_from_when_it_is_known_not_from_when_it_happened():
    assert one("count_all", 5, event(3, delay=3)) == 0
    assert one("count_all", 6, event(3, delay=3)) == 1
    assert one("text", 5, event(2, text="y"), event(4, delay=4, text="z")) is None
    assert one("text", 4, event(2, text="y"), event(4, delay=4, text="z")) == "y"


def test_an_as_of_value_is_dropped_once_it_is_older_than_max_age():
    assert one("text", 4, event(2)) == "x"
    assert one("text", 5, event(2)) is None


def test_among_rows_known_at_once_the_newest_event_counts_then_the_greatest_value():
    assert one("text", 5, event(5, text="a"), event(4, delay=1, text="z")) == "a"
    assert one("text", 5, event(5, text="a"), event(5, text="b"), event(5, text=None)) == "b"


def test_a_mean_passes_over_nulls_and_is_null_without_values():
    assert one("mean_3h", 5, event(5, number=2.0), event(5, number=None), event(4, number=4.0)) == 3.0
    assert one("mean_3h", 5, event(5, number=None)) is None
    assert one("sum_3h", 5, event(5, whole=None)) == 0
    assert one("count_3h", 5, event(5, number=None)) == 1


def test_a_null_key_is_a_group_of_its_own_that_nobody_asks_for():
    rows = entities([{"group": None, "lane": None, "at": 5}])
    found = computed(rows, events([event(5, team=None, lane=None)]))
    assert found["count_3h"].to_list() == [0]
    assert found["text"].to_list() == [None]
    assert found["flags_3h"].to_list() == [1]


def test_a_sum_is_the_same_with_and_without_a_huge_value_before_it():
    assert one("product_1h", 5, event(3, number=1e16), event(5, number=0.1), event(5, number=0.2)) == 0.1 + 0.2


def test_types_are_those_of_the_definitions():
    found = computed(entities([]), events([]))
    assert found.height == 0
    assert dict(found.schema) == {
        "hour": pl.Int8,
        "text": pl.String,
        "last": pl.Float64,
        "any_flag": pl.Boolean,
        **{f"mean_{label}": pl.Float64 for label in ("1h", "3h", "all")},
        **{f"sum_{label}": pl.Int64 for label in ("1h", "3h", "all")},
        **{f"flags_{label}": pl.Int64 for label in ("1h", "3h", "all")},
        **{f"share_{label}": pl.Float64 for label in ("1h", "3h", "all")},
        **{f"product_{label}": pl.Float64 for label in ("1h", "3h", "all")},
        **{f"count_{label}": pl.Int64 for label in ("1h", "3h", "all")},
    }


def test_columns_that_are_not_known_in_advance_cannot_be_reached():
    leaking = replace(FEATURES, features=(RowFeature(name="outcome", expression=pl.col("outcome")),))
    rows = entities([{"group": "a", "lane": 0, "at": 1}]).with_columns(outcome=pl.lit(1))
    with pytest.raises(FeatureError, match="'outcome' cannot be computed"):
        compute_features(leaking, rows, {})


def test_categories_become_text():
    as_category = replace(FEATURES, features=(RowFeature(name="group", expression=pl.col("group")),))
    rows = entities([{"group": "b", "lane": 0, "at": 1}]).with_columns(pl.col("group").cast(pl.Categorical))
    assert compute_features(as_category, rows, {})["group"].to_list() == ["b"]
    assert compute_features(as_category, rows, {}).schema == {"group": pl.String}


def test_a_constant_is_a_feature_of_every_row():
    constant = replace(FEATURES, features=(RowFeature(name="one", expression=pl.lit(1)),))
    rows = entities([{"group": "a", "lane": 0, "at": hour} for hour in range(3)])
    assert compute_features(constant, rows, {})["one"].to_list() == [1, 1, 1]


def test_many_groups_and_long_times_do_not_collide():
    """More groups than 16 bits hold, over a century: codes and times must not run into each other."""
    count = 40_000
    days = pl.Series(range(count)).cast(pl.Duration("us")) * 86_400_000_000
    times = pl.select(pl.lit(datetime(1950, 1, 1, tzinfo=UTC), dtype=TIME) + days).to_series()
    past = pl.DataFrame(
        {
            "event": times,
            "known": times,
            "team": pl.Series(range(count)).cast(pl.String),
            "lane": 0,
            "counts": True,
            "number": 1.0,
            "whole": pl.Series(range(count)),
            "flag": True,
            "text": "x",
        }
    )
    rows = pl.DataFrame({"group": past["team"].reverse(), "lane": pl.Series([0] * count), "at": times.reverse()})
    found = computed(rows, past)
    assert found["sum_1h"].to_list() == list(reversed(range(count)))
    assert set(found["flags_all"].to_list()[:-42]) == {42}


def test_keys_of_many_columns_do_not_run_over():
    """Five columns of 5000 values each make more groups than 64 bits number, were all of them there."""
    count = 5_000
    names = ("a", "b", "c", "d", "e")
    # Coprime steps: each row has its own combination.
    columns = {name: [number * step % count for number in range(count)] for step, name in enumerate(names, start=7)}
    history = History(
        name="past", table="events", known_at=pl.col("at"), event_time=pl.col("at"), max_delay=timedelta(0)
    )
    by = {name: name for name in names}
    features = FeatureSet(
        entity=replace(FEATURES.entity, known_in_advance=("at", *names)),
        features=(
            WindowFeatures(
                prefix="sum",
                history="past",
                by=by,
                value=pl.col("value"),
                aggregation="sum",
                windows={"1h": HOUR},
            ),
        ),
        histories=(history,),
    )
    rows = pl.DataFrame({**columns, "value": range(count), "at": [START] * count}, schema_overrides={"at": TIME})
    found = compute_features(features, rows, {"past": prepare_history(features, history, rows)})
    assert found["sum_1h"].to_list() == list(range(count))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop("lane"), "rows of table 'rows' lack the column 'lane'"),
        (
            lambda rows: rows.with_columns(at=pl.lit(None, dtype=TIME)),
            "row 0 of table 'rows' has no decision time: {'at': None}",
        ),
        (lambda rows: rows.with_columns(pl.col("at").dt.replace_time_zone(None)), "decision_time is of type Datetime"),
        (lambda rows: rows.with_columns(pl.col("lane").cast(pl.String)), "'lane' is of type String, 'lane' of history"),
        (lambda rows: rows.with_columns(pl.col("lane").cast(pl.Float64)), "'lane' is of type Float64 and cannot group"),
    ],
    ids=["column", "decision", "zone", "types", "float"],
)
def test_rows_that_cannot_be_used_are_named(change, message):
    rows = change(entities([{"group": "a", "lane": 0, "at": 1}]))
    with pytest.raises(FeatureError, match=message):
        computed(rows, events([event(1)]))


def test_a_missing_history_is_named():
    with pytest.raises(FeatureError, match="history 'past' is missing"):
        compute_features(FEATURES, entities([]), {})


def test_a_zone_other_than_utc_is_the_same_moment():
    rows = entities([{"group": "a", "lane": 0, "at": 5}])
    expected = computed(rows, events([event(4)]))
    moved = rows.with_columns(pl.col("at").dt.convert_time_zone("America/New_York"))
    past = events([event(4)]).with_columns(pl.col("known").dt.convert_time_zone("Asia/Tokyo"))
    found = computed(moved, past)
    assert_frame_equal(found.drop("hour"), expected.drop("hour"), check_exact=True)


@pytest.mark.parametrize("minute", range(60))
def test_a_row_alone_has_the_bits_that_it_has_among_others(minute):
    """Polars divides a column by a constant through its reciprocal, and a single value truly."""
    part = RowFeature(name="part", expression=pl.col("minute") / 60)
    features = FeatureSet(
        entity=Entity(table="rows", key=("minute",), known_in_advance=("minute",), unit=("minute", pl.col("minute"))),
        features=(part,),
    )
    hour = pl.DataFrame({"minute": range(60)})

    alone = compute_features(features, hour[[minute]], {})

    assert_frame_equal(alone, compute_features(features, hour, {})[[minute]], check_exact=True)


@pytest.mark.parametrize("minute", range(60))
def test_a_row_of_a_history_alone_has_the_bits_that_it_has_among_others(minute):
    features = FeatureSet(
        entity=FEATURES.entity,
        histories=(replace(PAST, where=None),),
        features=(windows("mean", "mean", pl.col("minute") / 60, {}),),
    )
    rows = pl.DataFrame(
        {"minute": range(60), "known": [START] * 60, "event": [START] * 60},
        schema_overrides={"known": TIME, "event": TIME},
    )

    alone = prepare_history(features, features.histories[0], rows[[minute]])

    assert_frame_equal(alone, prepare_history(features, features.histories[0], rows)[[minute]], check_exact=True)
