"""What can be judged at once, by the last days of a log: the service, what came in, and how far it has moved."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl

from gitrain.monitoring.drift import PREDICTION, ReferenceColumn, feature_drift
from gitrain.monitoring.inputs import judge_features, judge_inputs
from gitrain.monitoring.log_content import LoggedPredictions
from gitrain.monitoring.logged import DAY, MonitoredRows, monitored_rows
from gitrain.monitoring.quality import judge_log, judge_missing, judge_stale
from gitrain.monitoring.recent import recent_since
from gitrain.monitoring.reference import Holdout, reference_columns
from gitrain.monitoring.report import FeatureDrift, RecentDays
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import FEATURES, partition
from gitrain.verdicts import Verdict

__all__ = ["RecentRows", "judge_recent", "recent_rows"]


@dataclass(frozen=True, kw_only=True)
class RecentRows:
    """The rows that are judged at once.

    Attributes:
        logged: how the log could be read, without its records.
        rows: the predictions.
        limit: the last so many days were taken; None where all are.
    """

    logged: LoggedPredictions
    rows: MonitoredRows
    limit: int | None = None

    @property
    def days(self) -> RecentDays | None:
        """What the report says of them; None where all are judged, or there are none."""
        times = self.rows.frame["time"]
        first, last = times.min(), times.max()
        if self.limit is None or not isinstance(first, datetime) or not isinstance(last, datetime):
            return None
        return RecentDays(since=first, through=last, predictions=times.len(), days=len(self.rows.days))


def recent_rows(
    stage: Stage, logged: LoggedPredictions, rows: MonitoredRows, *, through: datetime, now: datetime
) -> RecentRows:
    """The rows of the last days, as `monitored_rows` gives them; all where the units of the project are no dates.

    Args:
        stage: whose project and parameters.
        logged: what the log holds.
        rows: those of the whole log.
        through: the window's end.
        now: the clock.
    """
    without = replace(logged, frame=logged.frame.clear())
    limit, features = stage.params.monitoring.recent_days, stage.project.features
    since = recent_since(rows.frame["time"], limit) if rows.dated else None
    if since is None:
        return RecentRows(logged=without, rows=rows)
    contract = stage.project.entity_table.contract
    leeway = timedelta(seconds=stage.params.monitoring.service.clock_seconds)
    found = monitored_rows(logged, features, contract, since=since, through=through, now=now, leeway=leeway)
    return RecentRows(logged=without, rows=found, limit=limit)


def judge_recent(
    stage: Stage, recent: RecentRows, holdout: Holdout | None
) -> tuple[list[Verdict], list[FeatureDrift], list[str]]:
    """Verdicts of the log, of features that are not known or stale, of contracts and of drift; and what is to be noted.

    Args:
        stage: a tree whose pipeline has run.
        recent: what is judged.
        holdout: of the model; None where there is none.

    Returns:
        The verdicts; how far features and the prediction have moved; notes, a sentence each.
    """
    project, params, rows = stage.project, stage.params.monitoring, recent.rows
    columns = rows.frame["features"].struct.unnest()
    moved, notes = _drift(stage, recent, columns, holdout)
    verdicts = [
        *judge_log(recent.logged, rows, params.service.unreadable),
        judge_missing(
            [each for each in moved if each.name != PREDICTION], columns, rows.frame[DAY], params.service.missing
        ),
        judge_stale(rows, params.service.stale),
        judge_inputs(rows, project.features, project.entity_table.contract, project.batches),
        judge_features(rows, columns, project.feature_contract, project.batches),
    ]
    return verdicts, moved, notes


def _drift(
    stage: Stage, recent: RecentRows, columns: pl.DataFrame, holdout: Holdout | None
) -> tuple[list[FeatureDrift], list[str]]:
    rows = recent.rows
    if not rows.frame.height:
        return [], []
    features, notes = stage.project.features, []
    paths = [partition(FEATURES, None, batch) for batch in stage.training_batches]
    names = list(dict.fromkeys([features.entity.unit[0], *features.names]))
    tables = [stage.workspace.read_table(path, names) for path in paths if stage.workspace.exists(path)]
    if not tables:
        notes.append("There are no features of training: nothing says whether features have moved.")
    rules = stage.params.monitoring.drift
    # The last days begin at any hour, so that two units may be there by half.
    days = len(rows.days) if recent.limit is None else min(len(rows.days), recent.limit)
    day = rows.frame[DAY] if recent.limit is not None else None

    def compare(reference: Sequence[ReferenceColumn], current: dict[str, pl.Series]) -> list[FeatureDrift]:
        return feature_drift(
            reference, current, days=days, alpha=rules.alpha, naive=rules.naive, windows=rules.windows, day=day
        )

    found = compare(reference_columns(tables, features), {name: columns[name] for name in columns.columns})
    if holdout is not None:
        found += compare([holdout.predictions()], {PREDICTION: rows.frame["probability"].alias(PREDICTION)})
    return found, notes
