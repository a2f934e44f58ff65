"""Judge every output of dvc.yaml by its contract: Gitrain's for its own stages, the project's for all others."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from gitrain.checks.artifacts import (
    Artifact,
    Examined,
    csv_problems,
    finite_problems,
    judge_artifact,
    row_count_problems,
)
from gitrain.data.validation import validate
from gitrain.documents import parse_json
from gitrain.errors import GitrainError
from gitrain.operations.examine_outputs import KNOWN, Outputs
from gitrain.operations.stage import Stage
from gitrain.pipeline.stages import PipelineTree, StageDefinition, StageOutput
from gitrain.serving.model import ServedModel
from gitrain.training.model_format import ModelFormat
from gitrain.verdicts import Verdict

__all__ = ["check_artifacts", "check_outputs"]


def check_artifacts(
    stage: Stage,
    open_model_format: Callable[[], ModelFormat],
    open_served_model: Callable[[Path], ServedModel],
    pipeline: PipelineTree,
) -> list[Verdict]:
    """One verdict an output of dvc.yaml, ``artifacts:PATH``, in the order of the stages.

    Args:
        stage: the surroundings; the outputs are read from its workspace.
        open_model_format: gives what reads models.
        open_served_model: opens what is served below a root.
        pipeline: dvc.yaml.

    Raises:
        PipelineError: dvc.yaml cannot be read.
        IntegrationError: DVC is not installed.
    """
    return check_outputs(stage, open_model_format, open_served_model, pipeline.stages())


def check_outputs(
    stage: Stage,
    open_model_format: Callable[[], ModelFormat],
    open_served_model: Callable[[Path], ServedModel],
    definitions: Sequence[StageDefinition],
) -> list[Verdict]:
    """The same for stages that are known already."""
    declared = {artifact.path: artifact for artifact in stage.project.artifacts}
    outputs = Outputs(stage=stage, open_model_format=open_model_format, open_served_model=open_served_model)
    verdicts = []
    for definition in definitions:
        for out in definition.outs:
            path = out.path or out.name
            stage.progress(f"artifacts: {path}")
            examined = _examined(stage, outputs, out, declared.get(path))
            verdicts.append(judge_artifact(path, examined, stage=definition.name))
    verdicts += _unwritten(declared, definitions)
    return verdicts


def _examined(stage: Stage, outputs: Outputs, out: StageOutput, artifact: Artifact | None) -> Examined:
    path = out.path
    if path is None:
        return Examined(problems=[f"{out.name} lies outside of the repository"])
    known = KNOWN.get(path)
    if known is None and artifact is None:
        return Examined(
            problems=[f"{path} has no contract: declare it with an Artifact under `artifacts` of the project object"]
        )
    if not stage.workspace.exists(path):
        how = "`dvc repro`, or `dvc pull`" if out.cached else "`dvc repro`, and commit it"
        return Examined(problems=[f"{path} is missing: run {how}"])
    try:
        examine = known[0] if known is not None else None
        found = examine(outputs) if examine is not None else _own(stage, artifact)
        if out.columns and path.endswith(".csv"):
            # What dvc.yaml draws has to be there, whoever wrote the contract.
            found.problems += csv_problems(
                path,
                stage.workspace.read_text(path),
                out.columns,
                may_be_missing=artifact.may_be_missing if artifact is not None else (),
                rows=(0, None),
            )
    except GitrainError as error:
        found = Examined(problems=[error.what])
    size = stage.workspace.size(path)
    most = artifact.max_bytes if artifact is not None else known[1] if known is not None else size
    found.figures["bytes"] = size
    if size > most:
        found.problems.append(
            f"{path} has {size:,} bytes, more than {most:,}: raise max_bytes of its Artifact if that is right"
        )
    found.problems = list(dict.fromkeys(found.problems))
    return found


def _own(stage: Stage, artifact: Artifact | None) -> Examined:
    """An output of a project's own stage."""
    if artifact is None:
        return Examined()
    workspace = stage.workspace
    files = workspace.files(artifact.path)
    found = Examined(figures={"files": len(files)})
    if not files:
        found.problems.append(f"{artifact.path} is an empty folder")
    for path in files:
        try:
            _own_file(stage, artifact, path, found)
        except GitrainError as error:
            found.problems.append(error.what)
    return found


def _own_file(stage: Stage, artifact: Artifact, path: str, found: Examined) -> None:
    workspace = stage.workspace
    if artifact.kind == "parquet":
        frame = workspace.read_table(path)
        contract = artifact.contract
        found.problems += finite_problems(path, frame, besides=contract.non_finite if contract is not None else ())
        found.problems += row_count_problems(path, frame.height, artifact.rows)
        if contract is not None:
            result = validate(frame, contract.without_time(), table=path, batch=None, scheme=stage.project.batches)
            found.problems += [f"{path}: {each.message}" for each in result.findings if each.severity != "warn"]
        found.figures["rows"] = int(found.figures.get("rows") or 0) + frame.height
    elif artifact.kind == "csv":
        text = workspace.read_text(path)
        found.problems += csv_problems(
            path, text, artifact.columns, may_be_missing=artifact.may_be_missing, rows=artifact.rows
        )
    elif artifact.kind == "json":
        if artifact.document is not None:
            parse_json(artifact.document, workspace.read_text(path), source=path)
        else:
            found.problems += _json_problems(path, workspace.read_text(path))
    elif artifact.kind == "text":
        if not workspace.read_text(path).strip():
            found.problems.append(f"{path} is empty")
    elif not workspace.size(path):
        found.problems.append(f"{path} is empty")


def _json_problems(path: str, text: str) -> list[str]:
    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no finite number")

    try:
        json.loads(text, parse_constant=refuse)
    except ValueError as error:
        return [f"{path} is no JSON: {error}"]
    return []


def _unwritten(declared: dict[str, Artifact], definitions: Sequence[StageDefinition]) -> list[Verdict]:
    """Contracts of outputs that no stage writes: a misspelt path would judge nothing."""
    written = {out.path for definition in definitions for out in definition.outs}
    return [
        judge_artifact(
            path,
            Examined(problems=[f"{path} is declared under `artifacts` of the project, and no stage writes it"]),
            stage="none",
        )
        for path in declared
        if path not in written
    ]
