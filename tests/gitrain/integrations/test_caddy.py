"""A real Caddy before real HTTP servers on the loopback interface."""

import http.client
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from _bentoml_impl.worker.service import main as bentoml_server  # type: ignore[import-untyped]

from gitrain.deployment.routing import Backend
from gitrain.errors import DeploymentError
from gitrain.integrations import caddy
from gitrain.integrations.caddy import CaddyProxy
from gitrain.integrations.caddy_requests import CaddyRequests
from gitrain.integrations.free_ports import free_port
from gitrain.integrations.local_deployer import bentoml_command

pytestmark = pytest.mark.slow


class Replica(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        self.gone = False
        self.copies = self.closed = 0
        super().__init__(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Answer(BaseHTTPRequestHandler):
    wbufsize = -1
    protocol_version = "HTTP/1.1"
    server: Replica

    def do_GET(self) -> None:
        if self.server.gone:
            self.close_connection = True
            return
        body = str(self.server.port).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.copies += "X-Gitrain-Copy" in self.headers
        self.do_GET()

    def log_message(self, *arguments: object) -> None:
        pass

    def finish(self) -> None:
        super().finish()
        self.server.closed += 1


@pytest.fixture
def replicas() -> Iterator[tuple[Replica, Replica]]:
    found = Replica(), Replica()
    yield found
    for replica in found:
        replica.shutdown()
        replica.server_close()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def proxy(tmp_path: Path, port: int) -> Iterator[CaddyProxy]:
    found = CaddyProxy(tmp_path / "proxy", f"127.0.0.1:{port}")
    yield found
    found.stop()


def connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=60)


def ask_by(connection: http.client.HTTPConnection) -> tuple[int, str]:
    connection.request("GET", "/")
    response = connection.getresponse()
    return response.status, response.read().decode()


def ask(port: int) -> tuple[int, str]:
    with closing(connect(port)) as connection:
        return ask_by(connection)


def process_of(port: int) -> psutil.Process:
    for process in psutil.process_iter(["name"]):
        # Another test's Caddy may end while it is looked at.
        with suppress(psutil.Error):
            if process.info["name"] == "caddy" and port in {
                each.laddr.port for each in process.net_connections("inet") if each.status == "LISTEN"
            }:
                return process
    raise AssertionError(f"nobody listens on {port}")


def kill(process: psutil.Process) -> None:
    """Kill a process and wait for its end; of that nobody needs to have taken notice."""
    process.kill()
    end = time.monotonic() + 60
    with suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_requests_go_where_they_are_sent(proxy, port, replicas) -> None:
    new, old = replicas
    assert proxy.routed() is None
    proxy.route([Backend(old.port, 1)])
    assert proxy.routed() == [Backend(old.port, 1)]
    assert ask(port) == (200, str(old.port))
    proxy.route([Backend(new.port, 1)])
    assert {ask(port) for _ in range(20)} == {(200, str(new.port))}


def test_shares_are_kept(proxy, port, replicas) -> None:
    new, old = replicas
    proxy.route([Backend(new.port, 1), Backend(old.port, 19)])
    found = Counter(ask(port)[1] for _ in range(200))
    assert found == {str(new.port): 10, str(old.port): 190}
    assert proxy.routed() == sorted([Backend(new.port, 1), Backend(old.port, 19)])


@contextmanager
def steady_load(port: int) -> Iterator[Counter[str]]:
    answers: Counter[str] = Counter()
    stop = threading.Event()

    def ask_on() -> None:
        connection = connect(port)
        while not stop.is_set():
            try:
                status, _ = ask_by(connection)
                answers[str(status)] += 1
            except (OSError, http.client.HTTPException) as error:
                answers[repr(error)] += 1
                connection.close()
        connection.close()

    users = [threading.Thread(target=ask_on) for _ in range(4)]
    for user in users:
        user.start()
    try:
        yield answers
    finally:
        stop.set()
        for user in users:
            user.join()


def test_no_request_fails_while_the_traffic_moves_to_and_fro(proxy, port, replicas) -> None:
    new, old = replicas
    proxy.route([Backend(old.port, 1)])
    moved, end = 0, time.monotonic() + 120
    with steady_load(port) as answers:
        # However fast the one is and the other slow: each move meets requests.
        while moved < 10 or answers.total() <= 100:
            assert time.monotonic() < end
            proxy.route([Backend(new.port, 1), Backend(old.port, 9)])
            proxy.route([Backend(new.port, 1)])
            proxy.route([Backend(old.port, 1)])
            moved += 1
    assert set(answers) == {"200"}


def test_a_replica_that_went_away_costs_no_request(proxy, port, replicas) -> None:
    new, old = replicas
    proxy.route([Backend(new.port, 1), Backend(old.port, 1)])
    new.gone = True
    new.shutdown()
    new.server_close()
    assert {ask(port) for _ in range(40)} == {(200, str(old.port))}


def test_a_connection_is_not_kept_until_a_service_closes_it(proxy, port, replicas, tmp_path) -> None:
    """A request that is sent at that moment would get no answer."""
    proxy.route([Backend(replicas[0].port, 1)])
    assert ask(port) == (200, str(replicas[0].port))
    begun = time.monotonic()
    # The server here never closes one by itself.
    while replicas[0].closed == 0:
        assert time.monotonic() - begun < 60
        time.sleep(0.02)
    told = json.loads((tmp_path / "proxy/caddy.json").read_text())["apps"]["http"]["servers"]["environment"]
    (transport,) = {
        json.dumps(handler["transport"])
        for route in told["routes"]
        for handler in route["handle"]
        if handler["handler"] == "reverse_proxy"
    }
    idle = json.loads(transport)["keep_alive"]["idle_timeout"]
    # What `bentoml serve` starts is told no other time, unless it is asked for.
    (option,) = (each for each in bentoml_server.params if each.name == "timeout_keep_alive")
    assert "--timeout-keep-alive" not in bentoml_command(Path(sys.executable), tmp_path, port)
    assert 0 < float(idle.removesuffix("s")) < option.default


def test_a_killed_proxy_comes_back_as_it_was(proxy, port, replicas) -> None:
    new, _ = replicas
    assert proxy.restart() is False
    proxy.route([Backend(new.port, 1)])
    kill(process_of(port))
    assert proxy.routed() is None
    assert proxy.restart() is True
    assert ask(port) == (200, str(new.port))
    assert proxy.routed() == [Backend(new.port, 1)]


def test_it_belongs_to_no_terminal(proxy, port, replicas) -> None:
    proxy.route([Backend(replicas[0].port, 1)])
    assert os.getsid(process_of(port).pid) != os.getsid(0)


def test_ending_it_twice_is_no_error(proxy, port, replicas) -> None:
    proxy.route([Backend(replicas[0].port, 1)])
    proxy.stop()
    proxy.stop()
    assert proxy.routed() is None


def test_a_port_that_is_taken(tmp_path: Path, replicas) -> None:
    proxy = CaddyProxy(tmp_path / "taken", f"127.0.0.1:{replicas[0].port}")
    with pytest.raises(DeploymentError, match="address already in use") as caught:
        proxy.route([Backend(replicas[1].port, 1)])
    assert str(replicas[0].port) in caught.value.fix
    assert proxy.routed() is None


def test_without_caddy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(DeploymentError, match="not on this machine"):
        caddy.find_caddy()


def test_the_one_beside_the_interpreter_goes_before_that_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "caddy"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert Path(caddy.find_caddy()).parent == Path(sys.executable).parent


@pytest.fixture
def sockets(monkeypatch) -> Iterator[Path]:
    """Where the folder of sockets is to be, of a name short enough."""
    with tempfile.TemporaryDirectory(prefix="gt-", ignore_cleanup_errors=True) as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder) / f"gitrain-{os.getuid()}"


