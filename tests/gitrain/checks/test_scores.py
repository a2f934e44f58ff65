import numpy as np
import polars as pl
import pytest

from gitrain.checks.fits import judge_refit, judge_shuffled_labels, tiny_batch
from gitrain.checks.scores import (
    judge_beats_base_rate,
    judge_extreme_inputs,
    judge_finite,
    judge_leak_alarm,
    judge_row_permutation,
    judge_save_load,
)
from gitrain.evaluation.estimates import Resampling
from gitrain.training.fitting import CurvePoint
from gitrain.verdicts import Outcome

RESAMPLING = Resampling(replicates=400, seed=0, confidence=0.95)
ROWS = pl.DataFrame({"x": np.linspace(-3, 3, 200)})


def sigmoid(rows):
    return 1 / (1 + np.exp(-rows["x"].to_numpy()))


def holdout(skill, *, days=30, each=20, seed=0):
    """Labels, scores with more or less skill, and days."""
    random = np.random.default_rng(seed)
    truth = random.normal(size=days * each)
    labels = (random.random(days * each) < 1 / (1 + np.exp(-skill * truth))).astype(np.int8)
    return labels, 1 / (1 + np.exp(-skill * truth)), pl.Series("day", np.repeat(np.arange(days), each))


@pytest.mark.parametrize(
    ("skill", "days", "outcome"),
    [
        (1.5, 30, Outcome.PASSED),
        (0.0, 30, Outcome.FAILED),
        (0.35, 6, Outcome.INCONCLUSIVE),
        (1.5, 1, Outcome.INCONCLUSIVE),
    ],
)
def test_better_than_the_base_rate_beyond_chance(skill, days, outcome):
    labels, scores, units = holdout(skill, days=days)

    assert judge_beats_base_rate(labels, scores, units, RESAMPLING).outcome is outcome


def test_scores_that_are_worse_than_the_base_rate_fail():
    labels, scores, units = holdout(1.5)

    assert judge_beats_base_rate(labels, 1 - scores, units, RESAMPLING).outcome is Outcome.FAILED


@pytest.mark.parametrize(
    ("features", "parameters", "curve", "scores", "named"),
    [
        ({}, [], [0.5], [0.5], None),
        ({"gusts": 3}, [], [0.5], [0.5], "'gusts'"),
        ({}, ["coef_"], [0.5], [0.5], "'coef_'"),
        ({}, [], [0.5, np.nan], [0.5], "iteration 2"),
        ({}, [], [0.5], [0.5, np.nan, 1.01], "2 of 3 predictions"),
    ],
)
def test_every_number_has_to_be_one(features, parameters, curve, scores, named):
    points = [CurvePoint(number, loss, loss) for number, loss in enumerate(curve, start=1)]

    verdict = judge_finite(features, parameters, points, np.array(scores))

    assert (verdict.outcome is Outcome.PASSED) is (named is None)
    assert named is None or named in verdict.reason


def raises(rows):
    raise ValueError("too far out")


@pytest.mark.parametrize(
    ("predict", "said"),
    [
        (lambda rows: np.where(rows["x"] > 2, np.nan, 0.5), "x=2"),
        (lambda rows: rows["x"].to_numpy(), "get no probability"),
        (raises, "ValueError: too far out"),
    ],
)
def test_extreme_inputs_need_a_probability(predict, said):
    verdict = judge_extreme_inputs(predict, ROWS)

    assert verdict.outcome is Outcome.FAILED
    assert said in verdict.reason


def test_no_extreme_inputs_show_nothing():
    assert judge_extreme_inputs(sigmoid, ROWS).outcome is Outcome.PASSED
    assert judge_extreme_inputs(sigmoid, ROWS.clear()).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("predict", "passes"),
    [
        (sigmoid, True),
        (lambda rows: sigmoid(rows) + np.random.default_rng(0).normal(0, 1e-12, rows.height), True),
        (lambda rows: sigmoid(rows) * np.linspace(1, 0.9, rows.height), False),
        (lambda rows: rows["x"].rank().to_numpy() / rows.height, False),
        (lambda rows: np.full(rows.height, 0.5 if rows.height > 1 else 0.6), False),
        (lambda rows: np.full(rows.height, np.nan), False),
    ],
)
def test_a_prediction_is_about_its_row(predict, passes):
    verdict = judge_row_permutation(predict, ROWS, seed=0, alone=5)

    assert (verdict.outcome is Outcome.PASSED) is passes


