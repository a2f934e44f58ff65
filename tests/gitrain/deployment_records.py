"""Deployment records that tests make up, and a place for them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from gitrain.deployment.record import DeploymentRecord, Ending, RunningRelease

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def digest(version: str) -> str:
    """A digest that only this version has."""
    return f"sha256:{hashlib.sha256(version.encode()).hexdigest()}"


def running(version: str, bundle: str | None = None) -> RunningRelease:
    return RunningRelease(version=version, digest=bundle or digest(version))


def deployed(
    environment: str,
    version: str,
    *,
    minute: float = 0,
    ending: Ending = Ending.SUCCEEDED,
    bundle: str | None = None,
    reason: str = "all probes passed",
    commit: str = "d" * 40,
    former: str | None = None,
) -> DeploymentRecord:
    """A deployment that began so many minutes after START and took one."""
    began = START + timedelta(minutes=minute)
    return DeploymentRecord(
        schema_version=1,
        id=hashlib.sha256(f"{environment}{version}{minute}{ending}".encode()).hexdigest()[:16],
        project="tumours",
        environment=environment,
        release=running(version, bundle),
        former=running(former) if former else None,
        desired_by=commit,
        actor="ada",
        reason=reason,
        began=began,
        ended=began + timedelta(minutes=1),
        ending=ending,
    )


@dataclass
class MemoryRecords:
    """`DeploymentRecords` in memory."""

    kept: list[DeploymentRecord] = field(default_factory=list)

    def add(self, record: DeploymentRecord) -> None:
        if record not in self.kept:
            self.kept.append(record)

    def list(self, environment: str | None = None) -> Sequence[DeploymentRecord]:
        found = [each for each in self.kept if environment in (None, each.environment)]
        return sorted(found, key=lambda each: each.began)
