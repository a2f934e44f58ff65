"""Performance day by day: the loss of the model over the loss of knowing no more than the day's share of positives.

Seasons move the share of positives, and with it the loss of any model: a log loss that rises from summer to winter
says nothing. Each day's log loss is therefore divided by the entropy of that day's own share of positives, which moves
along with it; what is left is the share of the day's uncertainty that the model could not take away. It rises where the
model separates worse (a feature is frozen, stale or gone) and where its probabilities are off.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gitrain.block_statistics import Floats
from gitrain.monitoring.evidence import sequential_limits
from gitrain.monitoring.report import Look, LookSequence
from gitrain.verdicts import Outcome, Verdict

__all__ = [
    "LOST_SKILL",
    "DailyLosses",
    "DailySums",
    "daily_losses",
    "daily_sums",
    "judge_sequence",
    "log_losses",
    "look_at",
    "losses_of",
]

_SMALLEST = float(np.finfo(np.float64).eps)
#: A day's loss / base loss counts as this at most: one day cannot outweigh a month.
LOST_SKILL = 3.0


@dataclass(frozen=True, kw_only=True)
class DailySums:
    """Sums by day of rows with a label; days without any are left out. All have one item a day, in order.

    Attributes:
        days: their names.
        rows: how many, shape (days,), and at least 1.
        loss: of the log losses, in nats.
        positives: of the labels.
        probability: of the probabilities.
    """

    days: tuple[str, ...]
    rows: Floats
    loss: Floats
    positives: Floats
    probability: Floats


@dataclass(frozen=True, kw_only=True)
class DailyLosses:
    """Sums by day of rows with a label. All sequences have one item a day, in order.

    Attributes:
        days: their names.
        rows: how many, shape (days,).
        loss: the mean log loss.
        base_loss: the entropy of the share of positives, in nats, with Miller's correction for its estimate's bias.
        positives: the share of positives.
        probability: the mean probability.
    """

    days: tuple[str, ...]
    rows: Floats
    loss: Floats
    base_loss: Floats
    positives: Floats
    probability: Floats

    @property
    def ratio(self) -> Floats:
        """Loss / base loss, at most `LOST_SKILL`."""
        found: Floats = np.minimum(self.loss / self.base_loss, LOST_SKILL)
        return found

    @property
    def bias(self) -> Floats:
        """The share of positives less the mean probability."""
        return self.positives - self.probability


def log_losses(labels: NDArray[np.bool_], probabilities: Floats) -> Floats:
    """The log loss of each row, in nats; a probability of exactly 0 or 1 that is wrong costs 36."""
    found: Floats = -np.log(np.clip(np.where(labels, probabilities, 1 - probabilities), _SMALLEST, 1.0))
    return found


def daily_losses(
    days: Sequence[str], day: NDArray[np.int64], labels: NDArray[np.bool_], probabilities: Floats, *, minimum_rows: int
) -> DailyLosses:
    """The sums of rows by day; days with fewer than `minimum_rows` are taken together with those that follow.

    Rows left over at the end that are too few are left out: they wait for the next day. The entropy of a share that is
    estimated from n rows is too low by 1 / 2n nats on average (Miller, Note on the bias of information estimates,
    1955), which is added; so a day of one class has some, too.

    Args:
        days: the names, in order; several days together have the name of the last.
        day: the number of each row's day, shape (rows,).
        labels: shape (rows,).
        probabilities: likewise.
        minimum_rows: 1 or more.
    """
    return losses_of(daily_sums(days, day, labels, probabilities), minimum_rows=minimum_rows)


def daily_sums(
    days: Sequence[str], day: NDArray[np.int64], labels: NDArray[np.bool_], probabilities: Floats
) -> DailySums:
    """The sums of rows by day; arguments as of `daily_losses`."""
    size = len(days)
    rows = np.bincount(day, minlength=size).astype(np.float64)
    there = rows > 0

    def of(weights: NDArray[np.bool_] | Floats) -> Floats:
        # Weights of whatever type are summed as floats.
        return np.bincount(day, weights=weights, minlength=size).astype(np.float64)[there]

    return DailySums(
        days=tuple(name for name, known in zip(days, there, strict=True) if known),
        rows=rows[there],
        loss=of(log_losses(labels, probabilities)),
        positives=of(labels),
        probability=of(probabilities),
    )


def losses_of(sums: DailySums, *, minimum_rows: int) -> DailyLosses:
    """What `daily_losses` gives, of sums that are there."""
    ends, waiting = [], 0.0
    for number, rows in enumerate(sums.rows):
        waiting += rows
        if waiting >= minimum_rows:
            ends.append(number)
            waiting = 0.0
    if not ends:
        nothing = np.zeros(0)
        return DailyLosses(
            days=(), rows=nothing, loss=nothing, base_loss=nothing, positives=nothing, probability=nothing
        )
    starts = np.array([0, *(end + 1 for end in ends[:-1])])
    until = ends[-1] + 1
    count, lost, true, likely = (
        np.add.reduceat(each[:until], starts) for each in (sums.rows, sums.loss, sums.positives, sums.probability)
    )
    share = true / count
    inside = np.clip(share, _SMALLEST, 1 - _SMALLEST)
    entropy = -(inside * np.log(inside) + (1 - inside) * np.log1p(-inside)) + 1 / (2 * count)
    return DailyLosses(
        days=tuple(sums.days[end] for end in ends),
        rows=count,
        loss=lost / count,
        base_loss=entropy,
        positives=share,
        probability=likely / count,
    )


def look_at(
    name: str, release: str, days: Sequence[str], live: Floats, reference: Floats, *, alpha: float, tolerated: float
) -> LookSequence:
    """Look after every day whether the mean has risen by more than is tolerated.

    Args:
        name: of the verdict.
        release: whose predictions.
        days: the days' names.
        live: a value a day, shape (days,).
        reference: likewise of the holdout, three or more.
        alpha: the probability of an alarm without a change, over all looks.
        tolerated: what the mean may rise by.
    """
    limits = sequential_limits(reference, live, alpha)
    threshold = limits.reference + tolerated
    alarms, naive = limits.lower > threshold, limits.naive > threshold
    looks = tuple(
        Look(
            day=day,
            days=number + 1,
            estimate=_rounded(limits.estimate[number]),
            lower=_finite(limits.lower[number]),
            upper=_finite(limits.upper[number]),
            alarm=bool(alarms[number]),
            naive_alarm=bool(naive[number]),
        )
        for number, day in enumerate(days)
    )
    return LookSequence(
        name=name,
        release=release,
        threshold=_rounded(threshold),
        reference=_rounded(limits.reference),
        reference_days=int(reference.size),
        alpha=alpha,
        looks=looks,
        alarm=next((look.day for look in looks if look.alarm), None),
        naive_alarm=next((look.day for look in looks if look.naive_alarm), None),
    )


def judge_sequence(sequence: LookSequence, *, minimum_days: int, what: str, unit: str, better: str) -> Verdict:
    """The verdict of a sequence: an alarm at any look stays one.

    Args:
        sequence: all looks.
        minimum_days: with fewer nothing is decided without an alarm.
        what: the quantity, for sentences.
        unit: the resampling unit.
        better: how it would be said that nothing has changed.
    """
    looks = sequence.looks
    figures: dict[str, float | int | str | bool | None] = {
        "release": sequence.release,
        "days": len(looks),
        "reference": sequence.reference,
        "reference_days": sequence.reference_days,
        "threshold": sequence.threshold,
        "alpha": sequence.alpha,
        "alarm": sequence.alarm,
        "naive_alarm": sequence.naive_alarm,
    }
    if looks:
        last = looks[-1]
        figures |= {"estimate": last.estimate, "lower": last.lower, "upper": last.upper}
    if sequence.alarm is not None:
        first = next(look for look in looks if look.alarm)
        return Verdict(
            name=sequence.name,
            outcome=Outcome.FAILED,
            reason=(
                f"{what} is {first.estimate:.3f} after {first.days} {_units(first.days, unit)} ({first.lower:.3f} at"
                f" least), and {sequence.reference:.3f} on the holdout: an alarm since {first.day}"
            ),
            figures=figures,
        )
    if len(looks) < minimum_days:
        return Verdict(
            name=sequence.name,
            outcome=Outcome.INCONCLUSIVE,
            reason=f"the outcomes of {len(looks)} {_units(len(looks), unit)} are known, and {minimum_days} are needed",
            figures=figures,
        )
    last = looks[-1]
    known = last.lower is not None and last.upper is not None
    limits = f" ({last.lower:.3f} to {last.upper:.3f})" if known else ""
    return Verdict(
        name=sequence.name,
        outcome=Outcome.PASSED,
        reason=f"{what} is {last.estimate:.3f}{limits} over {len(looks)} {unit}s, and {sequence.reference:.3f} on the"
        f" holdout: {better}",
        figures=figures,
    )


def _units(count: int, unit: str) -> str:
    return unit if count == 1 else f"{unit}s"


def _rounded(value: float) -> float:
    return float(f"{float(value):.6g}")


def _finite(value: float) -> float | None:
    return _rounded(value) if np.isfinite(value) else None
