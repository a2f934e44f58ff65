import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitrain.features.exact_sums import range_sums

FLOATS = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=12)


def total(values: Sequence[float], start: int, stop: int) -> float:
    numbers = np.array(values, dtype=np.float64)
    return float(range_sums(numbers).between(np.array([start]), np.array([stop]))[0])


@given(FLOATS, FLOATS, FLOATS)
@example([1e308] * 3, [1e-320, -1e-320, 5e-324], [-1e300])
@example([], [1e16, 1.0, -1e16], [0.1])
@example([], [-0.1, -0.2], [])
def test_sums_of_floats_are_within_a_bit_of_the_exact_sum_whatever_surrounds_them(before, inside, after):
    found = total([*before, *inside, *after], len(before), len(before) + len(inside))
    assert found == total(inside, 0, len(inside))
    exact = sum((Fraction(value) for value in inside), Fraction(0))
    try:
        right = float(exact)
    except OverflowError:
        right = math.inf if exact > 0 else -math.inf
    assert found == pytest.approx(right, rel=2**-52, abs=5e-324) or math.nextafter(right, math.inf) == math.inf


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=10), st.randoms(use_true_random=False))
def test_sums_of_floats_do_not_depend_on_order_or_sign(values, random):
    shuffled = random.sample(values, len(values))
    found = total(values, 0, len(values))
    assert found == total(shuffled, 0, len(values))
    assert found == -total([-value for value in values], 0, len(values))


@given(st.lists(st.integers(-(2**62), 2**62 - 1), max_size=10), st.data())
def test_sums_of_integers_are_exact_even_when_the_running_sum_overflows(values, data):
    start = data.draw(st.integers(0, len(values)))
    stop = data.draw(st.integers(start, min(start + 1, len(values))))
    found = range_sums(np.array(values, dtype=np.int64)).between(np.array([start]), np.array([stop]))
    assert found[0] == sum(values[start:stop])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([math.inf, 1.0], math.inf),
        ([-math.inf, 1.0], -math.inf),
        ([math.inf, -math.inf], math.nan),
        ([math.nan, 1.0], math.nan),
    ],
)
def test_what_is_not_finite_stays_in_its_own_range(values, expected):
    padded = [math.nan, math.inf, *values, -math.inf]
    assert total(padded, 2, 4) == pytest.approx(expected, nan_ok=True)
    assert total([*padded, 2.0, 0.5], 5, 7) == 2.5


def test_a_small_value_survives_a_large_one_before_it():
    values = [1e17, 0.1, 0.2]
    assert total(values, 1, 3) == 0.1 + 0.2
    running = np.cumsum([0.0, *values])
    assert running[3] - running[1] != 0.1 + 0.2
