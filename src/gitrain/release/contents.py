"""What a bundle says of itself against what its record says."""

import json
import posixpath
from collections.abc import Callable, Mapping
from typing import Any

from gitrain.pipeline.layout import IDENTITY, MODEL_MANIFEST, SERVING_MANIFEST
from gitrain.release.bundle import BundleManifest
from gitrain.release.record import ReleaseRecord

__all__ = ["SOURCES", "contradictions"]

#: The folder of a bundle that looks like the repository's root to serving code.
SOURCES = "src"

_REQUIREMENTS = "requirements.txt"


def contradictions(record: ReleaseRecord, manifest: BundleManifest, read: Callable[[str], bytes | None]) -> list[str]:
    """Where the record and the bundle say different things, one sentence each.

    Args:
        record: of the release.
        manifest: of the bundle.
        read: the content of a file of the bundle by its path; None if it cannot be had.
    """
    found = []
    if manifest.digest != record.bundle_digest:
        found.append(f"the bundle's manifest: expected {record.bundle_digest}, found {manifest.digest}")
    for what, expected, actual in (
        ("files", record.files, len(manifest.files)),
        ("bytes", record.bundle_size, manifest.size),
    ):
        if expected != actual:
            found.append(f"the bundle's {what}: expected {expected}, found {actual}")
    digests = {file.path: file.digest for file in manifest.files}
    if read(f"{SOURCES}/{IDENTITY}") != record.identity.to_json().encode():
        found.append(f"{SOURCES}/{IDENTITY}: it is not the identity in the record")
    found += _of_the_model(record, digests, read)
    if not any(
        posixpath.basename(path) == _REQUIREMENTS and digest == record.requirements_digest
        for path, digest in digests.items()
    ):
        found.append(f"{_REQUIREMENTS}: the bundle has none with the digest {record.requirements_digest}")
    return found


def _of_the_model(record: ReleaseRecord, digests: Mapping[str, str], read: Callable[[str], bytes | None]) -> list[str]:
    """models/serving.json and models/model.json are read as JSON alone: their formats belong to layers above."""
    identity = record.identity
    serving = _json(read(f"{SOURCES}/{SERVING_MANIFEST}"))
    trained = _json(read(f"{SOURCES}/{MODEL_MANIFEST}"))
    path = f"{SOURCES}/{serving.get('path')}"
    said = [
        (path, identity.served_digest, digests.get(path)),
        (f"{SOURCES}/{SERVING_MANIFEST}: digest", identity.served_digest, serving.get("digest")),
        (f"{SOURCES}/{SERVING_MANIFEST}: model_digest", identity.model_digest, serving.get("model_digest")),
        (f"{SOURCES}/{SERVING_MANIFEST}: format", identity.served_format, serving.get("format")),
        (f"{SOURCES}/{MODEL_MANIFEST}: model_digest", identity.model_digest, trained.get("model_digest")),
    ]
    return [
        f"{name}: expected {expected}, found {_short(actual)}" for name, expected, actual in said if expected != actual
    ]


def _json(content: bytes | None) -> Mapping[str, Any]:
    try:
        value = json.loads(content or b"null")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _short(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 80 else text[:77] + "..."
