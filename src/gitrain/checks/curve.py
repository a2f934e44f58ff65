"""What the loss curve of a training run says: whether the loss fell, where it was stopped, how far it overfitted."""

import csv
import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from gitrain.checks.training import GENERALISATION_GAP, LOSS_FALLS, SANE_ITERATION
from gitrain.errors import DataError
from gitrain.training.fitting import CurvePoint
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = [
    "chosen_point",
    "judge_generalisation_gap",
    "judge_loss_falls",
    "judge_sane_iteration",
    "kendall_trend",
    "parse_curve",
]

# One in a hundred sequences without a trend looks like one.
_LEVEL = 0.01
# With fewer points no order of them is rare enough for a test: 1 of 5! = 120 is.
_TESTED = 5


def parse_curve(text: str, source: str) -> tuple[CurvePoint, ...]:
    """The points of `reports/training_curve.csv`; NaN and infinity are kept, for a check to find.

    Raises:
        DataError: another header, something that is no number, or no point at all.
    """
    header, *lines = list(csv.reader(text.splitlines())) or [[]]
    try:
        if header != ["iteration", "training_loss", "validation_loss"] or not lines:
            raise ValueError("the header is wrong, or there are no points")
        return tuple(CurvePoint(int(line[0]), float(line[1]), float(line[2])) for line in lines)
    except (ValueError, IndexError) as error:
        raise DataError(
            f"{source} is no training curve: {error}", fix="run `dvc repro train` to make it anew."
        ) from error


def chosen_point(curve: Sequence[CurvePoint], iterations: int) -> CurvePoint:
    """The point of the iteration that the model was fitted with; the last one before it where the curve has gaps."""
    return max((point for point in curve if point.iteration <= iterations), key=_iteration, default=curve[0])


def kendall_trend(values: NDArray[np.float64]) -> tuple[float, float]:
    """Kendall's tau of values against their order, and the chance of one so low without a trend.

    The Mann-Kendall test against a falling trend (Mann, Econometrica 13, 1945; Kendall, Rank Correlation Methods,
    1975): the normal approximation with the correction for ties and continuity, good from about five values on.

    Args:
        values: in order, shape (n,), n at least 2, all finite.
    """
    count = len(values)
    score = int(sum(np.sign(values[at + 1 :] - values[at]).sum() for at in range(count - 1)))
    ties = np.unique(values, return_counts=True)[1]
    spread = count * (count - 1) * (2 * count + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())
    tau = score / (count * (count - 1) / 2)
    if spread == 0:
        return tau, 1.0
    # The correction moves the score one step towards none at all.
    corrected = score - np.sign(score)
    return tau, NormalDist().cdf(corrected / math.sqrt(spread / 18))


def judge_loss_falls(curve: Sequence[CurvePoint], chosen: CurvePoint, base_loss: float) -> Verdict:
    """Whether the training loss falls from iteration to iteration, and ends below where it began.

    The curve begins with the loss of the base rate, what is known before the first iteration. A trend test over all
    points sees what the first and the last hide: a loss that explodes and comes back, or that only trembles.

    Args:
        curve: the points.
        chosen: the point of the model.
        base_loss: the log loss of the base rate on the rows of the training loss.
    """
    losses = np.array([base_loss, *(point.training_loss for point in curve)])
    figures: dict[str, Figure] = {
        "points": len(curve),
        "base_rate_loss": base_loss,
        "first_loss": curve[0].training_loss,
        "chosen_loss": chosen.training_loss,
    }
    if not np.isfinite(losses).all():
        return _verdict(LOSS_FALLS, False, "the training loss is NaN or infinite: the fit has diverged", figures)
    # The curve is written with ten digits.
    if not chosen.training_loss < base_loss * (1 - 1e-6):
        reason = (
            f"after iteration {chosen.iteration} the training loss is {chosen.training_loss:.4g}, no better than "
            f"{base_loss:.4g} of the base rate: nothing was learnt"
        )
        return _verdict(LOSS_FALLS, False, reason, figures)
    if len(losses) < _TESTED:
        falls = bool((np.diff(losses) < 0).all())
        reason = f"from the base rate over {len(curve)} points the training loss {_falls(falls)} at every one"
        return _verdict(LOSS_FALLS, falls, reason, figures)
    tau, chance = kendall_trend(losses)
    falls = chance <= _LEVEL
    figures |= {"kendall_tau": tau, "p_value": chance}
    reason = (
        f"over {len(curve)} points the training loss {_falls(falls)}: Kendall's tau is {tau:.3f} ({_chance(chance)})"
    )
    return _verdict(LOSS_FALLS, falls, reason, figures)


