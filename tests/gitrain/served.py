"""A service as it is served: `bentoml serve` in a process of its own, on a free port of the loopback interface."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from gitrain.integrations.free_ports import free_port

HOST = "127.0.0.1"
_PATIENCE = 120


def filled_store(project: Path, folder: Path) -> str:
    """The URL of an online store with the histories of a project whose pipeline has run."""
    url = f"sqlite:///{folder}/online.sqlite"
    command = [sys.executable, "-m", "gitrain", "features", "materialize", "--store", url]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    return url


def _command(process):
    """What a process was started with; nothing where it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


class Served:
    """A service that runs."""

    def __init__(self, process, port, log, predictions):
        self.process = process
        self.port = port
        self.log = log
        self.predictions = predictions

    def ask(self, method, path, body=None, headers=None):
        """Status, headers and body of one request on a connection of its own."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=_PATIENCE)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def predict(self, payload, **headers):
        """Status and answer of a request to predict."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        status, _, answer = self.ask("POST", "/predict", body, {"content-type": "application/json", **headers})
        return status, json.loads(answer)

    def raw(self, content):
        """What comes back for some bytes."""
        found = b""
        with socket.create_connection((HOST, self.port), timeout=_PATIENCE) as connection:
            # Who refuses what has come so far may hang up before the rest is sent, or its answer is read.
            with contextlib.suppress(OSError):
                connection.sendall(content)
                connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                while part := connection.recv(65536):
                    found += part
        return found

    def metrics(self):
        """Value by name and labels, as they stand in the text."""
        lines = self.ask("GET", "/metrics")[2].decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}

    def wait_until(self, condition, what):
        end = time.monotonic() + _PATIENCE
        while not condition():
            assert self.process.poll() is None, f"the service has ended:\n{self.log.read_text()}"
            assert time.monotonic() < end, f"{what} never came:\n{self.log.read_text()}"
            time.sleep(0.02)

    def answers(self, path):
        try:
            return self.ask("GET", path)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    @property
    def workers(self):
        """The processes that answer: the children of the one that was started."""
        found = []
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            # A thread, or a child, may end while we look.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found += [int(child) for child in (task / "children").read_text().split()]
        return [child for child in found if b"_bentoml_impl.worker.service" in _command(child)]

    def terminate(self):
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_PATIENCE)


@contextlib.contextmanager
def serving(root: Path, service: str, folder: Path, *, until: str = "/readyz", **environment) -> Iterator[Served]:
    """Serve `service` of the project at `root`; what it writes goes into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    log, predictions = folder / "service.log", folder / "predictions"
    port = free_port()
    settings = os.environ | {
        "BENTOML_HOME": str(folder / "bentoml"),
        "GITRAIN_PREDICTION_LOG": str(predictions),
        **environment,
    }
    command = [sys.executable, "-m", "bentoml", "serve", service, "--host", HOST, "--port", str(port)]
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, cwd=root, env=settings, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT
        )
    served = Served(process, port, log, predictions)
    try:
        served.wait_until(lambda: served.answers(until), until)
        yield served
    finally:
        try:
            if process.poll() is None:
                served.terminate()
        finally:
            process.kill()
