"""Checks that fit anew: on 64 rows, on labels that mean nothing, and on the same rows once more."""

import math
import warnings
from collections.abc import Callable, Sequence
from statistics import stdev

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.checks.training import OVERFITS_TINY_BATCH, REFIT_IDENTICAL, SHUFFLED_LABELS
from gitrain.evaluation.estimates import Resampling
from gitrain.metrics import ROC_AUC
from gitrain.training.estimators import Estimator
from gitrain.training.fitting import log_loss
from gitrain.training.iterations import learner_of
from gitrain.training.matrix import true_probabilities
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = ["fit_model", "judge_refit", "judge_shuffled_labels", "judge_tiny_batch", "shuffled_scores", "tiny_batch"]

# Tiny batches are repeated up to so many rows: sizes of leaves and numbers of steps that suit all rows suit these too.
_REPEATED_ROWS = 4096
# Student's t for 95 % with 1, 2, 3, ... degrees of freedom.
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def fit_model(
    make: Callable[[], Estimator],
    matrix: pl.DataFrame,
    labels: NDArray[np.int8],
    *,
    seed: int,
    iterations: int | None = None,
) -> Estimator:
    """Fit as `gitrain.training.fitting.fit_with_curve` does, without a curve.

    Args:
        make: gives an unfitted estimator.
        matrix: the features.
        labels: 0 or 1, shape (rows,).
        seed: of the order in which epochs visit the rows.
        iterations: how many; all that the estimator's parameters allow by default.
    """
    learner = learner_of(make(), seed=seed)
    with warnings.catch_warnings():
        # `gitrain train` has told of them.
        warnings.simplefilter("ignore")
        most = iterations if iterations is not None else learner.max_iterations
        for _ in learner.fit_iterations(matrix, labels, iterations=most, watched=()):
            pass
    return learner.estimator


