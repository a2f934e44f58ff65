"""How answers to made-up and hostile requests are judged."""

from collections import Counter
from dataclasses import replace

import pytest
from tests.gitrain.probes.fakes import SilentFuzzer

from gitrain.probes.client import Reply
from gitrain.probes.contract_verdicts import judge_fuzzing, judge_hostile, judge_still_there
from gitrain.probes.fuzzing import Finding, FuzzedRequest
from gitrain.probes.hostile import HostileReply, HostileRequest, hostile_requests
from gitrain.verdicts import Outcome

RUN = SilentFuzzer().run("http://h", requests=100, seed=0, progress=lambda _: None)
FINDING = Finding(
    kind="server-error",
    title="Server error",
    operation="POST /predict",
    details="",
    status=500,
    count=3,
    request=FuzzedRequest(method="POST", url="http://h/predict", body=b"{}"),
)


def outcomes(verdicts):
    return {verdict.name.partition(":")[2]: verdict.outcome for verdict in verdicts}


def test_a_run_without_findings_passes():
    assert set(outcomes(judge_fuzzing(RUN)).values()) == {Outcome.PASSED}


@pytest.mark.parametrize(
    ("kind", "name"), [("server-error", "server-errors"), ("undescribed", "description"), ("accepted", "refusals")]
)
def test_a_finding_fails_its_rule_and_shows_how_to_see_it_again(kind, name):
    verdicts = judge_fuzzing(replace(RUN, findings=(replace(FINDING, kind=kind),)))

    assert [each for each, outcome in outcomes(verdicts).items() if outcome is Outcome.FAILED] == [name]
    failed = next(each for each in verdicts if each.outcome is Outcome.FAILED)
    assert failed.figures["example_1"] == "curl -sS -i -X POST --data-binary '{}' http://h/predict"
    assert failed.reason.startswith("3 of 100 made-up requests")


def test_a_run_that_did_not_end_is_no_evidence():
    assert set(outcomes(judge_fuzzing(replace(RUN, finished=False))).values()) == {
        Outcome.INCONCLUSIVE,
        Outcome.PASSED,
    }
    nothing = replace(RUN, requests=0, accepted=(0, 0), statuses=Counter())
    assert set(outcomes(judge_fuzzing(nothing)).values()) == {Outcome.INCONCLUSIVE}


def test_a_service_that_accepts_nothing_fails():
    assert outcomes(judge_fuzzing(replace(RUN, accepted=(0, 50))))["acceptance"] is Outcome.FAILED


REFUSED = HostileRequest(name="no JSON", chunks=(b"",))
ALLOWED = HostileRequest(name="a content type", chunks=(b"",), refused=False)


@pytest.mark.parametrize(
    ("each", "why"),
    [
        (HostileReply(request=REFUSED, reply=Reply(status=422)), ""),
        (HostileReply(request=REFUSED, reply=None), ""),
        (HostileReply(request=REFUSED, reply=Reply(status=501)), ""),
        (HostileReply(request=ALLOWED, reply=Reply(status=200)), ""),
        (HostileReply(request=REFUSED, reply=Reply(status=200)), "accepted with 200"),
        (HostileReply(request=ALLOWED, reply=Reply(status=500)), "answered with 500"),
        (HostileReply(request=ALLOWED, reply=Reply(status=503)), "answered with 503"),
        (HostileReply(request=REFUSED, reply=None, hung=True), "neither an answer nor the end"),
        (
            HostileReply(request=REFUSED, reply=Reply(status=400, body=b"Traceback (most recent call last):\n")),
            "shows a traceback",
        ),
    ],
)
def test_hostile_requests(each, why):
    verdict = judge_hostile([each])

    assert verdict.outcome is (Outcome.FAILED if why else Outcome.PASSED)
    assert why in verdict.reason


def test_hostile_requests_are_many_and_told_apart():
    requests = hostile_requests("127.0.0.1:3000", "/predict", b'{"rows": [{"size": 1}]}')

    assert len({each.name for each in requests}) == len(requests) >= 50
    assert any(len(b"".join(each.chunks)) > 11 * 2**20 for each in requests)


def test_a_good_request_afterwards():
    assert judge_still_there("", asked="after all of them").outcome is Outcome.PASSED
    assert judge_still_there("POST /predict answers 503", asked="after all").outcome is Outcome.FAILED
