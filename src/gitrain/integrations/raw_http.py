"""Bytes over a socket: what no library for HTTP would send."""

import contextlib
import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from gitrain.errors import IntegrationError
from gitrain.probes.client import Reply
from gitrain.probes.hostile import HostileReply, HostileRequest

__all__ = ["RawHttp"]

_MOST = 2**20


@dataclass(frozen=True, kw_only=True)
class RawHttp:
    """A `HostileSender`.

    Attributes:
        timeout: seconds for which an answer is waited for.
        sleep: waits between two chunks.
        pause: for so many seconds.
    """

    timeout: float = 10.0
    sleep: Callable[[float], None] = time.sleep
    pause: float = 0.05

    def send(self, url: str, request: HostileRequest, *, begun: Callable[[], None] = lambda: None) -> HostileReply:
        """Send one, and read the answer."""
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            connection: socket.socket = socket.create_connection((parts.hostname or "", port), timeout=self.timeout)
        except OSError as error:
            raise IntegrationError(
                f"nobody answers at {url} any more: {error}", fix="look at the service's log: it may have stopped."
            ) from error
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.closing(connection))
            if parts.scheme == "https":
                connection = ssl.create_default_context().wrap_socket(connection, server_hostname=parts.hostname)
                stack.enter_context(contextlib.closing(connection))
            # Who refuses a body before its end may close while we still send.
            with contextlib.suppress(OSError):
                for number, chunk in enumerate(request.chunks):
                    if number:
                        self.sleep(self.pause)
                    connection.sendall(chunk)
                    if not number:
                        begun()
            if request.cut:
                return HostileReply(request=request, reply=None)
            return self._answer(connection, request)

    def _answer(self, connection: socket.socket, request: HostileRequest) -> HostileReply:
        received = bytearray()
        try:
            while len(received) < _MOST:
                part = connection.recv(65536)
                if not part:
                    break
                received += part
                if _whole(bytes(received), request):
                    break
        except TimeoutError:
            reply = _read(bytes(received), request)
            return HostileReply(request=request, reply=reply, hung=reply is None)
        except OSError:
            # A reset: what came before it counts.
            pass
        return HostileReply(request=request, reply=_read(bytes(received), request))


class _Received:
    """What http.client takes for a socket."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._content)


def _read(content: bytes, request: HostileRequest) -> Reply | None:
    method = request.chunks[0].partition(b" ")[0].decode("latin-1")
    answer = http.client.HTTPResponse(_Received(content), method=method)  # type: ignore[arg-type]
    try:
        answer.begin()
        body = answer.read()
    except http.client.IncompleteRead as error:
        body = error.partial
    except (http.client.HTTPException, ValueError, OSError):
        return None
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return Reply(status=answer.status, headers=headers, body=body)


def _whole(content: bytes, request: HostileRequest) -> bool:
    """Whether the answer is there, so that a connection which is kept open need not be waited for."""
    head, separator, body = content.partition(b"\r\n\r\n")
    if not separator or request.chunks[0].startswith(b"HEAD "):
        return bool(separator)
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return len(body) >= int(value)
    return body.endswith(b"0\r\n\r\n")
