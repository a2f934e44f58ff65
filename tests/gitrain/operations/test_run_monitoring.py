from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from tests.gitrain.monitored_parcels import MONTH, NOW, tools_of, write_log

from gitrain.errors import DataError
from gitrain.monitoring.report import MonitoringReport
from gitrain.operations.run_monitoring import run_monitoring
from gitrain.verdicts import Outcome


@pytest.fixture(scope="module")
def healthy_log(month, tmp_path_factory):
    folder = tmp_path_factory.mktemp("log")
    write_log(folder, month)
    return folder


@pytest.fixture(scope="module")
def healthy(stage, healthy_log) -> MonitoringReport:
    return run_monitoring(tools_of(stage, healthy_log))


def verdicts(report: MonitoringReport) -> dict[str, Outcome]:
    return {each.name: Outcome(each.outcome) for each in report.verdicts}


def reason(report: MonitoringReport, name: str) -> str:
    return next(each.reason for each in report.verdicts if each.name == name)


def test_what_the_model_was_judged_on_is_healthy(healthy):
    found = verdicts(healthy)

    assert found["performance:log_loss_ratio"] is Outcome.PASSED
    assert found["skew:all"] is Outcome.PASSED
    assert found["data:contract"] is found["data:features"] is found["data:labels"] is Outcome.PASSED
    assert found["service:missing"] is found["service:stale"] is found["service:log"] is Outcome.PASSED
    assert healthy.outcome is Outcome.PASSED
    assert healthy.labels.predictions == 900 and healthy.labels.coverage == 1.0
    assert healthy.window.days == len(healthy.days) == 30
    assert {each.group for each in healthy.slices} == {"NORTH", "EAST", "WEST"}
    assert [each.version for each in healthy.releases] == ["1.0.0"]


def test_the_report_reads_back_as_it_was(healthy):
    assert MonitoringReport.model_validate_json(healthy.to_json()) == healthy


def test_equal_inputs_give_equal_reports_and_nothing_is_remembered(stage, healthy_log, healthy, tmp_path):
    for _ in range(2):
        again = run_monitoring(tools_of(stage, healthy_log, kept=tmp_path / "kept"))
        assert again.to_json() == healthy.to_json()


def test_a_look_back_is_what_was_known_then(stage, healthy_log, healthy):
    day = "2024-04-20"
    then = run_monitoring(
        tools_of(stage, healthy_log), through=datetime(2024, 4, 23, tzinfo=UTC), since=datetime(2024, 3, 1, tzinfo=UTC)
    )

    looks = {look.day: look for look in healthy.sequences[0].looks}
    assert [look for look in then.sequences[0].looks if look.day <= day] == [
        look for name, look in looks.items() if name <= day
    ]
    assert then.sequences[0].looks[-1].day <= day, "labels of later days had not come"
    assert then.labels.mature < then.labels.predictions
    assert max(each.day for each in then.days) < "2024-04-23", "what came later is left out"
    assert "service:clock" not in verdicts(then), "and is not ahead of anything"
    assert verdicts(then)["service:log"] is Outcome.PASSED
    assert then.outcome is Outcome.PASSED


def test_a_model_that_has_lost_its_skill_alarms_within_days(stage, month, tmp_path):
    shuffled = np.random.default_rng(0).permutation(month.scores)
    write_log(tmp_path, month.with_scores(np.clip(shuffled * 1.5, 0.01, 0.99)))

    report = run_monitoring(tools_of(stage, tmp_path))

    assert verdicts(report)["performance:log_loss_ratio"] is Outcome.FAILED
    assert report.sequences[0].alarm is not None and report.sequences[0].alarm < "2024-04-25"
    assert report.outcome is Outcome.FAILED


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        pytest.param([pl.lit(2.0).alias("temperature")], "temperature", id="frozen"),
        pytest.param([(pl.col("temperature") * 1.8 + 32).alias("temperature")], "temperature", id="scaled"),
        pytest.param([pl.col("late_1d").alias("late_7d"), pl.col("late_7d").alias("late_1d")], "late_1d", id="swapped"),
        pytest.param([pl.lit(None, dtype=pl.Float64).alias("temperature")], "temperature", id="gone"),
        pytest.param([pl.lit("NORTH").alias("depot")], "depot", id="one depot"),
    ],
)
def test_a_broken_feature_is_named_by_skew_and_drift(parcels, stage, month, tmp_path, fault, name):
    write_log(tmp_path, month.with_features(parcels, *fault))

    report = run_monitoring(tools_of(stage, tmp_path))

    found = verdicts(report)
    assert found[f"skew:{name}"] is Outcome.FAILED
    assert report.outcome is Outcome.FAILED
    if name != "late_1d":
        assert found[f"drift:{name}"] is Outcome.FAILED, "it explains"
        assert report.features[0].name == name, "the farthest first"


