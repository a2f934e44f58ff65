from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.gitrain.checks import trips
from tests.gitrain.checks.defects import SeededDefect

from gitrain.checks.training import CHECKS
from gitrain.operations.check_training import TrainingChecks, check_training
from gitrain.verdicts import Outcome

NOISE = np.random.default_rng(5)


def leak(root):
    outcome = pl.col("late").cast(pl.Float64) + pl.Series(NOISE.normal(0, 0.2, trips.ROWS))
    return trips.trained(root, "hist_gradient_boosting", rows=trips.rows(landed=outcome), names=("landed",))


def weak_leak(root):
    """Missing exactly where the trip was late, and only in some rows: the model's own AUC raises no alarm."""
    outcome = pl.when(pl.col("late") & (pl.col("noise") > -3)).then(None).otherwise(pl.col("noise"))
    return trips.trained(root, "constant", rows=trips.rows(landed=outcome), names=("landed",))


def shuffled(root):
    labels = pl.col("late").shuffle(seed=1)
    return trips.trained(root, "hist_gradient_boosting", rows=trips.rows(late=labels))


def exploding(root):
    return trips.trained(root, "hist_gradient_boosting", parameters={"max_iter": 30, "learning_rate": 20.0})


def nan_feature(root):
    made = trips.trained(root)
    made.alter(
        "data/features/0002.parquet", gusts=pl.when(pl.col("flag")).then(float("nan")).otherwise(pl.col("gusts"))
    )
    return made


@dataclass
class Altering:
    """A model format that changes what it loads."""

    inner: Any
    change: Any

    def dump(self, estimator):
        return self.inner.dump(estimator)

    def load(self, content, *, name):
        estimator = self.inner.load(content, name=name)
        self.change(estimator)
        return estimator


def nan_parameter(root):
    def spoil(estimator):
        estimator[-1].coef_[0, 2] = np.nan

    made = trips.trained(root)
    return trips.with_format(made, Altering(made.model_format, spoil))


def lossy_format(root):
    def spoil(estimator):
        estimator[-1].coef_ = np.round(estimator[-1].coef_, 2)

    made = trips.trained(root)
    return trips.with_format(made, Altering(made.model_format, spoil))


def foreign_predictions(root):
    made = trips.trained(root)
    made.alter("data/predictions/holdout.parquet", score=pl.col("score") * 0.99)
    return made


def diverged(root):
    made = trips.trained(root, "hist_gradient_boosting")
    curve = made.workspace.read_text("reports/training_curve.csv").splitlines()
    curve[9] = "9,nan,0.5"
    made.workspace.write_text("reports/training_curve.csv", "\n".join(curve))
    return made


def trained_elsewhere(root):
    made = trips.trained(root)
    made.alter("data/features/0002.parquet", slope=-pl.col("slope"))
    return made


def estimator(name, **options):
    return lambda root: trips.trained(root, name, **options)


OVERTRAINED = {"max_iter": 250, "learning_rate": 0.3, "max_leaf_nodes": 31}
TIMID = {"max_iter": 5, "learning_rate": 0.001}
DEFECTS = (
    ("training:finite", "a feature is NaN in some rows", nan_feature),
    ("training:finite", "a coefficient of the model is NaN", nan_parameter),
    ("training:finite", "the loss is NaN from an iteration on", diverged),
    ("training:loss-falls", "the learning rate explodes", exploding),
    ("training:loss-falls", "a predictor that always says the base rate", estimator("constant")),
    (
        "training:sane-iteration",
        "boosting goes on long after the validation loss has begun to rise",
        estimator("hist_gradient_boosting", parameters=OVERTRAINED),
    ),
    (
        "training:sane-iteration",
        "early stopping runs into the last iteration that is allowed",
        estimator("hist_gradient_boosting", parameters=TIMID, early_stopping=True),
    ),
    ("training:generalisation-gap", "a decision tree without a limit knows its rows by heart", estimator("tree")),
    ("training:beats-base-rate", "labels were shuffled before training", shuffled),
    ("training:beats-base-rate", "a predictor that always says the base rate", estimator("constant")),
    ("training:leak-alarm", "a feature holds the outcome", leak),
    ("training:leak-alarm", "whether a feature is missing gives the outcome away", weak_leak),
    ("training:save-load", "the model's format loses digits", lossy_format),
    ("training:save-load", "the stored predictions are another model's", foreign_predictions),
    (
        "training:row-permutation",
        "a model centres each batch of rows by the batch's own mean",
        estimator("depends_on_others"),
    ),
    ("training:extreme-inputs", "a model says NaN for a number far out", estimator("nan_for_nulls")),
    ("training:overfits-tiny-batch", "the preparation hands a constant to the classifier", estimator("blind")),
    (
        "training:overfits-tiny-batch",
        "a learning rate so low that nothing is learnt",
        estimator("hist_gradient_boosting", parameters=TIMID),
    ),
    (
        "training:shuffled-labels",
        "a model has its answers from somewhere else than its labels",
        estimator("knows_without_labels"),
    ),
    ("training:refit-identical", "a forest without a seed", estimator("unseeded_forest")),
    ("training:refit-identical", "the features are not those that the model was fitted on", trained_elsewhere),
)
SEEDED_DEFECTS = [SeededDefect(check=check, defect=defect) for check, defect, _ in DEFECTS]


