"""What can be judged at once is judged by the last days: faults that began yesterday, are mended, or last a day."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import reduce

import numpy as np
import polars as pl
import pytest
from tests.gitrain.monitored_parcels import NOW, Month, tools_of, write_log

from gitrain.monitoring.logged import logged_schema, monitored_rows
from gitrain.monitoring.report import MonitoringReport
from gitrain.operations.judge_recent import recent_rows
from gitrain.operations.run_monitoring import run_monitoring
from gitrain.reports.monitoring_html import render_monitoring_html
from gitrain.reports.monitoring_markdown import render_monitoring
from gitrain.reports.monitoring_prometheus import render_monitoring_metrics
from gitrain.verdicts import Outcome
from gitrain.wiring.repository import open_repository

WHOLE = 366
FAULTS = {
    "frozen": [pl.lit(2.0).alias("temperature")],
    "scaled": [(pl.col("temperature") * 1.8 + 32).alias("temperature")],
    "gone": [pl.lit(None, dtype=pl.Float64).alias("temperature")],
}


def on(day: int) -> datetime:
    """A midnight of the month."""
    return datetime(2024, 4, 1, tzinfo=UTC) + timedelta(days=day - 1)


def joined(*parts: Month) -> Month:
    def one(first: Month, second: Month) -> Month:
        return Month(
            known=pl.concat([first.known, second.known]),
            features=pl.concat([first.features, second.features]),
            times=pl.concat([first.times, second.times]),
            scores=np.concatenate([first.scores, second.scores]),
        )

    return reduce(one, parts)


def between(month: Month, first: datetime, last: datetime) -> Month:
    start, end = (int((month.times < moment).sum()) for moment in (first, last))
    rows = slice(start, end)
    return replace(
        month,
        known=month.known[rows],
        features=month.features[rows],
        times=month.times[rows],
        scores=month.scores[rows],
    )


def faulty(parcels, month: Month, fault: list[pl.Expr], first: datetime, last: datetime) -> Month:
    """The month with a fault in some of its days."""
    return joined(
        between(month, on(-400), first),
        between(month, first, last).with_features(parcels, *fault),
        between(month, last, on(40)),
    )


def outcomes(report: MonitoringReport) -> dict[str, Outcome]:
    return {each.name: Outcome(each.outcome) for each in report.verdicts}


def verdict(report: MonitoringReport, name: str):
    return next(each for each in report.verdicts if each.name == name)


@pytest.fixture(scope="module")
def months(parcels, month) -> Month:
    """All months that there are: a long log."""
    features = open_repository(str(parcels)).project.features
    return joined(*(Month.of(parcels, features, f"2024-{number:02}") for number in (1, 2, 3)), month)


@pytest.mark.parametrize(
    ("name", "since", "fault"),
    [
        pytest.param("weight", 30, pl.lit(3.0), id="frozen"),
        pytest.param("weight", 30, pl.lit(None, dtype=pl.Float64), id="gone"),
        pytest.param("weight", 27, pl.col("weight") * 1.8, id="scaled"),
        # Each week has its weather: of a feature that moves with it four days of seven tell.
        pytest.param("temperature", 27, pl.lit(2.0), id="weather frozen"),
        pytest.param("temperature", 27, pl.col("temperature") * 1.8 + 32, id="weather scaled"),
    ],
)
def test_a_fault_of_the_last_days_is_found_in_a_long_log(parcels, stage, months, tmp_path, name, since, fault):
    write_log(tmp_path, faulty(parcels, months, [fault.alias(name)], on(since), on(40)))

    now = run_monitoring(tools_of(stage, tmp_path))
    before = run_monitoring(tools_of(stage, tmp_path, recent_days=WHOLE))

    assert outcomes(now)[f"drift:{name}"] is Outcome.FAILED
    found = verdict(now, f"drift:{name}")
    assert found.figures["farthest_day"] >= f"2024-04-{since}"
    assert f"the farthest day is {found.figures['farthest_day']}" in found.reason
    drowned = next(each for each in before.features if each.name == name)
    assert drowned.psi < 0.05 and not drowned.naive, "it was drowned"


def test_a_feature_that_is_gone_since_yesterday_is_missing(parcels, stage, months, tmp_path):
    write_log(tmp_path, faulty(parcels, months, FAULTS["gone"], on(30), on(40)))

    now = run_monitoring(tools_of(stage, tmp_path))
    before = run_monitoring(tools_of(stage, tmp_path, recent_days=WHOLE))

    assert "temperature: not known for 17.9% of predictions" in verdict(now, "service:missing").reason
    assert "most on 2024-04-30 (100.0% of 30)" in verdict(now, "service:missing").reason
    alone = "temperature: not known for 100.0% of the predictions of 2024-04-30, and at most"
    assert verdict(before, "service:missing").reason.startswith(alone)


def test_what_is_stale_or_breaks_the_contract_on_a_day_is_told_with_it(parcels, stage, months, tmp_path):
    negative = pl.when(pl.int_range(pl.len()) % 3 == 0).then(-pl.col("weight")).otherwise("weight").alias("weight")
    write_log(tmp_path, between(months, on(-400), on(30)))
    last = between(months, on(30), on(40)).with_features(parcels, negative)
    write_log(tmp_path, last, number=2, stale=("road",))

    now = run_monitoring(tools_of(stage, tmp_path))
    before = run_monitoring(tools_of(stage, tmp_path, recent_days=WHOLE))

    for name in ("service:stale", "data:features"):
        assert verdict(now, name).outcome == verdict(before, name).outcome == "FAILED"
        assert verdict(now, name).figures["worst_day"] == "2024-04-30"
        assert verdict(before, name).figures["share"] < 0.05, "of all of them it is nothing"
    assert "rows break the contract" in verdict(now, "data:features").reason


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_is_mended_fails_no_longer(parcels, stage, month, tmp_path, fault):
    write_log(tmp_path, faulty(parcels, month, FAULTS[fault], on(8), on(20)))

    now = run_monitoring(tools_of(stage, tmp_path))
    before = run_monitoring(tools_of(stage, tmp_path, recent_days=WHOLE))

    judged_at_once = ("service:", "data:", "skew:", "drift:")
    assert not [each for each in now.verdicts if each.name.startswith(judged_at_once) and each.outcome == "FAILED"]
    assert outcomes(now)["skew:all"] is Outcome.PASSED
    assert outcomes(before)["drift:temperature"] is outcomes(before)["skew:temperature"] is Outcome.FAILED
    asked = run_monitoring(tools_of(stage, tmp_path), since=on(1))
    assert outcomes(asked)["drift:temperature"] is outcomes(asked)["skew:temperature"] is Outcome.FAILED
    assert asked.recent is None, "--since means what it says"


def test_a_feature_that_was_partly_gone_for_a_day_is_told_with_it(parcels, stage, month, tmp_path):
    part = pl.when(pl.int_range(pl.len()) % 3 > 0).then(None).otherwise("temperature").alias("temperature")
    # Nearly all of the 31 parcels of that day are asked for on it.
    write_log(tmp_path, faulty(parcels, month, [part], on(29) - timedelta(hours=1), on(30) - timedelta(hours=1)))

    report = run_monitoring(tools_of(stage, tmp_path))

    found = verdict(report, "service:missing")
    assert found.outcome == "FAILED"
    assert "of the predictions of 2024-04-29" in found.reason
    assert found.figures["worst_day"] == "2024-04-29"
    feature = next(each for each in report.features if each.name == "temperature")
    assert feature.missing < feature.usual_missing + 0.05, "of seven days it is not too much"


def test_skew_says_on_which_days(parcels, stage, month, tmp_path):
    write_log(tmp_path, faulty(parcels, month, FAULTS["scaled"], on(27), on(29) - timedelta(hours=1)))

    found = verdict(run_monitoring(tools_of(stage, tmp_path)), "skew:temperature")

    assert found.outcome == "FAILED"
    assert found.reason.endswith("they are of 2 of 7 days, 2024-04-27 to 2024-04-28")
    assert found.figures["wrong_days"] == 2


def test_performance_and_calibration_read_all_days_whatever_the_last_are(stage, month, tmp_path):
    write_log(tmp_path, month)

    def tested(report: MonitoringReport):
        names = ("performance", "calibration")
        judged = [each for each in report.verdicts if each.name.startswith(names)]
        return judged, report.sequences, report.slices, report.calibration, report.days, report.labels

    whole = tested(run_monitoring(tools_of(stage, tmp_path, recent_days=WHOLE)))

    assert len(whole[1][0].looks) > 7
    for days in (1, 7):
        assert tested(run_monitoring(tools_of(stage, tmp_path, recent_days=days))) == whole


def test_labels_that_no_longer_come_are_missed_within_days(stage, month, tmp_path):
    write_log(tmp_path, month)

    class UntilTheEnd:
        """A workspace into which the last two days' labels have not come."""

        def __getattr__(self, name):
            return getattr(stage.workspace, name)

        def read_table(self, path, columns=None):
            table = stage.workspace.read_table(path)
            kept = table.filter(pl.col("sent") < on(29)) if "parcels/2024-04" in path else table
            return kept if columns is None else kept.select(columns)

    blind = replace(stage, workspace=UntilTheEnd())

    now = run_monitoring(tools_of(blind, tmp_path))
    before = run_monitoring(tools_of(blind, tmp_path, recent_days=WHOLE))

    assert outcomes(now)["data:labels"] is Outcome.INCONCLUSIVE
    assert "of 2024-04-24 to 2024-04-30 are known" in verdict(now, "data:labels").reason
    assert outcomes(before)["data:labels"] is Outcome.PASSED
    assert now.labels == before.labels


