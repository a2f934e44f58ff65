import asyncio
import json
import logging

import pytest
from prometheus_client import CollectorRegistry
from tests.gitrain.serving.counters import SCHEMA, Lookup, answering

from gitrain.errors import FeatureError, IntegrationError, ModelError
from gitrain.integrations.bentoml.application import Application
from gitrain.integrations.bentoml.limits import Limits
from gitrain.integrations.bentoml.metrics import ServiceMetrics
from gitrain.serving.opened import OpenedService
from gitrain.serving.shadow import Compared

GOOD = {"counters": [{"number": 41}]}


class Service:
    """An application of made-up parts, with a clock that stands still until it is moved."""

    def __init__(self, *, limits=None, remote=False, copies=False):
        self.now = 1000.0
        self.registry = CollectorRegistry()
        self.lookup = Lookup()
        self.reason = None
        self.opening = None
        self.closed = 0
        self.checks = 0
        self.remote = remote
        self.copies = copies
        self.copied = []
        self.application = Application(
            open_service=self.open,
            metrics=ServiceMetrics(self.registry),
            document=lambda: {"openapi": "3.1.0"},
            limits=limits or Limits(),
            clock=lambda: self.now,
        )
        self.asgi = self.application.before(self.behind)
        self.handed_on = []

    def open(self, observer):
        if self.opening is not None:
            raise self.opening
        self.observer = observer
        return OpenedService(
            schema=SCHEMA,
            answering=answering(self.lookup, observer),
            remote=self.remote,
            describe=lambda: {"version": "1.4.0"},
            check=self.check,
            close=self.close,
            copy=(lambda *copied: self.copied.append(copied)) if self.copies else None,
        )

    def check(self):
        self.checks += 1
        return self.reason

    def close(self):
        self.closed += 1

    async def behind(self, scope, receive, send):
        self.handed_on.append(scope["type"] if scope["type"] != "http" else scope["path"])

    def count(self, status):
        return self.registry.get_sample_value("gitrain_requests_total", {"status": str(status)}) or 0


@pytest.fixture
def service():
    made = Service()
    made.application.open()
    return made


class Answered:
    def __init__(self, messages):
        self.status = messages[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        self.body = b"".join(message["body"] for message in messages[1:])
        assert int(self.headers["content-length"]) == len(self.body)

    @property
    def json(self):
        return json.loads(self.body)


async def ask(service, body=b"", *, path="/predict", method="POST", headers=(), parts=None):
    parts = list(parts) if parts is not None else [body]
    incoming = iter(
        {"type": "http.request", "body": part, "more_body": place < len(parts) - 1} for place, part in enumerate(parts)
    )
    sent = []

    async def receive():
        message = next(incoming, None)
        if message is None:
            await asyncio.Event().wait()
        return message

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": path, "method": method, "headers": list(headers)}
    await service.asgi(scope, receive, send)
    return Answered(sent) if sent else None


def post(service, payload=GOOD, **options):
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return asyncio.run(ask(service, body, **options))


def test_a_request_is_answered(service):
    answered = post(service)

    assert answered.status == 200
    assert answered.headers["content-type"] == "application/json"
    assert answered.json["predictions"][0]["probability"] == 0.41
    assert answered.json["request_id"] == answered.headers["x-request-id"]
    assert service.count(200) == 1


def test_requests_at_the_same_time_share_one_look_up(service):
    async def many():
        return await asyncio.gather(
            *(ask(service, json.dumps({"counters": [{"number": number}]}).encode()) for number in range(20))
        )

    answered = asyncio.run(many())

    assert [one.json["predictions"][0]["probability"] for one in answered] == [number / 100 for number in range(20)]
    assert len({one.json["request_id"] for one in answered}) == 20
    assert len(service.lookup.calls) == 1


@pytest.mark.parametrize("name", ["a", "A-1_2.z", "x" * 64])
def test_a_sane_request_id_is_taken(service, name):
    answered = post(service, headers=[(b"x-request-id", name.encode())])

    assert answered.headers["x-request-id"] == answered.json["request_id"] == name


@pytest.mark.parametrize("name", [b"", b"x" * 65, b"a b", b'"', b"a\nb", b"\xff", b"a,b"])
def test_any_other_request_id_is_replaced(service, name):
    answered = post(service, headers=[(b"x-request-id", name)])

    assert answered.headers["x-request-id"] == answered.json["request_id"]
    assert answered.headers["x-request-id"].encode() != name


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[1]", 400),
        (b'{"counters": 1}', 400),
        (b'{"counters": []}', 422),
        (b'{"counters": [{"number": 101}]}', 422),
        (b'{"counters": [{"number": 5, "other": 5}]}', 422),
        (b'{"counters": [{"number": NaN}]}', 422),
        (b"[" * 100_000, 400),
        (b" " * 600_000, 413),
    ],
)
def test_bad_input_is_told_and_logged_by_nobody(service, caplog, body, status):
    answered = post(service, body)

    assert answered.status == status
    assert answered.json["request_id"] == answered.headers["x-request-id"]
    assert all(set(problem) == {"field", "reason", "value"} for problem in answered.json["problems"])
    assert answered.json["problems"]
    assert caplog.records == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "WHATEVER"])
