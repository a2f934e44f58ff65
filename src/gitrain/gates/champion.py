"""The challenger against the champion, on rows that neither has seen, with whole units resampled in pairs."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gitrain.evaluation.document import significant
from gitrain.evaluation.estimates import Resampling
from gitrain.gates.measurements import Difference, Holdout, differences, number, signed, span
from gitrain.gates.names import CHAMPION
from gitrain.metrics import Metric
from gitrain.pipeline.params import ChampionParams
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = ["judge_champion"]


def judge_champion(
    rule: ChampionParams,
    metrics: Mapping[str, Metric],
    holdout: Holdout,
    challenger: NDArray[np.float64],
    champion: NDArray[np.float64],
    *,
    minimum_units: int,
    resampling: Resampling,
) -> Verdict:
    """Whether the challenger is shown to be better than the champion, and not worse in what has to be kept.

    The whole interval of the improved metric's difference has to lie beyond the minimum effect, and that of each kept
    metric within its margin. The interval is that of a paired bootstrap over whole units, widened for few of them (see
    `gitrain.gates.measurements.differences`). With a confidence of .95 and no true difference the first condition alone
    lets 2.5 % of challengers through; `benchmarks/champion_gate.py` shows what comes out.

    Args:
        rule: the metric to improve, the minimum effect, the metrics to keep.
        metrics: by name; those that the rule names are needed.
        holdout: the rows that neither model was trained on.
        challenger: probabilities, shape (rows,).
        champion: probabilities, shape (rows,).
        minimum_units: with fewer units nothing is decided.
        resampling: how the intervals are made.

    Returns:
        PASSED; FAILED if an improvement is not shown or a kept metric may be worse; INCONCLUSIVE where units are too
        few or a metric has no interval (no rows, one class only).
    """
    improve = metrics[rule.improve]
    # The improved metric needs no second look as a kept one: its whole interval has to be an improvement.
    kept = {name: margin for name, margin in rule.keep.items() if name != rule.improve}
    found = differences([improve, *(metrics[name] for name in kept)], holdout, challenger, champion, resampling)
    figures = _figures(rule, improve, found, kept, holdout, resampling)

    def verdict(outcome: Outcome, reason: str) -> Verdict:
        return Verdict(name=CHAMPION, outcome=outcome, reason=reason, figures=figures)

    for name, difference in found.items():
        if difference.interval.low is None or math.isnan(difference.value):
            cause = difference.interval.reason or "undefined on the holdout"
            return verdict(Outcome.INCONCLUSIVE, f"the difference in {name} has no interval: {cause}")
    if holdout.units < minimum_units:
        return verdict(
            Outcome.INCONCLUSIVE,
            f"{_sentence(improve.name, found)} comes from {holdout.units} units, fewer than {minimum_units}",
        )
    low, high = _towards_better(improve, found[improve.name])
    beyond = f" by more than {number(rule.minimum_effect)}" if rule.minimum_effect else ""
    shown = low > rule.minimum_effect
    if shown:
        first = f"{_sentence(improve.name, found)}: better{beyond}"
    elif high < 0:
        first = f"{_sentence(improve.name, found)}: worse"
    elif np.array_equal(challenger, champion):
        first = "both models give every row the same score: nothing is better"
    else:
        first = f"{_sentence(improve.name, found)}: not shown to be better{beyond}"
    clauses = [first]
    within_all = True
    for name, margin in kept.items():
        within = _towards_better(metrics[name], found[name])[0] >= -margin
        within_all &= within
        judgement = f"kept within {number(margin)}" if within else f"may be worse by more than {number(margin)}"
        clauses.append(f"{_sentence(name, found)}: {judgement}")
    return verdict(Outcome.PASSED if shown and within_all else Outcome.FAILED, "; ".join(clauses))


def _towards_better(metric: Metric, difference: Difference) -> tuple[float, float]:
    """The interval of the difference, turned so that more is better."""
    low, high = difference.interval.low, difference.interval.high
    if low is None or high is None:
        return math.nan, math.nan
    return (low, high) if metric.direction == "higher" else (-high, -low)


def _sentence(name: str, found: Mapping[str, Difference]) -> str:
    return f"{name} {signed(found[name].value)}{span(found[name].interval, sign=True)}"


def _figures(
    rule: ChampionParams,
    improve: Metric,
    found: Mapping[str, Difference],
    kept: Mapping[str, float],
    holdout: Holdout,
    resampling: Resampling,
) -> dict[str, Figure]:
    better = 1.0 if improve.direction == "higher" else -1.0
    first = found[improve.name]
    figures: dict[str, Figure] = {
        "value": significant(first.value),
        "side": "min" if improve.direction == "higher" else "max",
        "bound": better * rule.minimum_effect if rule.minimum_effect else 0.0,
        "low": significant(first.interval.low),
        "high": significant(first.interval.high),
        "metric": improve.name,
        "challenger": significant(first.challenger),
        "champion": significant(first.champion),
        "rows": holdout.rows,
        "units": holdout.units,
        "confidence": resampling.confidence,
    }
    for name, margin in kept.items():
        difference = found[name]
        figures |= {
            f"{name}.value": significant(difference.value),
            f"{name}.low": significant(difference.interval.low),
            f"{name}.high": significant(difference.interval.high),
            f"{name}.margin": margin,
        }
    return figures