def test_a_feature_that_is_gone_is_missing(parcels, stage, month, tmp_path):
    write_log(tmp_path, month.with_features(parcels, pl.lit(None, dtype=pl.Float64).alias("temperature")))

    report = run_monitoring(tools_of(stage, tmp_path))

    assert verdicts(report)["service:missing"] is Outcome.FAILED
    assert "temperature" in reason(report, "service:missing")


class WithoutApril:
    """A workspace into which the month that was answered has not come."""

    def __init__(self, inner):
        self._inner = inner

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def list(self, folder, suffix):
        return [path for path in self._inner.list(folder, suffix) if MONTH not in path]


def performance(report: MonitoringReport):
    """All that is said of how good the model is, for which labels are needed."""
    return (
        [each for each in report.verdicts if each.name.startswith(("performance:", "calibration:"))],
        [each for each in report.sequences if each.name.startswith(("performance:", "calibration:"))],
        report.slices,
        report.calibration,
    )


def test_labels_that_are_handed_over_are_as_good_as_those_that_came(stage, healthy_log, healthy, parcels):
    rows = pl.read_parquet(parcels / f"data/validated/parcels/{MONTH}.parquet")
    blind = replace(stage, workspace=WithoutApril(stage.workspace))

    report = run_monitoring(tools_of(blind, healthy_log, outcomes=[rows]))

    assert (report.labels.predictions, report.labels.coverage, report.labels.never_came) == (900, 1.0, 0)
    assert all(performance(report)), "there is something to compare"
    assert performance(report) == performance(healthy)


def test_labels_that_never_come_are_inconclusive(stage, healthy_log):
    blind = replace(stage, workspace=WithoutApril(stage.workspace))

    report = run_monitoring(tools_of(blind, healthy_log))

    found = verdicts(report)
    assert report.labels.coverage == 0.0 and report.labels.never_came == 900
    assert found["data:labels"] is found["performance:log_loss_ratio"] is found["skew:all"] is Outcome.INCONCLUSIVE
    assert report.outcome is Outcome.INCONCLUSIVE


def test_half_of_the_labels_is_no_basis(stage, healthy_log):
    class Sparse:
        def __init__(self, inner):
            self._inner = inner

        def __getattr__(self, name):
            return getattr(self._inner, name)

        def read_table(self, path, columns=None):
            table = self._inner.read_table(path, columns)
            return table.gather_every(2) if f"parcels/{MONTH}" in path else table

    report = run_monitoring(tools_of(replace(stage, workspace=Sparse(stage.workspace)), healthy_log))

    assert report.labels.coverage == 0.5
    assert verdicts(report)["performance:log_loss_ratio"] is Outcome.INCONCLUSIVE
    assert not report.sequences[0].looks


def test_labels_twice_are_counted_once_and_contradictions_are_named(stage, healthy_log, parcels):
    rows = pl.read_parquet(parcels / f"data/validated/parcels/{MONTH}.parquet")
    again = rows.head(40)
    other = rows.filter(pl.col("delay") < 0).head(3).with_columns(delay=pl.lit(200, dtype=pl.Int32))

    equal = run_monitoring(tools_of(stage, healthy_log, outcomes=[again]))
    contradictory = run_monitoring(tools_of(stage, healthy_log, outcomes=[other]))

    assert equal.labels.repeated == 40 and verdicts(equal)["data:labels"] is Outcome.PASSED
    assert contradictory.labels.contradictory == 3
    assert verdicts(contradictory)["data:labels"] is Outcome.FAILED
    assert "parcel=" in reason(contradictory, "data:labels")


def test_newer_labels_may_be_handed_over(stage, healthy_log, parcels):
    rows = pl.read_parquet(parcels / f"data/validated/parcels/{MONTH}.parquet")

    with pytest.raises(DataError, match="no column 'delay'"):
        run_monitoring(tools_of(stage, healthy_log, outcomes=[rows.drop("delay")]))


