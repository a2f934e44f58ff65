"""A client that costs little: HTTP/1.1 on loopback, one request at a time on a connection."""

import asyncio
import statistics
import time
from collections import deque
from dataclasses import dataclass, field
from typing import cast

__all__ = ["Load", "closed_loop", "open_loop", "post"]

HOST = "127.0.0.1"


@dataclass(kw_only=True)
class Load:
    """What came of a load: statuses, and seconds from when a request was due to its answer."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    @property
    def failures(self) -> int:
        return sum(count for status, count in self.statuses.items() if status != 200)

    def milliseconds(self, percentile: float) -> float:
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(percentile / 100 * len(ordered)))]

    def as_row(self) -> dict[str, float]:
        return {
            "requests": len(self.latencies),
            "failures": self.failures,
            "requests_per_second": round(self.rate, 1),
            "p50_ms": round(self.milliseconds(50), 3),
            "p99_ms": round(self.milliseconds(99), 3),
            "max_ms": round(1000 * max(self.latencies), 3),
            "mean_ms": round(1000 * statistics.fmean(self.latencies), 3),
        }


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._buffer = b""
        self._waiter: asyncio.Future[int] | None = None
        self.body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self.transport = cast(asyncio.Transport, transport)

    def ask(self, request: bytes) -> "asyncio.Future[int]":
        assert self.transport is not None
        self._waiter = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._waiter

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lower = head.lower()
        start = lower.index(b"content-length:") + 15
        length = int(lower[start:].partition(b"\r\n")[0])
        if len(rest) < length:
            return
        self._buffer, self.body = b"", rest
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionResetError("the server closed the connection"))


def post(path: str, body: bytes) -> bytes:
    """A request's bytes."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _connect(port: int) -> _Connection:
    _, connection = await asyncio.get_running_loop().create_connection(_Connection, HOST, port)
    return connection


async def closed_loop(port: int, request: bytes, *, connections: int, seconds: float) -> Load:
    """So many connections, each with its next request as soon as it has its answer: the most that a server does."""
    load = Load()
    end = time.perf_counter() + seconds

    async def one() -> None:
        connection = await _connect(port)
        while (begun := time.perf_counter()) < end:
            status = await connection.ask(request)
            load.latencies.append(time.perf_counter() - begun)
            load.statuses[status] = load.statuses.get(status, 0) + 1
        assert connection.transport is not None
        connection.transport.close()

    begun = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    load.seconds = time.perf_counter() - begun
    return load


async def open_loop(port: int, request: bytes, *, rate: float, seconds: float) -> Load:
    """Requests that are due at fixed times, whatever the server does; latency counts from when one was due.

    A server that stands still for a moment makes all requests late that fall into it, as it would its users
    (http://highscalability.com/blog/2015/10/5/your-load-generator-is-probably-lying-to-you-take-the-red-pi.html).
    """
    load = Load()
    idle: deque[_Connection] = deque([await _connect(port) for _ in range(32)])
    # The server has accepted them all before the clock starts: clients keep their connections.
    await asyncio.gather(*(connection.ask(request) for connection in idle))
    running: set[asyncio.Task[None]] = set()

    async def one(due: float) -> None:
        connection = idle.popleft() if idle else await _connect(port)
        status = await connection.ask(request)
        load.latencies.append(time.perf_counter() - due)
        load.statuses[status] = load.statuses.get(status, 0) + 1
        idle.append(connection)

    begun = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = begun + number / rate
        # Timers are good to a millisecond: going round the loop is exact.
        while time.perf_counter() < due:
            await asyncio.sleep(0)
        task = asyncio.ensure_future(one(due))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    load.seconds = time.perf_counter() - begun
    for connection in idle:
        assert connection.transport is not None
        connection.transport.close()
    return load