def judge_sane_iteration(
    curve: Sequence[CurvePoint],
    chosen: CurvePoint,
    *,
    early_stopping: bool,
    converged: bool | None,
    most_rising: float,
) -> Verdict:
    """Whether the number of iterations is one that the validation loss supports.

    Args:
        curve: the points.
        chosen: the point of the model.
        early_stopping: whether the number was chosen by the validation loss.
        converged: whether an optimiser met its tolerance: then the last iteration is where it wanted to be.
        most_rising: how far, as a share of the least validation loss, that of the chosen point may lie above it.
    """
    losses = [point.validation_loss for point in curve]
    if not all(math.isfinite(loss) for loss in losses):
        return _verdict(SANE_ITERATION, False, "the validation loss is NaN or infinite", {"points": len(curve)})
    best = min(curve, key=lambda point: (point.validation_loss, point.iteration))
    rise = chosen.validation_loss / best.validation_loss - 1 if best.validation_loss > 0 else 0.0
    figures: dict[str, Figure] = {
        "chosen_iteration": chosen.iteration,
        "best_iteration": best.iteration,
        "last_iteration": curve[-1].iteration,
        "rise_over_best": rise,
        "most_rising": most_rising,
        "early_stopping": early_stopping,
    }
    if len(curve) == 1:
        return _verdict(SANE_ITERATION, True, "the estimator shows one iteration: there was nothing to choose", figures)
    if rise > most_rising:
        reason = (
            f"the validation loss was least at iteration {best.iteration} and the model took {chosen.iteration}, where "
            f"it is {rise:.1%} higher: switch on training.early_stopping or lower the number of iterations"
        )
        return _verdict(SANE_ITERATION, False, reason, figures)
    if early_stopping and chosen.iteration == curve[0].iteration:
        reason = "early stopping chose the very first iteration: lower the learning rate, or look for another defect"
        return _verdict(SANE_ITERATION, False, reason, figures)
    if early_stopping and chosen is curve[-1] and converged is not True:
        reason = (
            f"early stopping chose the very last iteration, {chosen.iteration}: the loss was still falling; allow more"
        )
        return _verdict(SANE_ITERATION, False, reason, figures)
    reason = (
        f"iteration {chosen.iteration} of {curve[-1].iteration}: its validation loss is {rise:.1%} above the least, "
        f"which is at {best.iteration}"
    )
    return _verdict(SANE_ITERATION, True, reason, figures)


def judge_generalisation_gap(
    chosen: CurvePoint, *, training_base: float, validation_base: float, most: float
) -> Verdict:
    """Whether the model is not much better on what it has seen than on what it has not.

    Losses are divided by those of the base rate of the same rows: the two parts lie in different times, and where more
    flights are late every loss is higher.

    Args:
        chosen: the point of the model.
        training_base: the log loss of the base rate on the rows before the validation part.
        validation_base: likewise on the validation part.
        most: how far the ratio of validation may lie above that of training.
    """
    training, validation = chosen.training_loss / training_base, chosen.validation_loss / validation_base
    gap = validation - training
    figures: dict[str, Figure] = {
        "training_ratio": training,
        "validation_ratio": validation,
        "gap": gap,
        "most": most,
        "iteration": chosen.iteration,
    }
    reason = (
        f"relative to the base rate the loss is {training:.3f} in training and {validation:.3f} in validation: "
        f"a gap of {gap:.3f}, and {most:g} is allowed"
    )
    # A gap that is NaN is not within its bound.
    return _verdict(GENERALISATION_GAP, gap <= most, reason, figures)


def _verdict(name: str, passed: bool, reason: str, figures: dict[str, Figure]) -> Verdict:
    return Verdict(name=name, outcome=Outcome.PASSED if passed else Outcome.FAILED, reason=reason, figures=figures)


def _chance(chance: float) -> str:
    return f"p = {chance:.2g}" if chance >= 1e-9 else "p < 1e-9"


def _falls(falls: bool) -> str:
    return "falls" if falls else "does not fall"


def _iteration(point: CurvePoint) -> int:
    return point.iteration
