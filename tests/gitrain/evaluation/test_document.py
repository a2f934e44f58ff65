import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gitrain.evaluation.document import Estimate, significant


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_six_digits_stay_and_the_rest_goes(value):
    found = significant(value)
    assert found == pytest.approx(value, rel=5e-6)
    assert significant(found) == found


def test_the_last_digits_of_a_sum_do_not_show():
    assert 0.1 + 0.2 != 0.3
    assert significant(0.1 + 0.2) == 0.3


def test_what_is_no_number_is_none():
    assert significant(None) is None
    assert significant(math.nan) is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"value": 0.5}, "needs a reason"),
        ({"value": None, "low": 0.1, "high": 0.2}, "needs a reason"),
        ({"value": 0.5, "low": 0.1, "reason": "half"}, "both ends or none"),
    ],
)
def test_an_estimate_without_a_number_says_why(values, message):
    with pytest.raises(ValidationError, match=message):
        Estimate(**values)
