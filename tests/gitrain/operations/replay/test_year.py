import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss, roc_auc_score
from tests.gitrain.operations.replay.conftest import live, project, timeless

from gitrain.documents import parse_json
from gitrain.integrations.prediction_log import read_predictions
from gitrain.integrations.skops import SkopsFormat
from gitrain.monitoring.judgement import judge_performance
from gitrain.monitoring.labels import CAME, LABEL, MATURE
from gitrain.monitoring.logged import DAY
from gitrain.monitoring.reference import Holdout
from gitrain.pipeline.monitoring_params import PerformanceParams
from gitrain.pipeline.replay import ReplayReport
from gitrain.training.manifest import ModelManifest
from gitrain.training.matrix import feature_matrix

LIVED = ("2024-03", "2024-04", "2024-05", "2024-06")


def features(lived, batch):
    return pl.read_parquet(lived.folder / "data" / "features" / f"{batch}.parquet")


def validated(lived, batch):
    return pl.read_parquet(lived.folder / "data" / "validated" / "parcels" / f"{batch}.parquet")


def model(lived, digest):
    for manifest in sorted(lived.folder.glob("candidates/*/models/model.json")):
        found = parse_json(ModelManifest, manifest.read_text(), source=str(manifest))
        if found.model_digest == digest:
            content = (manifest.parent / "model.skops").read_bytes()
            return SkopsFormat(trusted=()).load(content, name="model"), found.columns
    raise AssertionError(digest)


def answers(lived, digest, batch):
    estimator, columns = model(lived, digest)
    return estimator.predict_proba(feature_matrix(features(lived, batch), columns))[:, 1]


def test_what_became_of_the_candidates(lived):
    report = lived.report

    assert report.bootstrap == ("2024-01", "2024-02")
    assert [(each.batch, each.decision, each.release) for each in report.batches] == [
        ("2024-03", "same", None),
        ("2024-04", "promoted", "1.1.0"),
        ("2024-05", "refused", None),
        ("2024-06", "refused", None),
    ]
    assert [each.name for each in report.batches[2].verdicts] == ["champion"]
    assert "not shown to be better" in report.batches[2].verdicts[0].reason
    assert report.batches[1].evidence == ("2024-04 is there, and the model knows 2024-03",)
    # What was refused is not merged: the next candidate brings its batch as well.
    assert report.batches[3].evidence == ("2024-05, 2024-06 are there, and the model knows 2024-04",)
    assert report.notes == ("the sources end with 2024-06: the depots have no month '2024-07'",)


def test_the_first_model_knows_the_bootstrap_alone_and_a_candidate_what_came_before_its_batch(lived):
    first, second = lived.report.releases

    assert first.trained_on == ("2024-01", "2024-02")
    assert first.judged_on == ("2024-02",)
    assert second.trained_on == ("2024-01", "2024-02", "2024-03")
    assert second.judged_on == ("2024-04",)


def test_a_promoted_candidate_answers_from_the_unit_after_its_decision(lived):
    days = lived.report.days
    decided = lived.report.batches[1].decided
    changed = next(place for place, day in enumerate(days) if day.release == "1.1.0")

    assert [day.release for day in days] == ["1.0.0"] * changed + ["1.1.0"] * (len(days) - changed)
    first = features(lived, days[changed].batch).filter(pl.col("day").cast(pl.String) == days[changed].day)
    before = features(lived, days[changed - 1].batch).filter(pl.col("day").cast(pl.String) == days[changed - 1].day)
    # The decision falls between the last day that the old release answered and the first of the new one.
    assert before["decision_time"].max() < decided <= first["decision_time"].min()
    # And never before the batch is whole.
    assert decided >= features(lived, "2024-04")["decision_time"].max() + timedelta(hours=24)
    assert decided >= validated(lived, "2024-04")["known_at"].max()


def test_figures_are_those_of_the_models_on_the_features(lived):
    first, second = (each.model_digest for each in lived.report.releases)
    for each in lived.report.batches:
        frame = features(lived, each.batch)
        label = frame["late"]
        known = label.is_not_null().to_numpy()
        truth = label.drop_nulls().to_numpy()
        without = answers(lived, first, each.batch)
        release = {day.day: day.release for day in lived.report.days}
        by_new = np.array([release[str(day)] == "1.1.0" for day in frame["day"]])
        served = np.where(by_new, answers(lived, second, each.batch), without)

        assert each.predictions == frame.height
        assert each.labelled == truth.size
        assert each.metrics["roc_auc"] == pytest.approx(roc_auc_score(truth, served[known]), rel=1e-5)
        assert each.metrics["log_loss"] == pytest.approx(log_loss(truth, served[known]), rel=1e-5)
        assert each.metrics_without["roc_auc"] == pytest.approx(roc_auc_score(truth, without[known]), rel=1e-5)


def test_without_a_change_of_model_the_loop_changes_nothing(lived):
    before = [day for day in lived.report.days if day.release == "1.0.0"]
    after = [day for day in lived.report.days if day.release == "1.1.0"]

    assert all(day.log_loss == day.log_loss_without for day in before)
    assert any(day.log_loss != day.log_loss_without for day in after)


def test_no_label_is_looked_at_before_it_is_known(lived):
    for batch in LIVED:
        rows = validated(lived, batch).select(
            day=pl.col("sent").dt.date().cast(pl.String),
            known=pl.max_horizontal("known_at", pl.col("sent") - timedelta(hours=1) + timedelta(hours=24)),
        )
        known = dict(rows.group_by("day").agg(pl.col("known").max()).iter_rows())
        for day in lived.report.days:
            if day.batch == batch:
                assert day.looked is not None
                assert day.looked >= known[day.day]