def test_another_method_is_405(service, method):
    answered = post(service, method=method)

    assert (answered.status, answered.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ((b"content-type", b"application/json"), 200),
        ((b"content-type", b"application/json; charset=utf-8"), 200),
        ((b"content-type", b"Application/JSON"), 200),
        ((b"content-type", b"application/problem+json"), 200),
        ((b"content-type", b"text/plain"), 415),
        ((b"content-type", b"application/x-www-form-urlencoded"), 415),
        ((b"content-type", b"application/jsonx"), 415),
        ((b"content-type", b""), 415),
        ((b"content-type", b"\xff"), 415),
        ((b"content-encoding", b"gzip"), 415),
        ((b"content-encoding", b"identity"), 200),
        ((b"content-length", b"99999999999999999999999"), 413),
    ],
)
def test_the_head_of_a_request(service, header, status):
    assert post(service, headers=[header]).status == status


def test_a_body_in_pieces(service):
    body = json.dumps(GOOD).encode()

    assert post(service, parts=[body[:3], b"", body[3:10], body[10:]]).status == 200


def test_a_long_body_in_pieces_is_refused_before_all_of_it_is_read(service):
    answered = post(service, parts=[b" " * 300_000] * 1000)

    assert answered.status == 413
    assert answered.headers["connection"] == "close"


def test_a_body_that_does_not_arrive_is_given_up():
    service = Service(limits=Limits(body_seconds=0.01))
    service.application.open()

    async def slow():
        sent = []

        async def receive():
            if sent:
                await asyncio.Event().wait()
            sent.append(None)
            return {"type": "http.request", "body": b"{", "more_body": True}

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "path": "/predict", "method": "POST", "headers": []}
        await service.asgi(scope, receive, send)
        return Answered(sent[1:])

    assert asyncio.run(slow()).status == 408


def test_a_client_that_leaves_is_not_answered(service):
    async def left():
        async def receive():
            return {"type": "http.disconnect"}

        async def send(message):
            raise AssertionError(message)

        await service.asgi({"type": "http", "path": "/predict", "method": "POST", "headers": []}, receive, send)

    asyncio.run(left())


def test_what_is_too_much_is_429_and_the_rest_is_answered():
    service = Service(limits=Limits(waiting_rows=5))
    service.application.open()

    async def many():
        return await asyncio.gather(*(ask(service, json.dumps(GOOD).encode()) for _ in range(8)))

    answered = asyncio.run(many())

    assert [one.status for one in answered] == [200] * 5 + [429] * 3
    assert answered[-1].headers["retry-after"] == "1"
    assert service.count(429) == 3
    assert post(service).status == 200


def test_a_store_that_is_away_is_503_and_said_once_a_minute(service, caplog):
    service.lookup.failing = IntegrationError("redis://store:6379 does not answer", fix="start it.")
    for _ in range(5):
        answered = post(service)
        assert (answered.status, answered.headers["retry-after"]) == (503, "1")
        assert answered.json["problems"][0]["reason"] == "the feature store cannot be reached"
    assert len(caplog.records) == 1
    assert "redis://store:6379" in caplog.text
    service.now += 61
    post(service)
    assert len(caplog.records) == 2


def test_a_failure_is_500_names_no_details_and_is_logged_with_its_origin(service, caplog):
    service.lookup.failing = FeatureError("secret", fix="mend it.")

    answered = post(service)

    assert answered.status == 500
    assert b"secret" not in answered.body
    assert caplog.records[0].exc_info is not None
    assert answered.headers["x-request-id"] in caplog.text


