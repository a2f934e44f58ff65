"""A monitoring report as gauges, in the text format that the textfile collector of Prometheus' node exporter reads.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format. No sample has a time of its own,
since the collector refuses such files; when the report was made is a gauge, to alarm on when it no longer moves.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from gitrain.monitoring.report import MonitoringReport, family_of
from gitrain.reports.monitoring_words import mean_loss
from gitrain.verdicts import Outcome

__all__ = ["render_monitoring_metrics"]

_PREFIX = "gitrain_monitoring_"
_SEVERITY = {"PASSED": 0, "INCONCLUSIVE": 1, "FAILED": 2, "ERROR": 3}


@dataclass
class _Gauge:
    name: str
    help: str
    samples: dict[tuple[tuple[str, str], ...], float] = field(default_factory=dict)

    def add(self, value: float | None, **labels: str | None) -> None:
        """What is not known has no sample; of two with equal labels the first stays: two would spoil the file."""
        if value is not None and math.isfinite(value):
            self.samples.setdefault(tuple((key, each or "") for key, each in labels.items()), float(value))

    def lines(self, always: Mapping[str, str]) -> Iterator[str]:
        if not self.samples:
            return
        yield f"# HELP {_PREFIX}{self.name} {self.help}"
        yield f"# TYPE {_PREFIX}{self.name} gauge"
        for labels, value in self.samples.items():
            shown = ",".join(f'{key}="{_escaped(each)}"' for key, each in (*always.items(), *labels))
            yield f"{_PREFIX}{self.name}{{{shown}}} {value:.10g}"


def render_monitoring_metrics(report: MonitoringReport) -> str:
    """The whole file, ended by a line feed. Every sample has the labels `project` and `environment`."""
    always = {"project": report.project, "environment": report.environment}
    return "\n".join(line for gauge in _gauges(report) for line in gauge.lines(always)) + "\n"


def _gauges(report: MonitoringReport) -> Iterable[_Gauge]:
    yield from _verdicts(report)
    yield from _labels(report)
    yield from _looks(report)
    yield from _distributions(report)
    yield from _groups(report)


def _verdicts(report: MonitoringReport) -> Iterable[_Gauge]:
    outcome = _Gauge("outcome", "1 for the outcome of what decides, 0 for the three others.")
    for each in Outcome:
        outcome.add(each is report.outcome, outcome=each.value)
    verdict = _Gauge("verdict", "A verdict: 0 passed, 1 inconclusive, 2 failed, 3 error.")
    for recorded in report.verdicts:
        family = family_of(recorded.name)
        decides = "true" if family in report.decides else "false"
        verdict.add(_SEVERITY[recorded.outcome], verdict=recorded.name, family=family, decides=decides)
    generated = _Gauge("generated_timestamp_seconds", "When the report was made, seconds since 1970 in UTC.")
    generated.add(report.generated.timestamp())
    since = _Gauge("window_start_timestamp_seconds", "The first moment of the window.")
    since.add(report.window.since.timestamp())
    through = _Gauge("window_end_timestamp_seconds", "The moment that the window ends before.")
    through.add(report.window.through.timestamp())
    recent = _Gauge(
        "recent_start_timestamp_seconds", "The first prediction that service, data and drift are judged by."
    )
    recent.add(report.recent.since.timestamp() if report.recent is not None else None)
    took = _Gauge("duration_seconds", "How long the report took.")
    took.add(report.seconds)
    return outcome, verdict, generated, since, through, recent, took


def _labels(report: MonitoringReport) -> Iterable[_Gauge]:
    labels = report.labels
    figures = (
        ("predictions", "Predictions in the window.", labels.predictions),
        ("mature_predictions", "Predictions whose label should be known by now.", labels.mature),
        ("labelled_predictions", "Mature predictions with a label.", labels.labelled),
        ("label_coverage_ratio", "The share of mature predictions whose outcome has come.", labels.coverage),
        ("labels_never_came", "Mature predictions that the table of labels does not know.", labels.never_came),
        ("duplicate_records", "Records of the log that repeat one.", labels.duplicates),
    )
    for name, text, value in figures:
        gauge = _Gauge(name, text)
        gauge.add(value)
        yield gauge
    release = _Gauge("release_predictions", "Predictions in the window by release.")
    for each in report.releases:
        release.add(each.predictions, release=each.version)
    yield release


def _looks(report: MonitoringReport) -> Iterable[_Gauge]:
    mean, base = mean_loss(report)
    loss = _Gauge("loss", "The mean log loss of predictions with a label.")
    loss.add(mean)
    expected = _Gauge("base_loss", "The mean log loss of knowing only each unit's share of positives.")
    expected.add(base)
    estimate = _Gauge("tested", "The mean of what is tested at every look; of performance, loss / base loss.")
    lower = _Gauge("tested_lower", "Its lower limit, valid at all looks together: above the threshold it is an alarm.")
    upper = _Gauge("tested_upper", "Its upper limit, valid at all looks together.")
    threshold = _Gauge("tested_threshold", "The alarm line: the holdout and what is tolerated beyond it.")
    alarm = _Gauge("alarm", "1 once a look has raised an alarm.")
    for each in report.sequences:
        labels = {"verdict": each.name, "release": each.release}
        threshold.add(each.threshold, **labels)
        alarm.add(each.alarm is not None, **labels)
        if each.looks:
            newest = each.looks[-1]
            estimate.add(newest.estimate, **labels)
            lower.add(newest.lower, **labels)
            upper.add(newest.upper, **labels)
    return loss, expected, estimate, lower, upper, threshold, alarm


def _distributions(report: MonitoringReport) -> Iterable[_Gauge]:
    psi = _Gauge("feature_psi", "The population stability index of a feature against the training data.")
    limit = _Gauge("feature_psi_threshold", "What the index reaches by chance between days of the reference.")
    distance = _Gauge("feature_wasserstein", "The Wasserstein distance in standard deviations of the reference.")
    missing = _Gauge("feature_missing_ratio", "The share of values that are not known.")
    moved = _Gauge("feature_moved", "1 if the feature has moved beyond chance.")
    for each in report.features:
        psi.add(each.psi, feature=each.name)
        limit.add(each.threshold, feature=each.name)
        distance.add(each.wasserstein, feature=each.name)
        missing.add(each.missing, feature=each.name)
        moved.add(each.moved, feature=each.name)
    return psi, limit, distance, missing, moved


def _groups(report: MonitoringReport) -> Iterable[_Gauge]:
    loss = _Gauge("slice_loss", "The mean log loss of a group with a label.")
    excess = _Gauge("slice_tested", "The mean of what is tested, in a group.")
    coverage = _Gauge("slice_label_coverage_ratio", "The share of a group's mature predictions with a label.")
    for each in report.slices:
        labels = {"slice": each.slice, "group": each.group}
        loss.add(each.loss, **labels)
        excess.add(each.excess, **labels)
        coverage.add(each.coverage, **labels)
    error = _Gauge("calibration_error", "The mean distance of probability and share of positives over bins.")
    rows = sum(each.rows for each in report.calibration)
    if rows:
        error.add(sum(each.rows * abs(each.predicted - each.observed) for each in report.calibration) / rows)
    return loss, excess, coverage, error


def _escaped(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    # What UTF-8 cannot hold would spoil the whole file.
    return escaped.encode("utf-8", "replace").decode("utf-8")
