"""Measure the model on the holdout, the newest batches, which it has not been trained on."""

from collections.abc import Sequence

import polars as pl

from gitrain.data.validation import validate
from gitrain.documents import parse_json
from gitrain.errors import DataError, ModelError
from gitrain.evaluation.curves import calibration_csv, precision_recall_csv, roc_csv
from gitrain.evaluation.document import Evaluation, significant
from gitrain.evaluation.estimates import Resampling, ScoredRows, calibration_bins, group_estimates, metric_estimates
from gitrain.evaluation.predictions import BATCH, LABEL, SCORE, prediction_table, slice_column
from gitrain.evaluation.scoring import score
from gitrain.lineage import digest_of_bytes
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import (
    CALIBRATION,
    EVALUATION,
    FEATURES,
    HOLDOUT_PREDICTIONS,
    METRICS,
    MODEL,
    MODEL_MANIFEST,
    PRECISION_RECALL,
    ROC,
    partition,
)
from gitrain.project import Project
from gitrain.training.manifest import ModelManifest
from gitrain.training.model_format import ModelFormat

__all__ = ["evaluate"]

_SHOWN = 5


def evaluate(stage: Stage, model_format: ModelFormat) -> Evaluation:
    """Score the labelled rows of the holdout and write predictions, metrics, slices, calibration and curves.

    Equal features, model and parameters give equal bytes in every file. `reports/evaluation.json` comes last: it names
    the digests of the model and of the predictions that it is about.

    Args:
        stage: the surroundings.
        model_format: reads `models/model.skops`.

    Raises:
        PipelineError: the model or its manifest is missing.
        SettingsError: the manifest is no manifest.
        ModelError: the model is not the one of its manifest, was made for another project or target, has been trained
            on the holdout, cannot be read, or does not give probabilities.
        FeatureError: the features lack a column that the model takes.
        DataError: features are missing or damaged, no row of the holdout has a label, a row has no unit, or the
            predictions break their contract.
        ProjectError: a slice cannot be evaluated.
    """
    workspace, project, params = stage.workspace, stage.project, stage.params.evaluation
    manifest = parse_json(ModelManifest, workspace.read_text(MODEL_MANIFEST), source=MODEL_MANIFEST)
    content = workspace.read_bytes(MODEL)
    _check_model(manifest, digest_of_bytes(content), project, stage.holdout)
    estimator = model_format.load(content, name=MODEL)

    features, batches = _holdout(stage)
    labelled = features[project.target.name].is_not_null()
    unlabelled = features.height - int(labelled.sum())
    features, batches = features.filter(labelled), batches.filter(labelled)
    if features.is_empty():
        raise DataError(
            f"no row of the holdout ({', '.join(stage.holdout)}) has a label ({unlabelled} rows have none)",
            fix="wait for the labels, or set data.through in params.yaml back to a batch that has them.",
        )
    stage.progress(f"evaluate: scoring {features.height:,} rows of {', '.join(stage.holdout)}")
    entity = project.features.entity
    scores = score(estimator, features, manifest.columns, key=entity.key)
    predictions = prediction_table(
        features,
        batches,
        features[project.target.name],
        scores,
        key=entity.key,
        unit=entity.unit[0],
        slices={slice_.name: slice_.by for slice_ in project.slices},
    )
    _check_predictions(project, predictions)
    workspace.write_table(HOLDOUT_PREDICTIONS, predictions)

    rows = ScoredRows.of(predictions[LABEL], predictions[SCORE], predictions[entity.unit[0]])
    resampling = Resampling(replicates=params.replicates, seed=params.seed, confidence=params.confidence)
    stage.progress(f"evaluate: {params.replicates:,} draws of {rows.units:,} units ({entity.unit[0]})")
    calibration = calibration_bins(rows, params.calibration_bins, resampling)
    evaluation = Evaluation(
        schema_version=1,
        project=project.name,
        target=project.target.name,
        estimator=manifest.estimator,
        model_digest=manifest.model_digest,
        predictions_digest=workspace.digest(HOLDOUT_PREDICTIONS),
        batches=tuple(stage.holdout),
        unit=entity.unit[0],
        rows=rows.rows,
        unlabelled=unlabelled,
        units=rows.units,
        positives=rows.positives,
        base_rate=significant(rows.positives / rows.rows),
        confidence=params.confidence,
        replicates=params.replicates,
        seed=params.seed,
        metrics=metric_estimates(rows, project.metrics, project.reported_metrics, resampling),
        slices={
            slice_.name: group_estimates(
                rows, predictions[slice_column(slice_.name)], project.metrics, resampling, min_rows=slice_.min_rows
            )
            for slice_ in project.slices
        },
        calibration=calibration,
    )
    workspace.write_text(CALIBRATION, calibration_csv(calibration))
    workspace.write_text(ROC, roc_csv(rows.labels, rows.scores))
    workspace.write_text(PRECISION_RECALL, precision_recall_csv(rows.labels, rows.scores))
    workspace.write_text(METRICS, evaluation.metrics_json())
    workspace.write_text(EVALUATION, evaluation.to_json())
    return evaluation


