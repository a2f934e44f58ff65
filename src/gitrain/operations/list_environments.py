"""List the environments: what is desired, what runs, and how it is."""

from collections.abc import Callable, Sequence
from datetime import datetime

from gitrain.deployment.deployer import Deployer
from gitrain.deployment.replicas import Desired
from gitrain.deployment.status import EnvironmentStatus, status_of
from gitrain.errors import GitrainError

__all__ = ["list_environments"]


def list_environments(
    names: Sequence[str],
    open_desired: Callable[[str], Desired],
    open_deployer: Callable[[Desired], Deployer],
    *,
    clock: Callable[[], datetime],
) -> list[EnvironmentStatus]:
    """The environments in the order given; one that cannot be seen hides no other."""
    found = []
    for name in names:
        try:
            desired = open_desired(name)
            deployer = open_deployer(desired)
            found.append(status_of(desired, deployer.url, deployer.observe(), clock()))
        except GitrainError as error:
            found.append(EnvironmentStatus(name=name, problem=error.what))
    return found
