"""Bounds of a metric over the whole holdout: what a model must reach, and what is too good to be true."""

import math

from gitrain.evaluation.document import significant
from gitrain.gates.measurements import Measurement, number, span
from gitrain.gates.names import leak_alarm_gate, threshold_gate
from gitrain.pipeline.params import Threshold
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = ["judge_leak_alarm", "judge_threshold"]


def judge_threshold(
    metric: str,
    threshold: Threshold,
    measured: Measurement,
    *,
    minimum_units: int,
    base_rate_alone: float | None = None,
) -> Verdict:
    """Whether a metric is on the right side of its bound.

    The estimate decides, not its interval: a threshold is set on values seen, and one month's interval is often wider
    than the room between them. The interval is shown, and the reason says so where it reaches over the bound.

    Args:
        metric: the metric's name.
        threshold: the bound.
        measured: the metric on the holdout.
        minimum_units: with fewer units nothing is decided.
        base_rate_alone: what the constant score at the base rate reaches on the same rows, where that is worse than a
            perfect score; the reason says so if it would pass.

    Returns:
        PASSED, FAILED; INCONCLUSIVE where the metric is undefined (no rows, one class only) or units are too few.
    """
    name = threshold_gate(metric)
    bound = f"{threshold.side} {number(threshold.bound)}"
    figures = _figures(threshold, measured)
    missing = _not_enough(metric, measured, minimum_units)
    if missing is not None:
        return Verdict(name=name, outcome=Outcome.INCONCLUSIVE, reason=missing, figures=figures)
    passed = threshold.admits(measured.value)
    reason = f"{metric} {number(measured.value)}{span(measured.interval)}, {bound}"
    low, high = measured.interval.low, measured.interval.high
    if low is not None and high is not None and threshold.admits(low) != threshold.admits(high):
        reason += "; the interval reaches over the bound, and the estimate decides"
    if base_rate_alone is not None and not math.isnan(base_rate_alone):
        figures["base_rate_alone"] = significant(base_rate_alone)
        if threshold.admits(base_rate_alone):
            reason += f"; on these rows the base rate alone would pass it with {number(base_rate_alone)}"
    return Verdict(name=name, outcome=Outcome.PASSED if passed else Outcome.FAILED, reason=reason, figures=figures)


def judge_leak_alarm(metric: str, alarm: Threshold, measured: Measurement, *, minimum_units: int) -> Verdict:
    """Whether a metric is too good to be true: features that know the future look like that.

    Args:
        metric: the metric's name.
        alarm: the values beyond its bound are not believed.
        measured: the metric on the holdout.
        minimum_units: with fewer units the alarm can fire, and cannot give the all-clear.

    Returns:
        FAILED if the alarm fires, else PASSED; INCONCLUSIVE where the metric is undefined or units are too few.
    """
    name = leak_alarm_gate(metric)
    bound = f"{alarm.side} {number(alarm.bound)}"
    figures = _figures(alarm, measured)
    if not math.isnan(measured.value) and not alarm.admits(measured.value):
        return Verdict(
            name=name,
            outcome=Outcome.FAILED,
            reason=f"{metric} {number(measured.value)}{span(measured.interval)} is too good to be true ({bound}): "
            "look for a feature that knows the outcome",
            figures=figures,
        )
    missing = _not_enough(metric, measured, minimum_units)
    if missing is not None:
        return Verdict(name=name, outcome=Outcome.INCONCLUSIVE, reason=missing, figures=figures)
    reason = f"{metric} {number(measured.value)}{span(measured.interval)} is believable, {bound}"
    return Verdict(name=name, outcome=Outcome.PASSED, reason=reason, figures=figures)


def _figures(threshold: Threshold, measured: Measurement) -> dict[str, Figure]:
    return {"value": significant(measured.value), "side": threshold.side, "bound": threshold.bound} | measured.figures()


def _not_enough(metric: str, measured: Measurement, minimum_units: int) -> str | None:
    """Why nothing can be decided, if so."""
    if math.isnan(measured.value):
        cause = "the holdout has no labels" if measured.rows == 0 else "the holdout has labels of one class only"
        return f"{metric} is undefined: {cause}"
    if measured.units < minimum_units:
        return f"{metric} {number(measured.value)} comes from {measured.units} units, fewer than {minimum_units}"
    return None
