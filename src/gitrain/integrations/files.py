"""The local file system: atomic writes, and the memo of finished batches."""

import contextlib
import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import polars as pl

from gitrain.errors import DataError, PipelineError, UsageError
from gitrain.lineage import digest_of_file

__all__ = ["LocalMemo", "LocalWorkspace", "replacing", "scratch_folder"]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file beside `path` for writing; on leaving without an error it takes the place of `path` in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes files that only the owner can read.
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        raise


@dataclass(frozen=True)
class LocalWorkspace:
    """A `Workspace` on a local folder."""

    root: Path

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder at `path`."""
        return (self.root / path).exists()

    def list(self, folder: str, suffix: str) -> list[str]:
        """The paths of the files directly inside `folder` whose names end in `suffix`, sorted."""
        base = self.root / folder
        if not base.is_dir():
            return []
        return sorted(
            f"{folder}/{entry.name}"
            for entry in base.iterdir()
            if entry.is_file() and entry.name.endswith(suffix) and not entry.name.startswith(".")
        )

    def folders(self, folder: str) -> Sequence[str]:
        """The paths of the folders directly inside `folder`, sorted; hidden ones are passed over."""
        base = self.root / folder
        if not base.is_dir():
            return []
        return sorted(
            f"{folder}/{entry.name}" for entry in base.iterdir() if entry.is_dir() and not entry.name.startswith(".")
        )

    def files(self, path: str) -> Sequence[str]:
        """The paths of all files below a folder, sorted, hidden ones left out; of a file, itself; empty for neither."""
        base = self.root / path
        if base.is_file():
            return [path]
        found = (entry.relative_to(base) for entry in base.rglob("*") if entry.is_file())
        return sorted(f"{path}/{name.as_posix()}" for name in found if not any(p.startswith(".") for p in name.parts))

    def size(self, path: str) -> int:
        """The bytes of a file, or of all files below a folder."""
        base = self.root / path
        if not base.exists():
            raise _missing(path)
        files = [base] if base.is_file() else [entry for entry in base.rglob("*") if entry.is_file()]
        return sum(entry.stat().st_size for entry in files)

    def digest(self, path: str) -> str:
        """The SHA-256 of the file at `path`."""
        try:
            return digest_of_file(self.root / path)
        except FileNotFoundError as error:
            raise _missing(path) from error

    def read_text(self, path: str) -> str:
        """The text of a file."""
        try:
            return self.read_bytes(path).decode()
        except UnicodeDecodeError as error:
            raise PipelineError(f"{path} is not UTF-8 text: {error}", fix=f"restore {path} from Git.") from error

    def write_text(self, path: str, text: str) -> None:
        """Replace a file in one step."""
        self.write_bytes(path, text.encode())

    def read_bytes(self, path: str) -> bytes:
        """The content of a file."""
        try:
            return (self.root / path).read_bytes()
        except FileNotFoundError as error:
            raise _missing(path) from error

    def write_bytes(self, path: str, content: bytes) -> None:
        """Replace a file in one step."""
        with replacing(self.root / path) as stream:
            stream.write(content)

    def read_table(self, path: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """A parquet file."""
        full = self.root / path
        if not full.is_file():
            raise DataError(f"{path} is missing", fix="run `dvc repro` (or `dvc pull`) to make it.")
        try:
            return pl.read_parquet(full, columns=list(columns) if columns is not None else None, glob=False)
        except pl.exceptions.ColumnNotFoundError as error:
            raise DataError(f"{path} lacks a column: {error}", fix="run `dvc repro` to make it anew.") from error
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DataError(
                f"{path} is no readable parquet file: {error}", fix="run `dvc repro` to make it anew."
            ) from error

    def write_table(self, path: str, frame: pl.DataFrame) -> None:
        """Replace a parquet file in one step; equal frames give equal bytes."""
        buffer = io.BytesIO()
        frame.rechunk().write_parquet(buffer, compression="zstd", compression_level=3, statistics=True)
        self.write_bytes(path, buffer.getvalue())

    def remove(self, path: str) -> None:
        """Remove a file if it is there."""
        (self.root / path).unlink(missing_ok=True)


def _missing(path: str) -> PipelineError:
    return PipelineError(f"{path} is missing", fix="run `dvc repro` (or `dvc pull`), or restore it from Git.")


_ABSENT = "absent"
_DEFAULT_BYTES = 4 * 2**30


@dataclass(frozen=True)
class LocalMemo:
    """A `BatchMemo` in a folder: one folder a key, the files in it named by their own digest.

    A damaged entry counts as none. The entries used longest ago go first when the folder outgrows `max_bytes`.
    """

    folder: Path
    root: Path
    max_bytes: int = _DEFAULT_BYTES

    def restore(self, key: str, files: Sequence[str]) -> bool:
        """Put the remembered files back at their paths; False, and nothing written, if not all are there and whole."""
        entry = self._entry(key)
        try:
            names = (entry / "index").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return False
        if len(names) != len(files):
            return False
        contents: list[bytes | None] = []
        for name in names:
            content = None if name == _ABSENT else self._content(entry, name)
            if content is None and name != _ABSENT:
                return False
            contents.append(content)
        for path, content in zip(files, contents, strict=True):
            if content is None:
                (self.root / path).unlink(missing_ok=True)
                continue
            with replacing(self.root / path) as stream:
                stream.write(content)
        os.utime(entry / "index")
        return True

    def store(self, key: str, files: Sequence[str]) -> None:
        """Remember the files at these paths. A path that does not exist is remembered as absent."""
        entry = self._entry(key)
        names: list[str] = []
        for path in files:
            source = self.root / path
            if not source.exists():
                names.append(_ABSENT)
                continue
            content = source.read_bytes()
            name = hashlib.sha256(content).hexdigest()
            with replacing(entry / name) as stream:
                stream.write(content)
            names.append(name)
        # The index comes last: an entry without one does not exist.
        with replacing(entry / "index") as stream:
            stream.write("\n".join(names).encode())
        self._evict()

    def _entry(self, key: str) -> Path:
        return self.folder / key.removeprefix("sha256:")

    @staticmethod
    def _content(entry: Path, name: str) -> bytes | None:
        try:
            content = (entry / name).read_bytes()
        except FileNotFoundError:
            return None
        return content if hashlib.sha256(content).hexdigest() == name else None

    def _evict(self) -> None:
        entries = []
        for index in self.folder.glob("*/index"):
            with contextlib.suppress(FileNotFoundError):
                size = sum(file.stat().st_size for file in index.parent.iterdir())
                entries.append((index.stat().st_mtime, size, index.parent))
        excess = sum(size for _, size, _ in entries) - self.max_bytes
        for _, size, entry in sorted(entries):
            if excess <= 0:
                return
            shutil.rmtree(entry, ignore_errors=True)
            excess -= size


_MARKER = ".made-by-gitrain"


def scratch_folder(path: Path) -> Path:
    """Make `path` an empty folder of our own; one that was made this way before is emptied.

    Raises:
        UsageError: there is something else at `path`, which is not ours to remove.
    """
    marker = path / _MARKER
    if path.exists() and not marker.is_file():
        raise UsageError(
            f"{path} exists and is not a scratch folder of Gitrain's", fix="name another folder, or remove it."
        )
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    marker.touch()
    return path
