import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gitrain.features.exact_sums import range_sums
from gitrain.online.exact_totals import ZERO, packed, rounded_difference, unpacked

FLOATS = st.floats() | st.sampled_from([0.1, -0.0, 5e-324, -5e-324, 1.7e308, -1.7e308, 2.0**-1022, 1e16, 1e-300])


def bits(value: float) -> bytes | None:
    return None if math.isnan(value) else np.float64(value).tobytes()


@given(st.lists(FLOATS, max_size=30), st.data())
def test_a_difference_has_the_bits_of_the_sum_in_training(values, data):
    totals = [ZERO]
    for value in values:
        totals.append(totals[-1].with_value(value))
    start = data.draw(st.integers(0, len(values)))
    stop = data.draw(st.integers(start, len(values)))
    wanted = range_sums(np.array(values, dtype=np.float64)).between(np.array([start]), np.array([stop]))[0]
    assert bits(rounded_difference(totals[stop], totals[start])) == bits(wanted)


@given(st.lists(FLOATS, max_size=20), st.binary(max_size=9), st.binary(max_size=9))
def test_bytes_keep_a_total_and_say_where_they_end(values, before, after):
    total = ZERO
    for value in values:
        total = total.with_value(value)
    content = before + packed(total) + after
    assert unpacked(content, len(before)) == (total, len(content) - len(after))


@given(st.lists(FLOATS, max_size=20), st.randoms(use_true_random=False))
def test_the_order_of_values_does_not_matter(values, random):
    shuffled = random.sample(values, len(values))
    first, second = ZERO, ZERO
    for one, other in zip(values, shuffled, strict=True):
        first, second = first.with_value(one), second.with_value(other)
    assert first == second
