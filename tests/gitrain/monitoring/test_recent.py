"""Which days are the last ones, and which of them is the worst."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.monitoring.recent import days_in_words, names_of_days, recent_since, rows_by_day, worst_day

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MOMENTS = st.lists(st.integers(0, 40 * 24), min_size=1, max_size=30)


def times(*hours: float) -> pl.Series:
    """So many hours before noon."""
    return pl.Series([NOON - timedelta(hours=each) for each in hours], dtype=pl.Datetime("us", "UTC"))


@pytest.mark.parametrize(
    ("hours", "days", "first"),
    [
        ((0, 5, 23), 1, 23),
        ((0, 24), 1, 0),
        ((0, 23.9, 24, 47, 48), 2, 47),
        ((0, 100, 24 * 30, 24 * 30 + 25), 3, 24 * 30),
        ((0, 1), 366, 1),
    ],
    ids=["a day", "24 hours later is another", "two days", "days without any do not count", "all there are"],
)
def test_the_last_days_are_24_hours_each_back_from_the_newest(hours, days, first):
    assert recent_since(times(*hours), days) == NOON - timedelta(hours=first)


def test_of_nothing_there_is_no_last_day():
    assert recent_since(times(), 7) is None


def test_a_record_of_the_year_one_costs_nothing():
    strange = pl.concat([times(0), pl.Series([datetime(1, 1, 1, tzinfo=UTC)], dtype=pl.Datetime("us", "UTC"))])

    assert recent_since(strange, 1) == NOON
    assert recent_since(strange, 2) == datetime(1, 1, 1, tzinfo=UTC)


@given(hours=MOMENTS, days=st.integers(1, 9), more=MOMENTS)
def test_what_is_before_the_last_days_changes_nothing(hours, days, more):
    found = recent_since(times(*hours), days)
    oldest = max(hours)

    days_there = {(each - min(hours)) // 24 for each in hours}
    assert len({(each - min(hours)) // 24 for each in hours if times(each)[0] >= found}) == min(days, len(days_there))
    if len(days_there) >= days:
        # A whole day before all of them, so that none of these is of the same 24 hours.
        earlier = [oldest + 24 + each for each in more]
        assert recent_since(times(*hours, *earlier), days) == found


def test_days_are_counted_and_named_in_their_order():
    day = pl.Series(["b", "a", "b"], dtype=pl.Enum(["a", "b", "c"]))

    assert names_of_days(day) == ["a", "b", "c"]
    assert rows_by_day(day).tolist() == [1, 2, 0]
    assert (days_in_words(day), days_in_words(day.filter(day == "b"))) == ("a to b", "b")


def found(rows: list[int], bad: list[int], limit: float):
    names = [str(place) for place in range(len(rows))]
    return worst_day(names, np.array(rows, dtype=float), np.array(bad, dtype=float), limit)


def test_the_worst_day_is_named_and_beyond_only_if_chance_does_not_make_it():
    assert not found([900, 900], [40, 50], 0.05).beyond
    worst = found([900, 900, 900], [10, 200, 60], 0.05)
    assert (worst.day, worst.rows, worst.beyond) == ("1", 900, True)
    # 5 % of thirty rows and chance: five of them are nothing, eight are.
    assert [found([30], [bad], 0.05).beyond for bad in (5, 8)] == [False, True]


def test_a_day_of_few_rows_is_none():
    assert found([29], [29], 0.0) is None
    assert found([29, 30], [29, 1], 0.0).day == "1"


@pytest.mark.parametrize("limit", [1.0, 1.7])
def test_what_may_always_be_is_never_beyond(limit):
    assert not found([1000], [1000], limit).beyond


def test_chance_alone_is_hardly_ever_beyond():
    random = np.random.default_rng(0)
    rows = np.full(20_000, 40)
    beyond = sum(found([40], [bad], 0.05).beyond for bad in random.binomial(rows, 0.05).tolist())

    assert beyond < 0.01 * rows.size
