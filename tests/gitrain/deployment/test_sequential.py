import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.deployment.sequential import Counted, confidence_limits

ALPHAS = st.floats(min_value=1e-6, max_value=0.5)


@st.composite
def counts(draw: st.DrawFn) -> Counted:
    total = draw(st.integers(min_value=0, max_value=100_000))
    return Counted(draw(st.integers(min_value=0, max_value=total)), total)


@given(counts(), ALPHAS)
def test_the_rate_lies_between_its_limits(counted: Counted, alpha: float) -> None:
    low, high = confidence_limits(counted, alpha)
    assert 0 <= low <= counted.rate <= high <= 1


@given(counts(), ALPHAS)
def test_less_risk_takes_wider_limits(counted: Counted, alpha: float) -> None:
    low, high = confidence_limits(counted, alpha)
    wider_low, wider_high = confidence_limits(counted, alpha / 2)
    assert wider_low <= low
    assert wider_high >= high


@given(counts(), ALPHAS)
def test_what_happened_and_what_did_not_are_mirror_images(counted: Counted, alpha: float) -> None:
    low, high = confidence_limits(counted, alpha)
    mirrored = confidence_limits(Counted(counted.total - counted.events, counted.total), alpha)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_nothing_counted_says_nothing() -> None:
    assert confidence_limits(Counted(0, 0), 0.05) == (0.0, 1.0)


def test_by_hand() -> None:
    # No event in n: (1 - p)^n = alpha * B(1/2, n + 1/2) / B(1/2, 1/2) at the upper limit.
    n, alpha = 100, 0.05
    mixture = math.exp(math.lgamma(0.5) + math.lgamma(n + 0.5) - math.lgamma(n + 1)) / math.pi
    low, high = confidence_limits(Counted(0, n), alpha)
    assert low == 0
    assert high == pytest.approx(1 - (alpha * mixture) ** (1 / n))


@pytest.mark.parametrize("rate", [0.002, 0.05, 0.5])
def test_the_limits_hold_at_all_looks_together(rate: float) -> None:
    """Of 400 sequences looked at after each of 1,000 observations, at most a twentieth is ever left by its limits."""
    random = np.random.default_rng(1)
    left = 0
    for _ in range(400):
        events = np.cumsum(random.random(1000) < rate)
        looks = range(1, 1001, 25)
        outside = (confidence_limits(Counted(int(events[n - 1]), n), 0.05) for n in looks)
        left += any(not low <= rate <= high for low, high in outside)
    assert left <= 20


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_no_risk_and_all_risk_are_no_risks(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        confidence_limits(Counted(1, 2), alpha)


@pytest.mark.parametrize(("events", "total"), [(-1, 2), (3, 2)])
def test_counts_that_cannot_be(events: int, total: int) -> None:
    with pytest.raises(ValueError, match="of"):
        Counted(events, total)


def test_counts_add_up() -> None:
    assert Counted(1, 10) + Counted(2, 5) == Counted(3, 15)
