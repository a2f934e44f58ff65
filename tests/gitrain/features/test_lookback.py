from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gitrain.features.parcels import ARRIVALS, FEATURES

from gitrain.data.batches import BatchScheme, Months, Numbered
from gitrain.errors import FeatureError
from gitrain.features.lookback import batches_to_read, check_event_times

MONTHS = [f"2024-{month:02}" for month in range(1, 13)]


def at(month: int, day: int, hour: int = 0) -> datetime:
    return datetime(2024, month, day, hour, tzinfo=UTC)


def needed(
    first: datetime, last: datetime, batches: Sequence[str] = MONTHS[:6], scheme: BatchScheme | None = None
) -> list[str]:
    return batches_to_read(FEATURES, ARRIVALS, scheme or Months(), batches, (first, last))


def test_the_longest_window_the_delay_and_a_day_are_looked_back():
    # 7 days of window, 4 of delay, 1 of slack.
    assert needed(at(6, 1), at(6, 30)) == ["2024-05", "2024-06"]
    assert needed(at(6, 14), at(6, 30)) == ["2024-06"]
    assert needed(at(6, 12, 23), at(6, 30)) == ["2024-05", "2024-06"]


def test_decisions_ahead_of_their_batch_do_not_read_it():
    assert needed(at(4, 20), at(4, 25)) == ["2024-04"]
    assert needed(at(4, 20), at(4, 30)) == ["2024-04", "2024-05"]


def test_batches_without_time_are_all_read():
    assert needed(at(6, 1), at(6, 2), ["0001", "0002"], Numbered()) == ["0001", "0002"]


def test_without_decisions_or_history_the_last_batch_gives_the_columns():
    assert batches_to_read(FEATURES, ARRIVALS, Months(), MONTHS[:2], None) == ["2024-02"]
    assert needed(at(1, 1) - timedelta(days=90), at(1, 1) - timedelta(days=80)) == ["2024-06"]


@given(
    st.integers(0, 363 * 24),
    st.integers(0, 40 * 24),
    st.integers(0, 4 * 24),
    st.integers(0, 7 * 24 - 1),
    st.integers(-14, 14),
)
def test_every_row_that_can_matter_lies_in_a_batch_that_is_read(first, length, delay, age, zone):
    """The batch is cut by local midnight, up to 14 hours from UTC either way."""
    start, hour = at(1, 1), timedelta(hours=1)
    decision = start + (first + length) * hour
    event = decision - (age + delay) * hour
    local = event + zone * hour
    if event.year == 2024 and local.year == 2024:
        read = needed(start + first * hour, decision, MONTHS)
        assert f"{local:%Y-%m}" in read


def test_rows_outside_their_batch_are_refused():
    check_event_times(ARRIVALS, Months(), "2024-02", (at(1, 31, 1), at(3, 1, 23)))
    check_event_times(ARRIVALS, Months(), "2024-02", None)
    check_event_times(ARRIVALS, Numbered(), "0001", (at(1, 1), at(12, 1)))
    for span in ((at(1, 30), at(2, 3)), (at(2, 1), at(3, 2))):
        with pytest.raises(FeatureError, match="batch 2024-02 of table 'parcels'"):
            check_event_times(replace(ARRIVALS), Months(), "2024-02", span)
