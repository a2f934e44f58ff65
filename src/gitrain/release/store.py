"""Where releases are kept: the protocol."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from gitrain.release.record import ReleaseRecord

__all__ = ["ReleaseStore"]


class ReleaseStore(Protocol):
    """Keeps releases of one project by version, for ever: what is there is never written over.

    A release is there once its record is, and its record is written last: readers see all of it or nothing.
    """

    @property
    def url(self) -> str:
        """Where it is, for messages; without passwords."""

    def publish(self, record: ReleaseRecord, bundle: Path, attachments: Mapping[str, bytes]) -> bool:
        """Keep a release; whether anything was written: publishing again what is there does nothing.

        Whoever was killed on the way publishes again, and the result is the same. Attachments may be added later by
        publishing the same record with them.

        Args:
            record: of the bundle.
            bundle: its folder.
            attachments: small files by name, e.g. the SBOM and signatures.

        Raises:
            ReleaseError: another release has this version, another content has an attachment's name, the record does
                not describe the bundle or lacks its SBOM, or the store cannot create a file without overwriting one.
            IntegrationError: the store cannot be reached or refuses.
        """

    def versions(self) -> Sequence[str]:
        """The versions that are there, in their order; their records are not read.

        Raises:
            IntegrationError: the store cannot be reached.
        """

    def find(self, version: str) -> ReleaseRecord | None:
        """The record of a version; None if there is none.

        Raises:
            ReleaseError: it was changed.
            IntegrationError: the store cannot be reached.
        """

    def find_commit(self, commit: str) -> ReleaseRecord | None:
        """The newest release of a commit, a full hash; None if there is none. Errors as in `find`."""

    def list(self) -> Sequence[ReleaseRecord]:
        """All records in the order of their versions. Errors as in `find`."""

    def unpack(self, version: str, folder: Path) -> Path:
        """Copy a bundle to `folder`, in one step and verified on the way; what is there and whole is left alone.

        Raises:
            ReleaseError: there is no such version, a file is missing or has another content, or `folder` is there and
                holds something else.
            IntegrationError: the store cannot be reached.
        """

    def attachments(self, version: str) -> Sequence[str]:
        """The names of a release's attachments, sorted; empty if there is no such release. Errors as in `find`."""

    def attachment(self, version: str, name: str) -> bytes:
        """An attachment.

        Raises:
            ReleaseError: there is no such version or attachment.
            IntegrationError: the store cannot be reached.
        """

    def problems(self, version: str) -> Sequence[str]:
        """What is not as the record says, one sentence each, with the file, what was expected and what was found.

        Every digest is computed anew: of the record, the manifest, every file, the SBOM, and of what the bundle says
        of itself.

        Raises:
            ReleaseError: there is no such version.
            IntegrationError: the store cannot be reached.
        """
