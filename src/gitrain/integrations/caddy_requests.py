"""What Caddy saw of users' requests: to whom each went, what it was answered, and how long that took.

Services count what they answer; only the proxy knows what users got from one that is dead, or late in taking requests
up. Caddy writes a line for each request as long as a file beside its configuration says so, which it reads for every
request: a new configuration would be a new server inside Caddy (see `caddy.py`).
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from gitrain.deployment.figures import ProxiedRequest

__all__ = ["CaddyRequests"]

_REQUESTS, _WATCHED = "requests.log", "watched"
_ON, _OFF = b"on", b"off"
_LOGGER = "requests"
_PATH = "/predict"
_ROLL_MB = 10
# Of a request all but its path is its user's business, and nobody reads it.
_LEFT_OUT = (
    "bytes_read", "request>client_ip", "request>headers", "request>host", "request>proto", "request>remote_ip",
    "request>remote_port", "request>tls", "resp_headers", "size", "user_id",
)  # fmt: skip


class CaddyRequests:
    """The requests that one Caddy saw.

    Args:
        folder: of its configuration.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    def prepare(self) -> None:
        """Write the file that Caddy reads for every request; nothing is watched yet."""
        self._say(_OFF)

    def logs(self) -> dict[str, Any]:
        """The logs of Caddy's configuration beside its default one, which `excluded` is to be left out of."""
        writer = {
            "output": "file",
            "filename": str(self._folder / _REQUESTS),
            "roll_size_mb": _ROLL_MB,
            "roll_keep": 1,
            "roll_gzip": False,
        }
        encoder = {
            "format": "filter",
            "wrap": {"format": "json"},
            "fields": {name: {"filter": "delete"} for name in _LEFT_OUT},
        }
        return {_LOGGER: {"include": self.excluded, "writer": writer, "encoder": encoder}}

    @property
    def excluded(self) -> list[str]:
        """The names of the loggers of requests."""
        return [f"http.log.access.{_LOGGER}"]

    def server(self) -> dict[str, Any]:
        """What makes a server of Caddy's configuration log its requests."""
        return {"logs": {"default_logger_name": _LOGGER}}

    def routes(self, proxy: dict[str, Any]) -> list[dict[str, Any]]:
        """The routes of a server: its requests are logged while they are watched, and handled by `proxy`."""
        watched = {"vars": {f"{{file.{self._folder / _WATCHED}}}": [_ON.decode()]}}
        return [
            {"match": [{"not": [watched]}], "handle": [{"handler": "vars", "log_skip": True}]},
            {
                "handle": [
                    {"handler": "log_append", "key": "upstream", "value": "{http.reverse_proxy.upstream.hostport}"},
                    proxy,
                ]
            },
        ]

    @contextlib.contextmanager
    def watched(self) -> Iterator[Callable[[], Sequence[ProxiedRequest]]]:
        """Watch predictions until the context is left; what is given returns those that ended since it was last asked.

        Who is killed meanwhile leaves Caddy logging, into a file of bounded size, until the next one is done.
        """
        with _Tail(self._folder / _REQUESTS) as tail:
            self._say(_ON)
            try:
                yield lambda: [found for line in tail.lines() if (found := _request(line)) is not None]
            finally:
                self._say(_OFF)

    def _say(self, word: bytes) -> None:
        # It brings polars with it, which a pass that writes nothing does without.
        from gitrain.integrations.files import replacing

        with replacing(self._folder / _WATCHED) as stream:
            stream.write(word)


class _Tail:
    """What is added to a file from now on, also if it is renamed and begun anew meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def __enter__(self) -> "_Tail":
        self._open()
        if self._file is not None:
            self._file.seek(0, os.SEEK_END)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def lines(self) -> list[bytes]:
        """The lines that were added since; one that is not whole yet is kept for the next time."""
        content = self._read()
        if self._renamed():
            # What was written between the two.
            content += self._read()
            self._open()
            content += self._read()
        *lines, self._rest = (self._rest + content).split(b"\n")
        return lines

    def _read(self) -> bytes:
        return b"" if self._file is None else self._file.read()

    def _renamed(self) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        if self._file is None:
            return True
        mine = os.fstat(self._file.fileno())
        return (mine.st_dev, mine.st_ino) != (there.st_dev, there.st_ino)

    def _open(self) -> None:
        if self._file is not None:
            self._file.close()
        try:
            self._file = self._path.open("rb")
        except FileNotFoundError:
            self._file = None


def _request(line: bytes) -> ProxiedRequest | None:
    """A line of the log; None for one that is of no prediction, or was sent to nobody."""
    try:
        found = json.loads(line)
        if found["request"]["uri"].partition("?")[0] != _PATH:
            return None
        return ProxiedRequest(
            port=int(found["upstream"].rpartition(":")[2]),
            status=int(found["status"]),
            seconds=float(found["duration"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
