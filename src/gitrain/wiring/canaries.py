"""How canaries are watched on this machine: replicas are asked for their numbers, and the proxy for what it saw."""

import time
from collections.abc import Callable

from gitrain.deployment.replicas import Desired, Replica
from gitrain.integrations.caddy_requests import CaddyRequests
from gitrain.integrations.local_deployer import LocalDeployer
from gitrain.operations.watch_canary import CanaryWatch

__all__ = ["open_watch"]

_METRICS, _SECONDS = "/metrics", 2.0


def open_watch(desired: Desired, deployer: LocalDeployer, progress: Callable[[str], None]) -> CanaryWatch:
    """What judges the canaries of an environment."""
    return CanaryWatch(
        file=desired.file,
        numbers=_numbers,
        alive=lambda replica: deployer.look(replica).alive,
        # Where users are led when a stretch begins: an earlier step may have led them to another address.
        proxied=lambda: CaddyRequests(deployer.proxy_folder).watched(),
        seconds=time.monotonic,
        pause=time.sleep,
        progress=progress,
    )


def _numbers(replica: Replica) -> str | None:
    # It brings numpy with it, which a pass that has nothing to do does without.
    from gitrain.errors import IntegrationError
    from gitrain.integrations.http_client import HttpClient

    try:
        reply = HttpClient(url=replica.url, timeout=_SECONDS).send("GET", _METRICS)
    except IntegrationError:
        return None
    return reply.body.decode(errors="replace") if reply.status == 200 else None
