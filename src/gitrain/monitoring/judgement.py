"""Performance and calibration of the release that answers: rows with labels become sequences, slices and verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.monitoring.counted_days import CountedDays, losses_of_days
from gitrain.monitoring.kept_days import Part
from gitrain.monitoring.labels import LABEL
from gitrain.monitoring.logged import DAY
from gitrain.monitoring.performance import judge_sequence, look_at
from gitrain.monitoring.reference import Holdout
from gitrain.monitoring.report import CalibrationRow, DayRow, LookSequence, SliceRow
from gitrain.monitoring.slices import FEWEST_REFERENCE_DAYS, SliceRule, count_slices, judge_slices, rows_of
from gitrain.pipeline.monitoring_params import PerformanceParams
from gitrain.verdicts import Outcome, Verdict

__all__ = [
    "METRIC",
    "OVERALL",
    "Judgement",
    "calibration_rows",
    "day_rows",
    "judge_calibration",
    "judge_performance",
]

METRIC = "log_loss_ratio"
#: Of the probability of a false alarm this is for all rows together; the slices share what is left.
OVERALL = 0.8


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
    counted: CountedDays | None = None,
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
        counted: the days that earlier looks counted; takes those of this one. By default there were none.
    """
    name = f"performance:{METRIC}"
    counted = counted or CountedDays()
    newest = _judged(joined, running, counted)
    if holdout is None or newest is None:
        why = "there are no predictions" if newest is None else "there is no holdout to compare with"
        return Judgement(verdicts=(Verdict(name=name, outcome=Outcome.INCONCLUSIVE, reason=why),))
    reference = holdout.losses(params.minimum_rows)
    releases = joined["release"].unique(maintain_order=True).to_list()
    sequences: list[LookSequence] = []
    verdicts: list[Verdict] = []
    for release in releases if newest in releases else [*releases, newest]:
        live = counted.losses(Part(release), rows_of(joined, joined, release), params)
        sequence = None
        if len(reference.days) >= FEWEST_REFERENCE_DAYS:
            level = params.alpha * OVERALL
            sequence = look_at(
                name, release, live.days, live.ratio, reference.ratio, alpha=level, tolerated=params.tolerated
            )
            sequences.append(sequence)
        if release != newest:
            continue
        if sequence is None:
            why = f"the holdout has {len(reference.days)} {unit}s, and {FEWEST_REFERENCE_DAYS} are needed"
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
    if not slices:
        return Judgement(verdicts=tuple(verdicts), sequences=tuple(sequences))
    if counted.keeps:
        # Their days count as well: an earlier release may come back, and the log is not kept for it.
        for release in releases:
            if release != newest:
                count_slices(joined, features, holdout, params, slices, release, counted)
    rows, further, others = judge_slices(
        joined, features, holdout, params, slices, newest, counted, alpha=params.alpha * (1 - OVERALL), unit=unit
    )
    return Judgement(verdicts=(*verdicts, *others), sequences=(*sequences, *further), slices=rows)


def judge_calibration(
    joined: pl.DataFrame,
    holdout: Holdout | None,
    params: PerformanceParams,
    *,
    unit: str,
    running: str | None = None,
    counted: CountedDays | None = None,
) -> Judgement:
    """Whether outcomes have become more, or less, frequent than the release says, compared with the holdout."""
    counted = counted or CountedDays()
    newest = _judged(joined, running, counted)
    if holdout is None or newest is None:
        why = "there are no predictions" if newest is None else "there is no holdout to compare with"
        return Judgement(verdicts=(Verdict(name="calibration:all", outcome=Outcome.INCONCLUSIVE, reason=why),))
    reference = holdout.losses(params.minimum_rows)
    live = counted.losses(Part(newest), rows_of(joined, joined, newest), params)
    sequences, verdicts = [], []
    for name, sign, what in (
        ("calibration:underestimates", 1.0, "how far outcomes are more frequent than probabilities"),
        ("calibration:overestimates", -1.0, "how far outcomes are less frequent than probabilities"),
    ):
        sequence = None
        if len(reference.days) >= FEWEST_REFERENCE_DAYS:
            sequence = look_at(
                name,
                newest,
                live.days,
                sign * live.bias,
                sign * reference.bias,
                alpha=params.alpha / 2,
                tolerated=params.calibration,
            )
        if sequence is None:
            why = f"the holdout has {len(reference.days)} {unit}s, and {FEWEST_REFERENCE_DAYS} are needed"
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
    losses = losses_of_days(labelled, 1)
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
    joined: pl.DataFrame,
    holdout: Holdout | None,
    bins: int,
    *,
    running: str | None = None,
    counted: CountedDays | None = None,
) -> tuple[CalibrationRow, ...]:
    """Outcomes by bin of probability, of the release that is judged."""
    if joined.is_empty():
        return ()
    release = _judged(joined, running, counted or CountedDays())
    rows = joined.filter((pl.col("release") == release) & pl.col(LABEL).is_not_null())
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


def _judged(joined: pl.DataFrame, running: str | None, counted: CountedDays) -> str | None:
    """The release that runs, else the one that answered last: one that was withdrawn may have begun later."""
    if running is not None and ((joined["release"] == running).any() or counted.knows(running)):
        return running
    return None if joined.is_empty() else str(joined["release"][-1])


def _rounded(value: float) -> float:
    return float(f"{float(value):.6g}")
