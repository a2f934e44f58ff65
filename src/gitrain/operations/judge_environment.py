"""Judge a release that an environment is to desire: gather what is known of it, and ask the rules."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gitrain.deployment.commits import CommitHistory
from gitrain.deployment.promotion import PromotionCase
from gitrain.deployment.record import DeploymentRecord, DeploymentRecords, RunningRelease
from gitrain.environments.document import Environment
from gitrain.errors import ReleaseError
from gitrain.operations.verify_release import VerifiedRelease, verify_release
from gitrain.release.signature import TrustedKey
from gitrain.release.store import ReleaseStore
from gitrain.release.tags import ReleaseTag

__all__ = ["EnvironmentTools", "gather_case", "verify_version"]


@dataclass(frozen=True, kw_only=True)
class EnvironmentTools:
    """What is known of releases and of what has run.

    Attributes:
        history: of the repository.
        records: of deployments.
        stores: of releases, in the order in which they are asked.
        keys: whose signatures of releases count.
        tags: of the repository.
        clock: the time, in UTC.
    """

    history: CommitHistory
    records: DeploymentRecords
    stores: Sequence[ReleaseStore]
    keys: Sequence[TrustedKey]
    tags: Callable[[], Sequence[ReleaseTag]]
    clock: Callable[[], datetime]


def verify_version(tools: EnvironmentTools, version: str) -> tuple[VerifiedRelease | None, str | None]:
    """What was found out about a release, or why there is none.

    Raises:
        UsageError: `version` is no version.
        IntegrationError: a store cannot be reached.
    """
    try:
        return verify_release(tools.stores, version, keys=tools.keys, tags=tools.tags()), None
    except ReleaseError as error:
        return None, error.what


def gather_case(
    tools: EnvironmentTools,
    name: str,
    environments: Mapping[str, Environment],
    version: str,
    digest: str | None,
    records: Sequence[DeploymentRecord],
) -> PromotionCase | None:
    """All that is known of a release that an environment is to desire.

    Args:
        tools: what is asked.
        name: of the environment.
        environments: all of them, as they are before the change.
        version: of the release, with or without a leading v, or ``latest``.
        digest: that the change names; None: the one that it was built with.
        records: of the deployments in all environments.

    Returns:
        None if there is no such release, and nobody named a digest.
    """
    verified, missing = verify_version(tools, version)
    record = verified.record if verified is not None else None
    wanted = digest or (record.bundle_digest if record is not None else None)
    if wanted is None:
        return None
    return PromotionCase(
        environment=name,
        environments=environments,
        release=RunningRelease(version=verified.version if verified else version.removeprefix("v"), digest=wanted),
        record=record,
        verified=verified.verdicts if verified is not None else (),
        missing=missing,
        records=records,
        now=tools.clock(),
    )
