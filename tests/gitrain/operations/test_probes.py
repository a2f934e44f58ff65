"""The probes: what is asked in which order, and what is told where nobody answers."""

import json
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from tests.gitrain.probes.fakes import FakeClient, FakeClock, InstantLoad, PoliteSender, SilentFuzzer
from tests.gitrain.probes.service import DOCUMENT, KNOWN, score

from gitrain.environments.document import LoadLimits, LoadProbe
from gitrain.errors import IntegrationError
from gitrain.operations.probe_contract import probe_contract
from gitrain.operations.probe_load import probe_load
from gitrain.operations.probe_smoke import probe_smoke, wait_until_ready
from gitrain.probes.client import Reply
from gitrain.probes.fuzzing import Finding, FuzzedRequest, FuzzingRun
from gitrain.probes.payloads import payloads_of
from gitrain.serving.manifest import KnownAnswers
from gitrain.verdicts import Outcome

ROWS = KnownAnswers.model_validate(KNOWN)


def predict(body: bytes) -> Reply:
    rows = json.loads(body)["parcels"]
    if not all(type(row["size"]) in (int, float) and 0 <= row["size"] <= 100 for row in rows):
        return Reply(status=422)
    if not all(row["place"] in ("north", "south") for row in rows if isinstance(row["place"], str | None)):
        return Reply(status=422)
    answers = [{"probability": score(row), "decision": True, "missing": ["wind"], "stale": []} for row in rows]
    return Reply(status=200, body=json.dumps({"predictions": answers}).encode())


HONEST: dict[str, Reply | Callable[[bytes], Reply] | None] = {
    "GET /readyz": Reply(status=200),
    "GET /release": Reply(status=200, body=b'{"version": "1.4.0"}'),
    "GET /docs.json": Reply(status=200, body=json.dumps(DOCUMENT).encode()),
    "POST /predict": predict,
}


def smoke(client, *, ready_seconds=5.0, expected=None):
    clock = FakeClock()
    verdicts = probe_smoke(
        client,
        ROWS,
        ready_seconds=ready_seconds,
        expected=expected or {"version": "1.4.0"},
        clock=clock,
        sleep=clock.sleep,
        progress=lambda _: None,
    )
    return {verdict.name: verdict for verdict in verdicts}


def contract(client, fuzzer=None, sender=None):
    told: list[str] = []
    verdicts = probe_contract(
        client, fuzzer or SilentFuzzer(), sender or PoliteSender(), ROWS, requests=10, seed=0, progress=told.append
    )
    return {verdict.name: verdict for verdict in verdicts}


def test_an_honest_service_passes_the_smoke_probe():
    found = smoke(FakeClient(HONEST))

    assert list(found) == ["smoke:ready", "smoke:release", "smoke:known-answers"]
    assert {each.outcome for each in found.values()} == {Outcome.PASSED}


def test_a_service_that_is_not_ready_is_asked_nothing_more():
    client = FakeClient(HONEST | {"GET /readyz": Reply(status=503)})

    found = smoke(client, ready_seconds=2)

    assert [(name, each.outcome) for name, each in found.items()] == [("smoke:ready", Outcome.FAILED)]
    assert set(client.asked) == {"GET /readyz"}
    assert 15 < len(client.asked) < 25


def test_readiness_is_waited_for():
    clock, answers = FakeClock(), iter([None, None, 503, 200])

    class Waking(FakeClient):
        def send(self, method, path, body=None, headers=None):
            status = next(answers)
            if status is None:
                raise IntegrationError("nobody answers", fix="start it.")
            return Reply(status=status)

    seconds, said = wait_until_ready(Waking({}), 10, clock=clock, sleep=clock.sleep)

    assert seconds == pytest.approx(0.3)
    assert said == "/readyz answers 200"


def test_who_has_ended_is_not_waited_for():
    clock = FakeClock()

    found = wait_until_ready(
        FakeClient({"GET /readyz": None}), 100, clock=clock, sleep=clock.sleep, gone=lambda: "it ended with 1"
    )

    assert found == (None, "it ended with 1")
    assert clock.now == 0


@pytest.mark.parametrize(
    ("changes", "failed", "reason"),
    [
        ({"GET /release": Reply(status=200, body=b'{"version": "1.3.0"}')}, "smoke:release", "'1.3.0'"),
        ({"GET /release": Reply(status=200, body=b"[" * 100_000)}, "smoke:release", "answered with 200"),
        ({"GET /release": None}, "smoke:release", "nobody answers"),
        ({"POST /predict": None}, "smoke:known-answers", "nobody answers"),
        ({"POST /predict": Reply(status=500, body=b"oh")}, "smoke:known-answers", "answered with 500: oh"),
        ({"GET /docs.json": Reply(status=200, body=b"{}")}, "smoke:known-answers", "does not say"),
        ({"GET /docs.json": Reply(status=404)}, "smoke:known-answers", "no OpenAPI document"),
    ],
)
def test_what_is_wrong_fails_its_own_rule(changes, failed, reason):
    found = smoke(FakeClient(HONEST | changes))

    assert [name for name, each in found.items() if each.outcome is not Outcome.PASSED] == [failed]
    assert reason in found[failed].reason


