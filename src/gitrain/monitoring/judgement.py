"""Performance and calibration of the release that answers: rows with labels become sequences, slices and verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.evaluation.predictions import group_columns, slice_column
from gitrain.metrics import ROC_AUC
from gitrain.monitoring.labels import CAME, LABEL, MATURE
from gitrain.monitoring.logged import DAY
from gitrain.monitoring.performance import DailyLosses, daily_losses, judge_sequence, log_losses, look_at
from gitrain.monitoring.reference import Holdout
from gitrain.monitoring.report import CalibrationRow, DayRow, LookSequence, SliceRow
from gitrain.pipeline.monitoring_params import PerformanceParams
from gitrain.verdicts import Outcome, Verdict

__all__ = [
    "METRIC",
    "OVERALL",
    "Judgement",
    "SliceRule",
    "calibration_rows",
    "day_rows",
    "judge_calibration",
    "judge_performance",
]

METRIC = "log_loss_ratio"
#: Of the probability of a false alarm this is for all rows together; the slices share what is left.
OVERALL = 0.8
_FEWEST_REFERENCE_DAYS = 3


@dataclass(frozen=True, kw_only=True)
class SliceRule:
    """A slice of the project: its name, its groups' expression over features, the rows that a group needs."""

    name: str
    by: pl.Expr
    min_rows: int


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Verdicts, and what they were made from."""

    verdicts: tuple[Verdict, ...] = ()
    sequences: tuple[LookSequence, ...] = ()
    slices: tuple[SliceRow, ...] = ()


def judge_performance(
    joined: pl.DataFrame,
    features: pl.DataFrame,
    holdout: Holdout | None,
    params: PerformanceParams,
    *,
    slices: Sequence[SliceRule],
    unit: str,
    running: str | None = None,
) -> Judgement:
    """Whether the release that answers is worse than it was on the holdout, overall and by slice.

    Sequences of other releases are shown and not judged: what they did is past.

    Args:
        joined: what `join_labels` gave, in the order of time.
        features: of the same rows.
        holdout: of the model; None where there is none.
        params: the rules.
        slices: of the project.
        unit: the name of a day.
        running: the release that is judged; where it is not known, or predicted nothing, the one that predicted last.
    """
    name = f"performance:{METRIC}"
    if holdout is None or joined.is_empty():
        why = "there are no predictions" if joined.is_empty() else "there is no holdout to compare with"
        return Judgement(verdicts=(Verdict(name=name, outcome=Outcome.INCONCLUSIVE, reason=why),))
    reference = holdout.losses(params.minimum_rows)
    releases = joined["release"].unique(maintain_order=True).to_list()
    newest = _judged(joined, running)
    sequences: list[LookSequence] = []
    verdicts: list[Verdict] = []
    for release in releases:
        mine = _counted(_of(joined, release), params.minimum_coverage)
        live = _losses(mine, params.minimum_rows)
        sequence = _look(name, release, live, reference, params.alpha * OVERALL, params.tolerated)
        if sequence is not None:
            sequences.append(sequence)
        if release != newest:
            continue
        if sequence is None:
            why = f"the holdout has {len(reference.days)} {unit}s, and {_FEWEST_REFERENCE_DAYS} are needed"
            verdicts.append(Verdict(name=name, outcome=Outcome.INCONCLUSIVE, reason=why))
        else:
            verdicts.append(
                judge_sequence(
                    sequence,
                    minimum_days=params.minimum_days,
                    what=f"log loss over base-rate log loss of {release}",
                    unit=unit,
                    better="no worse",
                )
            )
    ours = joined["release"] == newest
    if not ours.all():
        joined, features = joined.filter(ours), features.filter(ours)
    judged = _slices(joined, features, holdout, params, slices, newest, unit)
    return Judgement(
        verdicts=(*verdicts, *judged.verdicts), sequences=(*sequences, *judged.sequences), slices=judged.slices
    )


def judge_calibration(
    joined: pl.DataFrame, holdout: Holdout | None, params: PerformanceParams, *, unit: str, running: str | None = None
) -> Judgement:
    """Whether outcomes have become more, or less, frequent than the release says, compared with the holdout."""
    if holdout is None or joined.is_empty():
        why = "there are no predictions" if joined.is_empty() else "there is no holdout to compare with"
        return Judgement(verdicts=(Verdict(name="calibration:all", outcome=Outcome.INCONCLUSIVE, reason=why),))
    reference = holdout.losses(params.minimum_rows)
    newest = _judged(joined, running)
    live = _losses(_counted(_of(joined, newest), params.minimum_coverage), params.minimum_rows)
    sequences, verdicts = [], []
    for name, sign, what in (
        ("calibration:underestimates", 1.0, "how far outcomes are more frequent than probabilities"),
        ("calibration:overestimates", -1.0, "how far outcomes are less frequent than probabilities"),
    ):
        sequence = None
        if len(reference.days) >= _FEWEST_REFERENCE_DAYS:
            sequence = look_at(
                name,
                str(newest),
                live.days,
                sign * live.bias,
                sign * reference.bias,
                alpha=params.alpha / 2,
                tolerated=params.calibration,
            )
        if sequence is None:
            why = f"the holdout has {len(reference.days)} {unit}s, and {_FEWEST_REFERENCE_DAYS} are needed"
            verdicts.append(Verdict(name=name, outcome=Outcome.INCONCLUSIVE, reason=why))
            continue
        sequences.append(sequence)
        verdicts.append(
            judge_sequence(
                sequence, minimum_days=params.minimum_days, what=what, unit=unit, better="within what is tolerated"
            )
        )
    return Judgement(verdicts=tuple(verdicts), sequences=tuple(sequences))


def day_rows(joined: pl.DataFrame, missing: NDArray[np.float64]) -> tuple[DayRow, ...]:
    """One row a day, of all releases together.

    Args:
        joined: what `join_labels` gave.
        missing: the share of features that are not known, by row.
    """
    if joined.is_empty():
        return ()
    by_day = (
        joined.with_columns(pl.Series("missing", missing))
        .group_by(DAY)
        .agg(
            pl.len().alias("predictions"),
            pl.col(LABEL).is_not_null().sum().alias("labelled"),
            pl.col("probability").mean(),
            pl.col("missing").mean(),
        )
        .sort(DAY)
    )
    labelled = joined.filter(pl.col(LABEL).is_not_null())
    losses = _losses(labelled, 1)
    found = {day: number for number, day in enumerate(losses.days)}
    rows = []
    for each in by_day.iter_rows(named=True):
        number = found.get(each[DAY])
        known = (
            {
                "loss": _rounded(losses.loss[number]),
                "base_loss": _rounded(losses.base_loss[number]),
                "excess": _rounded(losses.ratio[number]),
                "positive_share": _rounded(losses.positives[number]),
            }
            if number is not None
            else {}
        )
        rows.append(
            DayRow(
                day=each[DAY],
                predictions=each["predictions"],
                labelled=each["labelled"],
                probability=_rounded(each["probability"]),
                missing_share=_rounded(each["missing"]),
                **known,
            )
        )
    return tuple(rows)


def calibration_rows(
    joined: pl.DataFrame, holdout: Holdout | None, bins: int, *, running: str | None = None
) -> tuple[CalibrationRow, ...]:
    """Outcomes by bin of probability, of the release that is judged."""
    if joined.is_empty():
        return ()
    rows = joined.filter((pl.col("release") == _judged(joined, running)) & pl.col(LABEL).is_not_null())
    reference = holdout.observed(bins) if holdout is not None else [None] * bins
    scores = rows["probability"].to_numpy()
    number = np.minimum((scores * bins).astype(np.int64), bins - 1)
    counts = np.bincount(number, minlength=bins)
    predicted = np.bincount(number, weights=scores, minlength=bins)
    positives = np.bincount(number, weights=rows[LABEL].cast(pl.Float64).to_numpy(), minlength=bins)
    return tuple(
        CalibrationRow(
            low=each / bins,
            high=(each + 1) / bins,
            rows=int(counts[each]),
            predicted=_rounded(predicted[each] / counts[each]),
            observed=_rounded(positives[each] / counts[each]),
            reference=None if (was := reference[each]) is None else _rounded(was),
        )
        for each in range(bins)
        if counts[each]
    )


def _judged(joined: pl.DataFrame, running: str | None) -> str:
    """The release that runs, else the one that answered last: one that was withdrawn may have begun later."""
    if running is not None and (joined["release"] == running).any():
        return running
    return str(joined["release"][-1])


def _of(joined: pl.DataFrame, release: str) -> pl.DataFrame:
    ours = joined["release"] == release
    return joined if ours.all() else joined.filter(ours)


def _counted(rows: pl.DataFrame, minimum_coverage: float) -> pl.DataFrame:
    """The day, probability and label of the labelled rows of those days whose outcomes are known.

    That is where all are due, and enough came.
    """
    day = _numbers(rows[DAY])
    all_rows = np.bincount(day)
    due, came = (np.bincount(day, weights=rows[name].to_numpy(), minlength=all_rows.size) for name in (MATURE, CAME))
    whole = (due == all_rows) & (came / np.maximum(all_rows, 1) >= minimum_coverage)
    return rows.select(DAY, "probability", LABEL).filter(pl.Series(whole[day]) & rows[LABEL].is_not_null())


def _numbers(days: pl.Series) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = days.to_physical().cast(pl.Int64).to_numpy()
    return numbers


def _losses(labelled: pl.DataFrame, minimum_rows: int) -> DailyLosses:
    days = labelled[DAY]
    names = cast(pl.Enum, days.dtype).categories.to_list()
    labels = cast("NDArray[np.bool_]", labelled[LABEL].cast(pl.Boolean).to_numpy())
    scores = labelled["probability"].to_numpy()
    return daily_losses(names, _numbers(days), labels, scores, minimum_rows=minimum_rows)


def _look(
    name: str, release: str, live: DailyLosses, reference: DailyLosses, alpha: float, tolerated: float
) -> LookSequence | None:
    if len(reference.days) < _FEWEST_REFERENCE_DAYS:
        return None
    return look_at(name, release, live.days, live.ratio, reference.ratio, alpha=alpha, tolerated=tolerated)


def _slices(
    joined: pl.DataFrame,
    features: pl.DataFrame,
    holdout: Holdout,
    params: PerformanceParams,
    slices: Sequence[SliceRule],
    release: str,
    unit: str,
) -> Judgement:
    if not slices:
        return Judgement()
    read = sorted({name for rule in slices for name in rule.by.meta.root_names()})
    groups = group_columns(features.select(read), {rule.name: rule.by for rule in slices})
    grouped = joined.select(DAY, "probability", LABEL, MATURE, CAME).hstack(groups)
    parts: list[tuple[SliceRule, str | None, pl.DataFrame]] = []
    for rule in slices:
        column = slice_column(rule.name)
        for group in sorted(grouped[column].unique().to_list(), key=lambda each: (each is None, each or "")):
            parts.append((rule, group, grouped.filter(pl.col(column).eq_missing(pl.lit(group, dtype=pl.String)))))
    live: Mapping[int, DailyLosses] = {
        number: _losses(_counted(rows, params.minimum_coverage), params.minimum_rows)
        for number, (_, _, rows) in enumerate(parts)
    }
    reference = {
        number: holdout.losses(params.minimum_rows, rule.name, group)
        for number, (rule, group, _) in enumerate(parts)
        if slice_column(rule.name) in holdout.frame.columns
    }
    possible = _possible(holdout, params, slices)
    judged = {
        number
        for number, (rule, group, _) in enumerate(parts)
        if (rule.name, group) in possible
        and live[number].rows.sum() >= rule.min_rows
        and len(live[number].days) >= params.minimum_days
        and number in reference
        and len(reference[number].days) >= _FEWEST_REFERENCE_DAYS
    }
    # Shared among all that may ever be judged: a group that comes later changes no look that was taken before.
    alpha = params.alpha * (1 - OVERALL) / max(1, len(possible))
    rows, verdicts, sequences = [], [], []
    for number, (rule, group, part) in enumerate(parts):
        sequence = None
        if number in judged:
            name = f"performance:{rule.name}={group}"
            sequence = _look(name, release, live[number], reference[number], alpha, params.tolerated)
        if sequence is not None:
            sequences.append(sequence)
            verdicts.append(
                judge_sequence(
                    sequence,
                    minimum_days=params.minimum_days,
                    what=f"log loss over base-rate log loss of {rule.name} {group}",
                    unit=unit,
                    better="no worse",
                )
            )
        rows.append(_slice_row(rule.name, group, part, reference.get(number), sequence))
    return Judgement(verdicts=tuple(verdicts), sequences=tuple(sequences), slices=tuple(rows))


def _possible(holdout: Holdout, params: PerformanceParams, slices: Sequence[SliceRule]) -> set[tuple[str, str | None]]:
    """The groups that the holdout has enough days of; what came since, and how much, plays no part."""
    fixed = replace(holdout, rows_a_day=None)
    return {
        (rule.name, group)
        for rule in slices
        if (column := slice_column(rule.name)) in holdout.frame.columns
        for group in holdout.frame[column].drop_nulls().unique().to_list()
        if len(fixed.losses(params.minimum_rows, rule.name, group).days) >= _FEWEST_REFERENCE_DAYS
    }


def _slice_row(
    name: str, group: str | None, part: pl.DataFrame, reference: DailyLosses | None, sequence: LookSequence | None
) -> SliceRow:
    labelled = part.filter(pl.col(LABEL).is_not_null())
    mature, came = int(part[MATURE].sum()), int(part[CAME].sum())
    labels = labelled[LABEL].cast(pl.Boolean).to_numpy().astype(bool)
    scores = labelled["probability"].to_numpy()
    was = None
    if reference is not None and reference.rows.size:
        was = _rounded(float(np.average(reference.loss, weights=reference.rows)))
    found = SliceRow(
        slice=name,
        group=group,
        predictions=part.height,
        labelled=labelled.height,
        coverage=_rounded(came / mature) if mature else None,
        reference_loss=was,
        judged=sequence is not None,
    )
    if labelled.is_empty():
        return found
    both = 0 < int(labels.sum()) < labels.size
    area = ROC_AUC.value(labels.astype(np.int8), scores) if both else None
    last = sequence.looks[-1] if sequence is not None and sequence.looks else None
    return found.model_copy(
        update={
            "loss": _rounded(float(log_losses(labels, scores).mean())),
            "roc_auc": _rounded(area) if area is not None else None,
            "positive_share": _rounded(float(labels.mean())),
            "probability": _rounded(float(scores.mean())),
            "excess": last.estimate if last is not None else None,
            "excess_low": last.lower if last is not None else None,
            "excess_high": last.upper if last is not None else None,
            "threshold": sequence.threshold if sequence is not None else None,
        }
    )


def _rounded(value: float) -> float:
    return float(f"{float(value):.6g}")
