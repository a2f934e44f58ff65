"""What is in a bundle, file by file, and the one digest that stands for all of it."""

import json
import stat
from pathlib import Path
from typing import Self

from pydantic import Field

from gitrain.documents import Document, Section
from gitrain.lineage import digest_of_bytes, digest_of_file

__all__ = ["BundleFile", "BundleManifest"]


class BundleFile(Section):
    """A file of a bundle.

    Attributes:
        path: relative to the bundle's root, with slashes.
        size: bytes.
        digest: of its content.
        executable: whether its owner may run it.
    """

    path: str = Field(pattern=r"^(?!/)(?!.*(^|/)\.\.?(/|$)).+$")
    size: int = Field(ge=0)
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    executable: bool = False


class BundleManifest(Document):
    """All files of a bundle, by path; its digest is the bundle's: names, contents, the right to run, and no times.

    Attributes:
        files: sorted by path.
    """

    files: tuple[BundleFile, ...]

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
    def digest(self) -> str:
        """The bundle's digest: that of `to_json`."""
        return digest_of_bytes(self.to_json().encode())

    def to_json(self) -> str:
        """The file's text, one line a file, in one form only."""
        lines = [json.dumps(file.model_dump(mode="json"), sort_keys=True) for file in self.files]
        return '{"schema_version": 1, "files": [\n' + ",\n".join(lines) + "\n]}\n"
