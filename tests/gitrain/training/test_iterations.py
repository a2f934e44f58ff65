import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from tests.gitrain.training.generated import FACTORIES, QUICK, frame, make, split

from gitrain.training.iterations import Iterate, learner_of
from gitrain.training.matrix import true_probabilities

NUMBERS = ["slope", "noise"]


@pytest.fixture(scope="module")
def rows():
    return split(frame(600))


def iterates(estimator, rows, iterations=None, *, watched=None, seed=0):
    learner = learner_of(estimator, seed=seed)
    given = (rows.matrix,) if watched is None else watched
    limit = learner.max_iterations if iterations is None else iterations
    return learner, list(learner.fit_iterations(rows.matrix, rows.labels, iterations=limit, watched=given))


@pytest.mark.parametrize("name", sorted(FACTORIES))
def test_the_last_iterate_is_what_the_fitted_model_says(name, rows):
    learner, found = iterates(make(name), rows)
    assert np.array_equal(found[-1].probabilities[0], true_probabilities(learner.estimator.predict_proba(rows.matrix)))


@pytest.mark.parametrize("name", sorted(FACTORIES))
def test_fewer_iterations_are_the_first_part_of_the_same_path(name, rows):
    _, whole = iterates(make(name), rows)
    by_number = {each.iteration: each for each in whole}
    for iterations in (1, 3, 4):
        _, part = iterates(make(name), rows, iterations)
        for each in part:
            # An optimiser's path is seen at 1, 2, 4, ... and at its end.
            assert each.iteration in by_number or (name == "logistic_regression" and each.iteration == 3)
            if each.iteration in by_number:
                assert np.array_equal(each.probabilities[0], by_number[each.iteration].probabilities[0])
        assert part[-1].iteration == iterations


@pytest.mark.parametrize("name", sorted(FACTORIES))
def test_watching_does_not_change_the_model(name, rows):
    watched, _ = iterates(make(name), rows, 4)
    alone, found = iterates(make(name), rows, 4, watched=())
    assert found[-1] == Iterate(4, ())
    assert np.array_equal(watched.estimator.predict_proba(rows.matrix), alone.estimator.predict_proba(rows.matrix))


def test_boosting_and_epochs_count_every_iteration_the_optimiser_a_ladder(rows):
    assert [each.iteration for each in iterates(make("hist_gradient_boosting"), rows)[1]] == list(range(1, 21))
    assert [each.iteration for each in iterates(make("mlp"), rows)[1]] == list(range(1, 9))
    tight = make("logistic_regression", {"tol": 1e-12, "max_iter": 10})
    learner, found = iterates(tight, rows)
    assert [each.iteration for each in found] == [1, 2, 4, 8, 10]
    assert learner.converged is False


def test_the_optimiser_stops_where_it_has_converged(rows):
    learner, found = iterates(make("logistic_regression"), rows)
    plain = make("logistic_regression").fit(rows.matrix, rows.labels)
    assert learner.converged is True
    assert found[-1].iteration == plain.steps[-1][1].n_iter_.max() < 1000
    assert np.array_equal(found[-1].probabilities[0], true_probabilities(plain.predict_proba(rows.matrix)))


def test_every_epoch_sees_the_rows_in_another_order(rows):
    seen = []

    class Spy(SGDClassifier):
        def partial_fit(self, X, y, classes=None, sample_weight=None):  # noqa: N803
            seen.append(X[:, 0].copy())
            return super().partial_fit(X, y, classes=classes)

    numbers = rows.matrix.select(NUMBERS).to_numpy()
    learner = learner_of(Spy(loss="log_loss", max_iter=3, random_state=0), seed=0)
    list(learner.fit_iterations(numbers, rows.labels, iterations=3, watched=()))
    assert len(seen) == 3
    assert all(np.array_equal(np.sort(order), np.sort(numbers[:, 0])) for order in seen)
    assert not np.array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[1], seen[2])


def test_the_seed_decides_the_order_of_the_epochs(rows):
    first, again, other = (iterates(make("mlp"), rows, 2, seed=seed)[1][-1].probabilities[0] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_what_only_a_further_fit_needs_is_not_kept(rows):
    learner, _ = iterates(make("mlp"), rows, 2)
    assert not hasattr(learner.estimator.steps[-1][1], "_optimizer")


def test_the_number_of_cores_leaves_no_trace(rows):
    learner, _ = iterates(make("hist_gradient_boosting"), rows, 2)
    assert learner.estimator.steps[-1][1]._bin_mapper.n_threads == 1


@pytest.mark.parametrize(
    ("classifier", "numbers"),
    [
        (GradientBoostingClassifier(n_estimators=4, random_state=0), [1, 2, 3, 4]),
        (SGDClassifier(loss="log_loss", max_iter=3, random_state=0), [1, 2, 3]),
        (LogisticRegression(max_iter=2), [1, 2]),
        (RandomForestClassifier(n_estimators=3, random_state=0), [1]),
        (GaussianNB(), [1]),
    ],
)
def test_a_project_s_own_scikit_learn_estimator_is_watched_as_it_allows(classifier, numbers, rows):
    matrix = rows.matrix.select(NUMBERS)
    for estimator in (clone(classifier), Pipeline([("scale", StandardScaler()), ("classifier", clone(classifier))])):
        learner = learner_of(estimator, seed=0)
        limit = learner.max_iterations
        found = list(learner.fit_iterations(matrix, rows.labels, iterations=limit, watched=(matrix,)))
        assert [each.iteration for each in found] == numbers
        expected = true_probabilities(learner.estimator.predict_proba(matrix))
        assert np.array_equal(found[-1].probabilities[0], expected)


def test_an_mlp_by_lbfgs_is_an_optimiser(rows):
    _, found = iterates(make("mlp", {"solver": "lbfgs", "max_iter": 4}), rows)
    assert [each.iteration for each in found] == [1, 2, 4]


class Halving:
    """An estimator of a project's own that shows its iterations."""

    max_iterations = 5
    converged_ = True

    def fit_iterations(self, X, y, *, iterations, watched):  # noqa: N803
        for number in range(1, iterations + 1):
            yield Iterate(number, tuple(np.full(len(matrix), 0.5**number) for matrix in watched))

    def fit(self, X, y):  # noqa: N803
        return self

    def predict_proba(self, X):  # noqa: N803
        return np.full((len(X), 2), 0.5)


def test_an_estimator_that_shows_its_iterations_itself_is_asked(rows):
    learner, found = iterates(Halving(), rows)
    assert [each.probabilities[0][0] for each in found] == [0.5, 0.25, 0.125, 0.0625, 0.03125]
    assert learner.converged is True
    assert isinstance(learner.estimator, Halving)
    assert set(QUICK) == set(FACTORIES)
