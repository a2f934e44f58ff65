"""Load on a real server: what users would see, not what one caller in turn sees."""

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from tests.gitrain.probes.service import KNOWN, serving

from gitrain.integrations.http_client import HttpClient
from gitrain.integrations.http_load import HttpLoad
from gitrain.operations.probe_smoke import wait_until_ready
from gitrain.probes.arrivals import arrival_times
from gitrain.probes.load import LoadFigures, percentile
from gitrain.probes.payloads import payloads_of
from gitrain.serving.manifest import KnownAnswers

ROOT = Path(__file__).resolve().parents[3]
PAYLOADS = payloads_of(KnownAnswers.model_validate(KNOWN), "parcels")


def run(url, rate, seconds, *, timeout=10.0, told=lambda _: None):
    return HttpLoad().run(url, arrival_times(rate, seconds), PAYLOADS, timeout=timeout, progress=told)


@contextlib.contextmanager
def process(*defects):
    """The service in a process of its own: a stall of it is none of the generator's."""
    from gitrain.integrations.free_ports import free_port

    port = free_port()
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.gitrain.probes.service", str(port), *defects], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}"
        ready, said = wait_until_ready(HttpClient(url=url), 60, clock=time.monotonic, sleep=time.sleep)
        assert ready is not None, said
        yield url
    finally:
        child.kill()
        child.wait()


def closed_loop(url, requests):
    """The latencies that one caller sees who asks again once it was answered."""
    client, found = HttpClient(url=url), []
    for _ in range(requests):
        begun = time.monotonic()
        assert client.send("POST", "/predict", PAYLOADS[0].body, {"content-type": "application/json"}).status == 200
        found.append(time.monotonic() - begun)
    return np.array(found)


@pytest.mark.slow
def test_a_stall_shows_as_users_see_it_and_not_to_one_caller():
    """The service stands still for 0.3 s once: 1.5 s at 150 a second hold 45 users that it hits."""
    with process("stall") as url:
        samples = run(url, 150, 1.5)
    with process("stall") as url:
        in_turn = closed_loop(url, 400)

    figures = LoadFigures.of(samples, seconds=1.5)
    assert figures.errors == 0
    waited = samples.done - samples.due
    assert percentile(waited, 0.9) > 0.1
    assert figures.latency["p99"] > 250
    assert figures.longest_pause > 250
    # One caller met the stall too, once in 400, and its percentile hides it.
    assert in_turn.max() > 0.29
    assert percentile(in_turn, 0.99) < 0.25


def test_each_request_is_sent_when_due_and_its_answer_counted():
    told = []
    with serving("missing", "refuse") as url:
        samples = run(url, 60, 1.2, told=told.append)

    assert len(samples.due) == 72
    assert (samples.sent >= samples.due).all()
    assert (samples.done >= samples.sent).all()
    assert dict(zip(*np.unique(samples.status, return_counts=True), strict=True)) == {200: 65, 429: 7}
    assert set(samples.lost) == {""}
    # Each says that `delays` is missing, which the known rows have.
    assert samples.missing.sum() == samples.rows.sum() == 65
    assert any("requests" in line for line in told)


def test_it_is_known_when_a_request_had_left_and_one_that_cannot_is_known_too():
    with serving() as url:
        samples = run(url, 40, 0.5)
    assert (samples.sent <= samples.written).all()
    assert (samples.written < samples.done).all()

    # Nobody takes it: what had not left by some moment is not what failed before.
    refused = run("http://127.0.0.1:9", 40, 0.2, timeout=30.0)
    assert (refused.sent < refused.written).all()
    assert (refused.written < refused.done).all()


def test_a_request_that_was_begun_has_not_left_as_long_as_the_generator_stands_still():
    def slowly():
        read = time.monotonic()
        time.sleep(0.05)
        return read

    with serving() as url:
        samples = HttpLoad(clock=slowly).run(url, np.zeros(1), PAYLOADS, timeout=60.0, progress=lambda _: None)

    assert samples.written[0] - samples.sent[0] >= 0.05


def test_a_load_ends_when_no_more_is_wanted_and_what_was_sent_is_answered():
    with serving() as url:
        samples = HttpLoad().run(
            url,
            arrival_times(50, 600),
            PAYLOADS,
            timeout=60.0,
            progress=lambda _: None,
            more=lambda finished: finished < 5,
        )

    assert 5 <= len(samples.due) < 600 * 50
    assert {len(values) for name, values in vars(samples).items() if name != "started"} == {len(samples.due)}
    assert (samples.status == 200).all()


def test_a_service_that_hangs_is_given_up_and_does_not_stop_the_others():
    with serving("hang") as url:
        samples = run(url, 20, 0.5, timeout=3.0)

    assert (samples.status == 0).all()
    assert set(samples.lost) == {"none within 3 s"}
    assert not np.isnan(samples.sent).any()
    assert np.allclose(samples.done - samples.due, 3.0)


def test_where_nobody_listens_every_user_waits_in_vain():
    samples = run("http://127.0.0.1:9", 50, 0.2, timeout=30.0)

    assert (samples.status == 0).all()
    assert set(samples.lost) == {"ClientConnectorError ECONNREFUSED"}
    assert np.allclose(samples.done - samples.due, 30.0)


@pytest.mark.parametrize(
    ("garbage", "why"),
    [
        (b"no HTTP at all\r\n\r\n", "ClientResponseError"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{}", "ClientPayloadError"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "200 without the predictions"),
        (b"", "ServerDisconnectedError"),
    ],
)
def test_an_answer_that_is_none_is_an_error(garbage, why):
    """A server that says something and closes."""

    async def serve(ready):
        async def answer(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(garbage)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        ready.append((asyncio.get_running_loop(), server.sockets[0].getsockname()[1]))
        with contextlib.suppress(asyncio.CancelledError):
            await server.serve_forever()

    ready: list = []
    thread = threading.Thread(target=lambda: asyncio.run(serve(ready)))
    thread.start()
    deadline = time.monotonic() + 60
    while not ready and time.monotonic() < deadline:
        time.sleep(0.01)
    loop, port = ready[0]
    try:
        samples = run(f"http://127.0.0.1:{port}", 20, 0.2, timeout=30.0)
    finally:
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
        thread.join(60)

    assert (samples.status == 0).all()
    assert set(samples.lost) == {why}


def test_known_answers_are_sent_in_turn():
    assert [json.loads(each.body)["parcels"][0]["size"] for each in PAYLOADS] == [1, 1, 40, 40, 99.5, 99.5]
