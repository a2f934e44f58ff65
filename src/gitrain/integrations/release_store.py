"""A release store on any place that keeps files: contents under their digests, and a record a version.

::

    blobs/sha256/AB/ABCD…                the files of bundles, named by their SHA-256
    bundles/sha256/DIGEST.json           manifests: which files a bundle has
    attachments/sha256/DIGEST/NAME       small files of a release, by the digest of its record: SBOM, signatures
    records/VERSION.json                 the record: made last, and never written over
"""

import contextlib
import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gitrain.errors import IntegrationError, ReleaseError
from gitrain.lineage import digest_of_bytes
from gitrain.release.bundle import BundleManifest
from gitrain.release.contents import contradictions
from gitrain.release.objects import Content, Objects
from gitrain.release.record import SBOM, ReleaseRecord
from gitrain.release.versions import Version

__all__ = ["ObjectReleaseStore"]

_RECORDS = "records"
_RECORD = ".json"
_LOCK = ".lock"
_BYTECODE = "__pycache__"


@dataclass(frozen=True)
class ObjectReleaseStore:
    """A `ReleaseStore` on `Objects`."""

    objects: Objects

    @property
    def url(self) -> str:
        """Where it is, for messages; without passwords."""
        return self.objects.url

    def publish(self, record: ReleaseRecord, bundle: Path, attachments: Mapping[str, bytes]) -> bool:
        """Keep a release; whether anything was written; see `ReleaseStore.publish`."""
        manifest = _manifest(bundle)
        _refuse_another_bundle(record, manifest, bundle)
        kept = self.find(record.version)
        if kept is not None and kept != record:
            raise self._taken(record, kept)
        _refuse_another_sbom(record, attachments, needed=kept is None)
        blobs = {_blob(file.digest): Content(file.size, file.digest) for file in manifest.files}
        text = manifest.to_json().encode()
        name = _bundle(manifest.digest)
        with self.objects.writing(), tempfile.TemporaryDirectory(prefix="gitrain-") as folder:
            listing = Path(folder, "manifest.json")
            listing.write_bytes(text)
            sources = {_blob(file.digest): bundle / file.path for file in manifest.files} | {name: listing}
            wanted = blobs | {name: Content(len(text), manifest.digest)}
            missing = self.objects.missing(wanted)
            self.objects.put({blob: sources[blob] for blob in missing})
            added = [self._attach(record, name, content) for name, content in sorted(attachments.items())]
            return self._commit(record) or bool(missing) or any(added)

    def versions(self) -> Sequence[str]:
        """The versions that are there, in their order."""
        files = self.objects.list(_RECORDS)
        found = [Version.parse(name.removesuffix(_RECORD)) for name in files if name.endswith(_RECORD)]
        return [str(version) for version in sorted(version for version in found if version is not None)]

    def find(self, version: str) -> ReleaseRecord | None:
        """The record of a version; None if there is none."""
        if Version.parse(version) is None:
            return None
        content = self.objects.read(_record(version))
        return None if content is None else self._parsed(version, content)

    def find_commit(self, commit: str) -> ReleaseRecord | None:
        """The newest release of a commit; None if there is none."""
        return next((record for record in reversed(self.list()) if record.identity.commit == commit), None)

    def list(self) -> Sequence[ReleaseRecord]:
        """All records in the order of their versions."""
        found = (self.find(version) for version in self.versions())
        return [record for record in found if record is not None]

    def unpack(self, version: str, folder: Path) -> Path:
        """Copy a bundle to `folder`, in one step and verified; see `ReleaseStore.unpack`."""
        record = self._existing(version)
        manifest = self._manifest(record)
        if folder.exists():
            wrong = _differences(manifest, folder)
            if wrong:
                raise ReleaseError(
                    f"{folder} is not release {version} as it was built: {wrong[0]}",
                    fix="remove that folder, then run the command again.",
                )
            return folder
        try:
            with _scratch_beside(folder) as scratch:
                unfinished = scratch / "bundle"
                self._copy(record, manifest, unfinished)
                os.rename(unfinished, folder)
        except OSError as error:
            # Another process was quicker; what it made is looked at like anything that is there.
            if folder.exists():
                return self.unpack(version, folder)
            raise IntegrationError(
                f"release {version} cannot be unpacked to {folder}: {error.strerror or error}",
                fix="check the permissions and the disk.",
            ) from error
        return folder

    def attachments(self, version: str) -> Sequence[str]:
        """The names of a release's attachments, sorted; empty if there is no such release."""
        record = self.find(version)
        return [] if record is None else list(self.objects.list(_attachments(record)))

    def attachment(self, version: str, name: str) -> bytes:
        """An attachment."""
        record = self._existing(version)
        content = self.objects.read(f"{_attachments(record)}/{_plain(name)}")
        if content is None:
            raise ReleaseError(
                f"release {version} in {self.url} has no attachment {name!r}", fix="publish the release again."
            )
        return content

    def problems(self, version: str) -> Sequence[str]:
        """What is not as the record says; every digest is computed anew."""
        content = self.objects.read(_record(version)) if Version.parse(version) else None
        if content is None:
            raise self._unknown(version)
        try:
            record = self._parsed(version, content)
            manifest = self._manifest(record)
        except ReleaseError as error:
            return [error.what]
        expected = {_blob(file.digest): Content(file.size, file.digest) for file in manifest.files}
        found = self.objects.contents(list(expected))
        wrong = [
            f"{file.path} ({_blob(file.digest)}): {difference}"
            for file in manifest.files
            if (difference := _difference(file.digest, file.size, found.get(_blob(file.digest))))
        ]
        sbom = self.objects.read(f"{_attachments(record)}/{SBOM}")
        actual = "nothing" if sbom is None else digest_of_bytes(sbom)
        if actual != record.sbom_digest:
            wrong.append(f"{SBOM}: expected {record.sbom_digest}, found {actual}")
        blobs = {file.path: _blob(file.digest) for file in manifest.files}
        said = contradictions(record, manifest, lambda path: self.objects.read(blobs[path]) if path in blobs else None)
        return [*wrong, *said]

    def _parsed(self, version: str, content: bytes) -> ReleaseRecord:
        source = f"{self.url}/{_record(version)}"
        record = ReleaseRecord.from_json(content.decode(errors="replace"), source=source)
        if record.version != version:
            raise ReleaseError(
                f"{source} is the record of {record.version}, not of {version}", fix="restore it from a backup."
            )
        return record

    def _existing(self, version: str) -> ReleaseRecord:
        record = self.find(version)
        if record is None:
            raise self._unknown(version)
        return record

    def _unknown(self, version: str) -> ReleaseError:
        return ReleaseError(
            f"there is no release {version} in {self.url}",
            fix="`gitrain release list` names those that there are; --store names another store.",
        )

    def _taken(self, record: ReleaseRecord, kept: ReleaseRecord) -> ReleaseError:
        return ReleaseError(
            f"{self.url} has another release {record.version}: of commit {kept.identity.commit[:12]} with the bundle "
            f"{kept.bundle_digest}, not of {record.identity.commit[:12]} with {record.bundle_digest}",
            fix="a release is never replaced: build this one again, with the next version.",
        )

    def _manifest(self, record: ReleaseRecord) -> BundleManifest:
        name = _bundle(record.bundle_digest)
        source = f"{self.url}/{name}"
        content = self.objects.read(name)
        found = "nothing" if content is None else digest_of_bytes(content)
        if content is None or found != record.bundle_digest:
            raise ReleaseError(
                f"{source}: expected {record.bundle_digest}, found {found}",
                fix="publish the release again from a store that has it.",
            )
        return BundleManifest.from_json(content.decode(errors="replace"), source=source)

    def _attach(self, record: ReleaseRecord, name: str, content: bytes) -> bool:
        place = f"{_attachments(record)}/{_plain(name)}"
        if self.objects.create(place, content):
            return True
        if self.objects.read(place) != content:
            raise ReleaseError(
                f"{self.url}/{place} has another content", fix="remove it if it was damaged; it is never replaced."
            )
        return False

    def _commit(self, record: ReleaseRecord) -> bool:
        if self.objects.create(_record(record.version), record.to_json().encode()):
            return True
        kept = self.find(record.version)
        if kept is not None and kept != record:
            raise self._taken(record, kept)
        return False

    def _copy(self, record: ReleaseRecord, manifest: BundleManifest, folder: Path) -> None:
        paths = {file.path: folder / file.path for file in manifest.files}
        for path in paths.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        # One blob may be several files.
        first = {_blob(file.digest): paths[file.path] for file in reversed(manifest.files)}
        absent = self.objects.fetch(first)
        if not absent:
            for file in manifest.files:
                source = first[_blob(file.digest)]
                if source != paths[file.path]:
                    shutil.copyfile(source, paths[file.path])
                paths[file.path].chmod(0o755 if file.executable else 0o644)
        wrong = [f"{blob} is missing" for blob in absent] or _differences(manifest, folder)
        if wrong:
            raise ReleaseError(
                f"release {record.version} in {self.url} is damaged: {wrong[0]}",
                fix="publish it again from a store that has it whole: `gitrain release verify` says what is wrong.",
            )


