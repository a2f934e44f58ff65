"""The record of a run: what a model was made from, and what it reached. Written after the fact; Git stays the truth."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

__all__ = ["CurvePoint", "RunRecord", "RunStore", "flatten"]

_SCHEMA_VERSION = 1
_SHORT = 12


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One point of a curve: a step (an iteration), and the value at it."""

    step: int
    value: float


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A run of the pipeline. Two runs with one `key` are the same run.

    Attributes:
        key: the SHA-256 of dvc.lock, as ``sha256:`` and 64 hexadecimal digits.
        project: the project's name.
        commit: the full hash of the commit that was checked out; None before the first one.
        dirty: whether files differed from that commit: then the commit alone does not bring the run back.
        recorded_at: when it was recorded, with its time zone.
        params: what the stages read of params.yaml, by dotted name, as text.
        metrics: by name.
        curves: by name, in the order of their steps.
        outputs: the hash of each output of the pipeline, by path, as ``md5:`` and what dvc.lock has.
        model_digest: ``sha256:`` and the digest of the model's file.
        durations: seconds that each stage took, by stage, as far as they were measured.
        validation: the outcome of the data contract; None if the pipeline has no validation report.
        artifacts: the paths of the files that are kept with the record, sorted.
        run_id: the store's own name of the run, once it is stored.
        model_version: the version in the registry, once it is registered.
    """

    key: str
    project: str
    commit: str | None
    dirty: bool
    recorded_at: datetime
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, tuple[CurvePoint, ...]] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    model_digest: str
    durations: Mapping[str, float] = field(default_factory=dict)
    validation: str | None = None
    artifacts: tuple[str, ...] = ()
    run_id: str | None = None
    model_version: int | None = None

    @property
    def short_key(self) -> str:
        """Enough of the key to name the run."""
        return self.key.removeprefix("sha256:")[:_SHORT]

    def to_json(self) -> dict[str, object]:
        """The record as JSON-serialisable values: a file format of the public API."""
        return {
            "schema_version": _SCHEMA_VERSION,
            "key": self.key,
            "project": self.project,
            "commit": self.commit,
            "dirty": self.dirty,
            "recorded_at": self.recorded_at.isoformat(),
            "params": dict(self.params),
            "metrics": dict(self.metrics),
            "curves": {
                name: [{"step": point.step, "value": point.value} for point in points]
                for name, points in self.curves.items()
            },
            "outputs": dict(self.outputs),
            "model_digest": self.model_digest,
            "durations": dict(self.durations),
            "validation": self.validation,
            "artifacts": list(self.artifacts),
            "run_id": self.run_id,
            "model_version": self.model_version,
        }


class RunStore(Protocol):
    """Keeps records of runs. Nothing else in Gitrain depends on it."""

    def record(self, run: RunRecord, files: Mapping[str, bytes]) -> RunRecord:
        """Keep a run and its files; the record as it is kept.

        Recording a key again adds no second run: an unfinished record is completed, and one that was made from a dirty
        tree takes over the commit of a clean one. A finished record is otherwise left as it is.

        Raises:
            IntegrationError: the store cannot be reached or refuses.
        """

    def list(self, project: str) -> list[RunRecord]:
        """The finished records of a project, the newest first, without their curves.

        Raises:
            IntegrationError: the store cannot be reached.
        """

    def get(self, project: str, key: str) -> RunRecord | None:
        """The finished record with that key, with its curves; None if there is none.

        Raises:
            IntegrationError: the store cannot be reached.
        """


def flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings and lists as one mapping with dotted names; ``{"a": {"b": [1]}}`` is ``{"a.b.0": 1}``.

    Empty mappings and lists are kept as they are: that something is empty is a parameter too.
    """
    flat: dict[str, Any] = {}
    for name, value in values.items():
        children: Mapping[str, Any] | None = None
        if isinstance(value, Mapping):
            children = value
        elif isinstance(value, list | tuple):
            children = {str(index): child for index, child in enumerate(value)}
        if children:
            flat |= {f"{name}.{below}": child for below, child in flatten(children).items()}
        else:
            flat[str(name)] = value
    return flat
