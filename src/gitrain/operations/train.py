"""Train a model on the features of the training window, and store it with its loss curve and its manifest."""

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import numpy as np
import polars as pl

from gitrain.errors import ModelError, SettingsError, TrainingError
from gitrain.lineage import digest_of_bytes
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import FEATURES, MODEL, MODEL_MANIFEST, TRAINING_CURVE, partition
from gitrain.training.estimators import Estimator, FeatureColumns
from gitrain.training.fitting import CurvePoint, fit_with_curve
from gitrain.training.manifest import ModelManifest
from gitrain.training.matrix import true_probabilities
from gitrain.training.model_format import ModelFormat
from gitrain.training.split import split_in_time

__all__ = ["make_estimator", "train"]

_LIBRARIES = ("scikit-learn", "numpy", "skops")
_ROUND_TRIP_ROWS = 1000


def train(stage: Stage, model_format: ModelFormat) -> ModelManifest:
    """Fit the estimator that params.yaml names and write model, manifest and curve.

    Reads ``data/features/BATCH.parquet`` of the training window. Writes `models/model.skops`, `models/model.json` and
    `reports/training_curve.csv`; equal inputs give equal bytes. The manifest comes last: while it is there, it
    belongs to the model beside it, for it holds the model's digest.

    Raises:
        SettingsError: an unknown estimator, or parameters that it refuses.
        DataError: a batch's features are missing or unreadable.
        TrainingError: too little data, or an estimator that cannot be fitted.
        ModelError: the model cannot be stored.
    """
    params = stage.params.training
    columns = FeatureColumns(names=stage.project.features.names, categorical=stage.project.features.categorical)
    given = stage.params.estimators.get(params.estimator, {})
    # Before any data is read: a wrong parameter is known at once.
    effective = _effective(make_estimator(stage, columns), given)

    batches = stage.training_batches
    if not batches:
        raise TrainingError(
            f"no batch is left to train on: {', '.join(stage.holdout)} are the holdout",
            fix="move data.through on, start data.from earlier, or lower evaluation.holdout_batches.",
        )
    unit, target = stage.project.features.entity.unit[0], stage.project.target.name
    needed = list(dict.fromkeys([*columns.names, unit, target]))
    frame = pl.concat(
        [stage.workspace.read_table(partition(FEATURES, None, batch), needed) for batch in batches],
        how="vertical_relaxed",
    )
    rows = split_in_time(frame, columns=columns, target=target, unit=unit, validation_units=params.validation_units)
    stage.progress(
        f"{len(rows.labels):,} labelled rows of {len(batches)} batches ({batches[0]} to {batches[-1]}), "
        f"{len(columns.names)} features; validation on the last {len(rows.units)} of {unit!r}"
    )
    fit = fit_with_curve(
        lambda: make_estimator(stage, columns),
        rows,
        name=params.estimator,
        early_stopping=params.early_stopping,
        seed=params.seed,
        progress=stage.progress,
    )
    for warning in fit.warnings:
        stage.progress(f"warning: {warning}")
    if fit.converged is False:
        stage.progress(
            f"warning: {params.estimator} did not converge in {fit.iterations} iterations; "
            f"raise max_iter of estimators.{params.estimator} in params.yaml"
        )

    content = model_format.dump(fit.estimator)
    _check_round_trip(fit.estimator, model_format.load(content, name=MODEL), rows.matrix.head(_ROUND_TRIP_ROWS))
    manifest = ModelManifest(
        schema_version=1,
        project=stage.project.name,
        estimator=params.estimator,
        parameters=effective,
        features=columns.names,
        categorical=columns.categorical,
        target=target,
        training_batches=tuple(batches),
        validation_units=rows.units,
        seed=params.seed,
        early_stopping=params.early_stopping,
        iterations=fit.iterations,
        converged=fit.converged,
        rows=len(rows.labels),
        positives=int(rows.labels.sum()),
        model_digest=digest_of_bytes(content),
        libraries={
            "python": ".".join(platform.python_version_tuple()[:2]),
            **{library: metadata.version(library) for library in _LIBRARIES},
        },
    )
    stage.workspace.write_text(TRAINING_CURVE, _curve_csv(fit.curve))
    stage.workspace.write_bytes(MODEL, content)
    stage.workspace.write_text(MODEL_MANIFEST, manifest.to_json())
    stage.progress(f"{MODEL}: {len(content):,} bytes, {fit.iterations} iterations on {len(rows.labels):,} rows")
    return manifest


def make_estimator(stage: Stage, columns: FeatureColumns) -> Estimator:
    """A new, unfitted estimator with the parameters of params.yaml.

    Raises:
        SettingsError: an unknown estimator, or parameters that it refuses.
    """
    params = stage.params.training
    factory = stage.project.estimators.get(params.estimator)
    if factory is None:
        raise SettingsError(
            f"params.yaml: training.estimator is {params.estimator!r}, which the project does not have",
            fix=f"use one of: {', '.join(sorted(stage.project.estimators))}.",
        )
    return factory(stage.params.estimators.get(params.estimator, {}), columns, params.seed)


def _effective(estimator: Estimator, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with their defaults, as far as they are plain values; of a pipeline, those of its last step."""
    steps = getattr(estimator, "steps", None)
    classifier = steps[-1][1] if steps else estimator
    found = {**given, **(classifier.get_params(deep=False) if hasattr(classifier, "get_params") else {})}
    return {name: _plain(value) for name, value in found.items() if _is_plain(value)}


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(_is_plain(part) for part in value.values())
    if isinstance(value, (list, tuple)):
        return all(_is_plain(part) for part in value)
    if isinstance(value, float):
        return bool(np.isfinite(value))
    return value is None or isinstance(value, (str, int))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def _check_round_trip(fitted: Estimator, stored: Estimator, matrix: pl.DataFrame) -> None:
    """A stored model that predicts otherwise than the fitted one must never leave this stage."""
    expected, found = (true_probabilities(each.predict_proba(matrix)) for each in (fitted, stored))
    if not np.array_equal(expected, found):
        raise ModelError(
            f"the stored model's probabilities differ from the fitted one's by up to {np.abs(expected - found).max()}",
            fix="the estimator keeps state that the format does not store: keep it in attributes.",
        )


def _curve_csv(curve: tuple[CurvePoint, ...]) -> str:
    lines = [f"{point.iteration},{point.training_loss:.10g},{point.validation_loss:.10g}" for point in curve]
    return "\n".join(["iteration,training_loss,validation_loss", *lines]) + "\n"
