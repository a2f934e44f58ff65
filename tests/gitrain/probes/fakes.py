"""What probes send with, without a network."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gitrain.errors import IntegrationError
from gitrain.probes.client import Reply
from gitrain.probes.fuzzing import FuzzingRun
from gitrain.probes.hostile import HostileReply, HostileRequest
from gitrain.probes.load import LoadSamples

__all__ = ["FakeClient", "FakeClock", "InstantLoad", "PoliteSender", "SilentFuzzer"]


@dataclass
class FakeClock:
    """A clock that only moves when somebody sleeps."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class FakeClient:
    """Answers from a table of ``METHOD path``: a reply, a function of the body, or None for no answer."""

    answers: Mapping[str, Reply | Callable[[bytes], Reply] | None]
    url: str = "http://127.0.0.1:3000"
    asked: list[str] = field(default_factory=list)

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        self.asked.append(f"{method} {path}")
        answer = self.answers.get(f"{method} {path}", Reply(status=404))
        if answer is None:
            raise IntegrationError("nobody answers", fix="start it.")
        return answer if isinstance(answer, Reply) else answer(body or b"")


@dataclass
class InstantLoad:
    """A load that every request of which is answered in a millisecond."""

    asked: list[tuple[int, float]] = field(default_factory=list)

    def run(
        self, url: str, due, payloads: Sequence[object], *, timeout: float, progress, more=lambda _: True
    ) -> LoadSamples:
        more(len(due))
        self.asked.append((len(due), timeout))
        count = len(due)
        ones = np.ones(count, dtype=np.int32)
        return LoadSamples(
            started=0.0,
            due=due,
            sent=due.copy(),
            written=due.copy(),
            done=due + 0.001,
            status=np.full(count, 200, dtype=np.int16),
            lost=np.full(count, "", dtype=np.object_),
            rows=ones,
            missing=ones * 0,
            stale=ones * 0,
        )


class SilentFuzzer:
    """A fuzzer that finds nothing."""

    def run(self, url: str, *, requests: int, seed: int, progress) -> FuzzingRun:
        return FuzzingRun(
            requests=requests,
            valid=requests,
            accepted=(requests, requests),
            statuses=Counter({200: requests}),
            findings=(),
            operations=("POST /predict",),
            seconds=1.0,
        )


class PoliteSender:
    """A sender that is always refused."""

    def send(self, url: str, request: HostileRequest, *, begun: Callable[[], None] = lambda: None) -> HostileReply:
        begun()
        return HostileReply(request=request, reply=Reply(status=400 if request.refused else 200))