@contextlib.contextmanager
def _scratch_beside(folder: Path) -> Iterator[Path]:
    """A folder of our own beside `folder`; those that killed processes left there are removed.

    Each holds a lock that the system lets go of with its process.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{folder.name}."
    for left in folder.parent.glob(f"{glob.escape(prefix)}*/{_LOCK}"):
        with contextlib.suppress(OSError), left.open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left.parent)
    with (
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=prefix) as scratch,
        Path(scratch, _LOCK).open("ab") as lock,
    ):
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(scratch)


def _record(version: str) -> str:
    return f"{_RECORDS}/{version}{_RECORD}"


def _blob(digest: str) -> str:
    plain = digest.removeprefix("sha256:")
    return f"blobs/sha256/{plain[:2]}/{plain}"


def _bundle(digest: str) -> str:
    return f"bundles/sha256/{digest.removeprefix('sha256:')}.json"


def _attachments(record: ReleaseRecord) -> str:
    return f"attachments/sha256/{record.digest.removeprefix('sha256:')}"


def _plain(name: str) -> str:
    if not name or name.startswith(".") or "/" in name or "\\" in name or not name.isprintable():
        raise ReleaseError(f"{name!r} is no name of an attachment", fix="use letters, digits, dots and hyphens.")
    return name


def _manifest(folder: Path) -> BundleManifest:
    try:
        return BundleManifest.of(folder)
    except ValueError as error:
        raise ReleaseError(f"{folder} is no bundle: {error}", fix="build it again.") from error


def _refuse_another_bundle(record: ReleaseRecord, manifest: BundleManifest, folder: Path) -> None:
    def read(path: str) -> bytes | None:
        with contextlib.suppress(FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return (folder / path).read_bytes()
        return None

    wrong = contradictions(record, manifest, read)
    if wrong:
        raise ReleaseError(
            f"the record of {record.version} does not describe the bundle in {folder}: {wrong[0]}",
            fix="build the release again.",
        )


def _refuse_another_sbom(record: ReleaseRecord, attachments: Mapping[str, bytes], *, needed: bool) -> None:
    sbom = attachments.get(SBOM)
    if sbom is None and needed:
        raise ReleaseError(f"release {record.version} comes without its SBOM, {SBOM}", fix="build the release again.")
    if sbom is not None and digest_of_bytes(sbom) != record.sbom_digest:
        raise ReleaseError(
            f"{SBOM}: expected {record.sbom_digest}, found {digest_of_bytes(sbom)}", fix="build the release again."
        )


def _difference(digest: str, size: int, found: Content | None) -> str | None:
    if found is None:
        return "it is missing"
    if found.digest != digest:
        return f"expected {digest}, found {found.digest}"
    return None if found.size == size else f"expected {size} bytes, found {found.size}"


def _differences(manifest: BundleManifest, folder: Path) -> list[str]:
    """How a folder differs from a manifest. What Python compiled there since is no difference."""
    try:
        found = {file.path: file for file in BundleManifest.of(folder).files}
    except (ValueError, NotADirectoryError) as error:
        return [str(error)]
    wrong = []
    for file in manifest.files:
        there = found.pop(file.path, None)
        if there is None:
            wrong.append(f"{file.path} is missing")
        elif there.digest != file.digest:
            wrong.append(f"{file.path}: expected {file.digest}, found {there.digest}")
        elif there.executable != file.executable:
            wrong.append(f"{file.path} is {'not ' if file.executable else ''}executable")
    return wrong + [f"{path} does not belong to it" for path in found if _BYTECODE not in path.split("/")]
