"""Record the run that dvc.lock describes, and register its model."""

import csv
import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from gitrain.data.validation_report import ValidationReport
from gitrain.documents import parse_json
from gitrain.errors import PipelineError
from gitrain.lineage import digest_of_bytes
from gitrain.pipeline.layout import (
    CALIBRATION,
    EVALUATION,
    LOCK,
    METRICS,
    MODEL,
    MODEL_MANIFEST,
    PARAMS,
    PRECISION_RECALL,
    REQUIREMENTS,
    ROC,
    TRAINING_CURVE,
    VALIDATION_MARKDOWN,
    VALIDATION_REPORT,
)
from gitrain.pipeline.lock import Lock
from gitrain.pipeline.params import Params
from gitrain.pipeline.repository import Repository
from gitrain.pipeline.workspace import Workspace
from gitrain.project import Project
from gitrain.registry.models import ModelRegistry
from gitrain.tracking.runs import CurvePoint, RunRecord, RunStore, flatten
from gitrain.training.manifest import ModelManifest

__all__ = ["RecordStore", "record_run"]

_ALWAYS = (MODEL_MANIFEST, METRICS, PARAMS)
_IF_LOCKED = (
    CALIBRATION,
    EVALUATION,
    PRECISION_RECALL,
    REQUIREMENTS,
    ROC,
    TRAINING_CURVE,
    VALIDATION_MARKDOWN,
    VALIDATION_REPORT,
)
_REPRO = "run `dvc repro`, then record again."


class RecordStore(RunStore, ModelRegistry, Protocol):
    """Keeps records of runs, and models."""


def record_run(
    project: Project,
    params: Params,
    workspace: Workspace,
    repository: Repository,
    store: RecordStore,
    *,
    durations: Mapping[str, float],
    now: datetime,
) -> RunRecord:
    """Record the run that dvc.lock describes, once, and register its model, once.

    Args:
        project: what the user handed over; its name is that of the experiment and of the model.
        params: params.yaml.
        workspace: the files; those that are recorded must be the ones that dvc.lock describes.
        repository: says which commit this is, and whether anything differs from it.
        store: keeps the record and the model.
        durations: seconds that stages took, by stage; those of stages that are not in dvc.lock are left out.
        now: the time, with its time zone.

    Returns:
        The record as it is kept: an earlier one if this run was recorded before.

    Raises:
        PipelineError: dvc.lock is broken or does not describe the files and parameters of this tree.
        SettingsError: a report in the tree is not in its format.
        IntegrationError: the store cannot be reached or refuses.
    """
    text = workspace.read_text(LOCK)
    lock = Lock.parse(text, LOCK)
    disagreements = lock.disagreements()
    if disagreements:
        raise PipelineError("; ".join(disagreements), fix=_REPRO)
    _check_params(lock, params)
    model = _checked(lock, workspace, MODEL, expected=lock.md5_of(MODEL))
    files = _files(lock, workspace)
    manifest = parse_json(ModelManifest, files[MODEL_MANIFEST].decode(), source=MODEL_MANIFEST)
    if manifest.model_digest != digest_of_bytes(model) or manifest.project != project.name:
        raise PipelineError(f"{MODEL_MANIFEST} describes another model than {MODEL}", fix=_REPRO)
    run = RunRecord(
        key=lock.digest,
        project=project.name,
        commit=repository.head(),
        dirty=bool(repository.changed()),
        recorded_at=now,
        params={name: _text(value) for name, value in _locked_params(lock).items()},
        metrics=_metrics(files[METRICS]),
        curves=_curves(files[TRAINING_CURVE]) if TRAINING_CURVE in files else {},
        outputs={path: f"md5:{out.md5}" for path, out in lock.outs.items() if out.md5 is not None},
        model_digest=manifest.model_digest,
        durations={stage: seconds for stage, seconds in durations.items() if stage in lock.stages},
        validation=_validation(files.get(VALIDATION_REPORT)),
    )
    kept = store.record(run, files | {LOCK: text.encode()})
    libraries = [f"{name}=={version}" for name, version in manifest.libraries.items() if name != "python"]
    registered = store.register(kept, model, python=manifest.libraries["python"], requirements=sorted(libraries))
    return replace(kept, model_version=registered.version)


def _files(lock: Lock, workspace: Workspace) -> dict[str, bytes]:
    """What is kept with the record. Everything that dvc.lock has a hash of must have that content."""
    locked = {dep.path: dep.md5 for stage in lock.stages.values() for dep in stage.deps}
    locked |= {path: out.md5 for path, out in lock.outs.items()}
    paths = [*_ALWAYS, *(path for path in _IF_LOCKED if path in locked)]
    return {path: _checked(lock, workspace, path, expected=locked.get(path)) for path in paths}


def _checked(lock: Lock, workspace: Workspace, path: str, *, expected: str | None) -> bytes:
    content = workspace.read_bytes(path)
    actual = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if expected is not None and actual != expected:
        raise PipelineError(f"{path} has the MD5 {actual}, and {lock.source} describes one with {expected}", fix=_REPRO)
    return content


def _locked_params(lock: Lock) -> dict[str, Any]:
    """What the stages read of params.yaml, by dotted name."""
    found: dict[str, Any] = {}
    for stage in lock.stages.values():
        found |= flatten(stage.params.get(PARAMS, {}))
    return dict(sorted(found.items()))


def _check_params(lock: Lock, params: Params) -> None:
    current = flatten(params.model_dump(by_alias=True))
    for name, value in _locked_params(lock).items():
        if name in current and not _same(current[name], value):
            raise PipelineError(
                f"{PARAMS} has {name} = {_text(current[name])}, and {lock.source} was made with {_text(value)}",
                fix=_REPRO,
            )


def _same(one: object, other: object) -> bool:
    """Equal as text or as numbers: 1e-5 is a number for one reader of YAML and text for another, and 1 may be 1.0."""
    if _text(one) == _text(other):
        return True
    if isinstance(one, bool) or isinstance(other, bool):
        return False
    try:
        return float(_text(one)) == float(_text(other))
    except ValueError:
        return False


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _metrics(content: bytes) -> dict[str, float]:
    """The numbers of a metrics file; what has no value (no interval, say) is left out."""
    try:
        payload = json.loads(content)
    except ValueError as error:
        raise PipelineError(f"{METRICS} is not valid JSON: {error}", fix=_REPRO) from error
    values = flatten(payload) if isinstance(payload, dict) else {}
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _curves(content: bytes) -> dict[str, tuple[CurvePoint, ...]]:
    """The columns of the training curve by name; the first column is the step. Empty cells are no points."""
    rows = list(csv.reader(io.StringIO(content.decode())))
    names = rows[0][1:] if rows else []
    try:
        return {
            name: tuple(CurvePoint(step=int(row[0]), value=float(row[column])) for row in rows[1:] if row[column] != "")
            for column, name in enumerate(names, start=1)
        }
    except (ValueError, IndexError) as error:
        raise PipelineError(f"{TRAINING_CURVE} is no table of numbers: {error}", fix=_REPRO) from error


def _validation(content: bytes | None) -> str | None:
    if content is None:
        return None
    return ValidationReport.from_json(content.decode(), source=VALIDATION_REPORT).outcome.value