@pytest.mark.parametrize(("check", "defect", "seed"), DEFECTS, ids=[f"{check} {text}" for check, text, _ in DEFECTS])
def test_a_seeded_defect_is_found(check, defect, seed, tmp_path):
    made = seed(tmp_path)

    (verdict,) = TrainingChecks(made.stage, made.model_format).verdicts(check)

    assert verdict.outcome is Outcome.FAILED, verdict.reason


@pytest.mark.parametrize("name", ["hist_gradient_boosting", "logistic_regression", "mlp", "forest"])
def test_the_honest_project_passes(name, tmp_path):
    # A linear model of few features cannot learn 64 rows by heart.
    made = trips.trained(tmp_path, name, checks={"tiny_batch_rows": 4} if name == "logistic_regression" else None)

    verdicts = check_training(made.stage, made.model_format)

    assert [verdict.name for verdict in verdicts] == [definition.name for definition in CHECKS]
    assert [f"{each.name}: {each.reason}" for each in verdicts if each.outcome is not Outcome.PASSED] == []
    assert all(verdict.figures for verdict in verdicts)


def test_every_check_has_a_seeded_defect():
    assert {definition.name for definition in CHECKS} == {each.check for each in SEEDED_DEFECTS}


def test_the_verdicts_are_the_same_every_time(tmp_path):
    made = trips.trained(tmp_path, "hist_gradient_boosting", parameters={"max_iter": 10})

    first, second = (check_training(made.stage, made.model_format) for _ in range(2))

    assert first == second


def test_what_cannot_be_run_is_an_error_that_hides_no_other(tmp_path: Path):
    made = trips.trained(tmp_path)
    (tmp_path / "reports/training_curve.csv").write_text("nonsense\n")

    verdicts = {verdict.name: verdict for verdict in check_training(made.stage, made.model_format)}

    assert verdicts["training:loss-falls"].outcome is Outcome.ERROR
    assert "training_curve.csv" in verdicts["training:loss-falls"].reason
    assert verdicts["training:row-permutation"].outcome is Outcome.PASSED


def test_a_small_difference_from_another_processor_is_no_defect(tmp_path):
    made = trips.trained(tmp_path)
    model: Any = made.model_format.load(made.workspace.read_bytes("models/model.skops"), name="it")
    model[-1].coef_[0, 0] = np.nextafter(model[-1].coef_[0, 0], 9)
    made.workspace.write_bytes("models/model.skops", made.model_format.dump(model))

    (verdict,) = TrainingChecks(made.stage, made.model_format).verdicts("training:refit-identical")

    assert verdict.outcome is Outcome.PASSED
    assert verdict.figures["identical"] is False
    assert "another kind of processor" in verdict.reason


def test_early_stopping_is_followed_in_the_refit(tmp_path):
    parameters = {"max_iter": 120, "learning_rate": 0.3}
    made = trips.trained(tmp_path, "hist_gradient_boosting", parameters=parameters, early_stopping=True)
    checks = TrainingChecks(made.stage, made.model_format)

    (refit,) = checks.verdicts("training:refit-identical")
    (verdict,) = checks.verdicts("training:sane-iteration")
    assert refit.outcome is Outcome.PASSED, refit.reason
    assert verdict.outcome is Outcome.PASSED, verdict.reason
    assert 1 < verdict.figures["chosen_iteration"] < verdict.figures["last_iteration"]
