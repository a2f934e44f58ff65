"""One write for the head and the body of an answer.

ASGI hands over a head, then a body, and uvicorn writes each to the socket as it comes: two calls of the system and two
packets, for an answer of half a kilobyte. What is written while an answer is handed over goes out together here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["in_one_write"]


@contextmanager
def in_one_write(send: object) -> Iterator[None]:
    """What `send` writes meanwhile is written at the end, at once.

    Args:
        send: of an ASGI server. uvicorn's is a method of what has the `transport` of the connection; of any other
            nothing changes.
    """
    cycle = getattr(send, "__self__", None)
    transport = getattr(cycle, "transport", None)
    if cycle is None or transport is None:
        yield
        return
    gathered = _Gathered(transport)
    cycle.transport = gathered
    try:
        yield
    finally:
        cycle.transport = transport
        gathered.flush()


class _Gathered:
    """A transport that keeps what is written until it is flushed or closed; all else is the transport's own."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        self._parts.append(data)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        if self._parts:
            self._transport.write(b"".join(self._parts))
            self._parts = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
