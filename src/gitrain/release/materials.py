"""What a release is made of: what a software bill of materials is written from."""

from dataclasses import dataclass
from datetime import datetime

from gitrain.release.identity import ReleaseIdentity
from gitrain.release.requirements import LockedRequirement

__all__ = ["Materials"]


@dataclass(frozen=True, kw_only=True)
class Materials:
    """What a release is made of.

    Attributes:
        identity: who the release is.
        committed_at: the time of its commit.
        bundle_digest: of the bundle's manifest.
        requirements: what the bundle installs, on whatever system.
        direct: the names of those that the service needs itself; the others are needed by these.
        served_path: the file that is served, in the bundle's `src/`.
        sources: the top-level modules whose source is in the bundle.
    """

    identity: ReleaseIdentity
    committed_at: datetime
    bundle_digest: str
    requirements: tuple[LockedRequirement, ...]
    direct: frozenset[str]
    served_path: str
    sources: tuple[str, ...]
