"""Which release gets which share of an environment's requests, and through which of its replicas."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Backend", "Proxy", "Share", "backends_of", "turns"]


@dataclass(frozen=True, order=True)
class Backend:
    """A replica as the proxy sees it.

    Attributes:
        port: where it listens on this machine.
        weight: its requests among those of all backends, in whole parts.
    """

    port: int
    weight: int


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one release gets.

    Attributes:
        percent: of the requests, 1 to 100.
        ports: of its replicas, which get equal parts of that.
    """

    percent: int
    ports: tuple[int, ...]


class Proxy(Protocol):
    """Stands before the replicas of one environment. What it is told is there at once, or not at all."""

    def route(self, backends: Sequence[Backend]) -> None:
        """Send all requests to these from now on; requests under way end where they are.

        Raises:
            DeploymentError: the proxy cannot be started or refuses.
        """

    def routed(self) -> Sequence[Backend] | None:
        """Where requests are sent now, by port; None if the proxy does not run.

        Raises:
            DeploymentError: it runs and cannot be asked.
        """

    def stop(self) -> None:
        """End the proxy; requests under way are answered first."""


def backends_of(shares: Sequence[Share]) -> list[Backend]:
    """The backends that give each release its share, by port.

    Raises:
        ValueError: the shares do not add up to 100, a release has no replica, or two have one port in common.
    """
    if sum(share.percent for share in shares) != 100 or any(share.percent < 1 for share in shares):
        raise ValueError(f"shares of {[share.percent for share in shares]} per cent")
    if not all(share.ports for share in shares):
        raise ValueError("a release without a replica gets no requests")
    ports = [port for share in shares for port in share.ports]
    if len(set(ports)) < len(ports):
        raise ValueError(f"a port stands twice in {ports}")
    whole = math.lcm(*(len(share.ports) for share in shares))
    weights = {port: share.percent * whole // len(share.ports) for share in shares for port in share.ports}
    # 100:100 would send a hundred requests in a row to one backend before the other gets its own.
    divisor = math.gcd(*weights.values())
    return [Backend(port, weights[port] // divisor) for port in sorted(ports)]


def turns(backends: Sequence[Backend], number: int) -> list[int]:
    """Whose turn it is: ports for `number` requests in a row, each backend as often as its weight says, evenly spread.

    Smooth weighted round robin: at each turn every backend gains its weight, and the one that has gained most is
    taken and pays the sum of all weights. What is counted in any stretch is off by less than one turn a backend.

    Raises:
        ValueError: no backends, or fewer turns than backends.
    """
    if not backends or number < len(backends):
        raise ValueError(f"{number} turns for {len(backends)} backends")
    total = sum(backend.weight for backend in backends)
    gained = {backend: 0 for backend in backends}
    found = []
    for _ in range(number):
        for backend in backends:
            gained[backend] += backend.weight
        chosen = max(backends, key=lambda backend: gained[backend])
        gained[chosen] -= total
        found.append(chosen.port)
    return found
