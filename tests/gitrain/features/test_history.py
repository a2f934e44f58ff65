from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from gitrain.errors import FeatureError, ProjectError
from gitrain.features.definitions import AsOfFeatures, Entity, FeatureSet, History, WindowFeatures
from gitrain.features.history import history_columns, prepare_history, reach

DAY = timedelta(days=1)
HISTORY = History(name="sales", table="sales", known_at=pl.col("booked"), event_time=pl.col("sold"), max_delay=2 * DAY)
AS_OF = AsOfFeatures(history="sales", by={"shop": "branch"}, columns={"price": "amount"}, max_age=9 * DAY)
SUM = WindowFeatures(
    prefix="sum",
    history="sales",
    by={},
    value=pl.col("amount") * pl.col("pieces"),
    aggregation="sum",
    windows={"week": 7 * DAY},
)
FEATURES = FeatureSet(
    entity=Entity(table="shops", key=("shop",), known_in_advance=("shop",), unit=("shop", pl.col("shop"))),
    features=(AS_OF, SUM),
    histories=(HISTORY,),
)
SALES = pl.DataFrame(
    {
        "sold": [datetime(2024, 1, day, tzinfo=UTC) for day in (3, 1, 2)],
        "booked": [datetime(2024, 1, 4, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC), None],
        "branch": ["b", "a", "b"],
        "amount": [1.5, 2.0, 3.0],
        "pieces": [1, 2, 3],
    }
)


def test_only_what_features_use_is_read():
    assert history_columns(FEATURES, HISTORY) == ("amount", "booked", "branch", "pieces", "sold")
    filtered = replace(HISTORY, where=pl.col("paid"))
    assert "paid" in history_columns(replace(FEATURES, histories=(filtered,)), filtered)
    counting = replace(FEATURES, features=(replace(SUM, aggregation="count"),))
    assert history_columns(counting, HISTORY) == ("booked", "sold")


def test_reach_is_the_longest_window_or_age():
    assert reach(FEATURES, "sales") == 9 * DAY
    assert reach(replace(FEATURES, features=(SUM,)), "sales") == 7 * DAY


def test_rows_that_are_never_known_are_left_out_and_the_rest_is_in_order():
    found = prepare_history(FEATURES, HISTORY, SALES)
    assert found.columns == ["known_at", "event_time", "by:branch", "take:amount", "value:1"]
    assert found["value:1"].to_list() == [4.0, 1.5]


def test_where_keeps_rows_for_which_it_is_true():
    history = replace(HISTORY, where=pl.when(pl.col("pieces") == 1).then(None).otherwise(True))
    assert prepare_history(FEATURES, history, SALES)["by:branch"].to_list() == ["a"]


def test_values_become_64_bits():
    for dtype, expected in ((pl.Boolean, pl.Int64), (pl.UInt8, pl.Int64), (pl.Float32, pl.Float64)):
        features = replace(FEATURES, features=(replace(SUM, value=pl.col("pieces").cast(dtype)),))
        assert prepare_history(features, HISTORY, SALES).schema["value:0"] == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"known_at": pl.col("booked").dt.date()}, "history 'sales': known_at is of type Date"),
        (
            {"event_time": pl.col("sold").dt.replace_time_zone(None)},
            "event_time is of type .*a datetime with a time zo",
        ),
        ({"known_at": pl.col("nothing")}, "history 'sales' cannot be computed from table 'sales': .*nothing"),
        ({"max_delay": timedelta(hours=23)}, "row 0 .* is known 1 day, 0:00:00 after its event; .* 23:00:00.*1 more"),
        ({"known_at": pl.col("sold") - DAY}, "row 0 .* is known before its event: known_at 2024-01-02 .*2 more rows"),
        ({"event_time": pl.lit(None, dtype=pl.Datetime("us", "UTC"))}, "row 0 .* has no event time"),
    ],
    ids=["type", "zone", "column", "late", "early", "no event"],
)
def test_histories_that_contradict_their_declaration_are_named(change, message):
    with pytest.raises(FeatureError, match=message):
        prepare_history(FEATURES, replace(HISTORY, **change), SALES)


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        (replace(SUM, value=pl.col("branch")), "value of a window feature is of type String"),
        (replace(SUM, value=pl.lit(2**63, dtype=pl.UInt64)), "does not fit 64 bits"),
        (replace(SUM, by={"shop": "amount"}), "'amount' is of type Float64 and cannot group"),
        (replace(AS_OF, columns={"x": "list"}), "'list' is of type List"),
    ],
    ids=["text", "large", "key", "nested"],
)
def test_types_that_features_cannot_have_are_named(feature, message):
    sales = SALES.with_columns(list=pl.concat_list("pieces"))
    with pytest.raises(FeatureError, match=message):
        prepare_history(replace(FEATURES, features=(feature,)), HISTORY, sales)


@pytest.mark.parametrize(
    "make",
    [
        lambda: replace(SUM, windows={}),
        lambda: replace(SUM, windows={"back": timedelta(hours=-1)}),
        lambda: replace(SUM, windows={"none": timedelta(0)}),
        lambda: replace(AS_OF, columns={}),
        lambda: replace(AS_OF, max_age=-DAY),
        lambda: replace(HISTORY, max_delay=-DAY),
        lambda: replace(FEATURES.entity, key=()),
        lambda: replace(FEATURES.entity, known_in_advance=()),
        lambda: FEATURES.history("weather"),
    ],
)
def test_definitions_that_cannot_be_are_refused(make):
    with pytest.raises(ProjectError):
        make()