def tiny_batch(matrix: pl.DataFrame, labels: NDArray[np.int8], *, seed: int, size: int) -> NDArray[np.int64]:
    """The numbers of up to `size` rows that differ from one another, as evenly of both classes as there are."""
    numbered = matrix.with_row_index("__row")
    different = numbered.unique(matrix.columns, keep="first", maintain_order=True)["__row"].to_numpy().astype(np.int64)
    random = np.random.default_rng(seed)
    positives, negatives = (random.permutation(different[labels[different] == label]) for label in (1, 0))
    of_each = min(size // 2, len(positives), len(negatives))
    return np.sort(np.concatenate([positives[:of_each], negatives[:of_each]])).astype(np.int64)


def judge_tiny_batch(
    make: Callable[[], Estimator],
    matrix: pl.DataFrame,
    labels: NDArray[np.int8],
    *,
    seed: int,
    size: int,
    most: float,
) -> Verdict:
    """Whether the estimator learns a few rows by heart, half of them of each class and each repeated many times.

    Args:
        make: gives an unfitted estimator.
        matrix: the training rows.
        labels: 0 or 1, shape (rows,).
        seed: of the choice and of the fit.
        size: how many rows.
        most: the largest log loss on those rows; always saying one half is .693.
    """
    rows = tiny_batch(matrix, labels, seed=seed, size=size)
    repeats = max(1, _REPEATED_ROWS // len(rows))
    repeated = np.tile(rows, repeats)
    estimator = fit_model(make, matrix[repeated], labels[repeated], seed=seed)
    loss = log_loss(labels[rows], true_probabilities(estimator.predict_proba(matrix[rows])))
    figures: dict[str, Figure] = {"rows": len(rows), "repeated": repeats, "log_loss": loss, "most": most}
    passed = loss <= most
    reason = f"fitted on {len(rows)} rows alone the log loss on them is {loss:.3g}, and {most:g} is allowed" + (
        "" if passed else ": the fit or its preparation is broken, held back too much, or has few parameters"
    )
    return _verdict(OVERFITS_TINY_BATCH, passed, reason, figures)


def shuffled_scores(
    make: Callable[[], Estimator],
    matrix: pl.DataFrame,
    labels: NDArray[np.int8],
    holdout: pl.DataFrame,
    *,
    seed: int,
    repeats: int,
    rows: int,
) -> list[NDArray[np.float64]]:
    """Scores of the holdout by models whose training labels were dealt out at random among the training rows.

    Args:
        make: gives an unfitted estimator.
        matrix: the training rows.
        labels: 0 or 1, shape (rows,).
        holdout: the rows that are scored.
        seed: of samples, shuffling and fits.
        repeats: how many models.
        rows: of so many training rows each; all if there are fewer.
    """
    found = []
    for number in range(repeats):
        random = np.random.default_rng((seed, number))
        chosen = np.sort(random.choice(len(labels), min(rows, len(labels)), replace=False))
        estimator = fit_model(make, matrix[chosen], random.permutation(labels[chosen]), seed=seed)
        found.append(true_probabilities(estimator.predict_proba(holdout)))
    return found


def judge_shuffled_labels(
    scores: Sequence[NDArray[np.float64]],
    labels: NDArray[np.int8],
    blocks: NDArray[np.int64],
    units: int,
    *,
    resampling: Resampling,
    most: float,
    rows: int,
) -> Verdict:
    """Whether models that were taught nonsense know nothing: their mean AUC is one half.

    One such model is not at one half: it says something about hours and places, and late days happen to agree with it
    or not. So there are several, and the bound is widened by what several of them and other units (days) would give.

    Args:
        scores: of each model, shape (rows,); at least two.
        labels: of the holdout, 0 or 1, shape (rows,).
        blocks: the unit of each row, shape (rows,).
        units: how many units.
        resampling: how intervals are made.
        most: how far the mean AUC may lie from one half beyond chance.
        rows: how many rows each was fitted on, for the figures.
    """
    prepared = [ROC_AUC.prepare(labels, each, blocks) for each in scores]
    aucs = [float(statistic(np.ones((1, units)))[0]) for statistic in prepared]
    mean = float(np.mean(aucs))
    of_models = _STUDENT[min(len(aucs) - 1, len(_STUDENT)) - 1] * stdev(aucs) / math.sqrt(len(aucs))
    of_units = resampling.intervals([lambda counts: np.mean([each(counts) for each in prepared], axis=0)], units)[0]
    figures: dict[str, Figure] = {
        "mean_auc": mean,
        "models": len(aucs),
        "least_auc": min(aucs),
        "largest_auc": max(aucs),
        "training_rows": rows,
        "units": units,
        "most_beyond_chance": most,
    }
    if of_units.low is None or of_units.high is None:
        reason = f"there is no interval of the AUC: {of_units.reason}"
        return Verdict(name=SHUFFLED_LABELS, outcome=Outcome.INCONCLUSIVE, reason=reason, figures=figures)
    chance = max(of_models, (of_units.high - of_units.low) / 2)
    figures["chance"] = chance
    passed = abs(mean - 0.5) <= most + chance
    reason = (
        f"taught shuffled labels, {len(aucs)} models reach a mean AUC of {mean:.3f} on the holdout; one half is no "
        f"skill, and chance explains {chance:.3f}"
        + ("" if passed else ": the model knows outcomes from something else than its labels")
    )
    return _verdict(SHUFFLED_LABELS, passed, reason, figures)


def judge_refit(
    stored: bytes,
    refits: Sequence[bytes],
    *,
    largest_difference: float,
    tolerance: float,
    rows: int,
) -> Verdict:
    """Whether the same rows and the same seed give the same model again.

    Args:
        stored: the model in the tree.
        refits: one refit, or two if the first differs from `stored`.
        largest_difference: between the probabilities of `stored` and of the first refit.
        tolerance: up to which that may be another processor's rounding.
        rows: how many rows were fitted, for the figures.
    """
    identical = refits[0] == stored
    figures: dict[str, Figure] = {
        "rows": rows,
        "identical": identical,
        "largest_difference": largest_difference,
        "bytes": len(stored),
    }
    if identical:
        return _verdict(REFIT_IDENTICAL, True, f"fitted again on {rows:,} rows the model has the same bytes", figures)
    if any(each != refits[0] for each in refits[1:]):
        reason = "two fits on the same rows with the same seed differ: something random does not come from the seed"
        return _verdict(REFIT_IDENTICAL, False, reason, figures)
    if largest_difference <= tolerance:
        reason = (
            "fits on this machine have the same bytes, and the stored model gives the same probabilities but for "
            f"{largest_difference:.1g}: it was fitted on another kind of processor"
        )
        return _verdict(REFIT_IDENTICAL, True, reason, figures)
    reason = (
        f"fits on this machine agree with each other, and the stored model's probabilities differ by up to "
        f"{largest_difference:.3g}: it was not made by this code from these features and parameters; run `dvc repro`"
    )
    return _verdict(REFIT_IDENTICAL, False, reason, figures)


def _verdict(name: str, passed: bool, reason: str, figures: dict[str, Figure]) -> Verdict:
    return Verdict(name=name, outcome=Outcome.PASSED if passed else Outcome.FAILED, reason=reason, figures=figures)
