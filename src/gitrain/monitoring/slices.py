"""Performance of the groups of the project's slices: each has days, a sequence and a verdict of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from gitrain.evaluation.predictions import group_columns, slice_column
from gitrain.metrics import ROC_AUC
from gitrain.monitoring.counted_days import CountedDays
from gitrain.monitoring.kept_days import Part
from gitrain.monitoring.labels import CAME, LABEL, MATURE
from gitrain.monitoring.logged import DAY
from gitrain.monitoring.performance import DailyLosses, judge_sequence, log_losses, look_at
from gitrain.monitoring.reference import Holdout
from gitrain.monitoring.report import LookSequence, SliceRow
from gitrain.pipeline.monitoring_params import PerformanceParams
from gitrain.verdicts import Verdict

__all__ = ["FEWEST_REFERENCE_DAYS", "SliceRule", "count_slices", "judge_slices", "rows_of"]

#: With fewer days of the holdout nothing is compared.
FEWEST_REFERENCE_DAYS = 3


@dataclass(frozen=True, kw_only=True)
class SliceRule:
    """A slice of the project: its name, its groups' expression over features, the rows that a group needs."""

    name: str
    by: pl.Expr
    min_rows: int


def rows_of(frame: pl.DataFrame, joined: pl.DataFrame, release: str) -> pl.DataFrame:
    """The rows of a frame that are a release's.

    Args:
        frame: with a row for each of `joined`.
        joined: what `join_labels` gave.
        release: whose.
    """
    ours = joined["release"] == release
    return frame if ours.all() else frame.filter(ours)


def count_slices(
    joined: pl.DataFrame,
    features: pl.DataFrame,
    holdout: Holdout,
    params: PerformanceParams,
    slices: Sequence[SliceRule],
    release: str,
    counted: CountedDays,
) -> None:
    """Count the days of a release's groups that may ever be judged; arguments as of `judge_slices`."""
    possible = _possible(holdout, params, slices)
    for rule, group, rows in _grouped(joined, features, slices, release, counted):
        if (rule.name, group) in possible:
            counted.losses(Part(release, rule.name, group), rows, params)


def judge_slices(
    joined: pl.DataFrame,
    features: pl.DataFrame,
    holdout: Holdout,
    params: PerformanceParams,
    slices: Sequence[SliceRule],
    release: str,
    counted: CountedDays,
    *,
    alpha: float,
    unit: str,
) -> tuple[tuple[SliceRow, ...], tuple[LookSequence, ...], tuple[Verdict, ...]]:
    """Figures of all groups; sequences and verdicts of those that have enough rows and days.

    Args:
        joined: what `join_labels` gave.
        features: of the same rows.
        holdout: of the model.
        params: the rules.
        slices: of the project, one or more.
        release: that is judged.
        counted: the days that count.
        alpha: the probability of a false alarm of any group.
        unit: the name of a day.
    """
    possible = _possible(holdout, params, slices)
    # Shared among all that may ever be judged: a group that comes later changes no look that was taken before.
    share = alpha / max(1, len(possible))
    found: list[SliceRow] = []
    verdicts, sequences = [], []
    for rule, group, rows in _grouped(joined, features, slices, release, counted):
        reference = None
        if slice_column(rule.name) in holdout.frame.columns:
            reference = holdout.losses(params.minimum_rows, rule.name, group)
        sequence = None
        if reference is not None and len(reference.days) >= FEWEST_REFERENCE_DAYS and (rule.name, group) in possible:
            live = counted.losses(Part(release, rule.name, group), rows, params)
            if live.rows.sum() >= rule.min_rows and len(live.days) >= params.minimum_days:
                sequence = look_at(
                    f"performance:{rule.name}={group}",
                    release,
                    live.days,
                    live.ratio,
                    reference.ratio,
                    alpha=share,
                    tolerated=params.tolerated,
                )
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
        found.append(_slice_row(rule.name, group, rows, reference, sequence))
    return tuple(found), tuple(sequences), tuple(verdicts)


def _grouped(
    joined: pl.DataFrame, features: pl.DataFrame, slices: Sequence[SliceRule], release: str, counted: CountedDays
) -> list[tuple[SliceRule, str | None, pl.DataFrame]]:
    """The rows of a release by slice and group, in their order; of groups that counted earlier there may be none."""
    read = sorted({name for rule in slices for name in rule.by.meta.root_names()})
    mine = rows_of(joined, joined, release)
    groups = group_columns(rows_of(features.select(read), joined, release), {rule.name: rule.by for rule in slices})
    grouped = mine.select(DAY, "probability", LABEL, MATURE, CAME).hstack(groups)
    earlier = counted.groups(release)
    found = []
    for rule in slices:
        column = slice_column(rule.name)
        seen = {*grouped[column].unique().to_list(), *(group for name, group in earlier if name == rule.name)}
        for group in sorted(seen, key=lambda each: (each is None, each or "")):
            rows = grouped.filter(pl.col(column).eq_missing(pl.lit(group, dtype=pl.String)))
            found.append((rule, group, rows))
    return found


def _possible(holdout: Holdout, params: PerformanceParams, slices: Sequence[SliceRule]) -> set[tuple[str, str | None]]:
    """The groups that the holdout has enough days of; what came since, and how much, plays no part."""
    fixed = replace(holdout, rows_a_day=None)
    return {
        (rule.name, group)
        for rule in slices
        if (column := slice_column(rule.name)) in holdout.frame.columns
        for group in holdout.frame[column].drop_nulls().unique().to_list()
        if len(fixed.losses(params.minimum_rows, rule.name, group).days) >= FEWEST_REFERENCE_DAYS
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
