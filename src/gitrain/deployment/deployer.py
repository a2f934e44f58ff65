"""What starts, routes to and ends replicas: the protocols."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from gitrain.deployment.replicas import Observed, Replica, UnderWay
from gitrain.deployment.routing import Backend
from gitrain.environments.document import Runtime
from gitrain.release.record import ReleaseRecord
from gitrain.verdicts import Verdict

__all__ = ["Bundle", "Deployer", "Probe", "ProbeKind", "Stretch", "Watch"]

ProbeKind = Literal["smoke", "contract", "load"]


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A release on this machine, verified.

    Attributes:
        record: its record.
        folder: its bundle.
    """

    record: ReleaseRecord
    folder: Path


class Deployer(Protocol):
    """The replicas and the proxy of one environment. Whatever kills it, the next one finds all that was started."""

    @property
    def url(self) -> str:
        """The address that users reach."""

    @property
    def folder(self) -> Path:
        """Where the environment's state, logs and predictions are kept."""

    def hold(self, who: str, since: str, *, wait: float) -> AbstractContextManager[None]:
        """Keep others from changing the environment until the context is left, or this process ends.

        Args:
            who: is named to others.
            since: a time, for others.
            wait: seconds for which a holder is waited for.

        Raises:
            DeploymentError: another one holds it; it is named.
        """

    def observe(self) -> Observed:
        """What runs now; nothing is changed.

        Raises:
            DeploymentError: what was written down cannot be read, or the proxy cannot be asked.
        """

    def prepare(self, bundle: Bundle) -> None:
        """Make the environment of Python that the release needs, if there is none yet.

        Raises:
            DeploymentError: it cannot be made.
        """

    def start(self, bundle: Bundle, runtime: Runtime) -> Replica:
        """Start a replica; it is not waited for.

        Raises:
            DeploymentError: it cannot be started.
        """

    def look(self, replica: Replica) -> Replica:
        """The replica as it is now: whether it lives, and is ready."""

    def log(self, replica: Replica) -> str:
        """The end of what a replica printed, in one line."""

    def route(self, listen: str, backends: Sequence[Backend]) -> None:
        """Send all requests to these from now on, and listen there.

        Raises:
            DeploymentError: the proxy cannot be started or refuses.
        """

    def copy_requests(self, to: Replica | None, percent: int = 0) -> None:
        """Let the replicas that serve users send copies of some of their requests to another one, from now on.

        Args:
            to: the replica; None: no copies any more.
            percent: of the requests are copied.
        """

    def stop(self, replicas: Sequence[Replica], *, patience: float) -> None:
        """End replicas, whatever is left of them, and forget them; requests under way have so many seconds."""

    def note(self, under_way: UnderWay | None) -> None:
        """Write down how far a deployment is; None: it is recorded."""


class Probe(Protocol):
    """Asks a replica, past the proxy."""

    def __call__(self, kind: ProbeKind, url: str, bundle: Bundle) -> Sequence[Verdict]:
        """What the probe says. Raises GitrainError where it broke itself."""


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """One step of a canary, while it lasts.

    Attributes:
        environment: its name.
        url: the address that users reach.
        folder: where the environment's state, logs and predictions are kept.
        percent: of the requests go to the challenger; 0: it gets copies alone.
        seconds: for so long, before it is judged.
        challenger: the replicas of the new release.
        champion: those of the one that runs.
    """

    environment: str
    url: str
    folder: Path
    percent: int
    seconds: float
    challenger: tuple[Replica, ...]
    champion: tuple[Replica, ...]


#: Watches a stretch to its end, or until the challenger is found worse. Only PASSED lets the deployment go on.
Watch = Callable[[Stretch], Sequence[Verdict]]