@pytest.mark.parametrize(
    ("metrics", "features", "said"),
    [
        ({"roc_auc": (0.8, 0.85, True)}, {"x": 0.7, "y": 0.84}, None),
        ({"roc_auc": (0.9, 0.85, False)}, {"x": 0.7}, "roc_auc is 0.9, beyond its alarm at 0.85"),
        ({}, {"x": 0.7, "y": 0.85, "z": 0.99}, "the feature 'z' alone reaches an AUC of 0.990"),
        ({}, {}, None),
    ],
)
def test_what_is_too_good_is_named(metrics, features, said):
    verdict = judge_leak_alarm(metrics, features, feature_alarm=0.85)

    assert (verdict.outcome is Outcome.PASSED) is (said is None)
    assert said is None or said in verdict.reason


@pytest.mark.parametrize(
    ("difference", "same_bytes", "passes"),
    [(0.0, True, True), (1e-8, True, True), (1e-3, True, False), (np.nan, True, False), (0.0, False, False)],
)
def test_a_stored_model_is_the_model(difference, same_bytes, passes):
    verdict = judge_save_load({"two fits": difference}, same_bytes=same_bytes, rows=9, tolerance=1e-6)

    assert (verdict.outcome is Outcome.PASSED) is passes


@pytest.mark.parametrize(
    ("stored", "refits", "difference", "passes", "said"),
    [
        (b"a", [b"a"], 0.0, True, "the same bytes"),
        (b"a", [b"b", b"c"], 0.0, False, "does not come from the seed"),
        (b"a", [b"b", b"b"], 1e-9, True, "another kind of processor"),
        (b"a", [b"b", b"b"], 0.2, False, "run `dvc repro`"),
        (b"a", [b"b", b"b"], np.nan, False, "run `dvc repro`"),
    ],
)
def test_refits_agree(stored, refits, difference, passes, said):
    verdict = judge_refit(stored, refits, largest_difference=difference, tolerance=1e-6, rows=9)

    assert (verdict.outcome is Outcome.PASSED) is passes
    assert said in verdict.reason


def shuffled(models, labels, units):
    blocks = units.to_numpy().astype(np.int64)
    return judge_shuffled_labels(
        models, labels, blocks, int(blocks.max()) + 1, resampling=RESAMPLING, most=0.05, rows=100
    )


def test_models_that_were_taught_nonsense_may_lean_to_either_side():
    labels, scores, units = holdout(1.5)
    random = np.random.default_rng(1)
    # Each knows a little by accident, to one side or the other.
    models = [0.5 + sign * 0.1 * (scores - 0.5) + random.normal(0, 0.05, len(labels)) for sign in (1, -1, 1, -1)]

    assert shuffled([np.clip(each, 0, 1) for each in models], labels, units).outcome is Outcome.PASSED


@pytest.mark.parametrize("turned", [False, True])
def test_models_that_know_in_spite_of_their_labels_fail(turned):
    labels, scores, units = holdout(1.5)
    known = 1 - scores if turned else scores

    assert shuffled([known] * 4, labels, units).outcome is Outcome.FAILED


def test_one_unit_shows_nothing():
    labels, scores, units = holdout(1.5, days=1, each=200)

    assert shuffled([scores] * 4, labels, units).outcome is Outcome.INCONCLUSIVE


def test_a_tiny_batch_is_balanced_and_without_doubles():
    matrix = pl.DataFrame({"x": np.repeat(np.arange(100.0), 5)})
    labels = (np.arange(500) // 5 % 4 == 0).astype(np.int8)

    rows = tiny_batch(matrix, labels, seed=0, size=16)

    assert len(rows) == 16
    assert labels[rows].sum() == 8
    assert matrix["x"][rows.tolist()].n_unique() == 16
    assert (rows == tiny_batch(matrix, labels, seed=0, size=16)).all()
