"""A client that costs little: HTTP/1.1 on loopback, one request at a time on a connection.

It shares the machine with the service, so what it does between an answer and its clock would be counted as the
service's: no event loop, no tasks and no garbage collection stand between the kernel and the clock.
"""

import contextlib
import gc
import itertools
import select
import socket
import statistics
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

__all__ = ["Load", "closed_loop", "open_loop", "post"]

HOST = "127.0.0.1"
CONNECTIONS = 32
_PATIENCE = 60.0


@dataclass(kw_only=True)
class Load:
    """What came of a load: statuses, and seconds from when a request was due to its answer.

    Attributes:
        seconds: that it took.
        latencies: of the answers, in their order.
        late: seconds from when a request was due to when the client sent it: its own part of the latencies.
        statuses: how many answers had which.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    @property
    def failures(self) -> int:
        return sum(count for status, count in self.statuses.items() if status != 200)

    def as_row(self) -> dict[str, float]:
        return {
            "requests": len(self.latencies),
            "failures": self.failures,
            "requests_per_second": round(self.rate, 1),
            "p50_ms": _milliseconds(self.latencies, 50),
            "p99_ms": _milliseconds(self.latencies, 99),
            "max_ms": _milliseconds(self.latencies, 100),
            "mean_ms": round(1000 * statistics.fmean(self.latencies), 3),
            "client_late_p99_ms": _milliseconds(self.late, 99),
        }


def _milliseconds(seconds: list[float], percentile: float) -> float:
    if not seconds:
        return 0.0
    ordered = sorted(seconds)
    return round(1000 * ordered[min(len(ordered) - 1, int(percentile / 100 * len(ordered)))], 3)


class _Connection:
    """One connection.

    Attributes:
        due: when the request that it waits for was due.
    """

    def __init__(self, port: int, requests: Iterator[bytes], poll: select.epoll) -> None:
        self.due = 0.0
        self._requests = requests
        self._buffer = b""
        self._socket = socket.create_connection((HOST, port), timeout=_PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll.register(self.number, select.EPOLLIN)

    @property
    def number(self) -> int:
        return self._socket.fileno()

    def ask(self, due: float) -> None:
        self.due = due
        self._socket.sendall(next(self._requests))

    def read(self) -> int | None:
        """The status of the answer; None as long as it is not whole."""
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionResetError("the server closed the connection")
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return None
        lower = head.lower()
        start = lower.index(b"content-length:") + 15
        if len(rest) < int(lower[start:].partition(b"\r\n")[0]):
            return None
        self._buffer = b""
        return int(head[9:12])

    def close(self) -> None:
        self._socket.close()


def post(path: str, body: bytes) -> bytes:
    """A request's bytes."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@contextlib.contextmanager
def _clients(port: int, requests: Iterator[bytes], count: int) -> Iterator[tuple[select.epoll, dict[int, _Connection]]]:
    collects = gc.isenabled()
    with select.epoll() as poll:
        found = [_Connection(port, requests, poll) for _ in range(count)]
        clients = {each.number: each for each in found}
        gc.disable()
        try:
            yield poll, clients
        finally:
            if collects:
                gc.enable()
            for each in clients.values():
                each.close()


def _ready(poll: select.epoll) -> list[int]:
    """The connections on which something has come."""
    found = poll.poll(_PATIENCE)
    if not found:
        raise TimeoutError(f"no answer within {_PATIENCE:g} seconds")
    return [number for number, _ in found]


def closed_loop(port: int, requests: Sequence[bytes], *, connections: int, seconds: float) -> Load:
    """So many connections, each with the next request as soon as it has its answer: the most that a server does."""
    load = Load()
    with _clients(port, itertools.cycle(requests), connections) as (poll, clients):
        begun = time.perf_counter()
        end = begun + seconds
        for connection in clients.values():
            connection.ask(time.perf_counter())
        waiting = len(clients)
        while waiting:
            for number in _ready(poll):
                connection = clients[number]
                status = connection.read()
                if status is None:
                    continue
                now = time.perf_counter()
                load.latencies.append(now - connection.due)
                load.statuses[status] = load.statuses.get(status, 0) + 1
                if now < end:
                    connection.ask(now)
                else:
                    waiting -= 1
        load.seconds = time.perf_counter() - begun
    return load


def open_loop(port: int, requests: Sequence[bytes], *, rate: float, seconds: float) -> Load:
    """Requests that are due at fixed times, whatever the server does; latency counts from when one was due.

    A server that stands still for a moment makes all requests late that fall into it, as it would its users
    (http://highscalability.com/blog/2015/10/5/your-load-generator-is-probably-lying-to-you-take-the-red-pi.html).
    """
    load, turns = Load(), itertools.cycle(requests)
    with _clients(port, turns, CONNECTIONS) as (poll, clients):
        # The server has accepted them all before the clock starts: clients keep their connections.
        for connection in clients.values():
            connection.ask(0.0)
        idle: deque[_Connection] = deque()
        while len(idle) < len(clients):
            idle += [clients[number] for number in _ready(poll) if clients[number].read() is not None]
        asked, count = 0, int(rate * seconds)
        begun = last = time.perf_counter()

        def ask_what_is_due() -> None:
            nonlocal asked
            while asked < count and (due := begun + asked / rate) <= time.perf_counter():
                if not idle:
                    added = _Connection(port, turns, poll)
                    clients[added.number] = added
                    idle.append(added)
                idle.popleft().ask(due)
                load.late.append(time.perf_counter() - due)
                asked += 1

        # Timers are good to a millisecond: going round is exact.
        while len(load.latencies) < count:
            ask_what_is_due()
            for number, _ in poll.poll(0):
                connection = clients[number]
                status = connection.read()
                if status is None:
                    continue
                last = time.perf_counter()
                load.latencies.append(last - connection.due)
                load.statuses[status] = load.statuses.get(status, 0) + 1
                idle.append(connection)
                ask_what_is_due()
            if time.perf_counter() - last > _PATIENCE:
                raise TimeoutError(f"no answer within {_PATIENCE:g} seconds")
        load.seconds = last - begun
    return load