def test_a_folder_of_sockets_that_others_can_write_to(proxy, sockets) -> None:
    sockets.mkdir(mode=0o777)
    sockets.chmod(0o777)
    with pytest.raises(DeploymentError, match="other users"):
        proxy.route([Backend(1, 1)])
    sockets.chmod(0o700)


def test_what_answers_in_a_folder_that_others_can_write_to_is_not_asked_and_ended_all_the_same(
    proxy, port, replicas, sockets
) -> None:
    proxy.route([Backend(replicas[0].port, 1)])
    sockets.chmod(0o777)
    assert proxy.routed() is None
    proxy.stop()
    with pytest.raises(OSError, match="refused"):
        ask(port)


def caddies(folder: Path) -> list[psutil.Process]:
    return [
        each
        for each in psutil.process_iter(["name", "cmdline"])
        if each.info["name"] == "caddy" and str(folder / "caddy.json") in (each.info["cmdline"] or ())
    ]


def test_it_is_seen_from_every_session(proxy, port, replicas, tmp_path, monkeypatch) -> None:
    """Started over ssh, whose folder for sockets is gone once its user has logged out; seen by cron."""
    mine = tmp_path / "run"
    mine.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(mine))
    proxy.route([Backend(replicas[0].port, 1)])
    shutil.rmtree(mine)
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    later = CaddyProxy(tmp_path / "proxy", f"127.0.0.1:{port}")
    assert later.routed() == [Backend(replicas[0].port, 1)]
    later.route([Backend(replicas[1].port, 1)])
    assert ask(port) == (200, str(replicas[1].port))
    assert len(caddies(tmp_path / "proxy")) == 1
    later.stop()
    assert caddies(tmp_path / "proxy") == []


