"""Requests that no description allows: broken JSON, broken HTTP, bodies without end. A service answers and goes on."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from gitrain.probes.client import Reply

__all__ = ["HostileReply", "HostileRequest", "HostileSender", "hostile_requests", "slow_request"]

_JSON = {"content-type": "application/json"}
_MEGABYTE = 2**20


@dataclass(frozen=True, kw_only=True)
class HostileRequest:
    """Bytes as they go over the wire.

    Attributes:
        name: what is wrong, in a few words.
        chunks: sent one after the other, with a short pause in between.
        refused: whether it has to be refused, with 4xx or by closing the connection; otherwise 2xx is fine too.
        cut: whether the connection is closed after the last chunk, without waiting for an answer.
    """

    name: str
    chunks: tuple[bytes, ...]
    refused: bool = True
    cut: bool = False


@dataclass(frozen=True, kw_only=True)
class HostileReply:
    """What came back.

    Attributes:
        request: what was sent.
        reply: the answer; None if the connection was closed without one.
        hung: whether neither an answer nor the end came in time.
    """

    request: HostileRequest
    reply: Reply | None
    hung: bool = False


class HostileSender(Protocol):
    """Sends bytes as they are, each request on a connection of its own."""

    def send(self, url: str, request: HostileRequest, *, begun: Callable[[], None] = lambda: None) -> HostileReply:
        """Send one, and read the answer.

        Args:
            url: the service's address.
            request: what is sent.
            begun: is called when the system has the first chunk; the others follow once it returns.

        Raises:
            IntegrationError: nobody listens any more.
        """


def hostile_requests(host: str, path: str, good: bytes) -> tuple[HostileRequest, ...]:
    """The requests.

    Args:
        host: of the service, as in ``127.0.0.1:3000``.
        path: of the operation that takes bodies, as in ``/predict``.
        good: a body that the service accepts.
    """

    def post(body: bytes, headers: Mapping[str, str] = _JSON) -> bytes:
        return _head("POST", path, host, {**headers, "content-length": str(len(body))}) + body

    def json_of(name: str, body: bytes) -> HostileRequest:
        return HostileRequest(name=name, chunks=(post(body),))

    text = good.decode()
    requests = [
        json_of("no body", b""),
        json_of("no JSON", b"certainly not JSON"),
        json_of("half of a JSON text", good[: len(good) // 2]),
        json_of("two JSON texts", good + good),
        json_of("null", b"null"),
        json_of("a list", b"[]"),
        json_of("a number", b"1"),
        json_of("an empty object", b"{}"),
        json_of("invalid UTF-8", b'{"\xff\xfe\x80": [\xc3\x28]}'),
        # RFC 8259 wants UTF-8; who reads this too does no harm.
        HostileRequest(name="UTF-16", chunks=(post(text.encode("utf-16")),), refused=False),
        json_of("a lone surrogate", b'{"\\ud800": "\\udfff"}'),
        json_of("NUL characters", b"{\x00}"),
        json_of("a key of NUL", b'{"\\u0000": 1}'),
        json_of("NaN", b'{"rows": [NaN, Infinity, -Infinity]}'),
        json_of("a number too large for any type", b'{"rows": [' + b"9" * 5000 + b", 1e99999]}"),
        json_of("lists 100,000 deep", b"[" * 100_000),
        json_of("objects 50,000 deep", b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
        json_of("100,000 keys", json.dumps({f"key{number}": number for number in range(100_000)}).encode()),
        json_of("11 MiB of a text", b'{"rows": "' + b"a" * (11 * _MEGABYTE) + b'"}'),
        json_of("11 MiB of blanks", b" " * (11 * _MEGABYTE)),
        HostileRequest(
            name="compressed, and it is not", chunks=(post(good, {**_JSON, "content-encoding": "gzip"}),), refused=False
        ),
        *(
            HostileRequest(name=f"content type {kind!r}", chunks=(post(good, {"content-type": kind}),), refused=False)
            for kind in (
                "text/plain",
                "application/xml",
                "multipart/form-data",
                "application/json; charset=utf-16",
                "/",
            )
        ),
        HostileRequest(name="no content type", chunks=(post(good, {}),), refused=False),
        HostileRequest(
            name="a form", chunks=(post(b"a=1&b=2", {"content-type": "application/x-www-form-urlencoded"}),)
        ),
        HostileRequest(
            name="a request id of 5,000 characters",
            chunks=(post(good, {**_JSON, "x-request-id": "x" * 5000}),),
            refused=False,
        ),
        HostileRequest(
            name="a request id with quotes and markup",
            chunks=(post(good, {**_JSON, "x-request-id": '"\\><script>${jndi:ldap://x}'}),),
            refused=False,
        ),
        HostileRequest(name="a body in chunks", chunks=(_chunked(host, path, good),), refused=False),
        HostileRequest(
            name="a chunk of a wrong size", chunks=(_chunked(host, path, good).replace(b"\r\n\r\n", b"\r\n\r\nzz", 1),)
        ),
        HostileRequest(name="a body that comes slowly", chunks=_slices(post(good), 4), refused=False),
        HostileRequest(name="a body that never ends", chunks=(_endless(host, path, good),), cut=True),
        HostileRequest(name="a connection that breaks off in the head", chunks=(post(good)[:20],), cut=True),
        HostileRequest(
            name="a negative length", chunks=(_head("POST", path, host, {**_JSON, "content-length": "-1"}),)
        ),
        HostileRequest(
            name="a length that is none", chunks=(_head("POST", path, host, {**_JSON, "content-length": "ten"}),)
        ),
        HostileRequest(
            name="a length and chunks", chunks=(_chunked(host, path, good, {"content-length": "4"}),), refused=False
        ),
        HostileRequest(
            name="a header of 200,000 characters",
            chunks=(post(good, {**_JSON, "x-long": "x" * 200_000}),),
            refused=False,
        ),
        HostileRequest(
            name="2,000 headers",
            chunks=(post(good, {**_JSON, **{f"x-{number}": "1" for number in range(2000)}}),),
            refused=False,
        ),
        HostileRequest(name="a header of bytes", chunks=(post(good, {**_JSON, "x-bytes": "\xff\xfe"}),), refused=False),
        HostileRequest(name="a header with NUL", chunks=(post(good, {**_JSON, "x-nul": "a\x00b"}),), refused=False),
        HostileRequest(
            name="no HTTP", chunks=(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n",)
        ),
        HostileRequest(
            name="HTTP of a version that is none",
            chunks=(b"POST " + path.encode() + b" HTTP/9.9\r\n\r\n",),
            refused=False,
        ),
        HostileRequest(name="an unknown method", chunks=(_head("BREW", path, host, {}),)),
        *(
            HostileRequest(name=f"the method {method}", chunks=(_head(method, path, host, {}),))
            for method in ("GET", "PUT", "DELETE", "PATCH", "TRACE")
        ),
        HostileRequest(name="the method HEAD", chunks=(_head("HEAD", path, host, {}),), refused=False),
        HostileRequest(name="the method OPTIONS", chunks=(_head("OPTIONS", path, host, {}),), refused=False),
        HostileRequest(name="a path out of the tree", chunks=(_head("GET", "/../../../etc/passwd", host, {}),)),
        HostileRequest(name="a path of escapes", chunks=(_head("GET", "/%2e%2e/%00/%ff%fe%", host, {}),)),
        HostileRequest(name="a path of 70,000 characters", chunks=(_head("GET", "/" + "a" * 70_000, host, {}),)),
        HostileRequest(
            name="a query with everything",
            chunks=(post(good).replace(path.encode(), path.encode() + b"?a=%00&b[]=1&c=%ff", 1),),
            refused=False,
        ),
    ]
    return tuple(requests)


def slow_request(host: str, path: str, good: bytes) -> HostileRequest:
    """A good request whose head is there at once, and whose body takes most of a second; arguments as above."""
    head = _head("POST", path, host, {**_JSON, "content-length": str(len(good))})
    return HostileRequest(name="a body that comes slowly", chunks=(head, *_slices(good, 16)), refused=False)


def _head(method: str, path: str, host: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _chunked(host: str, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    head = _head("POST", path, host, {**_JSON, "transfer-encoding": "chunked", **(headers or {})})
    half = len(body) // 2
    parts = (body[:half], body[half:], b"")
    return head + b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts)


def _endless(host: str, path: str, body: bytes) -> bytes:
    return _head("POST", path, host, {**_JSON, "content-length": str(100 * len(body))}) + body


def _slices(content: bytes, number: int) -> tuple[bytes, ...]:
    size = -(-len(content) // number)
    return tuple(content[start : start + size] for start in range(0, len(content), size))
