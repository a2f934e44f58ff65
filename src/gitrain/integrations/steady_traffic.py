"""Users of a service for as long as it takes: requests at a steady rate from a process of their own.

The process is ``python -m gitrain.integrations.steady_traffic URL BODIES RATE OUT``: it sends until it is told to end
(SIGTERM), writes what it has counted to OUT once a second, and at the end.
"""

import json
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gitrain.errors import GitrainError, IntegrationError, UsageError
from gitrain.integrations.files import replacing
from gitrain.integrations.http_load import HttpLoad
from gitrain.integrations.local_process import LocalProcess, start_detached
from gitrain.pipeline.rehearsal import Requests
from gitrain.probes.arrivals import arrival_times
from gitrain.probes.load import LoadSamples
from gitrain.probes.payloads import Payload

__all__ = ["SteadyTraffic", "count", "send_until"]

# Requests are sent in stretches, the next of which begins on time whether the last has all its answers or not.
_STRETCH = 1.0
_TIMEOUT = 10.0
_AT_ONCE = 16
# A process that nobody ends ends by itself.
_LONGEST = 3600.0
_COUNTS = "traffic.json"


@dataclass
class SteadyTraffic:
    """A `Traffic` by a process that belongs to no terminal.

    Attributes:
        folder: of its files: ``traffic.jsonl`` (bodies), ``traffic.json`` (counts) and ``traffic.log``.
        variables: what it finds in its environment.
        pause: waits some seconds.
    """

    folder: Path
    variables: dict[str, str]
    pause: Callable[[float], None] = time.sleep
    _process: LocalProcess | None = field(default=None, init=False)

    def start(self, url: str, bodies: str, rate: float) -> None:
        """Begin to send. Raises IntegrationError where it cannot be started."""
        given, counts = self.folder / "traffic.jsonl", self.folder / _COUNTS
        given.write_text(bodies, encoding="utf-8")
        counts.unlink(missing_ok=True)
        command = [sys.executable, "-m", __name__, url, str(given), f"{rate:g}", str(counts)]
        log = self.folder / "traffic.log"
        self._process = start_detached(command, folder=self.folder, log=log, environment=self.variables)
        for _ in range(600):
            if counts.exists():
                return
            if not self._process.alive:
                break
            self.pause(0.1)
        raise IntegrationError("no request could be sent", fix=f"look at {log}.")

    def so_far(self) -> Requests:
        """What has been counted up to about a second ago."""
        with suppress(FileNotFoundError):
            return Requests(**json.loads((self.folder / _COUNTS).read_text(encoding="utf-8")))
        return Requests()

    def stop(self) -> Requests:
        """Send no more, wait for the answers, and count."""
        if self._process is None:
            return Requests()
        log = self.folder / "traffic.log"
        if not self._process.alive:
            raise IntegrationError("the users left by themselves: what was counted is not all", fix=f"look at {log}.")
        if not self._process.end(patience=2 * _TIMEOUT, pause=self.pause):
            raise IntegrationError("requests did not end, so they are not counted", fix=f"look at {log}.")
        self._process = None
        return self.so_far()


def send_until(
    ended: threading.Event,
    send: Callable[[float, int], LoadSamples],
    tell: Callable[[Requests], None],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Requests:
    """Send stretch after stretch, each when it is due, until told to end; then wait for all answers.

    Args:
        ended: set by whoever wants it to end.
        send: sends the requests of a stretch: its seconds, and its number.
        tell: is told the counts, about once a second.
        clock: seconds that only grow.
    """
    begun, number = clock(), 0
    samples: list[LoadSamples] = []
    under_way: list[Future[LoadSamples]] = []
    tell(count(samples, 0.0))
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="users") as pool:
        while not ended.is_set() and clock() - begun < _LONGEST:
            under_way.append(pool.submit(send, _STRETCH, number))
            number += 1
            ended.wait(max(0.0, begun + number * _STRETCH - clock()))
            samples += [each.result() for each in under_way if each.done()]
            under_way = [each for each in under_way if not each.done()]
            tell(count(samples, clock() - begun))
        samples += [each.result() for each in under_way]
    total = count(samples, clock() - begun)
    tell(total)
    return total


def count(samples: list[LoadSamples], seconds: float) -> Requests:
    """All stretches together; a request that was never sent has failed."""
    if not samples:
        return Requests(seconds=round(seconds, 1))
    status = np.concatenate([each.status for each in samples])
    lost = np.concatenate([each.lost for each in samples])
    failures = Counter(
        why or f"status {number}" for number, why in zip(status.tolist(), lost, strict=True) if number != 200
    )
    waited = 1000 * np.concatenate([each.done - each.due for each in samples])
    waited = waited[~np.isnan(waited)]
    p50, p99, longest = (float(value) for value in np.quantile(waited, (0.5, 0.99, 1.0))) if len(waited) else (0, 0, 0)
    return Requests(
        total=len(status),
        failed=failures.total(),
        failures=dict(failures.most_common()),
        seconds=round(seconds, 1),
        p50_ms=round(p50, 1),
        p99_ms=round(p99, 1),
        longest_ms=round(longest, 1),
    )


def _main(url: str, bodies: str, rate: float, out: Path) -> int:
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    payloads = [Payload(body=line.encode()) for line in Path(bodies).read_text(encoding="utf-8").splitlines() if line]
    if not payloads:
        raise UsageError(f"{bodies} has no bodies", fix="write one a line.")

    def send(seconds: float, number: int) -> LoadSamples:
        # Each stretch goes on with the rows where the last one ended.
        first = int(number * rate * seconds) % len(payloads)
        rows = [*payloads[first:], *payloads[:first]]
        due = arrival_times(rate, seconds)
        return HttpLoad().run(url, due, rows, timeout=_TIMEOUT, progress=lambda line: None)

    def tell(requests: Requests) -> None:
        with replacing(out) as stream:
            stream.write(json.dumps(requests.to_json()).encode())

    send_until(ended, send, tell)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(_main(sys.argv[1], sys.argv[2], float(sys.argv[3]), Path(sys.argv[4])))
    except GitrainError as error:
        print(f"gitrain: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
