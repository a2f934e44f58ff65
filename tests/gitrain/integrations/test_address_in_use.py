"""Nobody's requests are shared: a proxy does not begin to listen where somebody listens already."""

import http.client
import re
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from gitrain.deployment.routing import Backend
from gitrain.errors import DeploymentError
from gitrain.integrations.caddy import CaddyProxy
from gitrain.integrations.free_ports import free_port

pytestmark = pytest.mark.slow

EVERY = "0.0.0.0"  # noqa: S104 - nobody is let listen there


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def backend() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Callable[[str, str], CaddyProxy]]:
    made: list[CaddyProxy] = []

    def proxy(name: str, listen: str) -> CaddyProxy:
        folder = re.sub(r"\W", "-", listen)
        made.append(CaddyProxy(tmp_path / name / "proxy" / folder, listen, grace_seconds=1))
        return made[-1]

    yield proxy
    for each in made:
        each.stop()


def _status(port: int) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", "/")
        return connection.getresponse().status


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", EVERY])
def test_two_environments_do_not_share_their_users(
    proxy: Callable[[str, str], CaddyProxy], backend: int, host: str
) -> None:
    port = free_port()
    production, preprod = proxy("production", f"127.0.0.1:{port}"), proxy("preprod", f"{host}:{port}")
    production.route([Backend(backend, 1)])
    with pytest.raises(DeploymentError, match=f"{host}:{port}") as refused:
        preprod.route([Backend(free_port(), 1)])
    assert "listens" in refused.value.what
    assert preprod.routed() is None
    assert {_status(port) for _ in range(20)} == {200}

    # Who ends makes way at once, whatever connections linger.
    production.stop()
    if host != EVERY:
        preprod.route([Backend(backend, 1)])
        assert _status(port) == 200


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the last one that listens is asked")
def test_a_program_that_shares_its_port_is_somebody_too(proxy: Callable[[str, str], CaddyProxy], backend: int) -> None:
    with closing(socket.socket()) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        port = free_port()
        other.bind(("127.0.0.1", port))
        other.listen()
        found = proxy("production", f"127.0.0.1:{port}")
        with pytest.raises(DeploymentError, match="listens"):
            found.route([Backend(backend, 1)])
    found.route([Backend(backend, 1)])
    assert _status(port) == 200


def test_an_environment_moves_from_one_address_to_another_of_the_same_port(
    proxy: Callable[[str, str], CaddyProxy], backend: int
) -> None:
    port = free_port()
    before = proxy("production", f"127.0.0.1:{port}")
    before.route([Backend(backend, 1)])
    after = proxy("production", f"localhost:{port}")
    after.route([Backend(backend, 1)])
    before.stop()
    assert {_status(port) for _ in range(20)} == {200}
    # It died, and somebody else came: they are not its own.
    after.stop()
    other = proxy("preprod", f"127.0.0.1:{port}")
    other.route([Backend(backend, 1)])
    with pytest.raises(DeploymentError, match="listens"):
        after.route([Backend(backend, 1)])