def test_daily_looks_are_those_that_monitoring_takes_of_the_whole_log_at_once(lived):
    log = read_predictions(lived.folder / "log").frame
    labels = pl.concat([features(lived, batch) for batch in LIVED]).select("parcel", pl.col("late").alias(LABEL))
    named = [day.day for day in lived.report.days]
    joined = (
        log.select("time", "release", "probability", pl.col("inputs").struct.field("parcel", "sent"))
        .join(labels, on="parcel", maintain_order="left")
        .with_columns(
            pl.col("sent").str.to_datetime(time_zone="UTC").dt.date().cast(pl.String).cast(pl.Enum(named)).alias(DAY),
            pl.lit(True).alias(CAME),
            pl.lit(True).alias(MATURE),
        )
    )
    for release in lived.report.releases:
        (batch,) = release.judged_on
        (path,) = lived.folder.glob(f"candidates/{batch}-*/data/predictions/holdout.parquet")
        judged = judge_performance(
            joined,
            joined,
            Holdout(frame=pl.read_parquet(path), unit="day"),
            PerformanceParams(),
            slices=(),
            unit="day",
        )
        (sequence,) = [each for each in judged.sequences if each.release == release.name]
        days = [day for day in lived.report.days if day.release == release.name and day.estimate is not None]

        assert [day.day for day in days] == [look.day for look in sequence.looks]
        assert len(days) > 25
        for day, look in zip(days, sequence.looks, strict=True):
            assert (day.estimate, day.lower, day.upper) == (look.estimate, look.lower, look.upper)
            assert day.threshold == sequence.threshold
        assert release.alarm == sequence.alarm
        assert release.naive_alarm == sequence.naive_alarm


def test_the_log_is_what_a_service_would_have_written(lived):
    read = read_predictions(lived.folder / "log")
    frame = read.frame

    assert read.torn == 0
    assert frame.height == sum(each.predictions for each in lived.report.batches)
    assert frame.select("request_id", "row").is_duplicated().sum() == 0
    assert frame["time"].is_sorted()
    assert sum(path.stat().st_size for path in (lived.folder / "log").iterdir()) == lived.report.log_bytes
    parcels = frame.unnest("inputs").rename({"probability": "answered"}).drop("features", "missing", "stale")
    computed = pl.concat([features(lived, batch) for batch in LIVED])
    logged = parcels.with_columns(frame["features"], frame["missing"]).join(computed, on="parcel", validate="1:1")
    assert logged.height == frame.height
    for name in ("temperature", "late_7d", "delay_zone_7d", "depot"):
        given = logged["features"].struct.field(name)
        own = logged[f"{name}_right"] if f"{name}_right" in logged.columns else logged[name]
        assert given.eq_missing(own).all()
        assert (logged["missing"].list.contains(name) == own.is_null()).all()
    # Nothing is answered before it is asked for, nor an hour later.
    late = logged["time"] - logged["decision_time"]
    assert late.min() >= timedelta(0)
    assert late.max() < timedelta(hours=1)


def test_a_second_run_reuses_what_is_finished_and_tells_the_same(lived, tmp_path):
    folder = tmp_path / "scratch"
    shutil.copytree(lived.folder, folder, symlinks=True)
    for link in folder.glob("candidates/*/data/features"):
        link.unlink()
    # Two that are not whole: a model that was cut short, and one that never said that it is finished.
    models = sorted(folder.glob("candidates/*/models/model.skops"))
    models[1].write_bytes(models[1].read_bytes()[:1000])
    (models[2].parents[1] / "finished.json").write_text('{"schema_version": 1, "mod')

    report, told = live(lived.root, folder)

    assert timeless(report) == timeless(lived.report)
    assert sum(line.startswith("fitting") for line in told) == 2
    assert [each.reused for each in report.batches] == [False, False, True, True]


def test_the_repository_is_left_alone(lived):
    found = {path.relative_to(lived.root).as_posix() for path in lived.root.rglob("*") if path.is_file()}
    kept = {name for name in found if not name.startswith((".gitrain/memo/", "__pycache__/"))}

    assert kept == {
        path.name for path in (Path(__file__).parents[3] / "projects" / "parcels").iterdir() if path.is_file()
    } | {"requirements.lock"}


def test_the_log_goes_when_a_batch_is_over(lived, tmp_path):
    folder = tmp_path / "scratch"
    shutil.copytree(lived.folder, folder, symlinks=True, ignore=shutil.ignore_patterns("log"))
    report, _ = live(lived.root, folder, keep_log=False)

    assert list((folder / "log").iterdir()) == []
    assert report.log_bytes == lived.report.log_bytes


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on(lived, tmp_path):
    root = project(tmp_path / "parcels")
    folder = tmp_path / "scratch"
    command = [sys.executable, "-m", "gitrain", "-C", str(root), "rehearse", "--year", "--json"]
    command += ["--bootstrap", "2", "--folder", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 240
        # At a model that lies there without a word that it is finished.
        while len(list(folder.glob("candidates/*/models/model.skops"))) < 3:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (folder / "replay.json").exists()
    finished = {path: path.stat().st_mtime_ns for path in folder.glob("candidates/*/finished.json")}
    assert len(finished) >= 2
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)

    assert ended.returncode == 0, ended.stderr
    report = ReplayReport.model_validate(json.loads(ended.stdout))
    assert timeless(report) == timeless(lived.report)
    assert json.loads((folder / "replay.json").read_text()) == json.loads(ended.stdout)
    # What was finished then is not made again, and not all was.
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert len(finished) < len(list(folder.glob("candidates/*/finished.json")))
