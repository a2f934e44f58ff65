"""Bounds that hold in every group of a slice: a good average hides a group that the model is no good for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gitrain.evaluation.estimates import Resampling
from gitrain.gates.measurements import Holdout, measure, number, span
from gitrain.gates.names import slice_gate
from gitrain.metrics import Metric
from gitrain.pipeline.params import SliceThreshold
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = ["LEAST_COVERAGE", "judge_slice"]

# The judged groups must hold at least this share of the rows; else the slice as a whole was not looked at.
LEAST_COVERAGE = 0.5
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class _Group:
    name: str
    mask: NDArray[np.bool_]
    rows: int
    value: float


def judge_slice(
    name: str,
    threshold: SliceThreshold,
    metric: Metric,
    holdout: Holdout,
    scores: NDArray[np.float64],
    groups: Sequence[str | None],
    *,
    min_rows: int,
    minimum_units: int,
    resampling: Resampling,
) -> Verdict:
    """Whether the metric is on the right side of the bound in every group that has enough rows.

    The estimates decide, as for thresholds. Groups with fewer rows than `min_rows`, and groups with one class only, are
    counted and named, and not judged.

    Args:
        name: of the slice.
        threshold: the bound.
        metric: what is bounded.
        holdout: the rows.
        scores: probabilities, shape (rows,).
        groups: the group of each row; None is a group of its own.
        min_rows: groups with fewer rows are not judged.
        minimum_units: with fewer units in the whole holdout nothing is decided.
        resampling: how the worst group's interval is made.

    Returns:
        PASSED; FAILED with the groups beyond the bound, worst first; INCONCLUSIVE where no group could be judged, where
        the groups judged hold less than half of the rows, or where units are too few.
    """
    names, codes = np.unique(["(none)" if group is None else group for group in groups], return_inverse=True)
    judged: list[_Group] = []
    small: list[str] = []
    undefined: list[str] = []
    for code, group in enumerate(names.tolist()):
        mask = codes == code
        rows = int(mask.sum())
        if rows < min_rows:
            small.append(group)
            continue
        value = metric.value(holdout.labels[mask], scores[mask])
        if math.isnan(value):
            undefined.append(group)
        else:
            judged.append(_Group(name=group, mask=mask, rows=rows, value=value))
    judged.sort(key=lambda group: group.value, reverse=metric.direction == "lower")
    failing = [group for group in judged if not threshold.admits(group.value)]
    covered = sum(group.rows for group in judged)
    figures: dict[str, Figure] = {
        "value": None,
        "side": threshold.side,
        "bound": threshold.bound,
        "metric": metric.name,
        "judged": len(judged),
        "failing": len(failing),
        "too_small": len(small),
        "undefined": len(undefined),
        "min_rows": min_rows,
        "rows_judged": covered,
    }
    beside = _beside(small, undefined, min_rows)
    if not judged:
        return _verdict(name, Outcome.INCONCLUSIVE, f"no group could be judged{beside}", figures)
    worst = judged[0]
    measured = measure(metric, holdout.part(worst.mask), scores[worst.mask], resampling)
    figures |= {"group": worst.name} | measured.figures()
    bound = f"{threshold.side} {number(threshold.bound)}"
    if holdout.units < minimum_units:
        outcome = Outcome.INCONCLUSIVE
        reason = (
            f"the worst of {len(judged)} groups is {worst.name} with {metric.name} {number(worst.value)}, "
            f"and the holdout has {holdout.units} units, fewer than {minimum_units}"
        )
    elif failing:
        listed = "; ".join(
            f"{group.name} {number(group.value)}{span(measured.interval) if group is worst else ''} "
            f"({group.rows:,} rows)"
            for group in failing[:_SHOWN]
        )
        more = f" and {len(failing) - _SHOWN} more" if len(failing) > _SHOWN else ""
        outcome = Outcome.FAILED
        reason = f"{metric.name} misses {bound} in {len(failing)} of {len(judged)} groups: {listed}{more}{beside}"
    else:
        outcome = Outcome.PASSED
        reason = (
            f"the worst of {len(judged)} groups is {worst.name} with {metric.name} {number(worst.value)}"
            f"{span(measured.interval)}, {bound}{beside}"
        )
        if covered < LEAST_COVERAGE * holdout.rows:
            outcome = Outcome.INCONCLUSIVE
            reason = f"{reason}; the groups judged hold {covered:,} of {holdout.rows:,} rows, less than half"
    return _verdict(name, outcome, reason, figures)


def _verdict(name: str, outcome: Outcome, reason: str, figures: dict[str, Figure]) -> Verdict:
    return Verdict(name=slice_gate(name), outcome=outcome, reason=reason, figures=figures)


def _beside(small: list[str], undefined: list[str], min_rows: int) -> str:
    """What was left out of the judgement, as the end of a sentence."""
    parts = []
    if small:
        parts.append(f"; not judged, with fewer than {min_rows:,} rows: {_listed(small)}")
    if undefined:
        parts.append(f"; not judged, with one class only: {_listed(undefined)}")
    return "".join(parts)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
