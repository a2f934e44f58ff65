"""Run the whole pipeline on a small real sample in a scratch folder, and serve rows as they were predicted."""

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import yaml

from gitrain.checks.integration import (
    SERVED_EQUALS_OFFLINE,
    in_order,
    judge_columns,
    judge_outputs,
    judge_repeats,
    judge_stages,
    judge_writes,
)
from gitrain.documents import parse_yaml
from gitrain.errors import FeatureError, ModelError, PipelineError
from gitrain.operations.check_artifacts import check_outputs
from gitrain.operations.check_served import Scorer, check_served
from gitrain.operations.sample_project import sample_project, sampled_rows
from gitrain.operations.stage import Stage
from gitrain.operations.try_stages import files_below, try_columns, try_stages
from gitrain.pipeline.layout import FEATURES, PARAMS, RAW, VALIDATED, partition
from gitrain.pipeline.params import Params
from gitrain.pipeline.scratch import Scratch
from gitrain.pipeline.stages import StageDefinition
from gitrain.serving.model import ServedModel
from gitrain.training.model_format import ModelFormat
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = ["SampleSize", "check_integration", "check_stages", "lay_out_sample", "size_of_sample"]

_PYPROJECT = "pyproject.toml"
_MODULE = "gitrain_sample"
# Rows of a batch that are kept, and how many of each class: enough to fit and to measure, few enough to be quick.
_ROWS = 2000
_OF_EACH_CLASS = 30
_SERVED_ROWS = 200

_SAMPLE_MODULE = '''"""Written by `gitrain check integration`: the project on a sample of its rows."""

import sys

sys.path[:0] = {folders!r}

from gitrain.operations.sample_project import sample_project
from gitrain.project import load_project

PROJECT = sample_project(load_project({reference!r}), every={every})
'''


@dataclass(frozen=True, kw_only=True)
class SampleSize:
    """What the pipeline is tried on.

    Attributes:
        first: the first batch.
        through: the last batch, which is the tree's own.
        every: one row of so many is kept of the table that predictions are made for.
        rows: about so many rows are kept, of all batches.
    """

    first: str
    through: str
    every: int
    rows: int


def check_integration(
    stage: Stage,
    model_format: ModelFormat,
    open_served_model: Callable[[Path], ServedModel],
    scratch: Scratch,
    definitions: Sequence[StageDefinition],
    *,
    clock: Callable[[], float],
    scorer: Scorer | None = None,
    served_rows: int = _SERVED_ROWS,
) -> list[Verdict]:
    """The verdicts of the integration checks, in the order of `gitrain.checks.integration.CHECKS`.

    The stages run as dvc.yaml has them, each as a process of its own and on what the one before wrote, in a folder
    that holds the code that they depend on, params.yaml with the fewest batches that the split allows, and a project
    whose source leaves rows out. The tree itself is only read.

    Args:
        stage: a tree whose pipeline has been run.
        model_format: reads the model.
        open_served_model: opens what is served below a root.
        scratch: an empty folder.
        definitions: the stages of dvc.yaml.
        clock: seconds that only grow.
        scorer: gives the served scores; in this process by default.
        served_rows: how many rows of the holdout are served.

    Raises:
        PipelineError, DataError: the tree lacks what a finished pipeline leaves; stages wait for each other.
    """
    ordered = in_order(definitions)
    size = size_of_sample(stage)
    stage.progress(
        f"integration: {len(ordered)} stages on batches {size.first} to {size.through}, one row of {size.every}"
    )
    lay_out_sample(stage, scratch, ordered, size)
    sample: dict[str, Figure] = {
        "batches": f"{size.first} to {size.through}",
        "rows": size.rows,
        "one_row_of": size.every,
    }
    verdicts = check_stages(
        scratch,
        ordered,
        figures=sample,
        columns=_columns(stage),
        examine=lambda: check_outputs(_sampled(stage, scratch, size), lambda: model_format, open_served_model, ordered),
        progress=stage.progress,
        clock=clock,
    )
    return [*verdicts, _served(stage, model_format, rows=served_rows, scorer=scorer)]


def check_stages(
    scratch: Scratch,
    stages: Sequence[StageDefinition],
    *,
    figures: Mapping[str, Figure],
    columns: Sequence[tuple[str, str]],
    examine: Callable[[], Sequence[Verdict]],
    progress: Callable[[str], None],
    clock: Callable[[], float],
) -> list[Verdict]:
    """The verdicts on stages in a scratch folder that holds what the first of them needs.

    Args:
        scratch: the folder.
        stages: each after those whose outputs it reads.
        figures: what the first verdict says of the sample.
        columns: folders of tables, and the column that their readers are to miss.
        examine: gives a verdict on each output, once all stages have run.
        progress: takes a line a stage.
        clock: seconds that only grow.
    """
    runs = try_stages(scratch, stages, progress=progress, clock=clock)
    # After a stage that wrote where it should not, the others' inputs are no longer what they were given.
    sound = 0 < len(runs) == len(stages) and all(run.sound for run in runs)
    artifacts = examine() if sound else None
    trials = try_columns(scratch, stages, columns, progress=progress) if sound else []
    return [
        judge_stages(runs, [stage.name for stage in stages], figures),
        judge_writes(runs),
        judge_repeats(runs),
        judge_outputs(artifacts, runs),
        judge_columns(trials, runs),
    ]


