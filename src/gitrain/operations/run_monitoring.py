"""`gitrain monitor run`: logged predictions meet their labels, and are judged.

Every look is worked out anew from the log, so a run may be killed, repeated, or left out for a week, and what is true
of a day does not depend on it. Kept between runs is what days that have counted came to, for when the log is cut: a
sequence that began anew with each first day of the log would alarm sooner or later.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.lineage import digest_of_value
from gitrain.monitoring.counted_days import CountedDays
from gitrain.monitoring.drift import drift_verdicts
from gitrain.monitoring.judgement import METRIC, calibration_rows, day_rows, judge_calibration, judge_performance
from gitrain.monitoring.kept_days import DayStore
from gitrain.monitoring.labels import LABEL, count_labels, join_labels, judge_labels
from gitrain.monitoring.logged import (
    LoggedPredictions,
    MonitoredRows,
    PredictionSource,
    logged_schema,
    monitored_rows,
)
from gitrain.monitoring.quality import ServiceFigures, judge_service
from gitrain.monitoring.reference import Holdout
from gitrain.monitoring.report import (
    FAMILIES,
    LookSequence,
    MonitoringReport,
    SeenRelease,
    Window,
    family_of,
    outcome_of,
)
from gitrain.monitoring.slices import SliceRule
from gitrain.operations.gather_labels import batches_of_entity, gather_labels
from gitrain.operations.judge_recent import RecentRows, judge_recent, recent_rows
from gitrain.operations.recompute_features import judge_logged_features
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import EVALUATION, HOLDOUT_PREDICTIONS
from gitrain.release.record import RecordedVerdict

__all__ = ["MonitoringTools", "run_monitoring"]


@dataclass(frozen=True, kw_only=True)
class MonitoringTools:
    """What monitoring is given.

    Attributes:
        stage: a tree whose pipeline has run: the reference, the contracts, the labels that have come.
        environment: whose predictions.
        log: where these are.
        kept: where days that have counted are; None: nothing is kept.
        outcomes: further rows of the entity's table, with labels that have come since; judged by nobody yet.
        figures: what the replicas say of themselves; None where nobody was asked.
        running: the release that the environment's requests go to; None where that is not known.
        models: by release, the digest of the model that it serves, where that is known.
        clock: gives the time, UTC.
        seconds: a clock for durations.
    """

    stage: Stage
    environment: str
    log: PredictionSource
    kept: DayStore | None = None
    outcomes: Sequence[pl.DataFrame] = ()
    figures: ServiceFigures | None = None
    running: str | None = None
    models: Callable[[str], str | None] = lambda _: None
    clock: Callable[[], datetime]
    seconds: Callable[[], float]


def run_monitoring(
    tools: MonitoringTools, *, since: datetime | None = None, through: datetime | None = None
) -> MonitoringReport:
    """Judge the predictions of a window.

    Args:
        tools: what is needed.
        since: the window's first moment, UTC; by default the log's, and the days that were kept before. A window of its
            own, as one that ends in the past, is a look aside: what is kept is neither read nor changed.
        through: its end, UTC: a look back in time is what was known then, but for labels that came later than they
            should, and what replicas say of themselves. By default the clock's time.

    Raises:
        DataError: there is no log, or a table cannot be read.
        ProjectError: a contract, a slice or the target cannot be computed.
    """
    begun = tools.seconds()
    now = tools.clock().astimezone(UTC)
    present = min(now, through.astimezone(UTC)) if through is not None else now
    return _Run(tools, now, present, since).report(begun)


class _Run:
    def __init__(self, tools: MonitoringTools, now: datetime, present: datetime, since: datetime | None) -> None:
        self._tools = tools
        self._project = tools.stage.project
        self._params = tools.stage.params.monitoring
        self._now = now
        self._present = present
        self._since = since
        self._unit = self._project.features.entity.unit[0]
        self._notes: list[str] = []

    def report(self, begun: float) -> MonitoringReport:
        stage, features, contract = self._tools.stage, self._project.features, self._project.entity_table.contract
        logged = self._tools.log.read(logged_schema(features, contract))
        rows = monitored_rows(
            logged,
            features,
            contract,
            since=self._since,
            through=self._present,
            now=self._now,
            leeway=timedelta(seconds=self._params.service.clock_seconds),
        )
        recent = self._recent(logged, rows)
        # What is not judged of a million records need not be held while the rest is.
        logged, limit, days = recent.logged, recent.limit, recent.days
        outcomes, in_tables = gather_labels(stage, rows, self._tools.outcomes)
        delay = timedelta(hours=self._params.label_delay_hours)
        joined = join_labels(rows, outcomes, features.entity, now=self._present, delay=delay)
        judged_labels = judge_labels(
            joined, outcomes, rows, minimum_coverage=self._params.performance.minimum_coverage, days=limit
        )
        labels = count_labels(joined, rows, outcomes)
        outcomes = replace(outcomes, frame=outcomes.frame.clear())
        columns = rows.frame["features"].struct.unnest()
        holdout = self._holdout(joined)
        at_once, moved, notes = judge_recent(stage, recent, holdout)
        del recent
        self._notes += notes
        running = self._tools.running if self._present == self._now else None
        slices = [SliceRule(name=each.name, by=each.by, min_rows=each.min_rows) for each in self._project.slices]
        rules, counted = self._params.performance, self._counted()
        performance = judge_performance(
            joined, columns, holdout, rules, slices=slices, unit=self._unit, running=running, counted=counted
        )
        calibration = judge_calibration(joined, holdout, rules, unit=self._unit, running=running, counted=counted)
        self._note_days(counted, performance.sequences)
        verdicts = [
            *(judge_service(self._tools.figures, self._params.service) if self._tools.figures is not None else ()),
            *at_once,
            judged_labels,
            *judge_logged_features(stage, batches_of_entity(stage), rows, columns, in_tables, days=limit),
            *performance.verdicts,
            *calibration.verdicts,
            *drift_verdicts(moved),
        ]
        verdicts.sort(key=lambda verdict: [str(family) for family in FAMILIES].index(family_of(verdict.name)))
        self._note_models(rows)
        report = MonitoringReport(
            schema_version=1,
            project=self._project.name,
            target=self._project.target.name,
            unit=self._unit,
            environment=self._tools.environment,
            generated=self._now,
            window=Window(since=self._first(rows), through=self._present, days=len(rows.days)),
            recent=days,
            releases=_releases(rows.frame),
            outcome=outcome_of(verdicts, self._params.decides),
            decides=self._params.decides,
            verdicts=tuple(RecordedVerdict.of(verdict) for verdict in verdicts),
            labels=labels,
            days=day_rows(joined, _missing_by_row(columns)),
            features=tuple(moved),
            slices=performance.slices,
            calibration=calibration_rows(
                joined,
                holdout,
                stage.params.evaluation.calibration_bins,
                running=running,
                counted=counted,
            ),
            sequences=(*performance.sequences, *calibration.sequences),
            notes=tuple(self._notes),
            inputs_digest=self._digest(logged, joined, counted),
            seconds=round(self._tools.seconds() - begun, 3),
        )
        if self._tools.kept is not None and counted.keeps:
            self._tools.kept.write(counted.kept())
            # A log that is away for a day has no word in what is still of use.
            if report.releases:
                self._tools.kept.tidy({each.version for each in report.releases} | {running or ""})
        return report

    def _recent(self, logged: LoggedPredictions, rows: MonitoredRows) -> RecentRows:
        """The rows of the last days; of a window that was asked for, all."""
        if self._since is not None:
            return RecentRows(logged=replace(logged, frame=logged.frame.clear()), rows=rows)
        found = recent_rows(self._tools.stage, logged, rows, through=self._present, now=self._now)
        days = found.days
        if days is not None and self._present - days.through > timedelta(days=self._params.recent_days):
            self._notes.append(
                f"Nothing was predicted after {days.through:%Y-%m-%d %H:%M} UTC: the last days are those before."
            )
        return found

    def _counted(self) -> CountedDays:
        """The days that earlier looks have counted, where this look is the next of them."""
        if self._since is not None or self._present < self._now:
            begins = "the window" if self._since is not None else "the log"
            self._notes.append(
                "A window was asked for: what earlier looks have counted plays no part, and the level of performance"
                f" is that of one sequence of looks that begins with {begins}."
            )
            return CountedDays()
        workspace = self._tools.stage.workspace
        if self._tools.kept is None or not workspace.exists(HOLDOUT_PREDICTIONS):
            return CountedDays()
        rules = self._params.performance
        digest = digest_of_value(
            {
                "format": 1,
                "target": self._project.target.name,
                "metric": METRIC,
                # Has the labels and the slices' groups as well: other definitions of these make another holdout.
                "holdout": workspace.digest(HOLDOUT_PREDICTIONS),
                "slices": [each.name for each in self._project.slices],
                "label_delay_hours": self._params.label_delay_hours,
                "minimum_rows": rules.minimum_rows,
                "minimum_coverage": rules.minimum_coverage,
            }
        )
        return CountedDays(self._tools.kept.read(digest))

    def _note_days(self, counted: CountedDays, sequences: Sequence[LookSequence]) -> None:
        """Say how many days are there because an earlier look counted them."""
        for sequence in sequences:
            days = counted.recalled(sequence.release)
            if days and sequence.name == f"performance:{METRIC}":
                self._notes.append(
                    f"{len(days)} {self._unit}s of release {sequence.release}, {days[0]} to {days[-1]}, are as earlier"
                    " looks counted them: of these the log, or the labels, have less now."
                )

    def _first(self, rows: MonitoredRows) -> datetime:
        if self._since is not None:
            return min(self._since.astimezone(UTC), self._present)
        first = rows.frame["time"].min()
        return first if isinstance(first, datetime) else self._present

    def _holdout(self, joined: pl.DataFrame) -> Holdout | None:
        workspace = self._tools.stage.workspace
        if not workspace.exists(HOLDOUT_PREDICTIONS):
            self._notes.append(f"There is no {HOLDOUT_PREDICTIONS}: performance has nothing to be compared with.")
            return None
        labelled = joined.filter(pl.col(LABEL).is_not_null())
        days = labelled["day"].n_unique()
        rows = max(self._params.performance.minimum_rows, labelled.height // days) if days else None
        return Holdout(frame=workspace.read_table(HOLDOUT_PREDICTIONS), unit=self._unit, rows_a_day=rows)

    def _note_models(self, rows: MonitoredRows) -> None:
        path = EVALUATION
        workspace = self._tools.stage.workspace
        if not workspace.exists(path):
            return
        here = _model_digest(workspace.read_text(path))
        for release in rows.frame["release"].unique(maintain_order=True).to_list():
            theirs = self._tools.models(release)
            if theirs is not None and here is not None and theirs != here:
                self._notes.append(
                    f"Release {release} serves another model than this commit's, whose holdout it is compared with:"
                    " run this on the commit that it was built from."
                )

    def _digest(self, logged: LoggedPredictions, joined: pl.DataFrame, counted: CountedDays) -> str:
        found = hashlib.sha256()
        for column in (
            joined["time"].dt.epoch("us"),
            joined["probability"],
            joined[LABEL].cast(pl.Int8).fill_null(-1),
        ):
            found.update(np.ascontiguousarray(column.to_numpy()).tobytes())
        workspace = self._tools.stage.workspace
        return digest_of_value(
            {
                "rows": found.hexdigest(),
                "unreadable": logged.unreadable,
                "running": self._tools.running,
                "holdout": workspace.digest(HOLDOUT_PREDICTIONS) if workspace.exists(HOLDOUT_PREDICTIONS) else None,
                "params": self._params.model_dump(mode="json"),
                "window": [str(self._since), str(self._present)],
                "recalled": counted.digest(),
            }
        )


def _releases(frame: pl.DataFrame) -> tuple[SeenRelease, ...]:
    found = (
        frame.group_by("release")
        .agg(pl.len().alias("predictions"), pl.col("time").min().alias("first"), pl.col("time").max().alias("last"))
        .sort("first", "release")
    )
    return tuple(
        SeenRelease(version=each["release"], predictions=each["predictions"], first=each["first"], last=each["last"])
        for each in found.iter_rows(named=True)
    )


def _missing_by_row(columns: pl.DataFrame) -> NDArray[np.float64]:
    if not columns.width:
        return np.zeros(columns.height)
    return columns.select(pl.mean_horizontal(pl.all().is_null())).to_series().cast(pl.Float64).to_numpy()


def _model_digest(text: str) -> str | None:
    try:
        found = json.loads(text).get("model_digest")
    except (ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None
