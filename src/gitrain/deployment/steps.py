"""What can be done to an environment, as data: steps and plans. A plan cannot execute itself."""

from dataclasses import dataclass
from typing import Literal

from gitrain.deployment.deployer import ProbeKind
from gitrain.deployment.record import Ending, RunningRelease
from gitrain.deployment.replicas import Replica
from gitrain.verdicts import Outcome

__all__ = [
    "AwaitStep",
    "CanaryStretch",
    "FetchStep",
    "Kind",
    "Plan",
    "ProbeStep",
    "RecordStep",
    "RouteStep",
    "StartStep",
    "Step",
    "StopStep",
    "replicas_in_words",
]

#: none: nothing is to be done; heal: the release stays, or is put back before another one's canary, and what died is
#: replaced; deploy, rollback: to another one; probe: what runs is asked again; undo: a deployment that failed is taken
#: back; refused: it must not be tried, and at most what runs in its place is healed.
Kind = Literal["none", "heal", "deploy", "rollback", "probe", "undo", "stop", "refused"]


@dataclass(frozen=True, kw_only=True)
class FetchStep:
    """Verify every digest of a release, its signature and its tag; unpack it."""

    release: RunningRelease

    @property
    def name(self) -> str:
        """What the step is called in the record."""
        return "fetch"

    @property
    def text(self) -> str:
        """The step in words."""
        return f"fetch release {self.release.version} ({_short(self.release)}) and verify it"


@dataclass(frozen=True, kw_only=True)
class StartStep:
    """Start replicas beside those that run."""

    release: RunningRelease
    number: int

    @property
    def name(self) -> str:
        """What the step is called in the record."""
        return "start"

    @property
    def text(self) -> str:
        """The step in words."""
        return f"start {replicas_in_words(self.number)} of {self.release.version}"


@dataclass(frozen=True, kw_only=True)
class AwaitStep:
    """Wait until what was started is ready."""

    release: RunningRelease
    seconds: float

    @property
    def name(self) -> str:
        """What the step is called in the record."""
        return "await"

    @property
    def text(self) -> str:
        """The step in words."""
        return f"wait until {self.release.version} is ready, for {self.seconds:g} s at most"


@dataclass(frozen=True, kw_only=True)
class ProbeStep:
    """Ask a replica of the release, past the proxy."""

    release: RunningRelease
    probe: ProbeKind

    @property
    def name(self) -> str:
        """What the step is called in the record."""
        return f"probe {self.probe}"

    @property
    def text(self) -> str:
        """The step in words."""
        return f"probe {self.probe} of {self.release.version}"


@dataclass(frozen=True, kw_only=True)
class CanaryStretch:
    """Send some of the requests, or copies alone, to the new release, and judge it beside the one that runs."""

    release: RunningRelease
    champion: RunningRelease
    percent: int
    seconds: float

    @property
    def name(self) -> str:
        """What the step is called in the record."""
        return f"canary {self.percent} %" if self.percent else "shadow"

    @property
    def text(self) -> str:
        """The step in words."""
        if not self.percent:
            return f"send copies of requests alone to {self.release.version} for {self.seconds:g} s, and judge"
        return (
            f"send {self.percent} % to {self.release.version} and the rest to {self.champion.version} "
            f"for {self.seconds:g} s, and judge"
        )


@dataclass(frozen=True, kw_only=True)
class RouteStep:
    """Send all requests to a release; the proxy is started if it does not run."""

    release: RunningRelease
    listen: str

    @property
    def name(self) -> str:
        """What the step is called in the record."""
        return "route"

    @property
    def text(self) -> str:
        """The step in words."""
        return f"send all requests at {self.listen} to {self.release.version}"


@dataclass(frozen=True, kw_only=True)
class StopStep:
    """End replicas; those that are gone already are forgotten."""

    replicas: tuple[Replica, ...]
    patience: float

    @property
    def name(self) -> str:
        """What the step is called in the record."""
        return "stop"

    @property
    def text(self) -> str:
        """The step in words."""
        counts: dict[str, int] = {}
        for replica in self.replicas:
            said = f"{replica.release.version}{'' if replica.alive else ', gone already'}"
            counts[said] = counts.get(said, 0) + 1
        return "stop " + "; ".join(f"{replicas_in_words(count)} of {said}" for said, count in counts.items())


@dataclass(frozen=True, kw_only=True)
class RecordStep:
    """Record how the deployment ended."""

    ending: Ending

    @property
    def name(self) -> str:
        """What the step is called in the record."""
        return "record"

    @property
    def text(self) -> str:
        """The step in words."""
        return f"record that it {self.ending.value}"


Step = FetchStep | StartStep | AwaitStep | ProbeStep | CanaryStretch | RouteStep | StopStep | RecordStep


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done, in order.

    Attributes:
        environment: its name.
        kind: see `Kind`.
        reason: why, in one sentence.
        release: what runs when all is done.
        former: what runs now.
        steps: what is to be done.
        retired: the ids of replicas that get no requests any more, once the release has all of them.
        outcome: once its steps are done, if they go well: PASSED if what runs is what is desired.
    """

    environment: str
    kind: Kind
    reason: str
    release: RunningRelease | None = None
    former: RunningRelease | None = None
    steps: tuple[Step, ...] = ()
    retired: frozenset[str] = frozenset()
    outcome: Outcome = Outcome.PASSED

    @property
    def recorded(self) -> bool:
        """Whether it leaves a record."""
        return any(isinstance(step, RecordStep) for step in self.steps)

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """What its steps end."""
        return tuple(replica for step in self.steps if isinstance(step, StopStep) for replica in step.replicas)

    def to_json(self) -> dict[str, object]:
        """JSON-serialisable values: what `gitrain deploy plan --json` prints."""
        return {
            "environment": self.environment,
            "kind": self.kind,
            "reason": self.reason,
            "release": None if self.release is None else self.release.model_dump(),
            "former": None if self.former is None else self.former.model_dump(),
            "steps": [{"name": step.name, "text": step.text} for step in self.steps],
        }


def replicas_in_words(number: int) -> str:
    """``1 replica``, ``2 replicas``."""
    return f"{number} replica{'' if number == 1 else 's'}"


def _short(release: RunningRelease) -> str:
    return release.digest.removeprefix("sha256:")[:12]
