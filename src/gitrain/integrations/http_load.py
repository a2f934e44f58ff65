"""aiohttp: requests that are sent when they are due, whatever the service does."""

import asyncio
import contextlib
import errno
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import aiohttp
import numpy as np
from aiohttp.abc import AbstractStreamWriter
from numpy.typing import NDArray

from gitrain.probes.arrivals import Pacer
from gitrain.probes.load import LoadSamples
from gitrain.probes.payloads import Payload, read_answer

__all__ = ["HttpLoad"]

# So many requests without an answer: the service has stopped, and more would only fill this machine's memory.
_OUTSTANDING = 5000
# Servers close connections that idle for five seconds or more: ours go first, so that no request meets a closed one.
_IDLE_SECONDS = 2.0
_HEADERS = {"content-type": "application/json", "accept": "application/json"}
# Seconds after which whoever wants no more requests is heard at the latest.
_ASKING = 0.1
_NO_ANSWER = 0


@dataclass(frozen=True, kw_only=True)
class HttpLoad:
    """A `LoadGenerator`: one process, one event loop, as many connections as there are requests on the way.

    Attributes:
        clock: seconds that only grow.
    """

    clock: Callable[[], float] = time.monotonic

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
        """Send a request at each time that one is due, to `POST /predict`."""
        run = _Run(clock=self.clock, url=f"{url}/predict", due=due, payloads=payloads, timeout=timeout)
        with _without_pauses():
            asyncio.run(run.all(progress, more))
        return run.samples()


class _Run:
    def __init__(
        self,
        *,
        clock: Callable[[], float],
        url: str,
        due: NDArray[np.float64],
        payloads: Sequence[Payload],
        timeout: float,
    ) -> None:
        self._clock, self._url, self._due, self._payloads, self._timeout = clock, url, due, payloads, timeout
        self._sent = np.full(len(due), np.nan)
        self._written = np.full(len(due), np.nan)
        self._done = np.full(len(due), np.nan)
        self._status = np.full(len(due), _NO_ANSWER, dtype=np.int16)
        self._lost = np.full(len(due), f"{_OUTSTANDING} others had none yet", dtype=np.object_)
        self._bodies: list[bytes] = [b""] * len(due)
        self._start = 0.0
        self._taken = 0
        self._finished = 0

    async def all(self, progress: Callable[[str], None], more: Callable[[int], bool]) -> None:
        """Send everything, as long as there shall be more, and wait for the answers."""
        pacer, total = Pacer(self._due), len(self._due)
        tasks: set[asyncio.Task[None]] = set()
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS)
        timeout = aiohttp.ClientTimeout(total=self._timeout)
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            headers=_HEADERS,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:
            self._start = self._clock()
            told = 0.0
            while True:
                now = self._clock() - self._start
                if not more(self._finished):
                    break
                taken = pacer.take(now)
                self._taken = taken.stop
                for number in taken:
                    if len(tasks) >= _OUTSTANDING:
                        continue
                    task = asyncio.create_task(self._one(session, number))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                wait = pacer.wait(self._clock() - self._start)
                if wait is None:
                    break
                if now - told >= 1:
                    told = now
                    progress(f"load: {now:.0f} of {self._due[-1]:.0f} s, {self._finished:,} of {total:,} requests")
                await asyncio.sleep(min(wait, _ASKING))
            if tasks:
                progress(f"load: waiting for {len(tasks):,} answers")
                await asyncio.wait(tasks)

    async def _one(self, session: aiohttp.ClientSession, number: int) -> None:
        payload = self._payloads[number % len(self._payloads)]
        body = _Body(payload.body, lambda: self._now(self._written, number))
        self._now(self._sent, number)
        # A request that fails is counted and the load goes on: no failure of one is a failure of the probe.
        try:
            async with session.post(self._url, data=body, allow_redirects=False) as reply:
                self._bodies[number] = await reply.read()
                self._status[number] = reply.status
            self._lost[number] = ""
        except TimeoutError as error:
            # The system's own time for a connection may be over before ours.
            self._lost[number] = _words(error) if error.errno else f"none within {self._timeout:g} s"
        except (aiohttp.ClientError, OSError) as error:
            self._lost[number] = _words(error)
        self._now(self._done, number)
        if np.isnan(self._written[number]):
            self._written[number] = self._done[number]
        self._finished += 1

    def _now(self, times: NDArray[np.float64], number: int) -> None:
        times[number] = self._clock() - self._start

    def samples(self) -> LoadSamples:
        """What happened; answers are read now, so that reading them took no time from sending."""
        count = self._taken
        rows, missing, stale = (np.zeros(count, dtype=np.int32) for _ in range(3))
        for number in map(int, np.flatnonzero(self._status[:count] == 200)):
            answered = read_answer(self._bodies[number], self._payloads[number % len(self._payloads)])
            if answered is None:
                # It says 200, and is no answer to what was asked.
                self._status[number], self._lost[number] = _NO_ANSWER, "200 without the predictions"
                continue
            rows[number], missing[number], stale[number] = answered
        # Who gets nothing has waited in vain, however soon the connection broke.
        done = np.where(self._status == _NO_ANSWER, self._due + self._timeout, self._done)[:count]
        return LoadSamples(
            started=self._start,
            due=self._due[:count],
            sent=self._sent[:count],
            written=self._written[:count],
            done=done,
            status=self._status[:count],
            lost=self._lost[:count],
            rows=rows,
            missing=missing,
            stale=stale,
        )


class _Body(aiohttp.BytesPayload):
    """A body that tells when it was written: the system has it then, whatever our own loop does next."""

    def __init__(self, content: bytes, written: Callable[[], None]) -> None:
        super().__init__(content, content_type=_HEADERS["content-type"])
        self._written = written

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        await super().write_with_length(writer, content_length)
        self._written()


def _words(error: Exception) -> str:
    """The kind of a failure alone: its message may name ports and times, and would be another one each time."""
    number = error.errno if isinstance(error, OSError) else None
    named = errno.errorcode.get(number, "") if number is not None else ""
    return f"{type(error).__name__} {named}".rstrip()


@contextlib.contextmanager
def _without_pauses() -> Iterator[None]:
    """A collection of everything that this process has loaded takes 100 ms: the schedule would not be kept."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
