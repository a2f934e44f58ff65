"""List the releases of all stores."""

from collections.abc import Sequence
from dataclasses import dataclass

from gitrain.release.record import ReleaseRecord
from gitrain.release.store import ReleaseStore
from gitrain.release.tags import ReleaseTag, release_tag
from gitrain.release.versions import Version

__all__ = ["ListedRelease", "list_releases"]


@dataclass(frozen=True, kw_only=True)
class ListedRelease:
    """A release, and where it is.

    Attributes:
        record: its record.
        stores: that have it, in the order in which they were asked.
        tagged: whether its tag is on its commit.
    """

    record: ReleaseRecord
    stores: tuple[str, ...]
    tagged: bool

    def to_json(self) -> dict[str, object]:
        """JSON-serialisable values: what `gitrain release list --json` prints a list of."""
        identity = self.record.identity
        return {
            "version": self.record.version,
            "project": identity.project,
            "commit": identity.commit,
            "committed_at": self.record.to_payload()["committed_at"],
            "record_digest": self.record.digest,
            "bundle_digest": self.record.bundle_digest,
            "model_digest": identity.model_digest,
            "served_format": identity.served_format,
            "stores": list(self.stores),
            "tagged": self.tagged,
        }


def list_releases(stores: Sequence[ReleaseStore], tags: Sequence[ReleaseTag]) -> list[ListedRelease]:
    """Every release once, the newest version first. Two that share a version and are not the same are both listed.

    Raises:
        ReleaseError: a record was changed.
        IntegrationError: a store cannot be reached.
    """
    records: dict[str, ReleaseRecord] = {}
    places: dict[str, list[str]] = {}
    for store in stores:
        for record in store.list():
            records[record.digest] = record
            places.setdefault(record.digest, []).append(store.url)
    commits = {tag.name: tag.commit for tag in tags}
    listed = [
        ListedRelease(
            record=record,
            stores=tuple(places[digest]),
            tagged=commits.get(release_tag(record).name) == record.identity.commit,
        )
        for digest, record in records.items()
    ]
    return sorted(listed, key=lambda each: Version.parse(each.record.version) or Version(0, 0, 0), reverse=True)
