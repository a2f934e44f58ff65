"""Two evaluations and two models side by side: metrics, slices that moved, what the models were made with."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from gitrain.documents import Section
from gitrain.errors import PipelineError
from gitrain.evaluation.document import Estimate, Evaluation, MetricEstimate, SliceGroup, significant
from gitrain.pipeline.changes import ValueChange, changed_values, flat_values
from gitrain.training.manifest import ModelManifest
from gitrain.verdicts import Figure

__all__ = [
    "EvaluationComparison",
    "MetricComparison",
    "PairedDifference",
    "SliceMove",
    "compare_evaluations",
    "compare_models",
    "paired_differences",
]


class PairedDifference(Section):
    """This model's metric minus the champion's, both on the holdout of this tree, with the interval of the pairs."""

    value: float
    low: float | None = None
    high: float | None = None


class MetricComparison(Section):
    """A metric of both sides.

    Attributes:
        name: of the metric.
        direction: which values are better.
        judged: whether a gate has a threshold for it.
        now: on the holdout of this tree; None if it is no longer measured.
        before: in the base's own report, on the base's holdout; None if it was not measured there.
        difference: of the pairs, if the champion gate measured it.
    """

    name: str
    direction: Literal["higher", "lower"]
    judged: bool
    now: Estimate | None
    before: Estimate | None
    difference: PairedDifference | None = None


class SliceMove(Section):
    """A group whose metric differs by more than both its intervals together leave open.

    Attributes:
        slice_name: of the slice.
        group: the group's name; None for the rows that have none.
        metric: its name.
        better: whether it moved to the better side.
        rows: of the group, now.
        rows_before: of the group, at the base.
        now: the metric.
        before: the metric at the base.
        margin: half the width of the interval of the difference, had both sides been drawn independently.
    """

    slice_name: str
    group: str | None
    metric: str
    better: bool
    rows: int = Field(ge=1)
    rows_before: int = Field(ge=1)
    now: float
    before: float
    margin: float = Field(ge=0)


class EvaluationComparison(Section):
    """This tree's evaluation beside the base's, or alone.

    Attributes:
        same_rows: whether both were measured on the same holdout: equal batches, rows, units and positives.
        batches: the holdout of this tree.
        batches_before: the holdout of the base; empty if there is nothing to compare with.
        rows: of the holdout of this tree.
        units: that they lie in.
        unit: the name of what is resampled.
        base_rate: the share of positives.
        base_rate_before: the same of the base's holdout.
        confidence: of the intervals.
        metrics: in the order of this tree's report, then those that it no longer has.
        compared: how many values of groups were compared.
        moved: those that moved: what got worse first, by the distance in margins, then what got better.
        appeared: groups that are judged now and were not there, as ``slice: group``.
        vanished: groups that were judged and are no longer there, likewise.
    """

    same_rows: bool
    batches: tuple[str, ...]
    batches_before: tuple[str, ...] = ()
    rows: int = Field(ge=0)
    units: int = Field(ge=0)
    unit: str
    base_rate: float = Field(ge=0, le=1)
    base_rate_before: float | None = Field(default=None, ge=0, le=1)
    confidence: float = Field(gt=0, lt=1)
    metrics: tuple[MetricComparison, ...]
    compared: int = Field(default=0, ge=0)
    moved: tuple[SliceMove, ...] = ()
    appeared: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()


def compare_evaluations(
    before: Evaluation | None, after: Evaluation, differences: Mapping[str, PairedDifference]
) -> EvaluationComparison:
    """Two evaluations of one project side by side, or one alone.

    A group has moved if the difference of its two values is larger than the root of the sum of squares of the two half
    widths of their intervals: what an interval of the difference would be, were both sides independent. On the same
    rows they are not, and the rule finds less than a paired one would. Of values that did not move at all it names up
    to one minus the confidence by chance.

    Args:
        before: of the base, if there is one.
        after: of the tree.
        differences: paired differences by metric, from the champion gate.

    Raises:
        PipelineError: the two are about another project, target or unit, or have intervals of other confidence.
    """
    alone = EvaluationComparison(
        same_rows=False,
        batches=after.batches,
        rows=after.rows,
        units=after.units,
        unit=after.unit,
        base_rate=after.base_rate,
        confidence=after.confidence,
        metrics=tuple(_metrics(before, after, differences)),
    )
    if before is None:
        return alone
    for what in ("project", "target", "unit", "confidence"):
        one, other = getattr(before, what), getattr(after, what)
        if one != other:
            raise PipelineError(
                f"the base's evaluation has {what} {one!r}, and this one {other!r}: they cannot be compared",
                fix="read them one by one, or name another base.",
            )
    old, new = _groups(before), _groups(after)
    compared, moves = _moves(before, after)
    return alone.model_copy(
        update={
            "same_rows": _holdout(before) == _holdout(after),
            "batches_before": before.batches,
            "base_rate_before": before.base_rate,
            "compared": compared,
            "moved": tuple(moves),
            "appeared": tuple(_name(*key) for key, group in new.items() if group.judged and key not in old),
            "vanished": tuple(_name(*key) for key, group in old.items() if group.judged and key not in new),
        }
    )


def paired_differences(figures: Mapping[str, Figure]) -> dict[str, PairedDifference]:
    """The differences that the figures of a champion verdict hold, by metric; empty if it compared nothing."""
    metric = figures.get("metric")
    found: dict[str, PairedDifference] = {}
    if isinstance(metric, str) and figures.get("champion") is not None:
        _add(found, metric, figures, "")
    for key in figures:
        name, dot, field = key.rpartition(".")
        if dot and field == "value":
            _add(found, name, figures, f"{name}.")
    return found


def compare_models(before: ModelManifest, after: ModelManifest) -> tuple[ValueChange, ...]:
    """What differs of what two models were made with; the features that came and went are two values."""
    changes = changed_values(_manifest(before), _manifest(after))
    old, new = set(before.features), set(after.features)
    features = (
        ValueChange(name="features added", old=None, new=", ".join(sorted(new - old))) if new - old else None,
        ValueChange(name="features removed", old=", ".join(sorted(old - new)), new=None) if old - new else None,
    )
    return (*changes, *(change for change in features if change is not None))


def _holdout(evaluation: Evaluation) -> tuple[object, ...]:
    return (
        evaluation.batches,
        evaluation.rows,
        evaluation.unlabelled,
        evaluation.units,
        evaluation.positives,
    )


def _metrics(
    before: Evaluation | None, after: Evaluation, differences: Mapping[str, PairedDifference]
) -> Iterator[MetricComparison]:
    old = before.metrics if before is not None else {}
    for name in dict.fromkeys([*after.metrics, *old]):
        now, then = after.metrics.get(name), old.get(name)
        known = now or then
        assert known is not None  # noqa: S101  (the name comes from one of the two)
        yield MetricComparison(
            name=name,
            direction=known.direction,
            judged=known.judged,
            now=_estimate(now),
            before=_estimate(then),
            difference=differences.get(name),
        )


def _estimate(estimate: MetricEstimate | None) -> Estimate | None:
    if estimate is None:
        return None
    return Estimate(**{name: getattr(estimate, name) for name in Estimate.model_fields})


def _groups(evaluation: Evaluation) -> dict[tuple[str, str | None], SliceGroup]:
    return {(name, group.group): group for name, slice_ in evaluation.slices.items() for group in slice_.groups}


def _moves(before: Evaluation, after: Evaluation) -> tuple[int, list[SliceMove]]:
    old = _groups(before)
    compared = 0
    moves: list[tuple[float, SliceMove]] = []
    for (slice_name, group_name), group in _groups(after).items():
        was = old.get((slice_name, group_name))
        for metric, now in group.metrics.items() if was is not None else ():
            assert was is not None  # noqa: S101  (the condition above)
            then = was.metrics.get(metric)
            margin = _margin(now, then)
            if then is None or now.value is None or then.value is None or margin is None:
                continue
            difference = now.value - then.value
            # A value that is not finite is no value.
            if not math.isfinite(difference) or not math.isfinite(margin):
                continue
            compared += 1
            if abs(difference) <= margin:
                continue
            known = after.metrics.get(metric)
            better = (difference > 0) == (known is None or known.direction == "higher")
            move = SliceMove(
                slice_name=slice_name,
                group=group_name,
                metric=metric,
                better=better,
                rows=group.rows,
                rows_before=was.rows,
                now=now.value,
                before=then.value,
                margin=significant(margin) or 0.0,
            )
            moves.append((abs(difference) / margin if margin else math.inf, move))
    moves.sort(key=lambda entry: (entry[1].better, -entry[0], entry[1].slice_name, entry[1].group or ""))
    return compared, [move for _, move in moves]


def _margin(now: Estimate, then: Estimate | None) -> float | None:
    if then is None or now.low is None or now.high is None or then.low is None or then.high is None:
        return None
    return math.hypot((now.high - now.low) / 2, (then.high - then.low) / 2)


def _name(slice_name: str, group: str | None) -> str:
    return f"{slice_name}: {'(none)' if group is None else group}"


def _add(found: dict[str, PairedDifference], name: str, figures: Mapping[str, Figure], prefix: str) -> None:
    value, low, high = (_number(figures.get(f"{prefix}{key}")) for key in ("value", "low", "high"))
    if value is not None:
        found[name] = PairedDifference(value=value, low=low, high=high)


def _number(figure: Figure) -> float | None:
    return None if figure is None or isinstance(figure, bool | str) or not math.isfinite(figure) else float(figure)


def _manifest(manifest: ModelManifest) -> dict[str, Any]:
    batches = manifest.training_batches
    return {
        "estimator": manifest.estimator,
        "iterations": manifest.iterations,
        "early stopping": manifest.early_stopping,
        "converged": manifest.converged,
        "trained on": batches[0] if len(batches) == 1 else f"{batches[0]} to {batches[-1]} ({len(batches)} batches)",
        "training rows": manifest.rows,
        "training positives": manifest.positives,
        "features": len(manifest.features),
        "categorical features": json.dumps(sorted(manifest.categorical)),
        "target": manifest.target,
        "seed": manifest.seed,
        **{f"parameters.{name}": value for name, value in flat_values(manifest.parameters).items()},
        **{f"library {name}": version for name, version in manifest.libraries.items()},
    }
