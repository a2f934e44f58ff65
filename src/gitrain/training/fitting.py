"""Fitting: the loss curve on rows that the fit has not seen, then the model on all rows."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.errors import GitrainError, SettingsError, TrainingError
from gitrain.training.estimators import Estimator
from gitrain.training.iterations import Iterate, Learner, learner_of
from gitrain.training.split import TrainingRows

__all__ = ["CURVE_ROWS", "CurvePoint", "Fit", "curve_sample", "fit_with_curve", "log_loss"]

# The training loss of the curve is taken on so many rows: its standard error there, about .004, is far below what the
# curve is read for, and all rows would cost HGB as much again as its fit.
CURVE_ROWS = 20_000


@dataclass(frozen=True)
class CurvePoint:
    """The mean log losses (natural logarithm) after an iteration."""

    iteration: int
    training_loss: float
    validation_loss: float


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fitted model and how it came to be.

    Attributes:
        estimator: fitted on all rows.
        iterations: what it was fitted with.
        converged: whether the optimiser met its tolerance; None where there is no such thing, or where early stopping
            ended it before.
        curve: the losses of a fit on the rows before the validation part.
        best: the point of the curve with the least validation loss, the earliest of equals.
        warnings: what the libraries warned of, each message once.
    """

    estimator: Estimator
    iterations: int
    converged: bool | None
    curve: tuple[CurvePoint, ...]
    best: CurvePoint
    warnings: tuple[str, ...]


def fit_with_curve(
    make: Callable[[], Estimator],
    rows: TrainingRows,
    *,
    name: str,
    early_stopping: bool,
    seed: int,
    progress: Callable[[str], None],
) -> Fit:
    """Fit twice: before the validation part, for the curve and the number of iterations, and on all rows.

    Args:
        make: gives an unfitted estimator, a new one each time.
        rows: the labelled rows and which of them are the validation part.
        name: the estimator's name, for messages.
        early_stopping: fit the model with as many iterations as had the least validation loss, instead of all.
        seed: of everything random.
        progress: takes a line for a waiting person.

    Raises:
        SettingsError: a parameter that the estimator refuses.
        TrainingError: the estimator cannot be fitted, or its loss is not a number.
    """
    notes: list[str] = []
    earlier = ~rows.validation
    matrix, labels = rows.matrix.filter(earlier), rows.labels[earlier]
    sample = curve_sample(len(labels), seed)
    watched = (matrix[sample], rows.matrix.filter(rows.validation))
    truths = (labels[sample], rows.labels[rows.validation])

    watcher = learner_of(make(), seed=seed)
    most = watcher.max_iterations
    progress(f"fitting {name} on the {len(labels):,} rows before the validation part, {most} iterations at most")
    points: list[CurvePoint] = []

    def record(iterate: Iterate) -> None:
        training, validation = (log_loss(y, p) for y, p in zip(truths, iterate.probabilities, strict=True))
        if not (np.isfinite(training) and np.isfinite(validation)):
            raise TrainingError(
                f"the loss of {name!r} is not a number after iteration {iterate.iteration}",
                fix=f"lower the learning rate of estimators.{name} in params.yaml, or scale its inputs.",
            )
        points.append(CurvePoint(iterate.iteration, training, validation))

    _run(watcher, matrix, labels, most, watched, record, name=name, notes=notes)
    best = min(points, key=lambda point: (point.validation_loss, point.iteration))
    stopped = early_stopping and best is not points[-1]
    # An optimiser that was still best where it converged may take some steps more on more rows.
    iterations = best.iteration if stopped else most
    progress(
        f"validation loss {best.validation_loss:.4f} is least at iteration {best.iteration} "
        f"(training loss {best.training_loss:.4f}); fitting on all {len(rows.labels):,} rows"
    )

    learner = learner_of(make(), seed=seed)
    taken: list[int] = []
    _run(
        learner,
        rows.matrix,
        rows.labels,
        iterations,
        (),
        lambda iterate: taken.append(iterate.iteration),
        name=name,
        notes=notes,
    )
    return Fit(
        estimator=learner.estimator,
        iterations=taken[-1],
        converged=None if stopped else learner.converged,
        curve=tuple(points),
        best=best,
        warnings=tuple(dict.fromkeys(notes)),
    )


def log_loss(labels: NDArray[np.int8], probabilities: NDArray[np.float64]) -> float:
    """The mean of -log(probability of the label), natural logarithm; shape (rows,) both.

    Probabilities are kept a rounding error away from 0 and 1, as scikit-learn does.
    """
    tiny = np.finfo(np.float64).eps
    of_label = np.clip(np.where(labels == 1, probabilities, 1 - probabilities), tiny, 1 - tiny)
    return float(-np.log(of_label).mean())


def curve_sample(rows: int, seed: int) -> NDArray[np.int64]:
    """The numbers of the rows, of those before the validation part, that the training loss of the curve is taken on."""
    if rows <= CURVE_ROWS:
        return np.arange(rows, dtype=np.int64)
    return np.sort(np.random.default_rng(seed).choice(rows, CURVE_ROWS, replace=False)).astype(np.int64)


def _run(
    learner: Learner,
    matrix: pl.DataFrame,
    labels: NDArray[np.int8],
    iterations: int,
    watched: Sequence[pl.DataFrame],
    each: Callable[[Iterate], None],
    *,
    name: str,
    notes: list[str],
) -> None:
    """Fit, pass every iterate on, and turn what the libraries raise and warn of into our own words."""
    seen = 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            for iterate in learner.fit_iterations(matrix, labels, iterations=iterations, watched=watched):
                seen += 1
                each(iterate)
        except GitrainError:
            raise
        except (TypeError, ValueError, ArithmeticError) as error:
            raise _explain(error, name) from error
    notes.extend(" ".join(str(warning.message).split()) for warning in caught)
    if not seen:
        raise TrainingError(
            f"the estimator {name!r} gave no iteration", fix="let its fit_iterations give at least the last one."
        )


def _explain(error: Exception, name: str) -> GitrainError:
    message = " ".join(str(error).split())
    # scikit-learn's own class is not part of its public modules.
    if type(error).__name__ == "InvalidParameterError":
        return SettingsError(f"params.yaml: estimators.{name}: {message}", fix="correct the value.")
    return TrainingError(
        f"the estimator {name!r} cannot be fitted: {message}",
        fix=f"check estimators.{name} in params.yaml, and the features with `gitrain data validate`.",
    )
