"""What is desired of an environment, and what was seen to run there: values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field

from gitrain.deployment.record import Ending, RecordedStep, RunningRelease
from gitrain.deployment.routing import Backend
from gitrain.documents import Document
from gitrain.environments.document import Environment

__all__ = ["Desired", "Observed", "Replica", "UnderWay", "shares_of"]


@dataclass(frozen=True, kw_only=True)
class Desired:
    """What a commit says of an environment.

    Attributes:
        name: of the environment.
        file: its file.
        commit: the last commit that changed the file: whoever made it asked for this.
        project: the project's name, as the release has it.
        release: what is to run; None where the file names none, or the branch that it follows has none yet.
        record_digest: of that release's record.
    """

    name: str
    file: Environment
    commit: str
    project: str = ""
    release: RunningRelease | None = None
    record_digest: str | None = None


@dataclass(frozen=True, kw_only=True)
class Replica:
    """A process that serves a release, or should.

    Attributes:
        id: unlike any other's.
        release: what it serves.
        port: where it listens, on the loopback interface.
        pid: its process; None where none was found.
        began: when it was started.
        alive: whether the process runs.
        ready: whether it says that it can predict.
        memory: bytes that it and its children hold.
    """

    id: str
    release: RunningRelease
    port: int
    pid: int | None
    began: datetime
    alive: bool = True
    ready: bool = False
    memory: int = 0

    @property
    def url(self) -> str:
        """Its own address, past the proxy."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def usable(self) -> bool:
        """Whether requests can be sent to it."""
        return self.alive and self.ready


class UnderWay(Document):
    """A deployment that has begun and is not recorded yet; it is on the disk before anything is done.

    Attributes:
        id: of its record.
        project: the project's name.
        kind: deploy, rollback; probe: what runs already is asked again.
        release: what is to run.
        former: what ran before.
        desired_by: the commit whose file asks for it.
        actor: who started it.
        approved_by: who approved it.
        began: when.
        steps: what was done so far.
        ending: set once it is known that it ends otherwise than well: what is left is to put the former release back.
        reason: why.
    """

    id: str = Field(pattern=r"^[0-9a-f]{16}$")
    project: str
    kind: Literal["deploy", "rollback", "probe"]
    release: RunningRelease
    former: RunningRelease | None = None
    desired_by: str
    actor: str
    approved_by: str | None = None
    began: AwareDatetime
    steps: tuple[RecordedStep, ...] = ()
    ending: Ending | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What runs in an environment.

    Attributes:
        replicas: all that are known of, dead ones too, by the time of their start.
        backends: where the proxy sends requests, or, if it is down, last sent them; empty before the first deployment.
        proxied: whether the proxy runs.
        listen: where the proxy was last told to listen; None before the first deployment.
        under_way: the deployment that another run began and did not end.
    """

    replicas: tuple[Replica, ...] = ()
    backends: tuple[Backend, ...] = ()
    proxied: bool = False
    listen: str | None = None
    under_way: UnderWay | None = None

    @property
    def shares(self) -> dict[RunningRelease, float]:
        """The share of requests that each release gets, the largest first."""
        return shares_of(self.replicas, self.backends)

    @property
    def running(self) -> RunningRelease | None:
        """The release that gets most requests; None if none does."""
        return next(iter(self.shares), None)

    def of(self, release: RunningRelease | None) -> tuple[Replica, ...]:
        """The replicas of a release."""
        return tuple(replica for replica in self.replicas if replica.release == release)

    def routed(self, replica: Replica) -> bool:
        """Whether requests are sent to a replica."""
        return any(backend.port == replica.port for backend in self.backends)


def shares_of(replicas: Sequence[Replica], backends: Sequence[Backend]) -> dict[RunningRelease, float]:
    """The share of requests that each release gets, the largest first; 0 to 1. Ports of no replica are passed over."""
    releases = {replica.port: replica.release for replica in replicas}
    weights: dict[RunningRelease, int] = {}
    for backend in backends:
        release = releases.get(backend.port)
        if release is not None:
            weights[release] = weights.get(release, 0) + backend.weight
    total = sum(backend.weight for backend in backends)
    return {
        release: weight / total
        for release, weight in sorted(weights.items(), key=lambda entry: (-entry[1], entry[0].version))
    }
