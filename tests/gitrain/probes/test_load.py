"""The figures of a load are what users would see."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.probes.arrivals import arrival_times
from gitrain.probes.load import LoadFigures, LoadSamples, longest_pause, percentile


def samples(due, done, *, sent=None, written=None, status=None, lost=None, rows=1, missing=0, stale=0):
    """Samples from lists; what is left out is as in a service without defects."""
    due = np.array(due, dtype=np.float64)
    count = len(due)
    sent = due.copy() if sent is None else np.array(sent, dtype=np.float64)
    return LoadSamples(
        started=0.0,
        due=due,
        sent=sent,
        written=sent.copy() if written is None else np.array(written, dtype=np.float64),
        done=np.array(done, dtype=np.float64),
        status=np.full(count, 200, dtype=np.int16) if status is None else np.array(status, dtype=np.int16),
        lost=np.array([""] * count if lost is None else lost, dtype=np.object_),
        **{
            name: np.full(count, value, dtype=np.int32)
            for name, value in (("rows", rows), ("missing", missing), ("stale", stale))
        },
    )


def one_worker(due, seconds_each, *, stall_at, stall):
    """When a service that answers one at a time, and stands still once, has answered each request."""
    free, done = 0.0, []
    for moment in due:
        begin = max(free, moment)
        if begin <= stall_at < begin + seconds_each or free <= stall_at <= begin:
            begin = max(begin, stall_at + stall)
        free = begin + seconds_each
        done.append(free)
    return np.array(done)


def closed_loop(seconds, seconds_each, *, stall_at, stall):
    """The latencies that one caller sees who asks again once it was answered."""
    now, found = 0.0, []
    while now < seconds:
        took = seconds_each + (stall if now <= stall_at < now + seconds_each else 0.0)
        found.append(took)
        now += took
    return np.array(found)


def test_a_stall_shows_as_users_see_it_and_a_closed_loop_hides_it():
    """2 s of 10 s stand still: a fifth of all users wait, up to two seconds."""
    due = arrival_times(500, 10)
    done = one_worker(due, 0.001, stall_at=4.0, stall=2.0)

    figures = LoadFigures.of(samples(due, done), seconds=10)
    asked_in_turn = percentile(closed_loop(10, 0.001, stall_at=4.0, stall=2.0), 0.99)

    assert figures.latency["p50"] < 2
    assert figures.latency["p90"] > 1000
    assert figures.latency["p99"] > 1900
    assert figures.longest_pause == pytest.approx(2001, abs=3)
    assert asked_in_turn == pytest.approx(0.001)


@given(
    rate=st.integers(50, 800),
    stall=st.floats(0.1, 1.0),
    stall_at=st.floats(0.5, 3.0),
)
def test_one_stall_reaches_as_many_requests_as_were_due_in_it(rate, stall, stall_at):
    """The law: with a share s of the time standing still, the percentile 1 - s/2 is half a stall or more."""
    seconds = 5
    due = arrival_times(rate, seconds)
    done = one_worker(due, 0.0005, stall_at=stall_at, stall=stall)

    waited = percentile(done - due, 1 - stall / seconds / 2)

    assert waited >= stall / 2 - 1 / rate - 0.001
    assert longest_pause(due, done) >= stall - 1 / rate - 0.001


@given(values=st.lists(st.floats(0, 1e6), min_size=1, max_size=200), share=st.floats(0.001, 1))
def test_a_percentile_was_seen_and_covers_its_share(values, share):
    values = np.array(values)
    found = percentile(values, share)

    assert found in values
    assert (values <= found).mean() >= share - 1e-9
    assert (values < found).mean() < share


def test_percentiles_of_a_hundred_are_those_one_would_count():
    values = np.arange(1, 101, dtype=np.float64)

    assert [percentile(values, share) for share in (0.5, 0.9, 0.99, 0.999, 1.0)] == [50, 90, 99, 100, 100]
    assert percentile(np.array([]), 0.5) is None


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 20)), min_size=1, max_size=25))
def test_the_longest_pause_is_what_counting_moment_by_moment_finds(times):
    due = np.array([at for at, _ in times])
    done = due + np.array([took for _, took in times])
    # By definition: between two moments at which something was finished, from when on somebody waited.
    expected = 0.0
    ends = sorted(done)
    for before, end in zip([-np.inf, *ends[:-1]], ends, strict=True):
        waiting = due[done >= end].min()
        expected = max(expected, end - max(before, waiting))

    assert longest_pause(due, done) == pytest.approx(expected)


def test_an_idle_time_is_no_pause():
    assert longest_pause(np.array([0.0, 100.0]), np.array([0.01, 100.02])) == pytest.approx(0.02)
    assert longest_pause(np.array([]), np.array([])) is None


def test_each_request_is_counted_once():
    found = samples(
        [0, 1, 2, 3, 4, 5],
        [0.01, 1.01, 12, 3.01, 14, 5.02],
        sent=[0, 1, 2, 3, np.nan, 5.004],
        status=[200, 429, 0, 500, 0, 200],
        lost=["", "", "none within 10 s", "", "none within 10 s", ""],
    )
    figures = LoadFigures.of(found, seconds=6)

    assert (figures.requests, figures.answered, figures.refused, figures.errors) == (6, 2, 1, 3)
    assert figures.statuses == {0: 2, 200: 2, 429: 1, 500: 1}
    assert figures.lost == {"none within 10 s": 2}
    assert figures.offered_rate == pytest.approx(5 / 6)
    assert figures.achieved_rate == pytest.approx(2 / 6)
    # A refusal is no slow answer and an error no quick one; who got nothing waited in vain.
    assert figures.latency["p50"] == pytest.approx(20)
    assert figures.latency["max"] == pytest.approx(10_000)
    assert figures.lag["max"] == pytest.approx(4)


def offered(due, sent, seconds):
    """The share of the rate that was kept."""
    figures = LoadFigures.of(samples(due, due + 9, sent=sent), seconds=seconds)
    return figures.offered_rate / figures.wanted_rate


@given(rate=st.integers(20, 400), seconds=st.floats(3, 60), share=st.floats(0.3, 1))
def test_a_generator_that_cannot_keep_the_schedule_has_the_rate_that_it_keeps(rate, seconds, share):
    due = arrival_times(rate, seconds)

    assert offered(due, due / share, seconds) == pytest.approx(share, rel=1e-6)


@given(rate=st.integers(20, 400), seconds=st.floats(30, 120), part=st.floats(0.05, 0.4))
def test_half_speed_in_the_last_part_is_no_schedule_that_was_kept(rate, seconds, part):
    """The last part of the time takes twice as long: as much is added to the time, and the rate is lower by it."""
    due = arrival_times(rate, seconds)
    begun = seconds * (1 - part)

    kept = offered(due, due + np.maximum(due - begun, 0), seconds)

    assert kept < 0.98
    assert kept == pytest.approx(1 / (1 + part), rel=0.03)


@given(rate=st.integers(10, 400), seconds=st.floats(3, 60), lag=st.floats(0, 0.5))
def test_a_constant_lag_counts_once(rate, seconds, lag):
    due = arrival_times(rate, seconds)

    kept = offered(due, due + lag, seconds)

    assert 1 - 1.3 * lag / seconds - 1e-9 <= kept <= 1 + 1e-9


@given(rate=st.integers(10, 400), seconds=st.floats(3, 60), stall=st.floats(0, 0.45), at=st.floats(0, 1))
def test_a_stall_that_was_made_up_for_changes_nothing_wherever_it_is(rate, seconds, stall, at):
    due = arrival_times(rate, seconds)
    begun = at * seconds
    stands = (due >= begun) & (due < begun + stall)

    assert offered(due, np.where(stands, begun + stall, due), seconds) == pytest.approx(1)


def test_one_that_was_late_once_has_kept_it():
    due = arrival_times(40, 3)
    sent = due.copy()
    sent[-3:] = 3.2
    figures = LoadFigures.of(samples(due, due + 9, sent=sent), seconds=3)

    assert figures.offered_rate == 40
    assert figures.lag["max"] > 200
    # All at once at the end is no load of that rate.
    bunched = LoadFigures.of(samples(due, due + 9, sent=np.full(len(due), 3.0)), seconds=3)
    assert bunched.offered_rate < 0.9 * 40


def test_answers_that_come_late_lower_the_rate():
    figures = LoadFigures.of(samples([0, 1], [0.01, 9.5]), seconds=2)

    assert figures.wanted_rate == 1
    assert figures.achieved_rate == pytest.approx(2 / 9.5)


def test_the_warm_up_is_not_counted():
    found = samples([0, 1, 2, 3], [0.9, 1.5, 2.01, 3.01]).after(2)

    figures = LoadFigures.of(found, seconds=2)
    assert figures.requests == 2
    assert figures.latency["max"] == pytest.approx(10)


def test_no_requests_give_no_figures():
    figures = LoadFigures.of(samples([], []), seconds=1)

    assert figures.requests == 0
    assert figures.latency["p99"] is None
    assert figures.longest_pause is None
