"""How an environment is: what is desired, what runs, and whether the two are the same."""

from dataclasses import dataclass
from datetime import datetime

from gitrain.deployment.record import RunningRelease
from gitrain.deployment.replicas import Desired, Observed

__all__ = ["EnvironmentStatus", "status_of"]


@dataclass(frozen=True, kw_only=True)
class EnvironmentStatus:
    """An environment as it is.

    Attributes:
        name: of the environment.
        desired: what its file wants to run.
        running: what most requests get.
        health: up: every replica that gets requests is ready; degraded: not all of them, or too few; down: nobody
            answers; empty: nothing was ever started; unknown: it cannot be seen.
        url: where users reach it.
        ready: replicas that get requests and are ready.
        replicas: how many there are to be.
        standby: the release that is kept warm beside it.
        since: when the oldest replica of what runs was started.
        age: seconds since then.
        memory: bytes that all replicas hold.
        suspended: whether nothing is changed until it is resumed.
        under_way: the version of a deployment that has begun and not ended.
        drift: how what runs differs from what is desired (configuration drift); empty if it does not.
        problem: why it cannot be seen; empty if it can.
    """

    name: str
    desired: RunningRelease | None = None
    running: RunningRelease | None = None
    health: str = "unknown"
    url: str = ""
    ready: int = 0
    replicas: int = 0
    standby: RunningRelease | None = None
    since: datetime | None = None
    age: float | None = None
    memory: int = 0
    suspended: bool = False
    under_way: str | None = None
    drift: tuple[str, ...] = ()
    problem: str = ""

    def to_json(self) -> dict[str, object]:
        """JSON-serialisable values: what `gitrain env list --json` prints a list of."""
        return {
            "name": self.name,
            "desired": _release(self.desired),
            "running": _release(self.running),
            "health": self.health,
            "url": self.url,
            "ready": self.ready,
            "replicas": self.replicas,
            "standby": _release(self.standby),
            "since": self.since.isoformat() if self.since is not None else None,
            "age_seconds": self.age,
            "memory_bytes": self.memory,
            "suspended": self.suspended,
            "under_way": self.under_way,
            "drift": list(self.drift),
            "problem": self.problem,
        }


def status_of(desired: Desired, url: str, observed: Observed, now: datetime) -> EnvironmentStatus:
    """How an environment is, from what was seen."""
    running = observed.running
    routed = [replica for replica in observed.replicas if observed.routed(replica)]
    ready = [replica for replica in routed if replica.usable]
    idle = [each for each in observed.replicas if each.alive and each.release != running]
    since = min((replica.began for replica in observed.of(running)), default=None)
    return EnvironmentStatus(
        name=desired.name,
        desired=desired.release,
        running=running,
        health=_health(observed, len(ready), len(routed), desired.file.runtime.replicas),
        url=url,
        ready=len(ready),
        replicas=desired.file.runtime.replicas,
        standby=max(idle, key=lambda each: each.began).release if idle else None,
        since=since,
        age=None if since is None else round(max(0.0, (now - since).total_seconds()), 1),
        memory=sum(replica.memory for replica in observed.replicas),
        suspended=desired.file.suspend,
        under_way=None if observed.under_way is None else observed.under_way.release.version,
        drift=tuple(_drift(desired, observed)),
    )


def _health(observed: Observed, ready: int, routed: int, wanted: int) -> str:
    if not observed.backends:
        return "empty"
    if not observed.proxied or not ready:
        return "down"
    return "up" if ready == routed and ready >= wanted else "degraded"


def _drift(desired: Desired, observed: Observed) -> list[str]:
    found = []
    release, shares = desired.release, observed.shares
    if release is not None and release not in shares:
        runs = f"{observed.running.version} runs" if observed.running is not None else "nothing runs"
        found.append(f"{runs}, {release.version} is desired")
    others = [f"{100 * share:.0f} % to {other.version}" for other, share in shares.items() if other != release]
    if release in shares and others:
        found.append(f"requests go elsewhere: {', '.join(others)}")
    if observed.listen is not None and observed.listen != desired.file.runtime.listen:
        found.append(f"it listens at {observed.listen or 'two addresses'}, not at {desired.file.runtime.listen}")
    return found


def _release(release: RunningRelease | None) -> dict[str, str] | None:
    return None if release is None else {"version": release.version, "digest": release.digest}
