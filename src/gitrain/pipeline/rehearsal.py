"""A rehearsal as values: its steps, how they ended, and what users saw meanwhile."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gitrain.verdicts import Figure, Outcome

__all__ = ["Rehearsal", "Requests", "Step", "StepResult", "Traffic"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step: a name, and what it proves.

    Attributes:
        name: one word.
        proves: one sentence for the reader.
        lacks: what the repository has to have for it and has not, in a sentence; empty if the step can be taken.
    """

    name: str
    proves: str
    lacks: str = ""


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """How a step ended.

    Attributes:
        step: which one.
        outcome: PASSED: what it proves is so; None: it was left out.
        seconds: how long it took.
        said: what happened, a sentence each.
        figures: the numbers behind it.
    """

    step: Step
    outcome: Outcome | None
    seconds: float = 0.0
    said: tuple[str, ...] = ()
    figures: Mapping[str, Figure] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """JSON-serialisable values."""
        return {
            "name": self.step.name,
            "outcome": "LEFT OUT" if self.outcome is None else self.outcome.value,
            "seconds": self.seconds,
            "said": list(self.said),
            "figures": dict(self.figures),
        }


@dataclass(frozen=True, kw_only=True)
class Requests:
    """What users saw.

    Attributes:
        total: requests that were sent.
        failed: of these, those without an answer, or with another status than 200.
        failures: how many failed in each way, the most frequent first.
        seconds: for so long they were sent.
        p50_ms, p99_ms, longest_ms: from when a request was due to its answer; None without requests.
    """

    total: int = 0
    failed: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    p50_ms: float | None = None
    p99_ms: float | None = None
    longest_ms: float | None = None

    def to_json(self) -> dict[str, object]:
        """JSON-serialisable values."""
        return {
            "total": self.total,
            "failed": self.failed,
            "failures": dict(self.failures),
            "seconds": self.seconds,
            "p50_ms": self.p50_ms,
            "p99_ms": self.p99_ms,
            "longest_ms": self.longest_ms,
        }


class Traffic(Protocol):
    """Users: requests at a steady rate from a process of their own, whatever else goes on."""

    def start(self, url: str, bodies: str, rate: float) -> None:
        """Begin to send.

        Args:
            url: the address of the service.
            bodies: a request's body a line.
            rate: requests a second.
        """

    def so_far(self) -> Requests:
        """What has been counted up to about a second ago."""

    def stop(self) -> Requests:
        """Send no more, wait for the answers, and count; nothing happens where nothing was started."""


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """All of it.

    Attributes:
        project: its name.
        champion_batch, challenger_batch: the newest data of the model that ran first, and of the one that took over.
        results: the steps, in order.
        requests: what users saw.
        where: what to look at: a name, and where it is.
    """

    project: str
    champion_batch: str
    challenger_batch: str
    results: tuple[StepResult, ...]
    requests: Requests
    where: tuple[tuple[str, str], ...] = ()

    @property
    def outcome(self) -> Outcome:
        """PASSED: every step that was taken passed, and no request failed."""
        taken = [result.outcome for result in self.results if result.outcome is not None]
        sound = all(outcome is Outcome.PASSED for outcome in taken) and not self.requests.failed
        return Outcome.PASSED if sound else Outcome.FAILED

    @property
    def seconds(self) -> float:
        """All steps together."""
        return sum(result.seconds for result in self.results)

    def to_json(self) -> dict[str, object]:
        """JSON-serialisable values: what `gitrain rehearse --json` prints."""
        return {
            "schema_version": 1,
            "project": self.project,
            "outcome": self.outcome.value,
            "seconds": round(self.seconds, 1),
            "champion": self.champion_batch,
            "challenger": self.challenger_batch,
            "requests": self.requests.to_json(),
            "steps": [result.to_json() for result in self.results],
            "where": dict(self.where),
        }
