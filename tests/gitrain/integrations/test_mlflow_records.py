"""Names and values within MLflow's limits."""

from hypothesis import example, given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name, _validate_param_name

from gitrain.integrations.mlflow_records import quoted, shortened, unquoted


@given(st.text(min_size=1, max_size=30))
@example("..")
@example("a//b")
@example("./a")
@example(":2f:")
@example("ends in a slash/")
def test_any_name_is_allowed_and_comes_back(name: str) -> None:
    stored = quoted(name)
    _validate_metric_name(f"curve/{stored}")
    _validate_param_name(stored)
    assert unquoted(stored) == name


@given(st.lists(st.text(min_size=1, max_size=300), unique=True, min_size=2, max_size=4))
def test_names_stay_different_and_short(names: list[str]) -> None:
    stored = {quoted(name) for name in names}
    assert len(stored) == len(names)
    assert max(map(len, stored)) <= 200


@given(st.text(max_size=100), st.integers(min_value=5990, max_value=6010))
def test_values_fit(end: str, length: int) -> None:
    value = "x" * length + end
    assert len(shortened(value)) <= 6000
    assert (shortened(value) == value) == (len(value) <= 6000)
