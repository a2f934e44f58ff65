"""A year lived again: days are predicted and logged, labels come late, monitoring looks, batches arrive, models change.

The clock is that of the data. Before each unit (a day, as a rule) is predicted, what was known by its first decision is
looked at: days whose labels are all known are judged, and whether to train again is decided from the same facts and by
the same function as `gitrain retrain plan`. A candidate that passes its gates answers from the unit after that on.

The model of the first batches answers from the first day. It has no holdout: its performance is measured against what
the same recipe reached one batch earlier. When the first batch is over, its candidate is this very model.

The whole is recomputed by every run; what takes long, training and judging, is kept by the digest of its inputs
(`gitrain.operations.replay.candidates`). So a run after ``kill -9`` goes on where the last finished candidate left off,
and gives what a run without interruption gives.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gitrain.evaluation.estimates import Resampling
from gitrain.operations.replay.batches import PreparedYear
from gitrain.operations.replay.candidates import Trials
from gitrain.operations.replay.figures import mean_difference, metrics_of
from gitrain.operations.replay.life import AnsweredRows, Life
from gitrain.operations.replay.records import DayLog
from gitrain.operations.replay.rows import RowsOfBatch
from gitrain.pipeline.replay import ReplayReport

__all__ = ["ReplayTools", "replay_year"]

_DAY = timedelta(days=1)
#: Looks after the last unit: labels of weeks may be missing then.
_LATER = 60


@dataclass(frozen=True, kw_only=True)
class ReplayTools:
    """What a replay needs besides its data.

    Attributes:
        trials: makes candidates.
        log: keeps the records of a day until its batch is over.
        rules: the text of params.yaml.
        label_delay: how long after a decision its label is known at the earliest.
        stopwatch: seconds that pass, from any start.
        progress: takes a line that tells a waiting person how far the work is.
    """

    trials: Trials
    log: DayLog
    rules: str
    label_delay: timedelta
    stopwatch: Callable[[], float]
    progress: Callable[[str], None]


def replay_year(year: PreparedYear, tools: ReplayTools) -> ReplayReport:
    """Live through the batches.

    Raises:
        SettingsError, DataError, FeatureError, TrainingError, ModelError: as the operations of the pipeline do.
    """
    start = tools.stopwatch()
    life = Life(
        year,
        tools.trials,
        tools.log,
        rules=tools.rules,
        stopwatch=tools.stopwatch,
        progress=tools.progress,
    )
    now = datetime.min.replace(tzinfo=UTC)
    for batch in year.lived:
        rows = RowsOfBatch.read(year.stage, batch, tools.label_delay)
        life.arrive(rows)
        for day in rows.days:
            now = day.first
            life.look(now)
            life.answer(rows, day)
        life.leave(rows)
    for _ in range(_LATER):
        if life.is_settled:
            break
        now += _DAY
        life.look(now)
    return _report(year, life, tools.stopwatch() - start)


def _report(year: PreparedYear, life: Life, seconds: float) -> ReplayReport:
    stage = year.stage
    params = stage.params.evaluation
    metrics = stage.project.measured
    resampling = Resampling(replicates=params.replicates, seed=params.seed, confidence=params.confidence)
    answered = AnsweredRows.joined([day.rows for day in life.days])
    return ReplayReport(
        schema_version=1,
        project=stage.project.name,
        target=stage.project.target.name,
        unit=stage.project.features.entity.unit[0],
        metrics=tuple(metric.name for metric in metrics),
        bootstrap=year.bootstrap,
        batches=tuple(life.batch(batch) for batch in year.lived),
        days=tuple(day.row for day in life.days),
        releases=life.releases,
        overall=metrics_of(metrics, answered.labels, answered.scores),
        overall_without=metrics_of(metrics, answered.labels, answered.scores_without),
        difference=mean_difference(
            [(day.rows.labels, day.rows.scores, day.rows.scores_without) for day in life.days], resampling
        ),
        confidence=params.confidence,
        notes=(year.note,),
        seconds=round(seconds, 3),
        training_seconds=round(life.training_seconds, 3),
        log_bytes=life.log_bytes,
    )
