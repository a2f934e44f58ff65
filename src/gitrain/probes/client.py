"""What probes ask a service with: requests, replies, and the protocols of what sends them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from gitrain.errors import UsageError
from gitrain.probes.load import LoadSamples
from gitrain.probes.payloads import Payload

__all__ = ["LoadGenerator", "Reply", "ServiceClient", "service_url"]


def service_url(text: str) -> str:
    """The address of a service, without a slash at the end.

    Raises:
        UsageError: it is none.
    """
    if not _is_address(text):
        raise UsageError(f"{text[:100]!r} is no address of a service", fix="give one as http://127.0.0.1:3000.")
    return text.rstrip("/")


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    # A name and password would end up in reports; the rest is added by probes.
    return sound and not (parts.query or parts.fragment or "@" in parts.netloc) and text.isascii() and " " not in text


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a service answered.

    Attributes:
        status: of HTTP.
        headers: their names in small letters.
        body: as it was sent.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class ServiceClient(Protocol):
    """Sends one request at a time."""

    @property
    def url(self) -> str:
        """The service's address, without a slash at the end."""

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send a request and read its answer.

        Raises:
            IntegrationError: nobody answers there, or what is answered is not HTTP.
        """


class LoadGenerator(Protocol):
    """Sends requests when they are due, whatever the service does."""

    def run(
        self,
        url: str,
        due: NDArray[np.float64],
        payloads: Sequence[Payload],
        *,
        timeout: float,
        progress: Callable[[str], None],
        more: Callable[[int], bool] = lambda _: True,
    ) -> LoadSamples:
        """Send a request at each time that one is due, to `POST /predict`.

        Args:
            url: the service's address.
            due: seconds since the start, rising.
            payloads: sent in turn.
            timeout: seconds after which a request without an answer is given up.
            progress: is told now and then how far it is.
            more: is asked now and then whether to go on, with how many requests were answered or have failed. Once it
                says no, nothing more is sent, and the samples are those of the requests that had been due.
        """
