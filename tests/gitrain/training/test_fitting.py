import warnings
from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.dummy import DummyClassifier
from sklearn.svm import SVC
from tests.gitrain.training.generated import COLUMNS, FACTORIES, QUICK, frame, make, split

from gitrain.errors import SettingsError, TrainingError
from gitrain.training import fitting
from gitrain.training.fitting import fit_with_curve, log_loss
from gitrain.training.iterations import Iterate


@pytest.fixture(scope="module")
def rows():
    return split(frame(1500))


def fit(factory, rows, *, early_stopping=True, seed=0, progress=lambda line: None, name="it"):
    return fit_with_curve(factory, rows, name=name, early_stopping=early_stopping, seed=seed, progress=progress)


@given(
    labels=arrays(np.int8, 20, elements=st.integers(0, 1)),
    probabilities=arrays(np.float64, 20, elements=st.floats(0, 1)),
)
def test_log_loss_is_scikit_learn_s(labels, probabilities):
    assert log_loss(labels, probabilities) == pytest.approx(
        sklearn.metrics.log_loss(labels, probabilities, labels=[0, 1]), rel=1e-9, abs=1e-12
    )


@pytest.mark.parametrize("name", sorted(FACTORIES))
def test_the_curve_falls(name, rows):
    found = fit(lambda: make(name), rows)
    first, last = found.curve[0], found.curve[-1]
    # The first step of L-BFGS goes most of the way.
    share = 0.99 if name == "logistic_regression" else 0.95
    assert last.training_loss < share * first.training_loss
    assert found.best.validation_loss < share * first.validation_loss
    assert all(a.iteration < b.iteration for a, b in zip(found.curve, found.curve[1:], strict=False))


@pytest.mark.parametrize("name", sorted(FACTORIES))
def test_equal_input_gives_equal_results(name, rows):
    first, again = (fit(lambda: make(name, seed=5), rows, seed=5) for _ in range(2))
    assert first.curve == again.curve
    assert np.array_equal(first.estimator.predict_proba(rows.matrix), again.estimator.predict_proba(rows.matrix))


def test_early_stopping_ends_where_the_validation_loss_is_least():
    # Few rows and deep trees: it overfits soon.
    few = split(frame(400))
    hungry = {"max_iter": 80, "learning_rate": 0.3, "min_samples_leaf": 2}
    found = fit(lambda: make("hist_gradient_boosting", hungry), few)
    losses = [point.validation_loss for point in found.curve]
    assert len(losses) == 80
    assert found.iterations == found.best.iteration == int(np.argmin(losses)) + 1 < 40
    assert losses[-1] > found.best.validation_loss
    assert len(found.estimator.steps[-1][1]._predictors) == found.iterations
    plain = make("hist_gradient_boosting", {**hungry, "max_iter": found.iterations}).fit(few.matrix, few.labels)
    assert np.array_equal(found.estimator.predict_proba(few.matrix), plain.predict_proba(few.matrix))

    whole = fit(lambda: make("hist_gradient_boosting", hungry), few, early_stopping=False)
    assert (whole.iterations, whole.curve) == (80, found.curve)


class Scripted:
    """Validation losses as they are scripted; it remembers which rows it was fitted on."""

    def __init__(self, probabilities, fitted, numbers=None):
        self.probabilities, self.fitted, self.numbers = probabilities, fitted, numbers

    @property
    def max_iterations(self):
        return len(self.probabilities)

    def fit_iterations(self, X, y, *, iterations, watched):  # noqa: N803
        self.fitted.append((X["slope"].to_list(), iterations, [matrix["slope"].to_list() for matrix in watched]))
        for number, probability in enumerate(self.probabilities[:iterations], start=1):
            yield Iterate(number, tuple(np.full(len(matrix), probability) for matrix in watched))

    def fit(self, X, y):  # noqa: N803
        raise AssertionError("an estimator that shows its iterations is not fitted otherwise")

    predict_proba = fit


def test_the_curve_s_fit_never_sees_a_validation_row_and_the_model_s_sees_all(rows):
    fitted = []
    late = replace(rows, labels=rows.labels)
    fit(lambda: Scripted([0.5, 0.4, 0.3], fitted), late)
    slope = rows.matrix["slope"].to_numpy()
    earlier, newest = slope[~rows.validation].tolist(), slope[rows.validation].tolist()
    assert fitted[0] == (earlier, 3, [earlier, newest])
    assert fitted[1][0] == slope.tolist()
    assert fitted[1][2] == []


