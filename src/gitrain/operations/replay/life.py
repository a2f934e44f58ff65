"""The state of a replay: what is deployed, what was answered, what is known by now, what was merged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.errors import DataError
from gitrain.evaluation.predictions import LABEL, SCORE
from gitrain.evaluation.scoring import score
from gitrain.operations.replay.batches import PreparedYear
from gitrain.operations.replay.candidates import Candidate, Trials
from gitrain.operations.replay.drift import DriftFromFirst
from gitrain.operations.replay.figures import Labels, Scores, entropy, log_losses, metrics_of
from gitrain.operations.replay.looks import DayOfLabels, Watch
from gitrain.operations.replay.merges import Alarm, Main
from gitrain.operations.replay.records import BatchRecords, DayLog
from gitrain.operations.replay.rows import DayOfRows, RowsOfBatch
from gitrain.pipeline.layout import HOLDOUT_PREDICTIONS
from gitrain.pipeline.replay import ReplayedBatch, ReplayedDay, ReplayedRelease
from gitrain.training.estimators import FeatureColumns

__all__ = ["AnsweredRows", "Life", "LivedDay"]


@dataclass(frozen=True, kw_only=True)
class AnsweredRows:
    """Rows that have a label. All arrays have the shape (rows,).

    Attributes:
        labels: 0 or 1.
        scores: what was answered.
        scores_without: what the bootstrap model would have answered.
    """

    labels: Labels
    scores: Scores
    scores_without: Scores

    @property
    def pair(self) -> tuple[Labels, Scores, Scores]:
        """Labels, and the scores of both."""
        return self.labels, self.scores, self.scores_without

    @classmethod
    def joined(cls, parts: Sequence["AnsweredRows"]) -> "AnsweredRows":
        """The rows of all parts, in order."""
        return cls(
            labels=np.concatenate([np.zeros(0, dtype=np.int8), *(part.labels for part in parts)]),
            scores=np.concatenate([np.zeros(0), *(part.scores for part in parts)]),
            scores_without=np.concatenate([np.zeros(0), *(part.scores_without for part in parts)]),
        )


@dataclass(kw_only=True)
class LivedDay:
    """A unit that was answered: what the report says of it, its rows, and when all their labels are known (UTC)."""

    row: ReplayedDay
    rows: AnsweredRows
    known: datetime


@dataclass(kw_only=True)
class _Release:
    """What is or was deployed. `watch` tests it against the holdout of `measured`."""

    name: str
    candidate: Candidate
    measured: Candidate
    watch: Watch
    began: datetime | None = None
    days: list[LivedDay] = field(default_factory=list)

    @property
    def alarm(self) -> ReplayedDay | None:
        return next((day.row for day in self.days if day.row.alarm), None)

    @property
    def naive_alarm(self) -> ReplayedDay | None:
        return next((day.row for day in self.days if day.row.naive_alarm), None)

    def row(self) -> ReplayedRelease:
        names = [day.row.day for day in self.days]
        alarm, naive = self.alarm, self.naive_alarm
        return ReplayedRelease(
            name=self.name,
            model_digest=self.candidate.digest,
            trained_on=self.candidate.manifest.training_batches,
            judged_on=self.measured.evaluation.batches,
            first_day=names[0] if names else None,
            last_day=names[-1] if names else None,
            days=len(names),
            alarm=alarm.day if alarm else None,
            days_to_alarm=names.index(alarm.day) + 1 if alarm else None,
            naive_alarm=naive.day if naive else None,
            days_to_naive_alarm=names.index(naive.day) + 1 if naive else None,
        )


class Life:
    """What has happened so far. See `gitrain.operations.replay.year`.

    Args:
        year: the data.
        trials: makes candidates.
        log: keeps the records of a day.
        rules: the text of params.yaml.
        stopwatch: seconds that pass.
        progress: takes a line that tells how far the work is.
    """

    def __init__(
        self,
        year: PreparedYear,
        trials: Trials,
        log: DayLog,
        *,
        rules: str,
        stopwatch: Callable[[], float],
        progress: Callable[[str], None],
    ) -> None:
        self._stage = year.stage
        self._year = year
        self._trials = trials
        self._log = log
        self._stopwatch = stopwatch
        self._progress = progress
        project = year.stage.project
        self._columns = FeatureColumns(names=project.features.names, categorical=project.features.categorical)
        progress(f"replay: the first model, on {', '.join(year.bootstrap)}")
        recipe = trials.candidate(year.bootstrap[-1])
        first = trials.candidate(year.lived[0])
        self._bootstrap = first
        self._scores: dict[str, Scores] = {}
        self._records: BatchRecords | None = None
        self._batches: dict[str, ReplayedBatch] = {}
        self._spent: dict[str, float] = {recipe.digest: recipe.seconds, first.digest: first.seconds}
        self._main = Main(trials, rules=rules, through=year.bootstrap[-1], champion=first, stopwatch=stopwatch)
        self._releases = [self._released("1.0.0", first, measured=recipe)]
        self._pending: _Release | None = None
        self._drift = DriftFromFirst(year.stage, year.bootstrap)
        self._looked = 0
        self.days: list[LivedDay] = []

    @property
    def releases(self) -> tuple[ReplayedRelease, ...]:
        """What was deployed, in order."""
        waiting = [self._pending] if self._pending is not None else []
        return tuple(release.row() for release in (*self._releases, *waiting))

    @property
    def training_seconds(self) -> float:
        """What training took, in this run or when it was done."""
        return sum(self._spent.values())

    @property
    def log_bytes(self) -> int:
        """The length of all records."""
        return sum(batch.log_bytes for batch in self._batches.values())

    @property
    def is_settled(self) -> bool:
        """Whether every day was looked at and every batch decided on."""
        return self._looked == len(self.days) and not self._main.waiting

    def batch(self, name: str) -> ReplayedBatch:
        """What the report says of a batch that has left."""
        days = [day for day in self.days if day.row.batch == name]
        return self._batches[name].model_copy(
            update={
                "alarms": tuple(self._first_alarms(days, lambda release: release.alarm)),
                "naive_alarms": tuple(self._first_alarms(days, lambda release: release.naive_alarm)),
            }
        )

    def arrive(self, rows: RowsOfBatch) -> None:
        """A batch begins: its rows are asked for from now on."""
        self._scores = {}
        self._records = None
        self._batches[rows.batch] = ReplayedBatch(
            batch=rows.batch,
            predictions=rows.features.height,
            labelled=rows.features.height - rows.labels.null_count(),
            releases=(),
            metrics={},
            metrics_without={},
        )

    def answer(self, rows: RowsOfBatch, day: DayOfRows) -> None:
        """A day is predicted and logged; what was merged before it is deployed first."""
        if self._pending is not None:
            self._progress(f"replay: {self._pending.name} answers from {day.name} on")
            self._releases.append(self._pending)
            self._pending = None
        release = self._releases[-1]
        start = self._stopwatch()
        scores = self._scores_of(release.candidate, rows)
        without = self._scores_of(self._bootstrap, rows)[day.positions]
        served = self._stopwatch()
        answered, length = self._logged(rows, day, release, scores)
        logged = self._stopwatch()
        labels = rows.labels[day.positions]
        has_label = labels.is_not_null().to_numpy()
        known = AnsweredRows(
            labels=labels.drop_nulls().cast(pl.Int8).to_numpy(),
            scores=answered[has_label],
            scores_without=without[has_label],
        )
        lived = LivedDay(row=_row(rows.batch, day, release.name, known), rows=known, known=day.known)
        self.days.append(lived)
        release.days.append(lived)
        release.began = release.began or day.first
        self._add(rows.batch, serving_seconds=served - start, logging_seconds=logged - served, log_bytes=length)

    def leave(self, rows: RowsOfBatch) -> None:
        """A batch is over: its figures are drawn up, whenever its labels come."""
        start = self._stopwatch()
        drift = self._drift.of(rows.features)
        days = [day for day in self.days if day.row.batch == rows.batch]
        answered = AnsweredRows.joined([day.rows for day in days])
        metrics = self._stage.project.measured
        self._batches[rows.batch] = self._batches[rows.batch].model_copy(
            update={
                "releases": tuple(dict.fromkeys(day.row.release for day in days)),
                "metrics": metrics_of(metrics, answered.labels, answered.scores),
                "metrics_without": metrics_of(metrics, answered.labels, answered.scores_without),
                "drifted": tuple(each.name for each in drift if each.naive),
                "moved": tuple(each.name for each in drift if each.moved),
                "features": len(self._columns.names),
            }
        )
        self._add(rows.batch, monitoring_seconds=self._stopwatch() - start)
        for day in rows.days:
            self._log.forget(day.name, day.first)
        self._main.arrive(rows.batch, last=rows.days[-1].last, known=rows.known)

    def look(self, now: datetime) -> None:
        """What is known by `now` is judged, and whether to train again is decided."""
        while self._looked < len(self.days) and self.days[self._looked].known <= now:
            self._judge(self.days[self._looked], now)
            self._looked += 1
        retrained = self._main.decide(now, self._alarm())
        if retrained is None:
            return
        candidate = retrained.candidate
        self._spent[candidate.digest] = candidate.seconds
        decision = retrained.decision
        name = None
        if decision == "promoted":
            number = len(self._releases)
            name = f"1.{number}.0"
            self._pending = self._released(name, candidate, measured=candidate)
        self._progress(f"replay: {retrained.batch}: {decision}; {retrained.sentence}")
        self._batches[retrained.batch] = self._batches[retrained.batch].model_copy(
            update={
                "metrics_candidate": {
                    name: estimate.value
                    for name, estimate in candidate.evaluation.metrics.items()
                    if estimate.value is not None
                },
                "evidence": retrained.evidence,
                "decision": decision,
                "release": name,
                "verdicts": retrained.verdicts,
                "champion_reason": retrained.champion_reason,
                "decided": now,
                "training_rows": candidate.manifest.rows,
                "training_seconds": candidate.seconds,
                "gates_seconds": retrained.seconds,
                "reused": candidate.reused and retrained.reused,
            }
        )

    def _judge(self, day: LivedDay, now: datetime) -> None:
        release = next(each for each in self._releases if each.name == day.row.release)
        update: dict[str, object] = {"looked": now}
        if day.rows.labels.size:
            start = self._stopwatch()
            look = release.watch.look(DayOfLabels(day=day.row.day, labels=day.rows.labels, scores=day.rows.scores))
            if look is not None:
                update |= {
                    "estimate": look.estimate,
                    "lower": look.lower,
                    "upper": look.upper,
                    "threshold": release.watch.sequence.threshold,
                    "alarm": look.alarm,
                    "naive_alarm": look.naive_alarm,
                }
            self._add(day.row.batch, monitoring_seconds=self._stopwatch() - start)
        day.row = day.row.model_copy(update=update)

    def _alarm(self) -> Alarm | None:
        """That the release that answers was found worse, if it was."""
        release = self._releases[-1]
        row, told = release.row(), release.alarm
        if told is None or row.first_day is None or row.days_to_alarm is None or release.began is None:
            return None
        return Alarm(
            release=release.name,
            day=told.day,
            since=row.first_day,
            began=release.began,
            days=row.days_to_alarm,
            reason=(
                f"the daily log loss of {release.name}, over that of the base rate, is above {told.threshold:.3f} "
                f"since {told.day} (at least {told.lower:.3f}), day {row.days_to_alarm} of its service"
            ),
        )

    def _first_alarms(self, days: Sequence[LivedDay], alarm: Callable[[_Release], ReplayedDay | None]) -> list[str]:
        names = {day.row.day for day in days}
        found = [alarm(release) for release in self._releases]
        return [row.day for row in found if row is not None and row.day in names]

    def _released(self, name: str, candidate: Candidate, *, measured: Candidate) -> _Release:
        unit = self._stage.project.features.entity.unit[0]
        holdout = measured.stage.workspace.read_table(HOLDOUT_PREDICTIONS, [unit, LABEL, SCORE])
        reference = [
            DayOfLabels(day=str(key), labels=part[LABEL].cast(pl.Int8).to_numpy(), scores=part[SCORE].to_numpy())
            for (key,), part in holdout.group_by(pl.col(unit).cast(pl.String), maintain_order=True)
        ]
        watch = Watch(name, reference, self._stage.params.monitoring.performance)
        return _Release(name=name, candidate=candidate, measured=measured, watch=watch)

    def _scores_of(self, candidate: Candidate, rows: RowsOfBatch) -> Scores:
        """What a model answers to all rows of the batch that is there."""
        if candidate.digest not in self._scores:
            estimator = self._trials.model_format.load(candidate.content, name=str(candidate.file))
            key = self._stage.project.features.entity.key
            self._scores[candidate.digest] = score(estimator, rows.features, candidate.manifest.columns, key=key)
        return self._scores[candidate.digest]

    def _logged(
        self, rows: RowsOfBatch, day: DayOfRows, release: _Release, scores: Scores
    ) -> tuple[NDArray[np.float64], int]:
        """The answers of a day as its records have them, and the length of these."""
        if self._records is None:
            self._records = BatchRecords(rows, self._columns, self._stage.params.serving.threshold)
        lines = self._records.of_day(day, release.name, scores)
        self._log.write(day.name, day.first, lines)
        read = self._log.read(day.name, day.first)
        if read.torn or read.frame.height != day.positions.size:
            raise DataError(
                f"the log of {day.name} has {read.frame.height} of {day.positions.size} records",
                fix="see that the disk is not full, and run it again.",
            )
        return read.frame["probability"].to_numpy(), len(lines)

    def _add(self, batch: str, **amounts: float) -> None:
        row = self._batches[batch]
        self._batches[batch] = row.model_copy(
            update={name: getattr(row, name) + amount for name, amount in amounts.items()}
        )


def _row(batch: str, day: DayOfRows, release: str, known: AnsweredRows) -> ReplayedDay:
    row = ReplayedDay(
        day=day.name,
        batch=batch,
        release=release,
        predictions=int(day.positions.size),
        labelled=int(known.labels.size),
    )
    if not known.labels.size:
        return row
    share = float(known.labels.mean())
    return row.model_copy(
        update={
            "log_loss": float(log_losses(known.labels, known.scores).mean()),
            "log_loss_without": float(log_losses(known.labels, known.scores_without).mean()),
            "base_loss": entropy(share),
            "positive_share": share,
        }
    )
