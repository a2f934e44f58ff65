import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from tests.gitrain.serving.forms import HOLDOUT, TRAINING, fitted, labels
from tests.gitrain.training.generated import COLUMNS

from gitrain.serving.split_points import split_points
from gitrain.training.estimators import FeatureColumns
from gitrain.training.matrix import feature_matrix

MATRIX = feature_matrix(HOLDOUT, COLUMNS)


def thresholds(model, feature):
    """Straight from the nodes."""
    nodes = np.concatenate([tree.nodes for trees in model._predictors for tree in trees])
    return np.unique(nodes["num_threshold"][(nodes["is_leaf"] == 0) & (nodes["feature_idx"] == feature)])


def test_thresholds_belong_to_the_columns_that_they_split():
    """The pipeline puts the category first: the trees' feature 2 is the column `gusts`."""
    model = fitted("ready-made boosting")
    found = split_points(model, COLUMNS, MATRIX)
    assert set(found) == set(COLUMNS.numeric)
    assert np.array_equal(found["gusts"], thresholds(model.named_steps["classifier"], 2))
    assert np.array_equal(found["slope"], thresholds(model.named_steps["classifier"], 1))


def test_a_classifier_without_a_pipeline():
    columns = FeatureColumns(names=("gusts", "slope"))
    matrix = feature_matrix(TRAINING, columns)
    model = HistGradientBoostingClassifier(max_iter=3).fit(matrix, labels(TRAINING))
    assert np.array_equal(split_points(model, columns, matrix)["slope"], thresholds(model, 1))


@pytest.mark.parametrize("name", ["forest with missing values", "isotonic calibration of boosting"])
def test_trees_are_found_wherever_they_are(name):
    found = split_points(fitted(name), COLUMNS, MATRIX)
    assert found["slope"].size > 10
    assert set(found["slope"]) - set(middles("slope"))


def middles(name):
    values = np.unique(MATRIX[name].drop_nulls().to_numpy())
    return (values[1:] + values[:-1]) / 2


def test_without_trees_they_are_the_middles_of_what_was_seen():
    found = split_points(fitted("ready-made logistic regression"), COLUMNS, MATRIX)
    assert np.array_equal(found["gusts"], middles("gusts"))
    constant = MATRIX.with_columns(noise=pl.lit(2.0), slope=pl.lit(None, dtype=pl.Float64))
    found = split_points(fitted("ready-made logistic regression"), COLUMNS, constant)
    assert (found["noise"].tolist(), found["slope"].tolist()) == ([2.0], [])
