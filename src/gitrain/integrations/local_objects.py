"""A folder as a place for releases: each file appears whole, under its name, in one step."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gitrain.errors import IntegrationError, ReleaseError
from gitrain.lineage import digest_of_file
from gitrain.release.objects import Content

__all__ = ["LocalObjects"]

_UNFINISHED = ".unfinished"
_CHUNK = 2**20


@dataclass(frozen=True)
class LocalObjects:
    """`Objects` in a folder of one file system.

    A file is written under ``.unfinished``, flushed to the disk and linked or renamed to its place.
    """

    folder: Path

    @property
    def url(self) -> str:
        """The folder's path."""
        return str(self.folder)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Clear away what killed writers left, unless another one writes now. The system lets go of killed ones."""
        with self._explaining():
            unfinished = self.folder / _UNFINISHED
            unfinished.mkdir(parents=True, exist_ok=True)
            with (unfinished / ".lock").open("ab") as lock:
                # File systems without locks lose the clearing, nothing else.
                with contextlib.suppress(OSError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    for left in unfinished.glob("*.part"):
                        left.unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    fcntl.flock(lock, fcntl.LOCK_SH)
                yield

    def read(self, name: str) -> bytes | None:
        """The content of a small file; None if there is none."""
        with self._explaining():
            try:
                return (self.folder / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def list(self, folder: str) -> Sequence[str]:
        """The names of the files directly inside a folder, sorted."""
        with self._explaining():
            try:
                return sorted(entry.name for entry in (self.folder / folder).iterdir() if entry.is_file())
            except FileNotFoundError:
                return []

    def create(self, name: str, content: bytes) -> bool:
        """Make a file in one step; False if there is one already."""
        with self._explaining():
            place = self._place(name)
            with self._beside() as (stream, beside):
                stream.write(content)
                _flush(stream)
                try:
                    # Unlike renaming, linking never replaces what is there.
                    os.link(beside, place)
                except FileExistsError:
                    return False
                except OSError as error:
                    raise ReleaseError(
                        f"{self.folder} lies on a file system without hard links ({error.strerror}): nothing there "
                        "keeps a release from being written over",
                        fix="keep releases on another file system, or in an object store.",
                    ) from error
            _flush_folder(place.parent)
            return True

    def missing(self, expected: Mapping[str, Content]) -> Sequence[str]:
        """The names of the files that are not there, or not what is expected."""
        found = self.contents(list(expected))
        return [name for name, content in expected.items() if found.get(name) != content]

    def put(self, files: Mapping[str, Path]) -> None:
        """Copy local files to these names, each in one step."""
        with self._explaining():
            for name, source in files.items():
                place = self._place(name)
                with self._beside() as (stream, beside), source.open("rb") as content:
                    while chunk := content.read(_CHUNK):
                        stream.write(chunk)
                    _flush(stream)
                    os.replace(beside, place)
            for folder in {self._place(name).parent for name in files}:
                _flush_folder(folder)

    def fetch(self, files: Mapping[str, Path]) -> Sequence[str]:
        """Copy files to these local paths; the names of those that are not there."""
        absent = []
        with self._explaining():
            for name, target in files.items():
                try:
                    content = (self.folder / name).open("rb")
                except FileNotFoundError:
                    absent.append(name)
                    continue
                with content, target.open("wb") as stream:
                    while chunk := content.read(_CHUNK):
                        stream.write(chunk)
        return absent

    def contents(self, names: Sequence[str]) -> Mapping[str, Content]:
        """The size and the digest of files, computed from every byte."""
        found = {}
        with self._explaining():
            for name in names:
                with contextlib.suppress(FileNotFoundError, IsADirectoryError, NotADirectoryError):
                    path = self.folder / name
                    found[name] = Content(size=path.stat().st_size, digest=digest_of_file(path))
        return found

    def _place(self, name: str) -> Path:
        place = self.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    @contextlib.contextmanager
    def _beside(self) -> Iterator[tuple[BinaryIO, str]]:
        unfinished = self.folder / _UNFINISHED
        unfinished.mkdir(parents=True, exist_ok=True)
        descriptor, beside = tempfile.mkstemp(dir=unfinished, suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                # mkstemp makes files that only the owner can read, and nothing here is ever to be changed.
                os.fchmod(stream.fileno(), 0o444)
                yield stream, beside
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(beside)

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise IntegrationError(
                f"the release store {self.folder}: {error.strerror or error}: {error.filename or ''}".rstrip(": "),
                fix="check its permissions and the disk; what was broken off can be done again.",
            ) from error


def _flush(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    """The name of a new file is on the disk only once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
