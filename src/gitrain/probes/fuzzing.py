"""What was found by requests that were made up from a service's own description."""

import base64
import shlex
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

__all__ = ["Finding", "FindingKind", "FuzzedRequest", "Fuzzer", "FuzzingRun", "curl_of"]

#: A 5xx or no answer; an answer that the description does not have; bad input that was taken for good.
FindingKind = Literal["server-error", "undescribed", "accepted"]

# Longer bodies do not fit into a line that somebody would paste.
_LONGEST = 20_000


@dataclass(frozen=True, kw_only=True)
class FuzzedRequest:
    """A request as it was sent.

    Attributes:
        method: of HTTP.
        url: the whole address.
        headers: those that matter.
        body: as it was sent; None without one.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One kind of failure at one operation, with the smallest request that showed it.

    Attributes:
        kind: what went wrong.
        title: the same in words.
        operation: as in ``POST /predict``.
        details: what was expected and what came.
        status: of the answer; None if there was none.
        count: how many requests showed it.
        request: the smallest of them.
    """

    kind: FindingKind
    title: str
    operation: str
    details: str
    status: int | None
    count: int
    request: FuzzedRequest


@dataclass(frozen=True, kw_only=True)
class FuzzingRun:
    """What a fuzzer did.

    Attributes:
        requests: how many were answered or not.
        valid: of these, how many kept the description.
        accepted: of the valid ones that had a body, how many were answered with 2xx; with how many there were.
        statuses: how many answers there were of each status; 0 stands for no answer.
        findings: failures, one a kind and operation.
        operations: operations that were asked.
        seconds: how long it took.
        finished: whether it came to its end.
    """

    requests: int
    valid: int
    accepted: tuple[int, int]
    statuses: Counter[int]
    findings: tuple[Finding, ...]
    operations: tuple[str, ...]
    seconds: float
    finished: bool = True


class Fuzzer(Protocol):
    """Makes requests up from a service's own description, the same ones for the same seed."""

    def run(self, url: str, *, requests: int, seed: int, progress: Callable[[str], None]) -> FuzzingRun:
        """Send about so many requests to each operation that takes input, and compare the answers.

        Args:
            url: the service's address; its description is at ``/docs.json``.
            requests: about so many.
            seed: of all that is random.
            progress: is told now and then that it goes on.

        Raises:
            IntegrationError: the description is no OpenAPI document, or the fuzzer itself broke.
        """


def curl_of(request: FuzzedRequest) -> str:
    """A line for a shell that sends the request again; whatever is in it, the shell runs nothing else."""
    words = ["curl", "-sS", "-i", "-X", request.method]
    for name, value in request.headers.items():
        words += ["-H", f"{name}: {value}"]
    line = shlex.join(words)
    if request.body is None:
        return f"{line} {shlex.quote(request.url)}"
    if len(request.body) > _LONGEST:
        return f"{line} --data-binary @BODY {shlex.quote(request.url)}  # a body of {len(request.body):,} bytes"
    try:
        text = request.body.decode()
        plain = text.isprintable() and not text.startswith("@")
    except UnicodeDecodeError:
        text, plain = "", False
    if plain:
        return f"{line} --data-binary {shlex.quote(text)} {shlex.quote(request.url)}"
    encoded = base64.b64encode(request.body).decode()
    return f"echo {encoded} | base64 -d | {line} --data-binary @- {shlex.quote(request.url)}"
