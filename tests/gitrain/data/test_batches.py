from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.data.batches import Months, Numbered, batches_between
from gitrain.errors import SettingsError

MONTHS = st.builds(lambda year, month: f"{year:04d}-{month:02d}", st.integers(1, 9000), st.integers(1, 12))


@given(MONTHS)
def test_months_follow_each_other_without_a_gap(month):
    scheme = Months()

    assert scheme.following(month) > month
    assert scheme.bounds(month)[1] == scheme.bounds(scheme.following(month))[0]


def test_the_year_turns():
    assert Months().following("2013-12") == "2014-01"
    assert Months().bounds("2012-02") == (datetime(2012, 2, 1), datetime(2012, 3, 1))


@pytest.mark.parametrize("name", ["2013", "2013-13", "2013-1", "0000-01", "2013-01-01", "", "../2013-01"])
def test_what_is_no_month_is_refused(name):
    with pytest.raises(SettingsError, match="not a month"):
        Months().check(name)


@pytest.mark.parametrize("name", ["1", "00001", "abcd", ""])
def test_what_is_no_number_is_refused(name):
    with pytest.raises(SettingsError, match="not a batch number"):
        Numbered().check(name)


def test_batches_between_hold_both_ends():
    assert batches_between(Numbered(), "0009", "0011") == ["0009", "0010", "0011"]
    assert batches_between(Months(), "2013-12", "2014-01") == ["2013-12", "2014-01"]


def test_the_last_batch_does_not_come_before_the_first():
    with pytest.raises(SettingsError, match="comes before the first"):
        batches_between(Months(), "2013-05", "2013-04")


def test_the_numbers_end():
    with pytest.raises(SettingsError, match="not a batch number"):
        batches_between(Numbered(), "9998", "10000")