def test_the_warm_up_is_sent_and_not_counted():
    generator = InstantLoad()
    load = LoadProbe(rate=100, seconds=3, warm_up_seconds=2, timeout_seconds=4, limits=LoadLimits(p99_ms=5))

    verdicts = probe_load(generator, "http://h", payloads_of(ROWS, "parcels"), load, seed=0, progress=lambda _: None)

    assert generator.asked == [(500, 4)]
    assert verdicts[0].figures["requests"] == 300
    assert {verdict.name: verdict.outcome for verdict in verdicts} == dict.fromkeys(
        ["load:schedule", "load:errors", "load:refused", "load:p99"], Outcome.PASSED
    )


def test_random_arrivals_are_those_of_the_seed():
    asked = []

    class Keeping(InstantLoad):
        def run(self, url, due, payloads, **how):
            asked.append(due)
            return super().run(url, due, payloads, **how)

    load = LoadProbe(rate=50, seconds=2, arrivals="poisson")
    for seed in (1, 1, 2):
        probe_load(Keeping(), "http://h", payloads_of(ROWS, "parcels"), load, seed=seed, progress=lambda _: None)

    assert np.array_equal(asked[0], asked[1])
    assert not np.array_equal(asked[0], asked[2])


def test_an_honest_service_passes_the_contract_probe():
    found = contract(FakeClient(HONEST))

    assert {each.outcome for each in found.values()} == {Outcome.PASSED}
    assert list(found)[-3:] == ["contract:variants", "contract:hostile", "contract:still-there"]
    assert found["contract:variants"].figures["requests"] == 22
    assert 0 < found["contract:variants"].figures["accepted"] <= 22


def test_an_error_on_a_known_row_with_a_change_is_found():
    def brittle(body: bytes) -> Reply:
        return Reply(status=500) if len(json.loads(body)["parcels"]) > 4 else predict(body)

    found = contract(FakeClient(HONEST | {"POST /predict": brittle}))

    assert found["contract:variants"].outcome is Outcome.FAILED
    assert found["contract:variants"].figures["example_1"].startswith("curl -sS -i -X POST")


def test_what_predicts_was_not_tried_where_no_change_is_accepted():
    answers = iter([predict])

    def once(body: bytes) -> Reply:
        return next(answers, lambda _: Reply(status=422))(body)

    assert contract(FakeClient(HONEST | {"POST /predict": once}))["contract:variants"].outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("answer", [None, Reply(status=503), Reply(status=422)])
def test_a_service_that_answers_no_good_request_is_not_asked_bad_ones(answer):
    found = contract(FakeClient(HONEST | {"POST /predict": answer}))

    assert [(name, each.outcome) for name, each in found.items()] == [("contract:still-there", Outcome.FAILED)]


def test_a_service_that_dies_of_a_hostile_request_fails():
    class Dying:
        def send(self, url, request, *, begun=lambda: None):
            raise IntegrationError("nobody answers at http://h any more", fix="look at its log.")

    found = contract(FakeClient(HONEST), sender=Dying())

    assert {name: each.outcome for name, each in found.items()} == {
        "contract:hostile": Outcome.FAILED,
        "contract:still-there": Outcome.FAILED,
    }


class Finder:
    """Finds one error with a large body."""

    def __init__(self, body: bytes, status: int | None = 500) -> None:
        self._body, self._status = body, status

    def run(self, url, *, requests, seed, progress):
        request = FuzzedRequest(method="POST", url=f"{url}/predict", body=self._body)
        finding = Finding(
            kind="server-error",
            title="Server error",
            operation="POST /predict",
            details="",
            status=self._status,
            count=1,
            request=request,
        )
        return FuzzingRun(
            requests=1,
            valid=1,
            accepted=(1, 1),
            statuses=Counter({500: 1}),
            findings=(finding,),
            operations=("POST /predict",),
            seconds=1.0,
        )


def failing_on(word: str):
    def answer(body: bytes) -> Reply:
        return Reply(status=500 if word in body.decode() else 200)

    return FakeClient(HONEST | {"POST /predict": answer})


def test_an_error_is_shown_with_the_smallest_body():
    body = json.dumps({"parcels": [{"size": number, "place": "x" * 20, "evil": 7} for number in range(50)]}).encode()

    found = contract(failing_on("evil"), Finder(body))

    assert found["contract:server-errors"].outcome is Outcome.FAILED
    example = str(found["contract:server-errors"].figures["example_1"])
    assert "evil" in example
    assert len(example) < 120


@pytest.mark.parametrize("finder", [Finder(b"\xff{"), Finder(b'{"quiet": 1}'), Finder(b'{"evil": 1}', status=None)])
def test_an_error_that_cannot_be_made_smaller_is_shown_as_it_was(finder):
    found = contract(failing_on("evil"), finder)

    assert found["contract:server-errors"].outcome is Outcome.FAILED
    assert found["contract:server-errors"].figures["example_1"]
