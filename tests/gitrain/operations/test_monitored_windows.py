"""Which records of a log are judged, and of which release: what was withdrawn, sent twice, written wrongly or later."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from tests.gitrain.monitored_parcels import part, tools_of, write_log

from gitrain.operations.run_monitoring import run_monitoring
from gitrain.reports.monitoring_words import overall_sequences, words_of
from gitrain.verdicts import Outcome

PERFORMANCE = "performance:log_loss_ratio"
# The whole month: which of a log's days are judged at once is another question.
ALL = 31


def judged(report, name=PERFORMANCE):
    return next(each for each in report.verdicts if each.name == name)


@pytest.fixture
def rolled_back(month, tmp_path):
    """A release without skill answered for some days between two stretches of its predecessor."""
    spoilt = np.clip(np.random.default_rng(1).permutation(month.scores) * 1.6, 0.01, 0.99)
    write_log(tmp_path, part(month, 0, 300), release="1.0.0")
    write_log(tmp_path, part(month.with_scores(spoilt), 300, 600), release="1.1.0", number=2)
    write_log(tmp_path, part(month, 600, 900), release="1.0.0", number=3)
    return tmp_path


def test_after_a_rollback_what_answers_again_is_judged(stage, rolled_back):
    report = run_monitoring(tools_of(stage, rolled_back))

    assert judged(report).figures["release"] == "1.0.0"
    assert judged(report).outcome == "PASSED"
    assert judged(report, "calibration:underestimates").figures["release"] == "1.0.0"
    assert report.outcome is Outcome.PASSED
    assert overall_sequences(report)[0].release == "1.0.0", "what the verdict is about is shown first"
    assert not any("1.1.0" in each for each in words_of(report).advice)


def test_what_runs_is_judged_whoever_answered_last(stage, rolled_back):
    report = run_monitoring(tools_of(stage, rolled_back, running="1.1.0"))

    assert judged(report).figures["release"] == "1.1.0"
    assert judged(report).outcome == "FAILED"
    assert any("If it began with release 1.1.0" in each for each in words_of(report).advice)
    former = run_monitoring(tools_of(stage, rolled_back))
    rows = [sum(each.rows for each in one.calibration) for one in (report, former)]
    assert sum(rows) == former.labels.labelled and rows[0] < rows[1]
    # What runs and has answered nobody yet says nothing of itself.
    waiting = run_monitoring(tools_of(stage, rolled_back, running="2.0.0"))
    assert judged(waiting).figures["release"] == "1.0.0"
    # Nor does what runs today decide what ran then.
    then = run_monitoring(tools_of(stage, rolled_back, running="1.1.0"), through=datetime(2024, 5, 5, tzinfo=UTC))
    assert judged(then).figures["release"] == "1.0.0"


def test_a_name_that_a_client_gives_all_its_requests_hides_none(stage, month, tmp_path):
    path = write_log(tmp_path, month)
    named = [json.dumps(json.loads(line) | {"request_id": "mine"}) for line in path.read_text().splitlines()]
    path.write_text("\n".join(named) + "\n")
    # One batch of the service: the same moment and the same answer, for two parcels.
    twin, other = (json.loads(each) for each in named[:2])
    twins = [twin, other | {"time": twin["time"], "probability": twin["probability"]}]
    path.write_text("\n".join([*map(json.dumps, twins), *named[2:]]) + "\n")

    report = run_monitoring(tools_of(stage, tmp_path))

    assert (report.labels.predictions, report.labels.duplicates) == (900, 0)


def spoil(path, at: int, lines: int) -> None:
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*whole[:at], *[b"no record\n"] * lines, *whole[at:]]))


@pytest.mark.parametrize(("lines", "outcome"), [(1, "PASSED"), (2, "FAILED")])
def test_as_many_lines_as_may_be_are_no_records(stage, month, tmp_path, lines, outcome):
    spoil(write_log(tmp_path, month), 500, lines)
    tools = tools_of(stage, tmp_path, recent_days=ALL)
    monitoring = tools.stage.params.monitoring
    service = monitoring.service.model_copy(update={"unreadable": 0.0015})
    params = tools.stage.params.model_copy(update={"monitoring": monitoring.model_copy(update={"service": service})})

    report = run_monitoring(replace(tools, stage=replace(tools.stage, params=params)))

    log = judged(report, "service:log")
    assert (log.outcome, log.figures["unreadable"]) == (outcome, lines)
    assert f"{lines} of {900 + lines} lines are no records" in log.reason


def test_what_was_wrong_before_or_after_the_window_is_of_no_account(stage, month, tmp_path):
    spoil(write_log(tmp_path, part(month, 0, 300)), 100, 5)
    write_log(tmp_path, part(month, 300, 600), number=2)
    spoil(write_log(tmp_path, part(month, 600, 900), number=3), 100, 7)

    def lines(**window):
        return judged(run_monitoring(tools_of(stage, tmp_path, recent_days=ALL), **window), "service:log").figures[
            "unreadable"
        ]

    assert lines() == 12
    assert lines(since=month.times[310]) == 7
    assert lines(through=month.times[590]) == 5
    assert lines(since=month.times[310], through=month.times[590]) == 0


def test_a_line_of_another_day_of_the_same_file_is_of_no_account(stage, month, tmp_path):
    spoil(write_log(tmp_path, month), 100, 1)

    def log(**window):
        return judged(run_monitoring(tools_of(stage, tmp_path, recent_days=ALL), **window), "service:log")

    assert log().figures["unreadable"] == 1
    assert (log(since=month.times[700]).outcome, log(since=month.times[700]).figures["unreadable"]) == ("PASSED", 0)
    assert log(through=month.times[50]).figures["unreadable"] == 0
    assert (log(since=month.times[90], through=month.times[110]).outcome) == "FAILED"


def test_parcels_without_a_number_are_many(stage, month, tmp_path):
    path = write_log(tmp_path, month)
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records[:200]:
        record["inputs"]["parcel"] = None
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))

    report = run_monitoring(tools_of(stage, tmp_path, recent_days=ALL))

    assert (report.labels.predictions, report.labels.duplicates) == (900, 0)
    assert judged(report, "data:contract").outcome == "FAILED"


@pytest.mark.parametrize("time", ["+12345-01-01T00:00:00Z", "0000-06-01T00:00:00Z", "0001-01-01T00:00:00Z"])
def test_strange_years_cost_their_record_alone(stage, month, tmp_path, time):
    path = write_log(tmp_path, month)
    first, second, *others = [json.loads(line) for line in path.read_text().splitlines()]
    second["inputs"]["sent"] = time
    path.write_text("".join(f"{json.dumps(record)}\n" for record in (first | {"time": time}, second, *others)))

    report = run_monitoring(tools_of(stage, tmp_path, recent_days=ALL))

    assert judged(report, "service:log").figures["unreadable"] == (0 if time.startswith("0001") else 1)
    assert judged(report).outcome == "PASSED"


def test_another_version_of_the_log_is_told_from_lines_that_are_none(stage, month, tmp_path):
    path = write_log(tmp_path, month)
    other = json.dumps({"schema_version": 2, "time": "2024-04-20T00:00:00Z", "row": {"is": "an object now"}})
    path.write_bytes(path.read_bytes() + f"{other}\n".encode() * 3)

    log = judged(run_monitoring(tools_of(stage, tmp_path, recent_days=ALL)), "service:log")

    assert (log.outcome, log.figures["unreadable"], log.figures["other_version"]) == ("INCONCLUSIVE", 0, 3)
    assert "another version of the log than 1" in log.reason
