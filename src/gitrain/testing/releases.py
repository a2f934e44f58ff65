"""Releases to try things on: small bundles with their records, and places for them without a disk."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from gitrain.errors import ReleaseError, UsageError
from gitrain.lineage import digest_of_bytes
from gitrain.pipeline.layout import IDENTITY, MODEL_MANIFEST, SERVED, SERVING_MANIFEST
from gitrain.release.bundle import BundleManifest
from gitrain.release.contents import SOURCES
from gitrain.release.identity import ReleaseIdentity
from gitrain.release.objects import Content
from gitrain.release.record import SBOM, RecordedServing, RecordedVerdict, ReleaseRecord
from gitrain.release.tags import ReleaseTag
from gitrain.verdicts import Outcome, Verdict

__all__ = ["MadeRelease", "MemoryObjects", "MemoryTags", "make_release"]

_REASON = "ONNX serves: it is equal within 1e-06 on 100 rows of the holdout and 2,000 made-up ones"


@dataclass(frozen=True, kw_only=True)
class MadeRelease:
    """A release that was made up.

    Attributes:
        record: its record.
        bundle: the folder of its bundle.
        attachments: its SBOM.
    """

    record: ReleaseRecord
    bundle: Path
    attachments: Mapping[str, bytes]


def make_release(
    folder: Path,
    version: str = "1.4.0",
    *,
    project: str = "conformance",
    commit: str = "c" * 40,
    lock: bytes = b"lock",
    trained: bytes = b"trained",
    model: bytes = b"model",
    schema: bytes = b"schema",
    files: Mapping[str, bytes] | None = None,
) -> MadeRelease:
    """Write a bundle that looks like a built one, and its record; equal arguments give equal ones.

    Args:
        folder: for the bundle; it is made.
        version: without the leading v.
        project: the project's name.
        commit: the full hash.
        lock: stands for dvc.lock.
        trained: stands for models/model.skops, which is not in the bundle.
        model: stands for the model that is served.
        schema: stands for the schema of requests and answers.
        files: more files, by their paths in the bundle.
    """
    requirements = b"numpy==2.3.0 --hash=sha256:00\n"
    sbom = json.dumps({"bomFormat": "CycloneDX", "version": version}).encode()
    served = f"{SERVED}/model.onnx"
    identity = ReleaseIdentity(
        schema_version=1,
        project=project,
        version=version,
        commit=commit,
        lock_digest=digest_of_bytes(lock),
        data_through="2013-09",
        data_digest=digest_of_bytes(b"data"),
        model_digest=digest_of_bytes(trained),
        served_format="onnx",
        served_digest=digest_of_bytes(model),
        schema_digest=digest_of_bytes(schema),
        environment_digest=digest_of_bytes(b"requirements.lock"),
        threshold=0.33,
    )
    serving = {
        "path": served,
        "digest": identity.served_digest,
        "format": "onnx",
        "model_digest": identity.model_digest,
    }
    contents = {
        IDENTITY: identity.to_json().encode(),
        MODEL_MANIFEST: json.dumps({"model_digest": identity.model_digest}).encode(),
        SERVING_MANIFEST: json.dumps(serving).encode(),
        served: model,
        "requirements.txt": requirements,
    }
    packed = {f"{SOURCES}/{path}": content for path, content in contents.items()} | dict(files or {})
    for path, content in packed.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    manifest = BundleManifest.of(folder)
    passed = Verdict(
        name="threshold:roc_auc",
        outcome=Outcome.PASSED,
        reason="roc_auc is 0.75, at least 0.70",
        figures={"value": 0.75, "min": 0.70},
    )
    record = ReleaseRecord(
        schema_version=1,
        identity=identity,
        committed_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
        bundle_digest=manifest.digest,
        bundle_size=manifest.size,
        files=len(manifest.files),
        sbom_digest=digest_of_bytes(sbom),
        requirements_digest=digest_of_bytes(requirements),
        python="3.12",
        system="Linux",
        machine="x86_64",
        metrics={"roc_auc": 0.75, "rows": 28000},
        verdicts=(RecordedVerdict.of(passed),),
        serving=RecordedServing(
            format="onnx",
            reason=_REASON,
            tolerance=1e-6,
            holdout_rows=100,
            adversarial_rows=2000,
            largest_difference=3e-7,
            flipped_decisions=0,
        ),
    )
    return MadeRelease(record=record, bundle=folder, attachments={SBOM: sbom})


@dataclass
class MemoryObjects:
    """`gitrain.release.objects.Objects` in memory.

    Attributes:
        url: for messages.
        files: by name; change them as you like.
    """

    url: str = "memory"
    files: dict[str, bytes] = field(default_factory=dict)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Nothing is ever half done here."""
        yield

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is none."""
        return self.files.get(name)

    def list(self, folder: str) -> Sequence[str]:
        """The names of the files directly inside a folder, sorted."""
        return sorted(
            name.removeprefix(f"{folder}/")
            for name in self.files
            if name.startswith(f"{folder}/") and "/" not in name.removeprefix(f"{folder}/")
        )

    def create(self, name: str, content: bytes) -> bool:
        """Make a file; False if there is one already."""
        if name in self.files:
            return False
        self.files[name] = content
        return True

    def missing(self, expected: Mapping[str, Content]) -> Sequence[str]:
        """The names of the files that are not there, or not what is expected."""
        found = self.contents(list(expected))
        return [name for name, content in expected.items() if found.get(name) != content]

    def put(self, files: Mapping[str, Path]) -> None:
        """Copy local files to these names."""
        for name, path in files.items():
            self.files[name] = path.read_bytes()

    def fetch(self, files: Mapping[str, Path]) -> Sequence[str]:
        """Copy files to these local paths; the names of those that are not there."""
        for name, path in files.items():
            if name in self.files:
                path.write_bytes(self.files[name])
        return [name for name in files if name not in self.files]

    def contents(self, names: Sequence[str]) -> Mapping[str, Content]:
        """The size and the digest of files."""
        return {
            name: Content(size=len(self.files[name]), digest=digest_of_bytes(self.files[name]))
            for name in names
            if name in self.files
        }


@dataclass
class MemoryTags:
    """A `gitrain.release.tags.TagKeeper` in memory.

    Attributes:
        commits: the full hashes that there are.
        kept: the tags by name.
    """

    commits: set[str] = field(default_factory=set)
    kept: dict[str, ReleaseTag] = field(default_factory=dict)

    def tags(self) -> Sequence[ReleaseTag]:
        """The tags, by name."""
        return [self.kept[name] for name in sorted(self.kept)]

    def add_tag(self, tag: ReleaseTag) -> bool:
        """Make a tag; False if the commit has one of this name already."""
        if tag.commit not in self.commits or not tag.name or " " in tag.name or ".." in tag.name:
            raise UsageError(f"{tag.name!r} on {tag.commit!r} cannot be made", fix="name a commit that is there.")
        there = self.kept.setdefault(tag.name, tag)
        if there.commit != tag.commit:
            raise ReleaseError(f"the tag {tag.name} is on another commit", fix="take the next version.")
        return there is tag
