"""Recorded runs as Markdown."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

from gitrain.reports.markdown import escape
from gitrain.reports.runs_markdown import render_run, render_runs
from gitrain.tracking.runs import CurvePoint, RunRecord

RUN = RunRecord(
    key=f"sha256:{'a1' * 32}",
    project="tumours",
    commit="c0ffee1" + "0" * 33,
    dirty=False,
    recorded_at=datetime(2026, 3, 1, 13, 30, tzinfo=timezone(timedelta(hours=1))),
    params={"training.seed": "0"},
    metrics={"log_loss": 0.5, "roc_auc": 0.75, "roc_auc_high": 0.81234, "roc_auc_low": 0.7},
    curves={"training_loss": tuple(CurvePoint(step=step, value=1 / step) for step in range(1, 101))},
    outputs={"models/model.skops": "md5:20f35e630daf44dbfa4c3f68f5399d8c"},
    model_digest=f"sha256:{'b2' * 32}",
    durations={"train": 12.5},
    validation="PASSED",
    artifacts=("dvc.lock",),
    run_id="0123",
    model_version=3,
)


def test_a_list_of_runs() -> None:
    older = replace(
        RUN, key=f"sha256:{'d3' * 32}", commit=None, dirty=True, metrics={"roc_auc": 0.7}, model_version=None
    )
    dirty = replace(RUN, dirty=True, validation=None)
    assert render_runs([RUN, older, dirty]) == (
        "| run | commit | recorded (UTC) | roc_auc | data | model |\n"
        "| --- | --- | --- | ---: | --- | --- |\n"
        "| `a1a1a1a1a1a1` | `c0ffee1` | 2026-03-01 12:30 | 0.75 | PASSED | v3 |\n"
        "| `d3d3d3d3d3d3` | none yet | 2026-03-01 12:30 | 0.7 | PASSED | – |\n"
        "| `a1a1a1a1a1a1` | `c0ffee1` and changes | 2026-03-01 12:30 | 0.75 | – | v3 |\n"
    )


def test_metrics_without_intervals_are_shown_too() -> None:
    runs = [replace(RUN, metrics={"b": 2.0, "a": 1.0}), replace(RUN, metrics={"a": 3.0})]
    header, _, first, second = render_runs(runs).splitlines()
    assert "| b | a |" in header
    assert "| 2 | 1 |" in first
    assert "| – | 3 |" in second


def test_no_runs() -> None:
    assert "gitrain run record" in render_runs([])


def test_one_run() -> None:
    text = render_run(RUN)
    assert text.startswith("## Run a1a1a1a1a1a1 of tumours\n")
    assert f"| **key** | `{RUN.key}` |" in text
    assert "| **registered as** | tumours v3 |" in text
    assert "| roc_auc | 0.75 [0.7, 0.8123] |" in text
    assert "| roc_auc_low |" not in text
    assert "| training_loss | 100 | 1 | 0.01 | █" in text
    assert "| models/model.skops | `md5:20f35e630daf44dbfa4c3f68f5399d8c` |" in text
    assert "| train | 12.5 |" in text


def test_what_is_not_there_takes_no_room() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    bare = RunRecord(key=RUN.key, project="toy", commit=None, dirty=False, recorded_at=now, model_digest="")
    text = render_run(bare)
    assert "###" not in text
    assert "| **commit** | none yet |" in text


def test_hostile_values_stay_text() -> None:
    hostile = "a|b\n<img src=x> [x](http://evil) @octocat `"
    text = render_run(replace(RUN, params={hostile: hostile}, durations={hostile: 1.0}, artifacts=(hostile,)))
    assert f"| {escape(hostile)} | {escape(hostile)} |" in text
    assert f"| {escape(hostile)} | 1 |" in text
    assert f"| {escape(hostile)} |\n" in text
    assert hostile not in text


def test_a_flat_curve_and_a_single_point() -> None:
    flat = tuple(CurvePoint(step=step, value=0.5) for step in range(3))
    text = render_run(replace(RUN, curves={"flat": flat, "one": flat[:1]}))
    assert "| flat | 3 | 0.5 | 0.5 | ▁▁▁ |" in text
    assert "| one | 1 | 0.5 | 0.5 | ▁ |" in text