def _check_model(manifest: ModelManifest, digest: str, project: Project, holdout: Sequence[str]) -> None:
    again = "train it anew (`dvc repro`)."
    if manifest.model_digest != digest:
        raise ModelError(
            f"{MODEL} has the digest {digest}, and {MODEL_MANIFEST} describes a model with {manifest.model_digest}",
            fix=f"restore the two files from one commit (`dvc checkout`), or {again}",
        )
    for part, found, wanted in (
        ("project", manifest.project, project.name),
        ("target", manifest.target, project.target.name),
    ):
        if found != wanted:
            raise ModelError(f"{MODEL} was made for the {part} {found!r}, and this is {wanted!r}", fix=again)
    seen = sorted(set(manifest.training_batches) & set(holdout))
    if seen:
        raise ModelError(
            f"{MODEL} has been trained on {', '.join(seen)}, which it would be judged on",
            fix=f"{again[:-1]} with the data.through and evaluation.holdout_batches of params.yaml.",
        )


def _holdout(stage: Stage) -> tuple[pl.DataFrame, pl.Series]:
    """The features of the holdout, and the batch of each row."""
    project = stage.project
    frames = [stage.workspace.read_table(partition(FEATURES, None, batch)) for batch in stage.holdout]
    names = [batch for batch, frame in zip(stage.holdout, frames, strict=True) for _ in range(frame.height)]
    try:
        features = pl.concat(frames, how="vertical")
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"the features of {', '.join(stage.holdout)} have different columns: {' '.join(str(error).split())}",
            fix="run `dvc repro` to make them anew.",
        ) from error
    entity = project.features.entity
    for name in (*entity.key, entity.unit[0], project.target.name):
        if name not in features.columns:
            raise DataError(
                f"{partition(FEATURES, None, stage.holdout[0])} has no column {name!r}",
                fix="run `dvc repro` to make the features anew.",
            )
    if features.schema[project.target.name] != pl.Boolean:
        raise DataError(
            f"the target {project.target.name!r} is of type {features.schema[project.target.name]}, not Boolean",
            fix="make the target's label a condition, and run `dvc repro`.",
        )
    missing = features[entity.unit[0]].null_count()
    if missing:
        raise DataError(
            f"{missing} rows of the holdout have no {entity.unit[0]!r}, the unit of resampling",
            fix="correct the entity's unit, or let the contract refuse such rows.",
        )
    return features, pl.Series(BATCH, names, dtype=pl.String)


def _check_predictions(project: Project, predictions: pl.DataFrame) -> None:
    """The contract judges the columns that it names: label and slices are there in evaluation only."""
    contract = project.prediction_contract
    columns = [name for name in predictions.columns if name in contract.schema.columns]
    for (batch,), frame in predictions.group_by(BATCH, maintain_order=True):
        result = validate(
            frame.select(columns), contract, table="predictions", batch=str(batch), scheme=project.batches
        )
        # Predictions have no quarantine: a model that gives one bad score is not trusted with the others.
        broken = [finding.message for finding in result.findings if finding.severity != "warn"]
        if broken:
            rest = f"; and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
            raise DataError(
                f"the predictions for {batch} break their contract: {'; '.join(broken[:_SHOWN])}{rest}",
                fix="look at the model and its features, or correct project.prediction_contract.",
            )
