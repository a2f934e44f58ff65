import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.monitoring.evidence import critical_evidence, sequential_limits

DAYS, YEAR = 30, 365


def alarms(live_shift: float, runs: int, days: int, seed: int, *, alpha: float = 0.05) -> tuple[float, float]:
    """The share of runs with an alarm: of the sequence, and of the test meant for one look."""
    random = np.random.default_rng(seed)
    found, naive = 0, 0
    for _ in range(runs):
        limits = sequential_limits(random.normal(0.9, 0.1, DAYS), random.normal(0.9 + live_shift, 0.1, days), alpha)
        found += bool((limits.lower > limits.reference).any())
        naive += bool((limits.naive > limits.reference).any())
    return found / runs, naive / runs


def test_daily_looks_over_a_year_without_change_alarm_in_one_of_twenty_years_at_most():
    sequential, naive = alarms(0.0, runs=400, days=YEAR, seed=0)

    # Three standard errors of 400 draws at 5 %.
    assert sequential <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)
    assert naive > 0.2, "the test meant for one look is fooled"


@pytest.mark.parametrize(("shift", "least"), [(0.1, 0.9), (0.15, 0.99)])
def test_a_change_of_a_deviation_is_found_within_a_season(shift, least):
    assert alarms(shift, runs=100, days=90, seed=1)[0] >= least


def test_days_that_are_alike_are_not_taken_for_more_than_they_are():
    random = np.random.default_rng(2)

    def alike(days: int) -> np.ndarray:
        noise = random.normal(0, 0.1, days + 200)
        for place in range(1, noise.size):
            noise[place] += 0.4 * noise[place - 1]
        return 0.9 + noise[200:]

    found = sum(
        bool((limits.lower > limits.reference).any())
        for limits in (sequential_limits(alike(DAYS), alike(YEAR), 0.05) for _ in range(300))
    )

    # About seven in a hundred; were days taken to be independent, nineteen.
    assert found / 300 <= 0.12


@given(
    shift=st.floats(-5, 5),
    scale=st.floats(0.01, 100),
    seed=st.integers(0, 2**32 - 1),
    days=st.integers(1, 40),
)
def test_limits_move_and_stretch_with_the_values(shift, scale, seed, days):
    random = np.random.default_rng(seed)
    reference, live = random.normal(size=20), random.normal(size=days)
    plain = sequential_limits(reference, live, 0.05)
    moved = sequential_limits(reference * scale + shift, live * scale + shift, 0.05)

    np.testing.assert_allclose(moved.lower, plain.lower * scale + shift, rtol=1e-6, atol=1e-6 * scale)
    np.testing.assert_allclose(moved.upper, plain.upper * scale + shift, rtol=1e-6, atol=1e-6 * scale)


@given(seed=st.integers(0, 2**32 - 1), days=st.integers(1, 60), cut=st.integers(1, 60))
def test_a_look_knows_nothing_of_later_days(seed, days, cut):
    random = np.random.default_rng(seed)
    reference, live = random.normal(size=15), random.normal(size=days)
    whole, part = sequential_limits(reference, live, 0.05), sequential_limits(reference, live[:cut], 0.05)

    np.testing.assert_allclose(part.lower, whole.lower[:cut], rtol=1e-9)


def test_the_evidence_needed_is_below_the_bound_that_holds_for_ever_and_never_trivial():
    for days in (5, 30, 90):
        found = critical_evidence(days, 0.05)
        assert 0.5 < found <= -math.log(0.1)
    assert critical_evidence(30, 0.001) == -math.log(0.002), "too rare to be simulated"


def test_too_few_days_or_values_that_are_none_are_refused():
    for reference, live in ((np.zeros(2), np.zeros(3)), (np.zeros(5), np.array([np.nan]))):
        with pytest.raises(ValueError, match="finite values are needed"):
            sequential_limits(reference, live, 0.05)
