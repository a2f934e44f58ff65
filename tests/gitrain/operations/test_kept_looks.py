"""Daily looks at a log that drops its oldest days: what was counted is kept, and by which rules."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.gitrain.monitored_parcels import Month, part, tools_of, write_log

from gitrain.integrations.kept_days import KeptDaysFiles
from gitrain.operations.run_monitoring import run_monitoring
from gitrain.reports.monitoring_html import render_monitoring_html
from gitrain.reports.monitoring_markdown import render_monitoring
from gitrain.verdicts import Outcome

PERFORMANCE = "performance:log_loss_ratio"


class Kept(KeptDaysFiles):
    """The files, and what is asked of them."""

    def __init__(self, folder: Path, log: str = "log") -> None:
        self.said: list[str] = []
        self.calls: list[str] = []
        super().__init__(folder, self.said.append, log=folder.parent / log)

    def read(self, rules: str):
        self.calls.append("read")
        return super().read(rules)

    def write(self, days) -> None:
        self.calls.append("write")
        super().write(days)

    def tidy(self, releases) -> None:
        self.calls.append(f"tidy {sorted(releases - {''})}")
        super().tidy(releases)


@pytest.fixture
def kept(tmp_path) -> Kept:
    return Kept(tmp_path / "kept")


def at(month: Month, moment: datetime) -> int:
    """How many were predicted before."""
    return int((month.times < moment).sum())


def written(folder: Path, month: Month, first: int, last: int) -> Path:
    for path in folder.glob("*.jsonl"):
        path.unlink()
    write_log(folder, part(month, first, last))
    return folder


def reason(report, name=PERFORMANCE) -> str:
    return next(each.reason for each in report.verdicts if each.name == name)


def live(stage, month, folder: Path, kept: Kept | None, *, days: int = 8):
    """Look every few days, at a log that holds `days`; the last report, and one of the whole log."""
    report, now = None, datetime(2024, 4, 1, tzinfo=UTC)
    for day in range(3, 38, 4):
        now = datetime(2024, 4, 1, tzinfo=UTC) + timedelta(days=day)
        first, last = at(month, now - timedelta(days=days, hours=7)), at(month, now)
        report = run_monitoring(tools_of(stage, written(folder, month, first, last), now=now, kept_days=kept))
    whole = run_monitoring(tools_of(stage, written(folder, month, 0, month.times.len()), now=now))
    return report, whole


def test_daily_looks_at_a_log_that_is_cut_are_those_at_the_whole_one(stage, month, tmp_path, kept):
    report, whole = live(stage, month, tmp_path / "log", kept)

    assert report.labels.predictions < whole.labels.predictions
    assert report.sequences == whole.sequences
    assert [each for each in report.verdicts if each.name.startswith(("performance", "calib"))] == [
        each for each in whole.verdicts if each.name.startswith(("performance", "calib"))
    ]
    (note,) = report.notes
    assert "days of release 1.0.0, 2024-04-01 to 2024-04-" in note
    assert "as earlier looks counted them" in note
    assert whole.notes == ()
    assert set(kept.calls) == {"read", "write", "tidy ['1.0.0']"} and kept.said == []
    assert render_monitoring(report) and render_monitoring_html(report, version="0")


def test_without_it_looks_begin_anew(stage, month, tmp_path):
    report, whole = live(stage, month, tmp_path / "log", None)

    assert len(report.sequences[0].looks) < len(whole.sequences[0].looks)


def test_an_alarm_stays_one_when_its_days_have_left_the_log(stage, month, tmp_path, kept):
    shuffled = np.clip(np.random.default_rng(0).permutation(month.scores) * 1.5, 0.01, 0.99)
    half = at(month, datetime(2024, 4, 15, tzinfo=UTC))
    spoilt = month.with_scores(np.where(np.arange(month.scores.size) < half, shuffled, month.scores))
    log = tmp_path / "log"
    then = datetime(2024, 4, 18, tzinfo=UTC)
    before = run_monitoring(tools_of(stage, written(log, spoilt, 0, at(spoilt, then)), now=then, kept_days=kept))

    after = run_monitoring(tools_of(stage, written(log, spoilt, half, 900), kept_days=kept))
    anew = run_monitoring(tools_of(stage, log))

    assert before.outcome is after.outcome is Outcome.FAILED
    assert before.sequences[0].alarm == after.sequences[0].alarm
    assert anew.outcome is Outcome.PASSED
    assert after.inputs_digest != anew.inputs_digest


def test_what_ran_is_judged_when_the_log_has_nothing_of_it(stage, month, tmp_path, kept):
    log = tmp_path / "log"
    before = run_monitoring(tools_of(stage, written(log, month, 0, 900), kept_days=kept, running="1.0.0"))

    kept.calls.clear()
    after = run_monitoring(tools_of(stage, written(log, month, 0, 0), kept_days=kept, running="1.0.0"))

    assert kept.calls == ["read", "write"], "a log that is away has no word in what is of use"
    assert after.labels.predictions == 0
    assert after.sequences == before.sequences
    assert reason(after) == reason(before)
    assert render_monitoring(after) and render_monitoring_html(after, version="0")


@pytest.mark.parametrize("rule", ["minimum_rows", "minimum_coverage", "label_delay_hours", "holdout", "release"])
def test_days_of_other_rules_are_not_mixed(stage, month, tmp_path, kept, rule):
    log = tmp_path / "log"
    run_monitoring(tools_of(stage, written(log, month, 0, 600), kept_days=kept))
    written(log, month, 600, 900)
    tools = tools_of(stage, log, kept_days=kept)
    params = tools.stage.params.monitoring
    if rule == "label_delay_hours":
        params = params.model_copy(update={rule: 49.0})
    elif rule in ("minimum_rows", "minimum_coverage"):
        changed = {"minimum_rows": 20, "minimum_coverage": 0.8}[rule]
        params = params.model_copy(update={"performance": params.performance.model_copy(update={rule: changed})})
    elif rule == "release":
        (path,) = log.iterdir()
        path.write_bytes(path.read_bytes().replace(b'"release":"1.0.0"', b'"release":"1.1.0"'))
    others = replace(tools.stage, params=tools.stage.params.model_copy(update={"monitoring": params}))
    if rule == "holdout":
        others = replace(others, workspace=AnotherHoldout(others.workspace))

    alone = run_monitoring(replace(tools, stage=others, kept=None))
    found = run_monitoring(replace(tools, stage=others))
    same = run_monitoring(tools)

    assert found.sequences == alone.sequences
    assert found.notes == alone.notes
    if rule != "release":
        assert len(same.sequences[0].looks) > len(alone.sequences[0].looks), "and nothing of the former is lost"


class AnotherHoldout:
    """A workspace whose holdout is another model's."""

    def __init__(self, inner):
        self._inner = inner

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def digest(self, path):
        return f"sha256:{'f' * 64}" if path.endswith("holdout.parquet") else self._inner.digest(path)


