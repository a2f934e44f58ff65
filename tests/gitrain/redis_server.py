"""A Redis server of a test module's own: on a free port of the loopback interface, in memory, ended at the end."""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitrain.integrations.free_ports import free_port

_SECONDS = 60.0


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Its address, ``redis://127.0.0.1:PORT/0``; the test is skipped where there is no redis-server."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("there is no redis-server on this machine: install the package redis-server")
    port = free_port()
    arguments = [program, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
    arguments += ["--save", "", "--appendonly", "no", "--daemonize", "no"]
    with (folder / "redis.log").open("wb") as log:
        server = subprocess.Popen(arguments, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait(server, port, folder)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(_SECONDS)


def _wait(server: "subprocess.Popen[bytes]", port: int, folder: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            if connection.recv(16).startswith(b"+PONG"):
                return
        time.sleep(0.01)
    raise AssertionError((folder / "redis.log").read_text(encoding="utf-8"))
