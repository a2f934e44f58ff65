"""What is in a bundle, file by file, and the one digest that stands for all of it."""

import json
import stat
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator

from gitrain.documents import Document, Section, parse
from gitrain.errors import ReleaseError, SettingsError
from gitrain.lineage import digest_of_bytes, digest_of_file

__all__ = ["BundleFile", "BundleManifest"]


class BundleFile(Section):
    """A file of a bundle.

    Attributes:
        path: relative to the bundle's root, with slashes; it stays inside.
        size: bytes.
        digest: of its content.
        executable: whether its owner may run it.
    """

    path: str
    size: int = Field(ge=0)
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    executable: bool = False

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        parts = value.split("/")
        if any(part in {"", ".", ".."} for part in parts) or "\\" in value or not value.isprintable():
            raise ValueError("it is no path inside a bundle")
        return value


class BundleManifest(Document):
    """All files of a bundle, by path; its digest is the bundle's: names, contents, the right to run, and no times.

    Attributes:
        files: sorted by path.
    """

    files: tuple[BundleFile, ...]

    @field_validator("files")
    @classmethod
    def _sorted(cls, value: tuple[BundleFile, ...]) -> tuple[BundleFile, ...]:
        paths = [file.path for file in value]
        if paths != sorted(set(paths)):
            raise ValueError("the files are not sorted by path, or one stands twice")
        return value

    @classmethod
    def from_json(cls, text: str, *, source: str) -> Self:
        """Read a manifest; `source` is its name in messages.

        Raises:
            ReleaseError: it is none, or not written as `to_json` writes it.
        """
        try:
            manifest = parse(cls, json.loads(text), source=source)
        except (ValueError, RecursionError, SettingsError) as error:
            what = error.what if isinstance(error, SettingsError) else f"{source} is not valid JSON: {error}"
            raise ReleaseError(what, fix=_RESTORE) from error
        if manifest.to_json() != text:
            raise ReleaseError(f"{source} is not written as manifests are: it was changed", fix=_RESTORE)
        return manifest

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The manifest of a folder; links and other special files are refused by being no files (ValueError)."""
        found = []
        for path in sorted(folder.rglob("*")):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise ValueError(f"{path.relative_to(folder).as_posix()} is neither a file nor a folder")
            if path.is_file():
                details = path.stat()
                found.append(
                    BundleFile(
                        path=path.relative_to(folder).as_posix(),
                        size=details.st_size,
                        digest=digest_of_file(path),
                        executable=bool(details.st_mode & stat.S_IXUSR),
                    )
                )
        return cls(schema_version=1, files=tuple(sorted(found, key=lambda file: file.path)))

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def digest(self) -> str:
        """The bundle's digest: that of `to_json`."""
        return digest_of_bytes(self.to_json().encode())

    def to_json(self) -> str:
        """The file's text, one line a file, in one form only."""
        lines = [json.dumps(file.model_dump(mode="json"), sort_keys=True) for file in self.files]
        return '{"schema_version": 1, "files": [\n' + ",\n".join(lines) + "\n]}\n"


_RESTORE = "restore it from a backup, or publish the release again."
