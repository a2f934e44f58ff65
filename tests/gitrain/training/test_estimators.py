import subprocess
import sys
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.gitrain.training.generated import COLUMNS, FACTORIES, QUICK, frame, make

from gitrain.errors import SettingsError
from gitrain.training.estimators import FeatureColumns
from gitrain.training.fitting import log_loss
from gitrain.training.iterations import learner_of
from gitrain.training.matrix import feature_matrix, true_probabilities

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(params=sorted(FACTORIES))
def name(request):
    return request.param


def labels(rows: pl.DataFrame):
    return rows["late"].cast(pl.Int8).to_numpy()


def scores(model, rows: pl.DataFrame):
    return true_probabilities(model.predict_proba(feature_matrix(rows, COLUMNS)))


def test_learns_what_is_there_to_learn(name):
    train, test = frame(seed=0), frame(seed=1)
    model = make(name).fit(feature_matrix(train, COLUMNS), labels(train))
    base = log_loss(labels(test), np.full(test.height, labels(train).mean()))
    assert log_loss(labels(test), scores(model, test)) < 0.85 * base


def test_overfits_a_tiny_batch(name):
    # Labels by lot: only a model that can memorise gets these right.
    tiny = frame(64, seed=3).with_columns(late=pl.Series(np.random.default_rng(1).random(64) < 0.5))
    tiny = tiny.with_columns(pl.Series(f"n{i}", np.random.default_rng(10 + i).normal(size=64)) for i in range(70))
    columns = FeatureColumns(names=(*COLUMNS.names, *(f"n{i}" for i in range(70))), categorical=("carrier",))
    generous = {
        "hist_gradient_boosting": {"max_iter": 200, "min_samples_leaf": 1, "learning_rate": 0.3},
        "logistic_regression": {"C": 1e8},
        "mlp": {"max_iter": 300, "alpha": 0.0, "learning_rate_init": 0.01},
    }
    matrix = feature_matrix(tiny, columns)
    learner = learner_of(make(name, generous[name], columns=columns), seed=0)
    list(learner.fit_iterations(matrix, labels(tiny), iterations=learner.max_iterations, watched=()))
    model = learner.estimator
    assert log_loss(labels(tiny), true_probabilities(model.predict_proba(matrix))) < 0.001


def test_categories_never_seen_and_missing_values_still_get_a_probability(name):
    train = frame()
    model = make(name).fit(feature_matrix(train, COLUMNS), labels(train))
    odd = pl.DataFrame(
        {
            "slope": [0.0, None, 1.0],
            "carrier": ["never seen", None, "C1"],
            "gusts": [None, 3.0, 4.0],
            "noise": [0.0, None, 0.0],
            "flag": [None, True, False],
        }
    )
    found = scores(model, odd)
    assert np.isfinite(found).all()
    assert ((found > 0) & (found < 1)).all()


def test_integers_in_place_of_floats_make_no_difference(name):
    train = frame().with_columns(pl.col("gusts").round().cast(pl.Int64))
    as_floats = train.with_columns(pl.col("gusts").cast(pl.Float32))
    model = make(name).fit(feature_matrix(train, COLUMNS), labels(train))
    assert np.array_equal(scores(model, train), scores(model, as_floats))


@pytest.mark.parametrize("kept", [("slope", "gusts"), ("carrier",)])
def test_only_numbers_or_only_categories(name, kept):
    columns = FeatureColumns(names=kept, categorical=tuple({"carrier"} & set(kept)))
    train = frame(500)
    matrix = feature_matrix(train, columns)
    model = make(name, columns=columns).fit(matrix, labels(train))
    assert model.predict_proba(matrix).shape == (500, 2)


def test_a_constant_column_does_no_harm(name):
    train = frame().with_columns(noise=pl.lit(3.0))
    model = make(name).fit(feature_matrix(train, COLUMNS), labels(train))
    assert np.isfinite(scores(model, train)).all()


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"max_itr": 3}, "did you mean 'max_iter'"),
        ({"qqq": 3}, "known parameters: "),
        ({"random_state": 3}, "training.seed"),
        ({"early_stopping": True}, "training.early_stopping"),
        ({"max_iter": "many"}, "must be an int"),
        ({"max_iter": -1}, "-1"),
    ],
)
def test_parameters_that_cannot_be_are_refused_before_any_data_is_read(name, parameters, named):
    with pytest.raises(SettingsError, match=rf"estimators\.{name}") as error:
        FACTORIES[name](parameters, COLUMNS, 0)
    assert named in str(error.value)


def test_parameters_reach_the_classifier():
    model: Any = FACTORIES["mlp"]({"hidden_layer_sizes": [8, 4], "alpha": 0.5}, COLUMNS, 11)
    parameters = model.steps[-1][1].get_params()
    assert parameters["hidden_layer_sizes"] == (8, 4)
    assert (parameters["alpha"], parameters["random_state"], parameters["max_iter"]) == (0.5, 11, 30)


def run(script: str) -> None:
    subprocess.run([sys.executable, "-c", script], check=True)


def test_naming_a_factory_loads_no_scikit_learn():
    run("import sys, gitrain.training.estimators; assert 'sklearn' not in sys.modules")


def test_neither_pandas_nor_pyarrow_is_needed():
    assert set(QUICK) == set(FACTORIES)
    run(
        """
import sys
import polars

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pandas", "pyarrow"):
            raise ImportError(f"{name} is not installed")

sys.meta_path.insert(0, Refuse())
from tests.gitrain.training.generated import COLUMNS, FACTORIES, frame, make, split
rows = split(frame(300))
for name in FACTORIES:
    make(name, {"max_iter": 3}).fit(rows.matrix, rows.labels).predict_proba(rows.matrix)
assert not {"pandas", "pyarrow"} & set(sys.modules)
"""
    )