@pytest.mark.parametrize("lost", [(), ("process.json",)], ids=["noted", "killed before it was noted"])
def test_one_whose_socket_is_gone_is_ended_and_replaced(proxy, port, replicas, tmp_path, sockets, lost) -> None:
    new, old = replicas
    proxy.route([Backend(old.port, 1)])
    (former,) = caddies(tmp_path / "proxy")
    shutil.rmtree(sockets)
    for name in lost:
        (tmp_path / "proxy" / name).unlink()
    assert proxy.routed() is None
    proxy.route([Backend(new.port, 1)])
    assert ask(port) == (200, str(new.port))
    (now,) = caddies(tmp_path / "proxy")
    assert now.pid != former.pid


def test_one_whose_socket_is_gone_is_ended(proxy, port, replicas, tmp_path, sockets) -> None:
    proxy.route([Backend(replicas[0].port, 1)])
    shutil.rmtree(sockets)
    proxy.stop()
    assert caddies(tmp_path / "proxy") == []
    with pytest.raises(OSError, match="refused"):
        ask(port)


def test_another_process_that_got_its_number_is_left_alone(proxy, port, replicas, tmp_path, sockets) -> None:
    proxy.route([Backend(replicas[0].port, 1)])
    me = {"schema_version": 1, "pid": os.getpid(), "started": psutil.Process().create_time() - 100}
    (tmp_path / "proxy/process.json").write_text(json.dumps(me))
    shutil.rmtree(sockets)
    proxy.stop()
    assert caddies(tmp_path / "proxy") == []


def predict(port: int) -> int:
    with closing(connect(port)) as connection:
        connection.request("POST", "/predict?x=1", b"{}", {"X-Gitrain-Copy": "1"})
        return connection.getresponse().status


def seen_by(requests, number: int) -> Counter[tuple[int, int]]:
    """The log is written a moment after the answer."""
    seen: Counter[tuple[int, int]] = Counter()
    end = time.monotonic() + 60
    while seen.total() < number:
        assert time.monotonic() < end
        seen.update((each.port, each.status) for each in requests())
    return seen


def test_what_users_got_from_whom_is_told_while_it_is_watched(proxy, port, replicas, tmp_path) -> None:
    new, old = replicas
    proxy.route([Backend(old.port, 1), Backend(new.port, 1)])
    assert predict(port) == 200
    with CaddyRequests(tmp_path / "proxy").watched() as requests:
        assert [predict(port) for _ in range(4)] == [200] * 4
        assert ask(port)[0] == 200
        assert seen_by(requests, 4) == {(old.port, 200): 2, (new.port, 200): 2}
        # It takes requests and answers none.
        new.gone = True
        assert Counter(predict(port) for _ in range(10)) == {200: 5, 502: 5}
        assert seen_by(requests, 10) == {(old.port, 200): 5, (new.port, 502): 5}
    predict(port)
    with CaddyRequests(tmp_path / "proxy").watched() as requests:
        assert requests() == []
    # Whoever says that a request is a copy is not believed.
    assert (new.copies, old.copies) == (0, 0)
    text = (tmp_path / "proxy/requests.log").read_text()
    assert "127.0.0.1:" in text
    assert "headers" not in text
    assert "remote_ip" not in text
