"""Nobody's requests are shared: a proxy does not begin to listen where somebody listens already."""

import errno
import http.client
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from gitrain.deployment.routing import Backend
from gitrain.errors import DeploymentError
from gitrain.integrations import address_in_use
from gitrain.integrations.address_in_use import is_listened_at
from gitrain.integrations.caddy import CaddyProxy
from gitrain.integrations.free_ports import free_port

EVERY = "0.0.0.0"  # noqa: S104 - nobody is let listen there


def _listening(host: str) -> socket.socket:
    try:
        return socket.create_server((host, free_port()), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        if ":" in host and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            # Containers often have no ::1: there is no address then that anybody could listen at.
            pytest.skip("this machine has IPv4 alone")
        raise


class _Reserved(socket.socket):
    """A port that only root may take."""

    def bind(self, address: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


class _Beside(socket.socket):
    """A system where a wildcard may stand beside one address."""

    def bind(self, address: object) -> None:
        """Nothing."""


class _Elsewhere(socket.socket):
    """An address of another machine, which answers."""

    def bind(self, address: object) -> None:
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))

    def connect(self, address: Any) -> None:
        raise AssertionError(f"{address} was asked")


class _WithItself(_Reserved):
    """The port that a connection was given is the one that it is to."""

    connected = 0

    def connect(self, address: Any) -> None:
        socket.socket.bind(self, address)
        super().connect(address)
        _WithItself.connected += 1


# No name is looked up for these, and no test asks whom they are of.
_NUMBERS = {"::": socket.AF_INET6, "192.0.2.1": socket.AF_INET}


def _look_up(host: str, port: int, **options: Any) -> Any:
    if host in _NUMBERS:
        return [(_NUMBERS[host], socket.SOCK_STREAM, 0, "", (host, port))]
    return socket.getaddrinfo(host, port, **options)


def _only_the_older_family(family: int, *rest: int) -> socket.socket:
    if family == socket.AF_INET6:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
    return socket.socket(family, *rest)


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., socket.socket]], None]:
    """Puts another system's sockets in place of this one's."""

    def on(kind: Callable[..., socket.socket]) -> None:
        system = vars(socket) | {"socket": kind, "getaddrinfo": _look_up}
        monkeypatch.setattr(address_in_use, "socket", SimpleNamespace(**system))

    return on


@pytest.mark.parametrize(
    ("listener", "asked"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "localhost"),
        ("127.0.0.1", EVERY),
        ("127.0.0.1", "[::]"),
        (EVERY, "127.0.0.1"),
        (EVERY, EVERY),
        ("::1", "[::1]"),
        ("::1", EVERY),
        ("::1", "[::]"),
    ],
)
@pytest.mark.parametrize("kind", [socket.socket, _Reserved, _Beside])
def test_who_listens_is_seen(
    on: Callable[[Callable[..., socket.socket]], None], kind: type[socket.socket], listener: str, asked: str
) -> None:
    with closing(_listening(listener)) as somebody:
        on(kind)
        port = somebody.getsockname()[1]
        assert is_listened_at(f"{asked}:{port}")
    assert not is_listened_at(f"{asked}:{port}")


@pytest.mark.parametrize("kind", [socket.socket, _Reserved, _Beside])
def test_a_connection_that_lingers_is_nobody(
    on: Callable[[Callable[..., socket.socket]], None], kind: type[socket.socket]
) -> None:
    with closing(_listening("127.0.0.1")) as somebody:
        place = somebody.getsockname()
        with closing(socket.create_connection(place)) as user:
            somebody.accept()[0].close()
            assert user.recv(1) == b""
    on(kind)
    assert not is_listened_at(f"127.0.0.1:{place[1]}")


def test_a_connection_with_itself_is_nobody(on: Callable[[Callable[..., socket.socket]], None]) -> None:
    on(_WithItself)
    before = _WithItself.connected
    assert not is_listened_at(f"127.0.0.1:{free_port()}")
    assert _WithItself.connected == before + 1


def test_another_machine_is_not_asked(on: Callable[[Callable[..., socket.socket]], None]) -> None:
    on(_Elsewhere)
    assert not is_listened_at("192.0.2.1:80")


def test_a_system_without_the_newer_family_is_asked_by_the_older(
    on: Callable[[Callable[..., socket.socket]], None],
) -> None:
    with closing(_listening("127.0.0.1")) as somebody:
        on(_only_the_older_family)
        port = somebody.getsockname()[1]
        assert is_listened_at(f"{EVERY}:{port}")
    assert not is_listened_at(f"{EVERY}:{port}")
    assert not is_listened_at(f"[::1]:{port}")


@pytest.mark.parametrize("host", ["localhost..b", "127..", f"localhost{'x' * 55}", "127.0.0.256"])
def test_a_host_without_an_address_is_nobodys(host: str) -> None:
    assert not is_listened_at(f"{host}:80")


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_an_environment_moves_whose_admin_socket_is_gone(
    proxy: Callable[[str, str], CaddyProxy], backend: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder for temporary files is cleaned on many machines."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="gt-", ignore_cleanup_errors=True) as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        before, after = proxy("production", f"127.0.0.1:{port}"), proxy("production", f"localhost:{port}")
        before.route([Backend(backend, 1)])
        shutil.rmtree(Path(folder) / f"gitrain-{os.getuid()}")
        after.route([Backend(backend, 1)])
        before.stop()
        assert {_status(port) for _ in range(20)} == {200}
        assert after.routed() == [Backend(backend, 1)]
