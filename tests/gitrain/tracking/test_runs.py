"""Records of runs as values."""

from hypothesis import given
from hypothesis import strategies as st

from gitrain.tracking.runs import flatten

_NAMES = st.text(alphabet="abcxyz", min_size=1, max_size=3)
_NESTED = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=10,
)


def test_nested_values_get_dotted_names() -> None:
    values = {"a": {"b": [1, {"c": None}]}, "empty": {}, "none": [], "d": "text"}
    assert flatten(values) == {"a.b.0": 1, "a.b.1.c": None, "empty": {}, "none": [], "d": "text"}


@given(st.dictionaries(_NAMES, _NESTED, max_size=4))
def test_no_value_is_lost(values: dict[str, object]) -> None:
    def leaves(value: object) -> int:
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
        return sum(map(leaves, children)) if children else 1

    assert len(flatten(values)) == sum(map(leaves, values.values()))
