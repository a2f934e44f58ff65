"""Digests: what exactly a run was made from."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = ["digest_of_bytes", "digest_of_file", "digest_of_files", "digest_of_value"]


def digest_of_bytes(content: bytes) -> str:
    """The SHA-256 of `content`, as ``sha256:`` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def digest_of_file(path: Path) -> str:
    """The SHA-256 of a file's content."""
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def digest_of_value(value: Mapping[str, object] | list[object] | str | None) -> str:
    """The SHA-256 of a JSON-serialisable value, whatever the order of its keys."""
    return digest_of_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode())


def digest_of_files(paths: Iterable[Path], *, root: Path) -> str:
    """One digest over files: their names relative to `root` and their content, whatever the order given."""
    entries = {path.relative_to(root).as_posix(): digest_of_file(path) for path in paths}
    return digest_of_value(dict(entries))
