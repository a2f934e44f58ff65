from typing import Any

import numpy as np
import polars as pl
import pytest

from gitrain.errors import FeatureError, ModelError
from gitrain.evaluation.scoring import score
from gitrain.training.estimators import FeatureColumns, logistic_regression

COLUMNS = FeatureColumns(names=("channel", "price"), categorical=("channel",))
FEATURES = pl.DataFrame(
    {"carrier": ["AA", "B6", "DL"], "flight": [1, 2, 3], "price": [1.0, 2.0, 3.0], "channel": ["web", "desk", None]}
)


class Fixed:
    """An estimator that gives what it is told to give."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def fit(self, X: Any, y: Any) -> "Fixed":  # noqa: N803
        return self

    def predict_proba(self, X: Any) -> Any:  # noqa: N803
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def pairs(scores: list[float]) -> np.ndarray:
    return np.array([[1 - value, value] for value in scores])


def test_scores_are_the_probabilities_of_true():
    np.testing.assert_array_equal(score(Fixed(pairs([0.0, 0.25, 1.0])), FEATURES, COLUMNS), [0.0, 0.25, 1.0])


def test_a_real_model_scores_the_columns_that_it_takes_in_any_order():
    random = np.random.default_rng(0)
    rows = pl.DataFrame({"channel": ["web", "desk"] * 50, "price": random.normal(size=100)})
    estimator = logistic_regression({}, COLUMNS, 0).fit(rows, random.integers(0, 2, 100))
    assert score(estimator, FEATURES, COLUMNS).shape == (3,)
    np.testing.assert_array_equal(
        score(estimator, FEATURES, COLUMNS), score(estimator, FEATURES.select("channel", "price"), COLUMNS)
    )


def test_no_rows_have_no_scores_and_ask_no_model():
    assert score(Fixed(ValueError("asked")), FEATURES.clear(), COLUMNS).shape == (0,)


@pytest.mark.parametrize("value", [float("nan"), -0.01, 1.01, float("inf")])
def test_what_is_no_probability_is_an_error_that_names_the_first_row(value):
    with pytest.raises(ModelError, match=r"of carrier=B6, flight=2 \(2 such rows of 3\)"):
        score(Fixed(pairs([0.5, value, value])), FEATURES, COLUMNS, key=("carrier", "flight"))
    with pytest.raises(ModelError, match="of row 1 "):
        score(Fixed(pairs([0.5, value, 0.5])), FEATURES, COLUMNS)


@pytest.mark.parametrize(
    "answer",
    [
        np.array([0.1, 0.2, 0.3]),
        np.ones((3, 1)),
        np.full((3, 3), 1 / 3),
        pairs([0.5, 0.5]),
        np.full((3, 2), "0.5"),
        None,
    ],
)
def test_anything_but_two_columns_of_numbers_is_an_error(answer):
    with pytest.raises(ModelError, match="for 3 rows predict_proba gave"):
        score(Fixed(answer), FEATURES, COLUMNS)


def test_what_an_estimator_raises_becomes_an_error_of_the_model():
    with pytest.raises(ModelError, match="cannot score 3 rows: ValueError: Input X contains NaN"):
        score(Fixed(ValueError("Input X\n contains NaN")), FEATURES, COLUMNS)


def test_a_column_that_the_model_takes_and_the_rows_lack_is_named():
    with pytest.raises(FeatureError, match="'price'"):
        score(Fixed(pairs([0.5] * 3)), FEATURES.drop("price"), COLUMNS)