def test_every_form_says_which_days_were_judged(stage, month, tmp_path):
    write_log(tmp_path, month)

    report = run_monitoring(tools_of(stage, tmp_path))

    newest = month.times.max()
    assert report.recent is not None
    assert report.recent.through == newest and newest - report.recent.since < timedelta(days=7)
    assert report.recent.predictions == (month.times > newest - timedelta(days=7)).sum() < report.labels.predictions
    assert (report.recent.days, report.window.days) == (7, 30)
    days = f"{report.recent.since:%Y-%m-%d} to {newest:%Y-%m-%d} ({report.recent.predictions} predictions)"
    assert f"judged by the last days: {days}" in render_monitoring(report).replace("\\", "")
    assert render_monitoring_html(report, version="0").count(days) == 3
    assert "gitrain_monitoring_recent_start_timestamp_seconds" in render_monitoring_metrics(report)
    assert MonitoringReport.model_validate_json(report.to_json()).recent == report.recent


def test_when_it_is_looked_at_changes_nothing(stage, month, tmp_path):
    write_log(tmp_path, month)

    first, second = (
        run_monitoring(tools_of(stage, tmp_path, now=NOW + by)) for by in (timedelta(), timedelta(hours=13, seconds=7))
    )

    assert first.recent == second.recent and first.verdicts == second.verdicts
    assert any(each.startswith("Nothing was predicted after 2024-04-30") for each in first.notes)
    early = run_monitoring(tools_of(stage, tmp_path, now=month.times.max() + timedelta(days=6)))
    assert not [each for each in early.notes if "predicted after" in each]


