"""A release that is started to be looked at, and what it takes from the machine."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gitrain.environments.document import Resources

__all__ = ["BuiltFor", "MemoryUse", "ServedRelease", "ServiceStarter", "StartedService", "Stopped"]


@dataclass(frozen=True, kw_only=True)
class BuiltFor:
    """What a release was built for.

    Attributes:
        python: the minor version, e.g. ``3.12``.
        machine: the architecture, as `platform.machine` says it.
        libraries: by normalised name, the versions that its requirements allow: one a marker.
    """

    python: str
    machine: str
    libraries: Mapping[str, frozenset[str]]


@dataclass(frozen=True, kw_only=True)
class ServedRelease:
    """What is to be started.

    Attributes:
        name: in messages: ``release 1.4.0`` or ``this tree``.
        folder: where it is started.
        command: the program and its arguments; ``{port}`` stands for the port.
        paths: where its modules are looked for.
        facts: what `GET /release` has to say.
        built_for: the Python, machine and libraries that it was built for.
    """

    name: str
    folder: Path
    command: tuple[str, ...]
    paths: tuple[Path, ...]
    facts: Mapping[str, object]
    built_for: BuiltFor


@dataclass(frozen=True, kw_only=True)
class MemoryUse:
    """What all processes of a service took at the same time, at most.

    Attributes:
        total: bytes; what processes share is counted once.
        processes: how many there were then.
    """

    total: int
    processes: int


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """How a service ended.

    Attributes:
        exit_code: of its first process; negative: the signal that ended it.
        seconds: from being told to stop until it was gone.
        forced: whether it had to be killed.
    """

    exit_code: int
    seconds: float
    forced: bool


class StartedService(Protocol):
    """A service that was started."""

    @property
    def url(self) -> str:
        """Its address."""

    @property
    def started(self) -> float:
        """When it was started, by the starter's clock."""

    @property
    def cpu_enforced(self) -> bool:
        """Whether it can take no more processors than it may."""

    def gone(self) -> str:
        """Why it ended by itself, with the end of its log; empty as long as it runs."""

    def log(self) -> str:
        """The end of what it printed."""

    def memory(self) -> MemoryUse | None:
        """The most that it took since it was started; None where this machine does not say."""

    def stop(self, patience: float) -> Stopped:
        """Tell it to stop, wait until it has, and kill it if it has not within `patience` seconds."""


class ServiceStarter(Protocol):
    """Starts releases."""

    def start(
        self, release: ServedRelease, resources: Resources, variables: Mapping[str, str]
    ) -> AbstractContextManager[StartedService]:
        """Start one on a free port of the loopback interface; on leaving it is killed, with all of its processes.

        Args:
            release: what is started.
            resources: what it may take.
            variables: of its environment, besides those of this process.

        Raises:
            IntegrationError: the program cannot be started.
        """
