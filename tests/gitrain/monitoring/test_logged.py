"""Which records of a log make a window, and how often each of them counts."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandera.polars as pa
import polars as pl
import pytest

from gitrain.data.contracts import TableContract
from gitrain.features.definitions import Entity, FeatureSet, RowFeature
from gitrain.monitoring.logged import (
    DamagedLines,
    LoggedPredictions,
    MonitoredRows,
    logged_schema,
    monitored_rows,
    of_known_years,
)

CONTRACT = TableContract(
    schema=pa.DataFrameSchema({name: pa.Column(dtype) for name, dtype in (("id", pl.Int64), ("day", pl.Date))}),
    key=("id",),
)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def features(*key: str) -> FeatureSet:
    return FeatureSet(
        entity=Entity(table="rows", key=key, known_in_advance=("id", "day"), unit=("day", pl.col("day"))),
        features=(RowFeature(name="x", expression=pl.col("id").cast(pl.Float64)),),
    )


def record(number: int, **more: Any) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "time": NOON + timedelta(seconds=number),
        "request_id": str(number),
        "row": 0,
        "release": "1.0.0",
        "inputs": {"id": number, "day": "2026-01-01"},
        "features": {"x": float(number)},
        "stale": [],
        "probability": 0.5,
        "decision": True,
    } | more


def rows_of(*records: dict[str, Any], key: tuple[str, ...] = ("id",), damaged=(), **window) -> MonitoredRows:
    schema = logged_schema(features(*key), CONTRACT) | {"time": pl.Datetime("us", "UTC")}
    logged = LoggedPredictions(
        frame=pl.DataFrame(records, schema=schema, orient="row"), files=1, torn=0, damaged=damaged
    )
    bounds = {"since": None, "through": NOON + 30 * DAY, "now": NOON + 30 * DAY, "leeway": timedelta(minutes=1)}
    return monitored_rows(logged, features(*key), CONTRACT, **bounds | window)


def inputs(number: int | None, day: str | None = "2026-01-01") -> dict[str, Any]:
    return {"inputs": {"id": number, "day": day}}


def test_rows_that_do_not_say_of_which_entity_they_are_are_of_none():
    again = [record(1), record(2, **inputs(None)), record(3, **inputs(None)), record(4, **inputs(1)), record(5)]

    found = rows_of(*again)

    assert found.known["id"].to_list() == [None, None, 1, 5]
    assert found.asked_again == 1
    assert found.frame["time"].to_list()[2] == NOON + timedelta(seconds=4), "the last prediction counts"


def test_half_a_key_is_none():
    parts = [(1, None), (1, None), (None, "2026-01-01"), (None, "2026-01-01"), (1, "2026-01-01"), (1, "2026-01-01")]

    found = rows_of(*(record(place, **inputs(*part)) for place, part in enumerate(parts)), key=("id", "day"))

    assert (found.frame.height, found.asked_again) == (5, 1)
    assert found.known["day"].to_list() == [None, None, date(2026, 1, 1), date(2026, 1, 1), date(2026, 1, 1)]


def test_what_is_known_of_the_key_before_the_answer_does_not_tell_entities_apart():
    found = rows_of(*(record(place, **inputs(1)) for place in range(3)), key=("id", "number"))

    assert (found.frame.height, found.asked_again) == (3, 0)


def test_each_release_predicts_an_entity_once():
    found = rows_of(record(1), record(2, **inputs(1), release="1.1.0"), record(3, **inputs(1)))

    assert found.frame.select("release", "in:id").rows() == [("1.1.0", 1), ("1.0.0", 1)]


@pytest.mark.parametrize(
    ("since", "through", "lines"), [(0, 9, 4), (1, 9, 4), (1.1, 9, 0), (0, 2, 4), (0, 0.9, 0), (1.4, 1.6, 0)]
)
def test_lines_count_when_the_records_around_them_were_written(since, through, lines):
    damaged = (DamagedLines(lines=4, first=NOON + DAY, last=NOON + DAY),)

    found = rows_of(damaged=damaged, since=NOON + since * DAY, through=NOON + through * DAY)

    assert (found.unreadable, found.lines) == (lines, lines)


def test_lines_without_records_around_them_may_be_of_any_time():
    damaged = (DamagedLines(lines=4, first=None, last=None),)

    assert rows_of(damaged=damaged, since=NOON + 2 * DAY, through=NOON + 3 * DAY).unreadable == 4


def test_a_record_without_a_time_is_of_that_of_its_neighbours():
    records = [record(0), record(1, time=None), record(2), record(3, time=NOON + 2 * DAY), record(4, time=None)]

    assert rows_of(*records).impossible == 2
    assert rows_of(*records, since=NOON + DAY).impossible == 1
    assert rows_of(*records, through=NOON + DAY).impossible == 1
    assert rows_of(record(0, time=None), records[3], since=NOON + DAY).impossible == 1
    assert rows_of(record(0, time=None), since=NOON + DAY).impossible == 1, "of any time"


@pytest.mark.parametrize(
    "dtype", [pl.Date(), pl.Datetime("us"), pl.Datetime("ms", "UTC"), pl.Datetime("us", "Asia/Tokyo")]
)
@pytest.mark.parametrize("strange", [[], ["0000-12-30"], ["+10000-01-02"], ["-0300-01-01", "+20000-01-01", None]])
def test_what_is_left_of_years_are_values_of_python(dtype, strange):
    texts = [None, "0001-01-02", *strange, "9999-12-30", None, "2026-01-01"]
    values = pl.Series(texts).str.to_date("%Y-%m-%d").cast(dtype)

    found = of_known_years(values)

    assert [None if each is None else each.year for each in found] == [
        None,
        1,
        *[None] * len(strange),
        9999,
        None,
        2026,
    ]
    assert found.dtype == dtype


@pytest.mark.parametrize("dtype", [pl.Date(), pl.Datetime("us", "UTC")])
@pytest.mark.parametrize("rows", [0, 2])
def test_nothing_has_no_year(dtype, rows):
    assert of_known_years(pl.Series([None] * rows, dtype=dtype)).len() == rows
