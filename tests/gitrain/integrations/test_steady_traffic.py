import contextlib
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from gitrain.errors import IntegrationError
from gitrain.integrations.local_process import processes_with
from gitrain.integrations.steady_traffic import SteadyTraffic, count, send_until
from gitrain.probes.load import LoadSamples


def samples(status, waited=0.01, lost="none within 10 s"):
    number = len(status)
    due = np.arange(number) / 10
    zeros = np.zeros(number, dtype=np.int32)
    return LoadSamples(
        started=0.0,
        due=due,
        sent=due,
        written=due,
        done=due + waited,
        status=np.array(status, dtype=np.int16),
        lost=np.array(["" if each else lost for each in status], dtype=np.object_),
        rows=zeros,
        missing=zeros,
        stale=zeros,
    )


def wait_for(condition):
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_whatever_is_not_200_has_failed():
    found = count([samples([200, 500, 0]), samples([200, 429], waited=0.5)], 2.04)
    assert (found.total, found.failed, found.seconds) == (5, 3, 2.0)
    assert found.failures == {"status 500": 1, "none within 10 s": 1, "status 429": 1}
    assert (found.p50_ms, found.longest_ms) == (10.0, 500.0)
    assert count([], 0.0).total == 0


def test_a_stretch_begins_on_time_although_the_last_has_no_answers_yet():
    ended, release, begun = threading.Event(), threading.Event(), []

    def send(seconds, number):
        begun.append(number)
        if number == 0:
            assert release.wait(60)
        else:
            release.set()
            ended.set()
        return samples([200] * 3)

    told = []
    found = send_until(ended, send, told.append)

    assert begun[:2] == [0, 1]
    assert found.total == 3 * len(begun)
    assert (told[0].total, told[-1]) == (0, found)


@pytest.fixture
def service():
    asked = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            asked.append(body)
            answer = b'{"predictions": [{"missing": [], "stale": []}]}'
            # A row in three is too much for it.
            self.send_response(500 if body == b"three" else 200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError):
                self.wfile.write(answer)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_users_of_a_real_server_are_counted_to_the_last(service, tmp_path):
    url, asked = service
    traffic = SteadyTraffic(tmp_path, dict(os.environ))
    traffic.start(url, "one\ntwo\nthree\n", 30.0)
    wait_for(lambda: traffic.so_far().total >= 30)
    found = traffic.stop()

    assert found.total == len(asked)
    assert found.failed == sum(body == b"three" for body in asked)
    assert abs(found.failed - found.total / 3) <= 1
    assert traffic.stop().total == 0


def test_nothing_is_counted_before_anybody_came(tmp_path):
    traffic = SteadyTraffic(tmp_path, {})
    assert (traffic.so_far().total, traffic.stop().total) == (0, 0)


def test_users_who_cannot_start_are_told(tmp_path):
    with pytest.raises(IntegrationError, match="no request could be sent"):
        SteadyTraffic(tmp_path, dict(os.environ)).start("http://127.0.0.1:1", "", 30.0)


def test_users_who_were_killed_are_no_result(service, tmp_path):
    url, _ = service
    variables = {**os.environ, "WHOSE": str(tmp_path)}
    traffic = SteadyTraffic(tmp_path, variables)
    traffic.start(url, "one\n", 5.0)
    (process,) = processes_with("WHOSE", str(tmp_path))
    os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not process.alive)
    with pytest.raises(IntegrationError, match="left by themselves"):
        traffic.stop()
