"""Bytes over a socket, against a real server."""

import contextlib
import socket
import threading

import pytest
from tests.gitrain.probes.service import KNOWN, serving

from gitrain.errors import IntegrationError
from gitrain.integrations.http_client import HttpClient
from gitrain.integrations.raw_http import RawHttp
from gitrain.probes.contract_verdicts import judge_hostile
from gitrain.probes.hostile import HostileRequest, hostile_requests, slow_request
from gitrain.probes.payloads import payloads_of
from gitrain.serving.manifest import KnownAnswers
from gitrain.verdicts import Outcome

GOOD = payloads_of(KnownAnswers.model_validate(KNOWN), "parcels")[0].body
SENDER = RawHttp(timeout=60, pause=0.01)


@contextlib.contextmanager
def answering(*parts):
    """A server for one connection that sends these bytes, and then nothing."""
    listening = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve():
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            for part in parts:
                connection.sendall(part)
            done.wait(10)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        done.set()
        thread.join(10)
        listening.close()


def test_an_honest_service_refuses_them_all_and_goes_on():
    with serving() as url:
        replies = [SENDER.send(url, each) for each in hostile_requests(url.removeprefix("http://"), "/predict", GOOD)]
        afterwards = HttpClient(url=url).send("POST", "/predict", GOOD, {"content-type": "application/json"})

    assert judge_hostile(replies).outcome is Outcome.PASSED, judge_hostile(replies).reason
    statuses = {each.request.name: each.reply.status for each in replies if each.reply is not None}
    assert statuses["invalid UTF-8"] == 400
    assert statuses["11 MiB of a text"] == 413
    assert statuses["a body in chunks"] == 200
    assert statuses["the method HEAD"] == 405
    assert afterwards.status == 200


def test_a_slow_body_is_waited_for():
    with serving() as url:
        reply = SENDER.send(url, slow_request(url.removeprefix("http://"), "/predict", GOOD)).reply

    assert reply is not None
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")


def test_what_follows_the_first_chunk_waits_for_whoever_wants_to_know_of_it():
    told = []
    with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.ExitStack() as stack:

        def begun():
            connection = stack.enter_context(listening.accept()[0])
            told.append(connection.recv(65536))
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        reply = SENDER.send(url, HostileRequest(name="x", chunks=(b"POST / ", b"HTTP/1.1\r\n\r\n")), begun=begun).reply

    assert told == [b"POST / "]
    assert reply is not None


def test_an_answer_on_a_connection_that_stays_open_is_read_by_its_length():
    with answering(b"HTTP/1.1 422 No\r\ncontent-length: 4\r\n\r\n", b"nope") as url:
        reply = SENDER.send(url, HostileRequest(name="x", chunks=(b"GET / HTTP/1.1\r\n\r\n",))).reply

    assert reply is not None
    assert (reply.status, reply.body) == (422, b"nope")


def test_silence_is_told_from_a_refusal():
    request = HostileRequest(name="x", chunks=(b"GET / HTTP/1.1\r\n\r\n",))
    with answering() as url:
        silent = RawHttp(timeout=0.3).send(url, request)
    assert (silent.reply, silent.hung) == (None, True)


@pytest.mark.parametrize("content", [b"\x00\x01\x02\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"])
def test_an_answer_that_is_no_http_is_none(content):
    with answering(content) as url:
        found = RawHttp(timeout=0.3).send(url, HostileRequest(name="x", chunks=(b"GET / HTTP/1.1\r\n\r\n",)))
    assert found.reply is None


def test_nobody_there():
    with pytest.raises(IntegrationError, match="nobody answers at"):
        SENDER.send("http://127.0.0.1:9", HostileRequest(name="x", chunks=(b"",)))
    with pytest.raises(IntegrationError, match="got no answer"):
        HttpClient(url="http://127.0.0.1:9").send("GET", "/")