@pytest.mark.parametrize(
    ("losses_by", "early_stopping", "iterations"),
    [
        # The share of true labels is near .55: the nearer the constant comes to it, the smaller the loss.
        ([0.1, 0.5, 0.2], True, 2),
        ([0.1, 0.5, 0.5], True, 2),
        ([0.1, 0.2, 0.5], True, 3),
        ([0.1, 0.5, 0.2], False, 3),
    ],
)
def test_which_iteration_the_model_gets(losses_by, early_stopping, iterations, rows):
    fitted = []
    found = fit(lambda: Scripted(losses_by, fitted), rows, early_stopping=early_stopping)
    assert found.iterations == fitted[1][1] == iterations


def test_a_large_training_part_is_watched_on_a_fixed_sample(rows, monkeypatch):
    monkeypatch.setattr(fitting, "CURVE_ROWS", 100)
    fitted = []
    for _ in range(2):
        fit(lambda: Scripted([0.5], fitted), rows)
    earlier = rows.matrix["slope"].to_numpy()[~rows.validation].tolist()
    sample, newest = fitted[0][2]
    assert len(set(sample)) == 100
    assert set(sample) < set(earlier)
    assert sample == fitted[2][2][0] != earlier[:100]
    assert len(newest) == rows.validation.sum()


def test_an_optimiser_that_did_not_converge_says_so(rows):
    found = fit(lambda: make("logistic_regression", {"max_iter": 3, "tol": 1e-9}), rows, early_stopping=False)
    assert (found.converged, found.iterations) == (False, 3)
    assert fit(lambda: make("logistic_regression"), rows, early_stopping=False).converged is True
    assert fit(lambda: make("hist_gradient_boosting"), rows).converged is None


def test_ending_early_on_purpose_is_no_failure_to_converge(rows):
    found = fit(lambda: make("logistic_regression", {"C": 1e6, "tol": 1e-10}), split(frame(120)))
    assert found.iterations == found.best.iteration < found.curve[-1].iteration
    assert found.converged is None


def test_a_loss_that_is_no_number_is_an_error(rows):
    with pytest.raises(TrainingError, match="'it' is not a number after iteration 2"):
        fit(lambda: Scripted([0.5, float("nan")], []), rows)


def test_a_model_that_diverges_is_an_error(rows):
    wild = {"max_iter": 5, "learning_rate_init": 1e200, "solver": "sgd", "activation": "identity"}
    with pytest.raises(TrainingError, match="'it'"):
        fit(lambda: make("mlp", wild), rows)


def test_what_the_estimator_refuses_is_put_in_our_words(rows):
    numbers = split(frame(300), columns=replace(COLUMNS, names=("slope", "noise"), categorical=()))
    with pytest.raises(SettingsError, match=r"estimators\.it: The 'C' parameter of SVC"):
        fit(lambda: SVC(C=-1.0), numbers)
    with pytest.raises(TrainingError, match=r"'it' cannot be fitted: .*NaN"):
        fit(SVC, split(frame(300), columns=replace(COLUMNS, names=("gusts",), categorical=())))


def test_an_estimator_that_gives_no_iteration_is_an_error(rows):
    with pytest.raises(TrainingError, match="gave no iteration"):
        fit(lambda: Scripted([], []), rows)


def test_warnings_are_handed_over_once_and_not_printed(rows):
    class Grumbling(DummyClassifier):
        def fit(self, X, y):  # noqa: N803
            warnings.warn("the rows are dull", stacklevel=1)
            return super().fit(X, y)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fit(lambda: Grumbling(strategy="prior"), rows)
    assert found.warnings == ("the rows are dull",)
    assert len(found.curve) == found.iterations == 1


def test_progress_names_the_estimator_and_the_losses(rows):
    lines = []
    found = fit(lambda: make("hist_gradient_boosting"), rows, progress=lines.append, name="trees")
    assert "fitting trees on the 1,200 rows before the validation part" in lines[0]
    assert f"{found.best.validation_loss:.4f} is least at iteration {found.best.iteration}" in lines[1]
    assert "all 1,500 rows" in lines[1]
    assert set(QUICK) == set(FACTORIES)
