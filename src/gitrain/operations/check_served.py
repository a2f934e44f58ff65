"""Serve rows of the holdout one at a time and compare their scores with the offline predictions."""

from collections.abc import Sequence
from typing import Protocol

import polars as pl

from gitrain.checks.integration import ServedRow, judge_served
from gitrain.documents import parse_json
from gitrain.errors import DataError
from gitrain.evaluation.predictions import BATCH, SCORE
from gitrain.evaluation.scoring import score
from gitrain.features.engine import compute_features
from gitrain.features.partitions import Partitions
from gitrain.operations.build_features import partitions_of
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import FEATURES, HOLDOUT_PREDICTIONS, MODEL, MODEL_MANIFEST, partition
from gitrain.training.manifest import ModelManifest
from gitrain.training.model_format import ModelFormat
from gitrain.verdicts import Verdict

__all__ = ["TOLERANCE", "OneRow", "Scorer", "check_served"]

#: Sums of a linear model may be taken in another order for one row than for many; nothing else may differ.
TOLERANCE = 1e-9
_SHOWN = 3


class Scorer(Protocol):
    """A way to get one prediction, as a service gives it."""

    def __call__(self, batch: str, row: pl.DataFrame) -> float:
        """The score of one row.

        Args:
            batch: the batch that the row belongs to: the histories of this batch and of those before it are known.
            row: one row with the columns `known_in_advance` of the entity.
        """


class OneRow:
    """Scores rows in this process: the row's features by themselves, then the model as it is stored.

    Args:
        stage: holds the validated tables, the model and its manifest.
        model_format: reads the model.

    Raises:
        PipelineError: the model or its manifest is missing.
        ModelError: the model cannot be read.
    """

    def __init__(self, stage: Stage, model_format: ModelFormat) -> None:
        workspace = stage.workspace
        self._features = stage.project.features
        self._manifest = parse_json(ModelManifest, workspace.read_text(MODEL_MANIFEST), source=MODEL_MANIFEST)
        self._model = model_format.load(workspace.read_bytes(MODEL), name=MODEL)
        self._batches = stage.batches
        self._partitions = partitions_of(stage)
        self._histories: dict[str, pl.DataFrame] = {}
        self._batch = ""

    def __call__(self, batch: str, row: pl.DataFrame) -> float:
        """The score of one row."""
        return float(score(self._model, self.features(batch, row), self._manifest.columns)[0])

    def features(self, batch: str, row: pl.DataFrame) -> pl.DataFrame:
        """The features of one row."""
        if batch != self._batch:
            known = self._batches[: self._batches.index(batch) + 1]
            needed = self._partitions.needed(known, self._partitions.decisions(batch))
            self._histories, self._batch = self._partitions.histories(needed), batch
        return compute_features(self._features, row, self._histories)


def check_served(
    stage: Stage, model_format: ModelFormat, *, rows: int, scorer: Scorer | None = None, tolerance: float = TOLERANCE
) -> Verdict:
    """Whether rows of the holdout, served one at a time, get the score that they have in the predictions.

    The rows are spread evenly over the holdout. Where a score differs, the features of that row are compared with
    those that the pipeline wrote, so that the verdict can name the culprit.

    Args:
        stage: a tree whose pipeline has been run.
        model_format: reads the model.
        rows: at most so many rows.
        scorer: gives the served score; in this process by default.
        tolerance: the largest difference that counts as equal.

    Raises:
        PipelineError, DataError: the predictions, the model or the tables are missing or damaged.
        ModelError: the model cannot be read or cannot score.
        FeatureError: a row's features cannot be computed.
    """
    own = OneRow(stage, model_format)
    serve = scorer or own
    predictions = _spread(stage.workspace.read_table(HOLDOUT_PREDICTIONS), rows)
    partitions = partitions_of(stage)
    served: list[ServedRow] = []
    worst: tuple[float, str, pl.DataFrame, pl.DataFrame] | None = None
    for (name,), group in predictions.group_by(BATCH, maintain_order=True):
        batch = str(name)
        stage.progress(f"integration: serving {group.height:,} rows of {batch} one at a time")
        entities = _entities(stage, partitions, batch, group)
        for number, offline in enumerate(group[SCORE]):
            row = entities.slice(number, 1)
            found = ServedRow(key=_key(stage, group, number), offline=offline, served=serve(batch, row))
            served.append(found)
            if worst is None or found.difference > worst[0]:
                worst = (found.difference, batch, row, group.slice(number, 1))
    hint = None
    if worst is not None and not worst[0] <= tolerance:
        _, batch, row, prediction = worst
        hint = _culprits(stage, own.features(batch, row), batch, prediction)
    return judge_served(served, tolerance=tolerance, hint=hint)


def _spread(predictions: pl.DataFrame, rows: int) -> pl.DataFrame:
    return predictions.gather_every(max(1, -(-predictions.height // rows)))


def _entities(stage: Stage, partitions: Partitions, batch: str, predictions: pl.DataFrame) -> pl.DataFrame:
    """What was known in advance of each predicted row, in their order."""
    key = list(stage.project.features.entity.key)
    rows = partitions.entity_rows(batch, *key)
    found = predictions.select(key).join(rows, on=key, how="left", maintain_order="left", validate="1:1", coalesce=True)
    known = found.select(stage.project.features.entity.known_in_advance)
    lost = predictions.select(key).join(rows, on=key, how="anti")
    if lost.height:
        raise DataError(
            f"{HOLDOUT_PREDICTIONS} has {lost.height} rows that the validated batch {batch} does not have, "
            f"such as {lost.row(0, named=True)}",
            fix="run `dvc repro`: predictions and data are not of one run.",
        )
    return known


def _key(stage: Stage, predictions: pl.DataFrame, number: int) -> str:
    return ", ".join(f"{name}={predictions[name][number]}" for name in stage.project.features.entity.key)


def _culprits(stage: Stage, served: pl.DataFrame, batch: str, prediction: pl.DataFrame) -> str:
    """Which features of a predicted row the pipeline has otherwise than they are served."""
    key = list(stage.project.features.entity.key)
    path = partition(FEATURES, None, batch)
    offline = stage.workspace.read_table(path).join(prediction, on=key, how="semi")
    if offline.height != 1:
        return f"{path} has {offline.height} rows with its key"
    apart = [
        name
        for name in served.columns
        if name not in offline.columns or not served[name].equals(offline[name], null_equal=True)
    ]
    if not apart:
        return "its features are those of the pipeline, so the model or the way to it differs"
    return _named(apart, served, offline)


def _named(apart: Sequence[str], served: pl.DataFrame, offline: pl.DataFrame) -> str:
    shown = [
        f"{name!r} is {served[name][0]} when served and {offline[name][0]} in the pipeline"
        if name in offline.columns
        else f"{name!r} is not in the pipeline's"
        for name in apart[:_SHOWN]
    ]
    rest = f", and {len(apart) - _SHOWN} more differ" if len(apart) > _SHOWN else ""
    return f"of its features {', '.join(shown)}{rest}"