@pytest.mark.parametrize("window", ["since", "through"])
def test_a_window_is_a_look_aside(stage, month, tmp_path, kept, window):
    log = tmp_path / "log"
    run_monitoring(tools_of(stage, written(log, month, 0, 600), kept_days=kept))
    content = {path.name: path.read_bytes() for path in (tmp_path / "kept").iterdir()}
    kept.calls.clear()
    written(log, month, 600, 900)

    moment = {"since": datetime(2024, 4, 2, tzinfo=UTC), "through": datetime(2024, 5, 9, tzinfo=UTC)}[window]
    report = run_monitoring(tools_of(stage, log, kept_days=kept, recent_days=30), **{window: moment})

    assert kept.calls == []
    assert {path.name: path.read_bytes() for path in (tmp_path / "kept").iterdir()} == content
    assert len(report.sequences[0].looks) < 12
    (note,) = report.notes
    assert note.startswith("A window was asked for")
    assert note.endswith("begins with the window." if window == "since" else "begins with the log.")


def test_a_damaged_file_is_told_and_the_log_alone_counts(stage, month, tmp_path, kept):
    log = tmp_path / "log"
    run_monitoring(tools_of(stage, written(log, month, 0, 600), kept_days=kept))
    (path,) = (tmp_path / "kept").iterdir()
    path.write_bytes(path.read_bytes()[:-40])

    written(log, month, 600, 900)
    report = run_monitoring(tools_of(stage, log, kept_days=kept))

    assert report.sequences == run_monitoring(tools_of(stage, log)).sequences
    assert "is damaged" in kept.said[0]
    assert run_monitoring(tools_of(stage, log, kept_days=kept, recent_days=30)).notes == ()
    assert len(kept.said) == 1


def test_looks_at_two_logs_of_an_environment_are_two_sequences(stage, month, tmp_path, kept):
    other = Kept(tmp_path / "kept", "other")
    logs = [written(tmp_path / name, month, *rows) for name, rows in (("log", (0, 450)), ("other", (450, 900)))]

    def look(log: Path, store: Kept | None):
        return run_monitoring(tools_of(stage, log, kept_days=store, recent_days=30))

    def look_at_both():
        return [look(log, store) for log, store in zip(logs, (kept, other), strict=True)]

    look_at_both()
    both = look_at_both()

    assert [each.sequences for each in both] == [look(log, None).sequences for log in logs]
    assert [each.notes for each in both] == [(), ()]
    assert len(list((tmp_path / "kept").iterdir())) == 2
    assert kept.said == [] and len(other.said) == 1
    assert f"are those of {logs[0]}, and this is a look at {logs[1]}" in other.said[0]
