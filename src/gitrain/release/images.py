"""Container images of releases."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gitrain.release.record import ReleaseRecord

__all__ = ["BuiltImage", "ImageBuilder", "image_labels"]


@dataclass(frozen=True, kw_only=True)
class BuiltImage:
    """An image that was built.

    Attributes:
        engine: what built it: docker, podman or buildah.
        tags: its names.
        digest: of its configuration, which names its layers: what engines call the image's ID.
        size: bytes, unpacked; None where the engine does not say.
        base_image: what it was built on.
        user: who its processes run as.
    """

    engine: str
    tags: tuple[str, ...]
    digest: str
    size: int | None
    base_image: str
    user: str


class ImageBuilder(Protocol):
    """Builds images from bundles, by an engine of this machine."""

    def build(
        self,
        bundle: Path,
        *,
        tags: Sequence[str],
        labels: Mapping[str, str],
        base_image: str | None,
        options: Sequence[str],
        progress: Callable[[str], None],
    ) -> BuiltImage:
        """Build the image of a bundle, which is left as it is.

        Args:
            bundle: its folder.
            tags: the image's names.
            labels: the image's labels.
            base_image: what to build on instead of what the bundle names.
            options: of the engine, as in ``network=host``.
            progress: takes each line that the engine prints.

        Raises:
            IntegrationError: no engine works here, or it failed; the message holds the last lines that it printed.
            ReleaseError: the image would run as root.
        """


def image_labels(record: ReleaseRecord) -> dict[str, str]:
    """What an image says of its release: OCI's own keys, and the digests."""
    identity = record.identity
    return {
        "org.opencontainers.image.title": identity.project,
        "org.opencontainers.image.version": identity.version,
        "org.opencontainers.image.revision": identity.commit,
        "org.opencontainers.image.created": record.committed_at.isoformat(),
        "gitrain.bundle": record.bundle_digest,
        "gitrain.record": record.digest,
        "gitrain.model": identity.model_digest,
    }
