"""Requests are due whatever the service does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.probes.arrivals import Pacer, arrival_times


@given(
    rate=st.floats(0.1, 500),
    seconds=st.floats(0.01, 20),
    arrivals=st.sampled_from(["constant", "poisson"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_all_are_due_in_their_time_and_in_order(rate, seconds, arrivals, seed):
    due = arrival_times(rate, seconds, arrivals, seed)

    assert (due >= 0).all()
    assert (due < seconds).all()
    assert (np.diff(due) >= 0).all()
    assert np.array_equal(due, arrival_times(rate, seconds, arrivals, seed))
    if arrivals == "constant":
        assert abs(len(due) - rate * seconds) <= 1


def test_evenly_spaced_ones_do_not_drift():
    due = arrival_times(300, 3600)

    assert len(due) == 300 * 3600
    assert due[-1] == pytest.approx(3600 - 1 / 300, abs=1e-9)


def test_random_ones_have_their_rate_and_are_bunched():
    due = arrival_times(1000, 100, "poisson", seed=1)
    gaps = np.diff(due)

    assert len(due) == pytest.approx(100_000, rel=0.02)
    # Of an exponential distribution: as wide as its mean, with a share of 1 - 1/e below it.
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.02)
    assert (gaps < gaps.mean()).mean() == pytest.approx(1 - np.exp(-1), abs=0.01)


@given(
    due=st.lists(st.floats(0, 10), max_size=60),
    steps=st.lists(st.floats(0, 3), max_size=60),
)
def test_each_request_is_taken_once_and_never_early_whatever_the_clock_does(due, steps):
    """The law of the open loop: what is due is sent, however late the generator looks again."""
    due = np.sort(np.array(due, dtype=np.float64))
    pacer, now, taken = Pacer(due), 0.0, []
    for step in steps:
        wait = pacer.wait(now)
        if wait is None:
            break
        # Somebody may look again sooner than told, or much later.
        now += step
        for number in pacer.take(now):
            assert due[number] <= now
            taken.append(number)
        assert pacer.take(now) == range(len(taken), len(taken))
        left = pacer.wait(now)
        assert (left is None) == (len(taken) == len(due))
        assert left is None or left >= 0
    taken += pacer.take(np.inf)

    assert taken == list(range(len(due)))


def test_waiting_as_told_takes_each_when_it_is_due():
    due = np.array([0.5, 0.5, 0.75])
    pacer = Pacer(due)

    assert pacer.take(0.0) == range(0)
    assert pacer.wait(0.0) == 0.5
    assert pacer.take(0.5) == range(2)
    assert pacer.wait(0.5) == 0.25
    assert pacer.take(0.8) == range(2, 3)
    assert pacer.wait(0.8) is None
