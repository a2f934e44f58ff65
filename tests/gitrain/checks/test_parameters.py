import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from tests.gitrain.training.generated import frame, make, split

from gitrain.checks.parameters import non_finite_parameters
from gitrain.checks.single_features import single_feature_aucs
from gitrain.metrics import ROC_AUC
from gitrain.training.estimators import FeatureColumns

ROWS = split(frame(600))


def numbers():
    return ROWS.matrix.select("slope", "noise").to_numpy()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", ["hist_gradient_boosting", "logistic_regression", "mlp"])
def test_honest_pipelines_are_finite(name):
    # Gusts are null in places, and so are carriers: both leave NaN and infinity where they belong.
    model = make(name)
    model.fit(ROWS.matrix, ROWS.labels)

    assert non_finite_parameters(model) == []


@pytest.mark.parametrize("kind", [RandomForestClassifier, GradientBoostingClassifier])
def test_honest_forests_are_finite(kind):
    missing = numbers()
    if kind is RandomForestClassifier:
        missing[::7, 0] = np.nan
    assert non_finite_parameters(kind(n_estimators=5).fit(missing, ROWS.labels)) == []


def test_a_spoilt_coefficient_is_named():
    model = make("logistic_regression")
    model.fit(ROWS.matrix, ROWS.labels)
    model[-1].coef_[0, 0] = np.inf
    model[0].named_transformers_["numeric"]["scale"].mean_[0] = np.nan

    found = non_finite_parameters(model)

    assert len(found) == 2
    assert any(path.endswith("coef_") for path in found)
    assert any(path.endswith("mean_") for path in found)


def test_a_spoilt_leaf_and_a_spoilt_threshold_are_found():
    model = HistGradientBoostingClassifier(max_iter=2).fit(numbers(), ROWS.labels)
    nodes = model._predictors[0][0].nodes
    nodes["num_threshold"][0] = np.inf
    assert non_finite_parameters(model) == []
    nodes["num_threshold"][0] = np.nan
    assert len(non_finite_parameters(model)) == 1


def test_settings_are_no_parameters():
    assert non_finite_parameters(LogisticRegression(C=np.inf)) == []


def test_what_one_feature_alone_knows():
    columns = FeatureColumns(names=("slope", "noise", "carrier", "missing", "same"), categorical=("carrier",))
    rows = frame(4000)
    labels = rows["late"].cast(int).to_numpy().astype(np.int8)
    matrix = rows.select("slope", "noise", "carrier").with_columns(
        missing=np.where(labels == 1, np.nan, 3.0), same=np.zeros(len(labels))
    )

    aucs = single_feature_aucs(matrix[:3000], labels[:3000], matrix[3000:], labels[3000:], columns)

    plain = ROC_AUC.value(labels[3000:], 1 / (1 + np.exp(-matrix["slope"][3000:].to_numpy())))
    assert aucs["slope"] == pytest.approx(plain, abs=0.02)
    assert aucs["noise"] == pytest.approx(0.5, abs=0.06)
    assert 0.55 < aucs["carrier"] < 0.75
    assert aucs["missing"] == 1.0
    assert aucs["same"] == 0.5


def test_a_relation_that_rises_and_falls_is_seen():
    columns = FeatureColumns(names=("x",))
    values = np.random.default_rng(0).normal(size=4000)
    matrix, labels = frame(4000).select(x=values), (np.abs(values) > 1).astype(np.int8)

    aucs = single_feature_aucs(matrix[:2000], labels[:2000], matrix[2000:], labels[2000:], columns)

    assert aucs["x"] > 0.97
