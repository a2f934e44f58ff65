"""Find a release by its version in the stores that there are."""

from collections.abc import Sequence
from dataclasses import dataclass

from gitrain.errors import ReleaseError, UsageError
from gitrain.release.record import ReleaseRecord
from gitrain.release.store import ReleaseStore
from gitrain.release.versions import Version

__all__ = ["LATEST", "FoundRelease", "choose_store", "find_release"]

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
    store, wanted = choose_store(stores, version)
    record = store.find(wanted)
    if record is None:
        raise _unknown(stores, wanted)
    return FoundRelease(version=wanted, record=record, store=store)


def choose_store(stores: Sequence[ReleaseStore], version: str = LATEST) -> tuple[ReleaseStore, str]:
    """The first store that has a version, and the version, without a leading v; its record is not read.

    Arguments and errors as those of `find_release`.
    """
    if version == LATEST:
        # Where two stores have it, the first one is asked.
        found = [(parsed, store) for store in stores for each in store.versions() if (parsed := Version.parse(each))]
        if not found:
            raise ReleaseError(f"there is no release in {_named(stores)}", fix="build one: `gitrain release build`.")
        newest = max(version for version, _ in found)
        return next(store for version, store in found if version == newest), str(newest)
    wanted = Version.parse(version.removeprefix("v"))
    if wanted is None:
        raise UsageError(f"{version!r} is no version of a release", fix="give one such as 1.4.0, or `latest`.")
    for store in stores:
        if str(wanted) in store.versions():
            return store, str(wanted)
    raise _unknown(stores, str(wanted))


def _unknown(stores: Sequence[ReleaseStore], version: str) -> ReleaseError:
    return ReleaseError(
        f"there is no release {version} in {_named(stores)}",
        fix="`gitrain release list` names those that there are; --store names another store.",
    )


def _named(stores: Sequence[ReleaseStore]) -> str:
    return " or ".join(dict.fromkeys(store.url for store in stores))