def test_a_stray_request_after_weeks_of_silence_is_judged_with_the_days_before(stage, month, tmp_path):
    stray = between(month, on(30), on(40)).later(timedelta(days=9))
    stray = replace(
        stray, known=stray.known[:1], features=stray.features[:1], times=stray.times[:1], scores=stray.scores[:1]
    )
    write_log(tmp_path, joined(between(month, on(0), on(30)), stray))

    report = run_monitoring(tools_of(stage, tmp_path, now=NOW + timedelta(days=1)))

    assert report.recent is not None
    assert report.recent.through == stray.times[0]
    assert report.recent.predictions > 150
    assert not [each.name for each in report.features if each.moved]


def test_where_units_are_no_dates_everything_is_judged(stage, month, tmp_path):
    write_log(tmp_path, month)
    tools = tools_of(stage, tmp_path)
    features, contract = stage.project.features, stage.project.entity_table.contract
    logged = tools.log.read(logged_schema(features, contract))
    rows = monitored_rows(logged, features, contract, since=None, through=NOW, now=NOW, leeway=timedelta(seconds=60))

    dated, timeless = (
        recent_rows(tools.stage, logged, each, through=NOW, now=NOW) for each in (rows, replace(rows, dated=False))
    )

    assert dated.limit == 7 and dated.rows.frame.height < 300 and dated.days is not None
    assert timeless.limit is None and timeless.rows.frame.height == 900 and timeless.days is None
