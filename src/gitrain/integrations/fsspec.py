"""fsspec: files by URL, for reading, and as a place for releases: S3, GCS, Azure and whatever else it knows."""

import contextlib
import re
import tempfile
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import fsspec

from gitrain.errors import GitrainError, IntegrationError, ReleaseError, UsageError
from gitrain.lineage import digest_of_file
from gitrain.release.objects import Content

__all__ = ["FsspecObjects", "open_objects", "open_url", "shown"]

# Those whose `pipe_file` makes a file only if there is none, in one step: s3fs asks with If-None-Match, gcsfs for the
# generation 0, adlfs not to overwrite.
_EXCLUSIVE = {"abfs", "az", "gcs", "gs", "memory", "s3"}
_PROBE = ".exclusive"
_AT_ONCE = 16
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def shown(url: str) -> str:
    """A URL without the user's name and password, and without the query: what messages and logs may hold."""
    parts = urllib.parse.urlsplit(url)
    if not parts.scheme or not parts.netloc:
        return url
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


@contextlib.contextmanager
def open_url(url: str) -> Iterator[BinaryIO]:
    """Open a file for reading: a URL of any kind that fsspec knows, or a path.

    Raises:
        UsageError: there is no such file, or no such kind of URL.
        IntegrationError: it cannot be reached or read.
    """
    with _explaining(url, missing=True):
        file_system, path = _resolved(url)
        with file_system.open(path, "rb") as stream:
            yield cast("BinaryIO", stream)


def open_objects(url: str) -> "FsspecObjects":
    """The place that a URL names.

    Raises:
        UsageError: fsspec knows no such kind of URL.
        IntegrationError: the library for it is not installed, or it cannot be reached.
    """
    with _explaining(url):
        file_system, path = _resolved(url)
    return FsspecObjects(file_system=file_system, folder=str(path).rstrip("/"), url=shown(url))


@dataclass(frozen=True)
class FsspecObjects:
    """`Objects` on any file system of fsspec's whose files appear whole.

    Attributes:
        file_system: fsspec's.
        folder: the path on it that names start from.
        url: for messages.
    """

    file_system: Any
    folder: str
    url: str

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Nothing is left half done, since files appear whole; whether the service keeps its promise is tried."""
        self._refuse_what_overwrites()
        # Some that speak S3's language pass over the condition that a file must not be there.
        self.create(_PROBE, b"")
        if self.create(_PROBE, b""):
            raise self._overwrites()
        yield

    def read(self, name: str) -> bytes | None:
        """The content of a small file; None if there is none."""
        with self._explaining():
            try:
                return bytes(self.file_system.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    def list(self, folder: str) -> Sequence[str]:
        """The names of the files directly inside a folder, sorted."""
        with self._explaining():
            try:
                found = self.file_system.ls(self._path(folder), detail=True, refresh=True)
            except FileNotFoundError:
                return []
            return sorted(entry["name"].rpartition("/")[2] for entry in found if entry["type"] == "file")

    def create(self, name: str, content: bytes) -> bool:
        """Make a file in one step; False if there is one already."""
        self._refuse_what_overwrites()
        with self._explaining():
            try:
                self.file_system.pipe_file(self._path(name), content, mode="create")
            except FileExistsError:
                return False
            except NotImplementedError as error:
                raise self._overwrites() from error
            except Exception:
                # Some services answer "it exists" in words of their own.
                if self.file_system.exists(self._path(name)):
                    return False
                raise
            return True

    def missing(self, expected: Mapping[str, Content]) -> Sequence[str]:
        """The names of the files that are not there, or not as long as expected."""

        def size(name: str) -> int | None:
            try:
                found: int = self.file_system.info(self._path(name), refresh=True)["size"]
            except FileNotFoundError:
                return None
            return found

        sizes = self._each(size, expected)
        return [name for name, content in expected.items() if sizes[name] != content.size]

    def put(self, files: Mapping[str, Path]) -> None:
        """Copy local files to these names."""
        self._each(lambda name: self.file_system.put_file(str(files[name]), self._path(name)), files)

    def fetch(self, files: Mapping[str, Path]) -> Sequence[str]:
        """Copy files to these local paths; the names of those that are not there."""

        def get(name: str) -> bool:
            try:
                self.file_system.get_file(self._path(name), str(files[name]))
            except FileNotFoundError:
                return False
            return True

        there = self._each(get, files)
        return [name for name in files if not there[name]]

    def contents(self, names: Sequence[str]) -> Mapping[str, Content]:
        """The size and the digest of files: all of them are fetched."""
        with tempfile.TemporaryDirectory(prefix="gitrain-") as folder:
            paths = {name: Path(folder, str(number)) for number, name in enumerate(names)}
            absent = set(self.fetch(paths))
            return {
                name: Content(size=path.stat().st_size, digest=digest_of_file(path))
                for name, path in paths.items()
                if name not in absent
            }

    def _path(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def _each(self, call: Callable[[str], _Result], names: Iterable[str]) -> dict[str, _Result]:
        """Several at once: each costs a journey to the service."""
        chosen = list(names)
        with self._explaining(), ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(zip(chosen, pool.map(call, chosen), strict=True))

    def _refuse_what_overwrites(self) -> None:
        """The fallback of fsspec looks whether the file is there and then writes: two may do so at the same time."""
        protocol = self.file_system.protocol
        if not _EXCLUSIVE & set((protocol,) if isinstance(protocol, str) else protocol):
            raise self._overwrites()

    def _overwrites(self) -> ReleaseError:
        return ReleaseError(
            f"{self.url}: this kind of store cannot make a file without writing over one that is there "
            f"({type(self.file_system).__name__})",
            fix="publish to a folder, S3, Google Cloud Storage or Azure, with a recent library and service.",
        )

    def _explaining(self) -> contextlib.AbstractContextManager[None]:
        return _explaining(self.url)


def _resolved(url: str) -> tuple[Any, str]:
    # Listings and properties that were remembered are how one publisher misses another.
    file_system, path = fsspec.url_to_fs(url, **({"use_listings_cache": False} if "://" in url else {}))
    return file_system, path


@contextlib.contextmanager
def _explaining(url: str, *, missing: bool = False) -> Iterator[None]:
    """Turn what fsspec and the libraries behind it raise, which have no common base, into our errors."""
    where = shown(url)
    try:
        yield
    except GitrainError:
        raise
    except ImportError as error:
        raise IntegrationError(f"{where}: {_one_line(error)}", fix="install the library that it names.") from error
    except ValueError as error:
        if "Protocol not known" not in str(error):
            raise IntegrationError(f"{where}: {_one_line(error)}", fix="correct the URL.") from error
        raise UsageError(f"{where}: {_one_line(error)}", fix="use a URL such as s3://bucket/folder.") from error
    except Exception as error:
        if missing and isinstance(error, FileNotFoundError | IsADirectoryError):
            raise UsageError(f"{where} is no file", fix="correct the path or the URL.") from error
        raise IntegrationError(
            f"{where} failed: {type(error).__name__}: {_one_line(error)}",
            fix="check the address, the credentials and the network; what was broken off can be done again.",
        ) from error


def _one_line(error: Exception) -> str:
    text = re.sub(r"//[^/@\s]*@", "//", " ".join(str(error).split()))
    return text[:300]