def _sampled(stage: Stage, scratch: Scratch, size: SampleSize) -> Stage:
    """The surroundings of the stages in the scratch folder."""
    return replace(
        stage,
        project=sample_project(stage.project, every=size.every),
        params=parse_yaml(Params, scratch.workspace.read_text(PARAMS), source=PARAMS),
        workspace=scratch.workspace,
        progress=lambda line: None,
    )


def _served(stage: Stage, model_format: ModelFormat, *, rows: int, scorer: Scorer | None) -> Verdict:
    try:
        return check_served(stage, model_format, rows=rows, scorer=scorer)
    except (FeatureError, ModelError) as error:
        # What could be predicted offline cannot be served: the skew that this check is there to find.
        reason = f"rows of the holdout cannot be served: {error.what}"
        return Verdict(name=SERVED_EQUALS_OFFLINE, outcome=Outcome.FAILED, reason=reason)


def size_of_sample(stage: Stage) -> SampleSize:
    """The fewest batches, the newest ones, that the split needs, and the share of rows to keep of them.

    Raises:
        DataError: the tree has no features.
    """
    entity, target = stage.project.features.entity, stage.project.target.name
    unit = entity.unit[0]
    holdout = len(stage.holdout)
    chosen: list[pl.DataFrame] = []
    every = 1
    for number, batch in enumerate(reversed(stage.batches), start=1):
        chosen.insert(0, stage.workspace.read_table(partition(FEATURES, None, batch), [unit, target]))
        if number <= holdout:
            continue
        every = max(1, min(_thinning(frame, target) for frame in chosen))
        training = pl.concat([frame[sampled_rows(frame.height, every)] for frame in chosen[:-holdout]])
        training = training.filter(pl.col(target).is_not_null())
        if training[unit].n_unique() > stage.params.training.validation_units:
            break
    first = stage.batches[-len(chosen)]
    kept = sum(-(-frame.height // every) for frame in chosen)
    return SampleSize(first=first, through=stage.batches[-1], every=every, rows=kept)


def _thinning(features: pl.DataFrame, target: str) -> int:
    """One row of how many leaves enough rows, and enough of each class."""
    positives = int(features[target].sum() or 0)
    negatives = features.height - features[target].null_count() - positives
    return min(features.height // _ROWS, positives // _OF_EACH_CLASS, negatives // _OF_EACH_CLASS)


def lay_out_sample(stage: Stage, scratch: Scratch, stages: Sequence[StageDefinition], size: SampleSize) -> None:
    """Put into the scratch folder what the first stage needs.

    Raises:
        PipelineError: a file that a stage depends on is missing.
    """
    tree, workspace = stage.workspace, scratch.workspace
    table = tomllib.loads(tree.read_text(_PYPROJECT))["tool"]["gitrain"]
    written = {out.path for definition in stages for out in definition.outs if out.path is not None}
    needed = {path for definition in stages for path in definition.deps.values() if path is not None}
    for path in sorted(needed):
        if path in written or any(path.startswith(f"{out}/") or out.startswith(f"{path}/") for out in written):
            continue
        if not tree.exists(path):
            raise PipelineError(
                f"{path}, which a stage of dvc.yaml depends on, is missing", fix="restore it, or correct the deps."
            )
        for file in files_below(tree, path):
            workspace.write_bytes(file, tree.read_bytes(file))
    params = yaml.safe_load(tree.read_text(PARAMS))
    params["data"] = {**params["data"], "from": size.first, "through": size.through}
    workspace.write_text(PARAMS, yaml.safe_dump(params, sort_keys=False, allow_unicode=True))
    module = _SAMPLE_MODULE.format(
        folders=[str(tree.root), str(tree.root / "src")], reference=table["project"], every=size.every
    )
    workspace.write_text(f"{_MODULE}.py", module)
    settings = {**table, "project": f"{_MODULE}:PROJECT"}
    # JSON's strings and lists of strings, which is all that the table holds, are TOML's too.
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    workspace.write_text(_PYPROJECT, "\n".join(["[tool.gitrain]", *lines, ""]))


def _columns(stage: Stage) -> list[tuple[str, str]]:
    """A column that cannot be done without, of each folder of tables that one stage writes and another reads."""
    entity = stage.project.features.entity
    # Not the key: what is joined by it would fail for another reason.
    known = next((name for name in entity.known_in_advance if name not in entity.key), entity.known_in_advance[0])
    return [(RAW, known), (VALIDATED, known), (FEATURES, stage.project.features.names[-1])]
