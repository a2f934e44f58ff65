"""Find a release by its version in the stores that there are."""

from collections.abc import Sequence
from dataclasses import dataclass

from gitrain.errors import ReleaseError, UsageError
from gitrain.release.record import ReleaseRecord
from gitrain.release.store import ReleaseStore
from gitrain.release.versions import Version

__all__ = ["LATEST", "FoundRelease", "find_release"]

#: Stands for the newest version.
LATEST = "latest"


@dataclass(frozen=True, kw_only=True)
class FoundRelease:
    """A release, and the first store that has it.

    Attributes:
        version: without the leading v.
        record: its record.
        store: where it is.
    """

    version: str
    record: ReleaseRecord
    store: ReleaseStore


def find_release(stores: Sequence[ReleaseStore], version: str = LATEST) -> FoundRelease:
    """The release of that version in the first store that has it.

    Args:
        stores: in the order in which they are asked: first the one of this machine.
        version: with or without a leading v, or ``latest``: the newest of all stores.

    Raises:
        UsageError: `version` is no version.
        ReleaseError: no store has it, or its record was changed.
        IntegrationError: a store cannot be reached.
    """
    if version == LATEST:
        newest = max(
            (record for store in stores for record in store.list()),
            key=lambda record: Version.parse(record.version) or Version(0, 0, 0),
            default=None,
        )
        if newest is None:
            raise ReleaseError(f"there is no release in {_named(stores)}", fix="build one: `gitrain release build`.")
        version = newest.version
    wanted = Version.parse(version.removeprefix("v"))
    if wanted is None:
        raise UsageError(f"{version!r} is no version of a release", fix="give one such as 1.4.0, or `latest`.")
    for store in stores:
        record = store.find(str(wanted))
        if record is not None:
            return FoundRelease(version=str(wanted), record=record, store=store)
    raise ReleaseError(
        f"there is no release {wanted} in {_named(stores)}",
        fix="`gitrain release list` names those that there are; --store names another store.",
    )


def _named(stores: Sequence[ReleaseStore]) -> str:
    return " or ".join(dict.fromkeys(store.url for store in stores))
