"""The gates' own gate: a rule that is missing, or that every model would pass, is an error unless a waiver names it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gitrain.errors import SettingsError
from gitrain.gates.names import CHAMPION, leak_alarm_gate, nearest, slice_gate, threshold_gate
from gitrain.gates.waivers import Waivers
from gitrain.metrics import Metric
from gitrain.pipeline.layout import PARAMS
from gitrain.pipeline.params import GatesParams, Threshold

__all__ = ["LEAST_CONFIDENCE", "WIDEST_MARGIN", "HoldoutFacts", "check_settings", "gate_names"]

# With less, the champion gate would promote more than one in twenty models that are no better.
LEAST_CONFIDENCE = 0.9
# Of the way from no skill to a perfect score; a margin as wide as this keeps nothing.
WIDEST_MARGIN = 0.1


@dataclass(frozen=True, kw_only=True)
class HoldoutFacts:
    """What the labels of the holdout say about the rules.

    Attributes:
        rows: how many have a label.
        perfect: by metric, what a model reaches that knows every label; NaN where the metric is undefined.
    """

    rows: int
    perfect: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class _Problem:
    """Something wrong with the rule of `gate`; None: with no gate that a waiver could name."""

    gate: str | None
    what: str
    fix: str


def gate_names(gates: GatesParams, *, metrics: Sequence[Metric], slices: Sequence[str]) -> list[str]:
    """The gates of a project, in the order of the report.

    Args:
        gates: the section of params.yaml.
        metrics: those that need a threshold.
        slices: the names of the project's slices.
    """
    bounded = [metric.name for metric in metrics]
    bounded += [name for name in gates.thresholds if name not in bounded]
    return [
        *(threshold_gate(name) for name in bounded),
        *(slice_gate(name) for name in slices),
        *(leak_alarm_gate(name) for name in gates.leak_alarm),
        CHAMPION,
    ]


def check_settings(
    gates: GatesParams,
    *,
    metrics: Sequence[Metric],
    reported: Sequence[Metric] = (),
    slices: Mapping[str, int],
    confidence: float,
    waivers: Waivers,
    facts: HoldoutFacts | None = None,
) -> dict[str, str]:
    """Refuse rules that are missing or trivial.

    Args:
        gates: the section of params.yaml.
        metrics: the project's metrics; each needs a threshold.
        reported: metrics that may be named, and need no threshold.
        slices: the project's slices and their least number of rows.
        confidence: of the intervals.
        waivers: those that let a missing or trivial rule through.
        facts: of the holdout; without them what depends on labels is left unchecked.

    Returns:
        What is wrong with each gate that a waiver lets through: such a gate is not judged.

    Raises:
        SettingsError: anything else that is wrong.
    """
    known = {metric.name: metric for metric in (*metrics, *reported)}
    waived: dict[str, str] = {}
    problems: list[_Problem] = []
    for problem in (
        *_thresholds(gates, metrics, known),
        *_slices(gates, slices, known, facts),
        *_leak_alarms(gates, known, facts),
        *_champion(gates, known, facts, confidence),
    ):
        if problem.gate is not None and problem.gate in waivers.active:
            waived.setdefault(problem.gate, problem.what)
        else:
            problems.append(problem)
    if problems:
        first = problems[0]
        expired = waivers.expired.get(first.gate) if first.gate is not None else None
        note = f" (its waiver expired on {expired.expires.isoformat()})" if expired is not None else ""
        rest = f" ({len(problems) - 1} more problems follow it)" if len(problems) > 1 else ""
        raise SettingsError(f"{PARAMS}: {first.what}{note}{rest}", fix=first.fix)
    return waived


def _thresholds(gates: GatesParams, metrics: Sequence[Metric], known: Mapping[str, Metric]) -> Iterator[_Problem]:
    for metric in metrics:
        if metric.name not in gates.thresholds:
            yield _Problem(
                gate=threshold_gate(metric.name),
                what=f"gates.thresholds has no bound for the metric {metric.name!r}",
                fix=f"add {metric.name}: {{{_good_side(metric)}: ...}}, or a waiver for the gate "
                f"{threshold_gate(metric.name)!r}.",
            )
    for name, threshold in gates.thresholds.items():
        where = f"gates.thresholds.{name}"
        if name not in known:
            yield _unknown_metric(where, name, known)
        else:
            yield from _trivial(threshold_gate(name), where, threshold, known[name])


def _slices(
    gates: GatesParams, slices: Mapping[str, int], known: Mapping[str, Metric], facts: HoldoutFacts | None
) -> Iterator[_Problem]:
    for name in slices:
        if name not in gates.slices:
            yield _Problem(
                gate=slice_gate(name),
                what=f"gates.slices has no bound for the slice {name!r}",
                fix=f"add {name}: {{metric: ..., min: ...}}, or a waiver for {slice_gate(name)!r}.",
            )
    for name, threshold in gates.slices.items():
        where = f"gates.slices.{name}"
        if name not in slices:
            yield _Problem(gate=None, what=f"{where}: the project has no such slice", fix=nearest(name, slices))
        elif threshold.metric not in known:
            yield _unknown_metric(f"{where}.metric", threshold.metric, known)
        else:
            yield from _trivial(slice_gate(name), where, threshold, known[threshold.metric])
        if facts is not None and name in slices and slices[name] > facts.rows > 0:
            yield _Problem(
                gate=slice_gate(name),
                what=f"{where}: groups are judged from {slices[name]:,} rows on, and the whole holdout has "
                f"{facts.rows:,}",
                fix=f"lower min_rows of the slice {name!r} in the project.",
            )


def _leak_alarms(gates: GatesParams, known: Mapping[str, Metric], facts: HoldoutFacts | None) -> Iterator[_Problem]:
    if not gates.leak_alarm:
        yield _Problem(
            gate=None,
            what="gates.leak_alarm is empty: nothing would notice a model that is too good to be true",
            fix="name a metric and the value beyond which you would look for a leak, e.g. roc_auc: {max: 0.85}.",
        )
    for name, alarm in gates.leak_alarm.items():
        where = f"gates.leak_alarm.{name}"
        if name not in known:
            yield _unknown_metric(where, name, known)
            continue
        metric = known[name]
        bad_side = "max" if metric.direction == "higher" else "min"
        if alarm.side != bad_side:
            yield _Problem(
                gate=None,
                what=f"{where} has {alarm.side}, and of {name} {metric.direction} is better: it would never fire on "
                "a leak",
                fix=f"write {bad_side}: the value that is too good to be true.",
            )
            continue
        perfect = facts.perfect.get(name, math.nan) if facts is not None else math.nan
        if alarm.admits(perfect):
            yield _Problem(
                gate=None,
                what=f"{where} can never fire: its {alarm.side} is {alarm.bound:g}, and a model that knew every label "
                f"would reach {perfect:.4g}",
                fix=f"set {alarm.side} between what an honest model reaches and {perfect:.4g}.",
            )
        threshold = gates.thresholds.get(name)
        if threshold is not None and threshold.side == _good_side(metric) and not _between(alarm, threshold):
            yield _Problem(
                gate=None,
                what=f"{where} fires on every model that passes gates.thresholds.{name} "
                f"({alarm.side} {alarm.bound:g} against {threshold.side} {threshold.bound:g})",
                fix="leave room between the two.",
            )


def _champion(
    gates: GatesParams, known: Mapping[str, Metric], facts: HoldoutFacts | None, confidence: float
) -> Iterator[_Problem]:
    champion = gates.champion
    if champion is None:
        yield _Problem(
            gate=CHAMPION,
            what="gates.champion is missing: nothing would compare a model with the one that it replaces",
            fix=f"add it with the metric to improve, or a waiver for {CHAMPION!r}.",
        )
        return
    if confidence < LEAST_CONFIDENCE:
        yield _Problem(
            gate=CHAMPION,
            what=f"evaluation.confidence is {confidence:g}: the champion gate would promote "
            f"{(1 - confidence) / 2:.0%} of the models that are no better",
            fix=f"set it to {LEAST_CONFIDENCE:g} or more.",
        )
    if champion.improve not in known:
        yield _unknown_metric("gates.champion.improve", champion.improve, known)
    for name, margin in champion.keep.items():
        where = f"gates.champion.keep.{name}"
        if name not in known:
            yield _unknown_metric(where, name, known)
            continue
        perfect = facts.perfect.get(name, math.nan) if facts is not None else math.nan
        widest = WIDEST_MARGIN * abs(perfect - known[name].no_skill)
        if margin >= widest:
            yield _Problem(
                gate=CHAMPION,
                what=f"{where} is {margin:g}: that is {WIDEST_MARGIN:.0%} or more of the way from no skill "
                f"({known[name].no_skill:.4g}) to a perfect score ({perfect:.4g}), and keeps nothing",
                fix=f"set it well below {widest:.2g}.",
            )


def _trivial(gate: str, where: str, threshold: Threshold, metric: Metric) -> Iterator[_Problem]:
    good_side = _good_side(metric)
    if threshold.side != good_side:
        yield _Problem(
            gate=gate,
            what=f"{where} has {threshold.side}, and of {metric.name} {metric.direction} is better: "
            "it would refuse good models and pass bad ones",
            fix=f"write {good_side} instead of {threshold.side}.",
        )
    elif threshold.admits(metric.no_skill):
        yield _Problem(
            gate=gate,
            what=f"{where} is trivial: {threshold.side} {threshold.bound:g} lets a model without any skill pass "
            f"({metric.name} {metric.no_skill:.4g})",
            fix=f"set {good_side} {'above' if good_side == 'min' else 'below'} {metric.no_skill:.4g}, "
            f"or add a waiver for {gate!r}.",
        )


def _unknown_metric(where: str, name: str, known: Mapping[str, Metric]) -> _Problem:
    return _Problem(gate=None, what=f"{where}: the project has no metric {name!r}", fix=nearest(name, known))


def _good_side(metric: Metric) -> str:
    return "min" if metric.direction == "higher" else "max"


def _between(alarm: Threshold, threshold: Threshold) -> bool:
    """Whether some value passes both."""
    return alarm.bound > threshold.bound if alarm.side == "max" else alarm.bound < threshold.bound
