import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gitrain.serving.counters import FEATURES, NEWEST, Lookup, Model

from gitrain.features.definitions import Entity, FeatureSet, RowFeature
from gitrain.online.lookup import FoundFeatures
from gitrain.serving.predictor import Predictor


class Given:
    """A lookup that finds what it was given."""

    def __init__(self, columns):
        self.columns = columns

    def look_up(self, rows):
        return FoundFeatures(columns=self.columns, stale=((),) * rows.height, newest={})


class Half(Model):
    def score(self, columns):
        return np.full(len(next(iter(columns.values()))), 0.5)


def feature_set(names) -> FeatureSet:
    entity = Entity(table="t", key=("x",), known_in_advance=("x",), unit=("x", pl.col("x")))
    return FeatureSet(entity=entity, features=tuple(RowFeature(name=name, expression=pl.col("x")) for name in names))


def test_features_probabilities_decisions_and_freshness_belong_together():
    predictor = Predictor(Lookup(), Model(), FEATURES, 0.5)

    found = predictor.predict(pl.DataFrame({"number": [49, 50, 51], "other": [None, None, None]}))

    assert found.probabilities.tolist() == [0.49, 0.5, 0.51]
    assert found.decisions.tolist() == [False, True, True]
    assert found.missing == (("gust",),) * 3
    assert found.stale == (("wind",), (), ("wind",))
    assert found.newest == {"wind": NEWEST}
    assert found.features["number"].tolist() == [49, 50, 51]


@given(st.integers(1, 60), st.integers(0, 40), st.randoms(use_true_random=False))
def test_what_is_missing_is_told_row_by_row_however_many_there_are(features, rows, random):
    names = [f"f{number}" for number in range(features)]
    columns = {}
    for number, name in enumerate(names):
        if number % 3:
            values = np.array([random.choice([0.0, -0.0, 1.0, np.nan, np.inf]) for _ in range(rows)])
        else:
            values = np.empty(rows, dtype=object)
            values[:] = [random.choice([None, "", "None", "nan"]) for _ in range(rows)]
        # In another order than the features'.
        columns = {name: values, **columns}
    predictor = Predictor(Given(columns), Half(), feature_set(names), 0.5)

    found = predictor.predict(pl.DataFrame({"x": range(rows)}))

    expected = [
        tuple(
            name
            for name in names
            if columns[name][row] is None or (columns[name].dtype != object and np.isnan(columns[name][row]))
        )
        for row in range(rows)
    ]
    assert list(found.missing) == expected


@pytest.mark.parametrize("features", [24, 25, 48, 49, 130])
def test_patterns_of_many_features_are_told_apart(features):
    names = [f"f{number}" for number in range(features)]
    values = np.where(np.eye(features, dtype=bool), np.nan, 0.0)
    predictor = Predictor(Given(dict(zip(names, values, strict=True))), Half(), feature_set(names), 0.5)

    found = predictor.predict(pl.DataFrame({"x": range(features)}))

    assert found.missing == tuple((name,) for name in names)
