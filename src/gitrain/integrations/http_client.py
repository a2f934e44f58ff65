"""Plain HTTP with the standard library: one request at a time, each on a connection of its own."""

import http.client
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from gitrain.errors import IntegrationError
from gitrain.probes.client import Reply

__all__ = ["HttpClient"]

_MOST = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class HttpClient:
    """A `ServiceClient`.

    Attributes:
        url: the service's address, without a slash at the end.
        timeout: seconds for which nothing may arrive.
    """

    url: str
    timeout: float = 10.0

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send a request and read its answer."""
        parts = urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self.timeout)
        try:
            connection.request(method, f"{parts.path}{path}", body=body, headers=dict(headers or {}))
            answer = connection.getresponse()
            content = answer.read(_MOST)
            return Reply(
                status=answer.status,
                headers={name.lower(): value for name, value in answer.getheaders()},
                body=content,
            )
        except (OSError, http.client.HTTPException) as error:
            raise IntegrationError(
                f"{method} {self.url}{path} got no answer: {_words(error)}",
                fix="start the service, or give the address that it listens on.",
            ) from error
        finally:
            connection.close()


def _words(error: Exception) -> str:
    if isinstance(error, socket.timeout):
        return "nothing arrived in time"
    return str(error) or type(error).__name__