def test_a_remote_store_is_asked_off_the_loop():
    service = Service(remote=True)
    service.application.open()

    assert post(service).status == 200
    service.application.close()
    assert service.closed == 1


def test_what_cannot_be_opened_is_not_ready_and_said(caplog):
    service = Service()
    service.opening = ModelError("models/serving/model.onnx has another digest", fix="restore it.")
    service.application.open()

    assert asyncio.run(service.application.ready()) is False
    assert post(service).status == 503
    assert post(service, path="/release", method="GET").status == 503
    assert "another digest" in caplog.text

    # Once it is mended the worker finds out by itself, and does not try all the time.
    service.opening = None
    assert asyncio.run(service.application.ready()) is False
    service.now += 5
    assert asyncio.run(service.application.ready()) is True
    assert post(service).status == 200


def test_ready_asks_once_a_second(service, caplog):
    def ready():
        return asyncio.run(service.application.ready())

    assert [ready(), ready(), ready()] == [True] * 3
    assert service.checks == 1
    service.now += 1
    service.reason = "the store is away"
    assert ready() is False
    assert service.registry.get_sample_value("gitrain_ready") == 0
    assert "the store is away" in caplog.text
    service.now += 1
    service.reason = None
    assert ready() is True
    assert service.checks == 3


def test_a_request_that_met_no_store_makes_ready_ask_again(service):
    assert asyncio.run(service.application.ready()) is True
    service.lookup.failing = IntegrationError("away", fix="start it.")
    service.reason = "away"
    post(service)

    assert asyncio.run(service.application.ready()) is False


def test_what_was_answered_is_offered_to_be_copied_and_nothing_else():
    service = Service(copies=True)
    service.application.open()
    answered = post(service, headers=[(b"x-request-id", b"mine")])
    assert service.copied == [("mine", json.dumps(GOOD).encode(), answered.body)]
    assert post(service, b"{").status == 400
    # A copy is not copied on, and counts as a request.
    assert post(service, headers=[(b"x-gitrain-copy", b"1")]).status == 200
    assert len(service.copied) == 1
    assert service.count(200) == 2


def test_where_nobody_copies_the_mark_of_a_copy_means_nothing(service):
    assert post(service, headers=[(b"x-gitrain-copy", b"1")]).status == 200
    assert service.copied == []


def test_copies_are_counted(service):
    service.observer.copied("compared", Compared(rows=5, decisions=2, far=1))
    service.observer.copied("dropped", None)

    def value(name, **labels):
        return service.registry.get_sample_value(f"gitrain_shadow_{name}_total", labels)

    outcomes = ("compared", "failed", "refused", "dropped")
    assert [value("copies", outcome=outcome) for outcome in outcomes] == [1, 0, 0, 1]
    assert value("rows") == 5
    assert [value("differences", kind=kind) for kind in ("decision", "probability")] == [2, 1]


def test_features_that_were_never_missing_are_counted_as_zero(service):
    post(service)
    found = {
        sample.labels["feature"]
        for metric in service.registry.collect()
        for sample in metric.samples
        if sample.name == "gitrain_missing_features_total"
    }
    assert found == {"number", "gust"}


def test_release_and_docs(service):
    assert post(service, path="/release", method="GET").json == {"version": "1.4.0"}
    assert post(service, path="/docs.json", method="GET").json == {"openapi": "3.1.0"}
    metrics = post(service, path="/metrics", method="GET")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert b"gitrain_requests_total" in metrics.body
    for path in ("/release", "/docs.json", "/metrics"):
        answered = post(service, path=path)
        assert (answered.status, answered.headers["allow"]) == (405, "GET")


def test_other_paths_and_protocols_are_handed_on(service):
    async def hand_on():
        await service.asgi({"type": "lifespan"}, None, None)
        await service.asgi({"type": "http", "path": "/livez", "method": "GET", "headers": []}, None, None)
        await service.asgi({"type": "websocket", "path": "/predict"}, None, None)

    asyncio.run(hand_on())
    assert service.handed_on == ["lifespan", "/livez", "websocket"]


def test_lost_records_are_said(service, caplog):
    service.observer.dropped(3, "full")
    service.observer.failed(OSError(28, "No space left on device"))

    assert caplog.messages == [
        "3 predictions are missing in the prediction log (full)",
        "the prediction log, or a copy of it, cannot be written: [Errno 28] No space left on device",
    ]
    assert {record.levelno for record in caplog.records} == {logging.ERROR}
