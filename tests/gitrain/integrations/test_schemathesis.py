"""Requests made up by the real Schemathesis, against a real server."""

import json

import pytest
from tests.gitrain.probes.service import serving

from gitrain.errors import IntegrationError
from gitrain.integrations.schemathesis import Schemathesis, read_events

pytestmark = pytest.mark.slow


def run(*defects, seed=3):
    with serving(*defects) as url:
        return Schemathesis().run(url, requests=25, seed=seed, progress=lambda _: None)


@pytest.fixture(scope="module")
def honest():
    return run()


def test_an_honest_service_has_no_findings(honest):
    assert honest.findings == ()
    assert honest.finished
    assert honest.requests >= 25 + 30
    assert honest.statuses[200] > 0
    assert honest.statuses[422] > 0
    assert honest.accepted[0] == honest.accepted[1] > 5
    assert set(honest.operations) == {"POST /predict", "GET /release"}


def test_the_same_seed_asks_the_same(honest):
    again = run()

    assert (again.requests, again.valid, again.accepted, again.statuses) == (
        honest.requests,
        honest.valid,
        honest.accepted,
        honest.statuses,
    )


def test_an_error_is_found_with_the_smallest_request_that_showed_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = run("error-3", seed=4)

    # Neither its database nor its reports are left where it was run.
    assert list(tmp_path.iterdir()) == []

    assert {finding.kind for finding in found.findings} == {"server-error", "undescribed"}
    error = next(finding for finding in found.findings if finding.kind == "server-error")
    assert (error.operation, error.status, error.title) == ("POST /predict", 500, "Server error")
    assert error.count == found.statuses[500] > 1
    assert len(json.loads(error.request.body or b"")["parcels"]) >= 3
    assert error.request.url.endswith("/predict")


def test_a_service_without_a_description():
    with pytest.raises(IntegrationError, match="Schemathesis ended with"):
        Schemathesis().run("http://127.0.0.1:9", requests=1, seed=0, progress=lambda _: None)


def event(kind="negative", components=None, status=200, check="negative_data_rejection"):
    meta = {"generation": {"mode": kind}, "components": components or {"body": {"mode": "negative"}}}
    failure = {"title": "Accepted", "message": "it should\n not have been"}
    recorder = {
        "label": "POST /predict",
        "cases": {"a": {"value": {"meta": meta, "body": {}}}},
        "checks": {"a": [{"name": check, "status": "failure", "failure_info": {"failure": failure}}]},
        "interactions": {
            "a": {
                "request": {"method": "POST", "uri": "http://h/predict", "headers": {}, "body": {"$base64": "e30="}},
                "response": {"status_code": status} if status else None,
            }
        },
    }
    return json.dumps({"ScenarioFinished": {"recorder": recorder}})


END = json.dumps({"EngineFinished": {"stop_reason": "completed"}})


def test_bad_input_that_is_accepted_is_a_finding():
    found = read_events([[event(), event(), END]], seconds=1)

    assert [(each.kind, each.count, each.request.body) for each in found.findings] == [("accepted", 2, b"{}")]
    assert found.findings[0].details == "it should not have been"


@pytest.mark.parametrize(
    "changes", [{"status": 413}, {"components": {"header": {"mode": "negative"}, "body": {"mode": "positive"}}}]
)
def test_a_refusal_of_any_kind_and_a_header_that_is_passed_over_are_none(changes):
    assert read_events([[event(**changes), END]], seconds=1).findings == ()


def test_an_answer_that_did_not_come_is_a_finding():
    lost = {"NonFatalError": {"label": "GET /release", "value": {"type": "ReadTimeout", "message": "timed out"}}}

    found = read_events([[event(status=0, check="not_a_server_error"), json.dumps(lost), END]], seconds=1)

    assert {(each.operation, each.title) for each in found.findings} >= {
        ("POST /predict", "No answer"),
        ("GET /release", "No answer"),
    }
    assert found.statuses == {0: 1}


def test_slices_are_added_up_and_each_has_to_end():
    both = read_events([[event(), END], [event(), END]], seconds=1)

    assert (both.requests, both.findings[0].count, both.finished) == (2, 2, True)
    assert not read_events([[event(), END], [event()]], seconds=1).finished


def test_a_run_that_was_stopped_has_not_ended():
    stopped = json.dumps({"EngineFinished": {"stop_reason": "server_unavailable"}})

    assert not read_events([[event(), stopped]], seconds=1).finished
    assert not read_events([[event()]], seconds=1).finished


@pytest.mark.parametrize(
    "line", ["{", '{"ScenarioFinished": {}}', "3", '{"FatalError": {"value": 1}}', '{"ScenarioFinished": 3}']
)
def test_events_that_nobody_knows_are_an_error_and_not_a_success(line):
    with pytest.raises(IntegrationError):
        read_events([[line]], seconds=1)
