from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.online.value_blocks import ValueBlocks

NAIVE = pl.Datetime("us")
IN_UTC = pl.Datetime("us", "UTC")
HOUR = pl.col("x").dt.hour() + pl.col("x").dt.minute() / 60

_times = st.datetimes(datetime(1890, 1, 1), datetime(2150, 1, 1)).map(
    lambda time: time.replace(second=0, microsecond=0)
)


def blocks_of(expression: pl.Expr, dtype: pl.DataType) -> ValueBlocks:
    blocks = ValueBlocks.take(expression, pl.Schema({"x": dtype}))
    assert blocks is not None
    return blocks


def bulk(expression: pl.Expr, dtype: pl.DataType, values: list[object]) -> list[object]:
    # With company: Polars computes a single value in another way.
    frame = pl.DataFrame({"x": [*values, *values]}, schema={"x": dtype})
    return frame.select(expression).to_series().to_list()[: len(values)]


@given(first=_times, second=_times)
def test_times_have_the_values_that_they_have_in_bulk(first, second):
    blocks = blocks_of(HOUR, NAIVE)

    assert blocks.values([first, second, first]) == bulk(HOUR, NAIVE, [first, second, first])


@given(time=_times)
def test_times_in_utc_have_the_values_that_they_have_in_bulk(time):
    expression = (pl.col("x") - timedelta(hours=2)).dt.epoch("us") / 7
    moment = time.replace(tzinfo=UTC)

    assert blocks_of(expression, IN_UTC).values([moment]) == bulk(expression, IN_UTC, [moment])


@given(day=st.dates())
def test_dates_have_the_values_that_they_have_in_bulk(day):
    expression = pl.col("x").dt.weekday().cast(pl.Float64)

    assert blocks_of(expression, pl.Date()).values([day]) == bulk(expression, pl.Date(), [day])


@pytest.mark.parametrize("dtype", [pl.Int8(), pl.UInt8(), pl.Int16(), pl.Int32(), pl.UInt32(), pl.Int64()])
@given(data=st.data())
def test_integers_have_the_values_that_they_have_in_bulk_to_the_bounds_of_their_type(dtype, data):
    low, high = (pl.select(bound).item() for bound in (dtype.min(), dtype.max()))
    number = data.draw(st.sampled_from([low, low + 1, high - 1, high]) | st.integers(low, high))
    expression = pl.col("x").cast(pl.Float64) / 60

    assert blocks_of(expression, dtype).values([number]) == bulk(expression, dtype, [number])


def test_a_day_is_computed_once(monkeypatch):
    blocks = blocks_of(HOUR, NAIVE)
    blocks.values([datetime(2013, 5, 1, 12, 0)])
    monkeypatch.setattr(pl.DataFrame, "select", None)

    assert blocks.values([datetime(2013, 5, 1, 23, 59), datetime(2013, 5, 1)]) == [23 + 59 / 60, 0.0]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([None], id="null"),
        pytest.param([datetime(2013, 5, 1, 12, 0, 1)], id="seconds"),
        pytest.param([datetime(2013, 5, 1, microsecond=1)], id="microseconds"),
        pytest.param([datetime(2013, 5, day) for day in (1, 2, 3)], id="many days"),
    ],
)
def test_what_no_block_is_for_is_left_to_the_caller(values):
    assert blocks_of(HOUR, NAIVE).values(values) is None


def test_a_neighbour_that_fails_is_no_reason_to_fail():
    half_a_block = (pl.col("x") - 32).cast(pl.UInt8)

    assert blocks_of(half_a_block, pl.Int32()).values([40]) is None


def test_what_is_remembered_is_bounded():
    blocks = blocks_of(pl.col("x") * 2.0, pl.Int64())
    for number in range(0, 64 * 200, 64):
        assert blocks.values([number]) == [2.0 * number]

    assert len(blocks._blocks) <= 32


def test_a_thread_that_forgets_everything_meanwhile_takes_nothing_from_this_one(monkeypatch):
    blocks = blocks_of(pl.col("x") * 2.0, pl.Int64())
    computed = blocks._computed

    def meanwhile(block):
        values = computed(block)
        blocks._blocks = {}
        return values

    monkeypatch.setattr(blocks, "_computed", meanwhile)

    assert blocks.values([1, 1000]) == [2.0, 2000.0]


@pytest.mark.parametrize(
    ("expression", "dtype"),
    [
        pytest.param(pl.lit(1), pl.Int64(), id="no column"),
        pytest.param(pl.col("x") + pl.col("y"), pl.Int64(), id="two columns"),
        pytest.param(pl.max_horizontal("x", pl.exclude("x")), pl.Int64(), id="columns that are not named"),
        pytest.param(pl.col("x") * 2, pl.Float64(), id="floats"),
        pytest.param(pl.col("x").dt.hour(), pl.Datetime("ms"), id="milliseconds"),
        pytest.param(pl.col("x").dt.hour(), pl.Datetime("us", "Europe/Berlin"), id="a zone with set-back hours"),
        pytest.param(pl.col("x") * 2, pl.UInt64(), id="beyond 64 bits with sign"),
    ],
)
def test_some_expressions_have_no_blocks(expression, dtype):
    assert ValueBlocks.take(expression, pl.Schema({"x": dtype, "y": dtype})) is None


def test_a_date_before_1970_is_found():
    assert blocks_of(pl.col("x").dt.year(), pl.Date()).values([date(1969, 12, 31)]) == [1969]