def test_a_clock_an_hour_ahead_is_named_and_its_predictions_left_out(stage, month, tmp_path):
    write_log(tmp_path, month.later(timedelta(hours=1)))
    last = month.times.max()

    report = run_monitoring(tools_of(stage, tmp_path, now=last))

    assert verdicts(report)["service:clock"] is Outcome.FAILED
    assert "in the future" in reason(report, "service:clock")
    assert report.labels.predictions < 900
    assert report.outcome is Outcome.FAILED


def test_stale_features_are_counted_and_not_taken_for_skew(parcels, stage, month, tmp_path):
    behind = month.with_features(parcels, pl.lit(1.0).alias("temperature"))
    write_log(tmp_path, behind, stale=("road",))

    report = run_monitoring(tools_of(stage, tmp_path))

    found = verdicts(report)
    assert found["service:stale"] is Outcome.FAILED and "road" in reason(report, "service:stale")
    assert found["skew:all"] is Outcome.INCONCLUSIVE


def test_a_log_cut_in_half_and_hostile_lines_cost_what_they_are(stage, month, tmp_path):
    path = write_log(tmp_path, month)
    content = path.read_bytes()
    cut = content[: int(len(content) * 0.6)]
    hostile = (
        b'{"schema_version": 1, "time": "2024-04-02T00:00:00Z", "release": "<script>alert(1)</script>", "inputs": 3}\n'
        b'[]\n\x00\xff\n{"a": 1e999}\n' + b"[" * 100_000 + b"\n"
        b'{"schema_version": 1, "time": "\\ud800", "probability": "0.5"}\n'
        b'{"schema_version": 7}\n'
    )
    path.write_bytes(hostile + cut)

    report = run_monitoring(tools_of(stage, tmp_path, recent_days=30))

    figures = next(each.figures for each in report.verdicts if each.name == "service:log")
    assert figures["torn"] == 1 and figures["unreadable"] == 6
    assert figures["other_version"] == 1
    assert report.labels.predictions == cut.count(b"\n")
    assert verdicts(report)["service:log"] is Outcome.FAILED
    assert verdicts(report)["skew:all"] is Outcome.PASSED, "what can be read is judged"


def test_records_and_entities_that_stand_twice_count_once(stage, month, tmp_path):
    path = write_log(tmp_path, month)
    (tmp_path / path.name.replace("000001", "000009")).write_bytes(path.read_bytes())
    write_log(tmp_path, month, number=2)

    report = run_monitoring(tools_of(stage, tmp_path))

    assert report.labels.predictions == 900
    assert report.labels.duplicates == 1800
    assert report.outcome is Outcome.PASSED


def test_each_release_is_looked_at_by_itself_and_the_newest_is_judged(stage, month, tmp_path):
    half = 450
    first = replace(
        month,
        known=month.known[:half],
        features=month.features[:half],
        times=month.times[:half],
        scores=np.clip(np.random.default_rng(1).permutation(month.scores[:half]) * 1.6, 0.01, 0.99),
    )
    second = replace(
        month,
        known=month.known[half:],
        features=month.features[half:],
        times=month.times[half:],
        scores=month.scores[half:],
    )
    write_log(tmp_path, first, release="0.9.0")
    write_log(tmp_path, second, release="1.0.0", number=2)

    report = run_monitoring(tools_of(stage, tmp_path, models={"0.9.0": "sha256:" + "0" * 64}.get))

    assert [each.version for each in report.releases] == ["0.9.0", "1.0.0"]
    performance = [each for each in report.sequences if each.name == "performance:log_loss_ratio"]
    assert [each.release for each in performance] == ["0.9.0", "1.0.0"]
    assert verdicts(report)["performance:log_loss_ratio"] is Outcome.PASSED
    assert any("0.9.0 serves another model" in note for note in report.notes)


def test_no_predictions_are_no_verdict(stage, tmp_path):
    report = run_monitoring(tools_of(stage, tmp_path))

    assert report.outcome is Outcome.INCONCLUSIVE
    assert report.days == () and report.labels.predictions == 0


def test_no_log_is_an_error_that_names_the_folder(stage, tmp_path):
    with pytest.raises(DataError, match="no folder of predictions"):
        run_monitoring(tools_of(stage, tmp_path / "nowhere", now=NOW))
