"""Fetch a release as a folder: copied once, verified each time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gitrain.operations.find_release import LATEST, find_release
from gitrain.release.record import ReleaseRecord
from gitrain.release.store import ReleaseStore

__all__ = ["FetchedRelease", "fetch_release"]


@dataclass(frozen=True, kw_only=True)
class FetchedRelease:
    """A release on this machine.

    Attributes:
        record: its record.
        folder: its bundle, whole and verified; what a service looks for lies in `src` there.
    """

    record: ReleaseRecord
    folder: Path


def fetch_release(stores: Sequence[ReleaseStore], unpacked: Path, version: str = LATEST) -> FetchedRelease:
    """The bundle of a release as a folder below `unpacked`, named by the bundle's digest.

    Args:
        stores: in the order in which they are asked.
        unpacked: the folder for bundles; it is made.
        version: with or without a leading v, or ``latest``.

    Raises:
        UsageError: `version` is no version.
        ReleaseError: no store has it, it was changed there, or what is unpacked here was.
        IntegrationError: a store cannot be reached.
    """
    found = find_release(stores, version)
    folder = unpacked / found.record.bundle_digest.removeprefix("sha256:")
    return FetchedRelease(record=found.record, folder=found.store.unpack(found.version, folder))
