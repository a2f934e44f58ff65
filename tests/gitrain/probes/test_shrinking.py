"""What fails is made small, and still fails."""

import json

from hypothesis import given
from hypothesis import strategies as st

from gitrain.probes.shrinking import shrink

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=10,
)


def holds(value, wanted):
    """Whether a value is somewhere inside of another."""
    if value == wanted and type(value) is type(wanted):
        return True
    parts = value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
    return any(holds(part, wanted) for part in parts)


def test_what_matters_is_left():
    body = {"rows": [{"size": 3.5, "place": "north"}, {"size": "evil", "place": "south"}, {"size": 1.5}]}

    smallest = shrink(body, lambda value: holds(value, "evil"), most=500)

    assert smallest == "evil" or json.dumps(smallest) == '{"rows": [{"size": "evil"}]}'


def test_five_rows_and_more_are_five_rows():
    def fails(value):
        return isinstance(value, dict) and isinstance(value.get("rows"), list) and len(value["rows"]) >= 5

    assert shrink({"rows": [{"size": 1.5}] * 40, "x": 1}, fails, most=500) == {"rows": [{}] * 5}


@given(JSON, JSON)
def test_it_still_fails_and_is_no_larger(value, wanted):
    body = [value, wanted, value]

    smallest = shrink(body, lambda each: holds(each, wanted), most=300)

    assert holds(smallest, wanted)
    assert len(json.dumps(smallest)) <= len(json.dumps(body))


@given(JSON, st.integers(0, 20))
def test_it_asks_no_more_than_it_may(value, most):
    asked = []

    def fails(candidate):
        asked.append(candidate)
        return len(asked) % 2 == 0

    shrink([value], fails, most=most)

    assert len(asked) <= most
