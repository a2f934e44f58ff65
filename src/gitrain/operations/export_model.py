"""Write the model in the form in which it is served, with the reason, and rows whose answers are known."""

from importlib import metadata

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.documents import parse_json
from gitrain.errors import DataError, ModelError
from gitrain.evaluation.predictions import SCORE
from gitrain.evaluation.scoring import score
from gitrain.lineage import digest_of_bytes
from gitrain.online.columns import columns_of
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import (
    FEATURES,
    HOLDOUT_PREDICTIONS,
    KNOWN_ANSWERS,
    MODEL,
    MODEL_MANIFEST,
    SERVED,
    SERVING_MANIFEST,
    VALIDATED,
    partition,
)
from gitrain.serving.choice import ModelConverter, choose_form
from gitrain.serving.known_answers import known_answers
from gitrain.serving.manifest import ServingManifest
from gitrain.serving.model import ServedFormat
from gitrain.training.estimators import Estimator, FeatureColumns
from gitrain.training.manifest import ModelManifest
from gitrain.training.model_format import ModelFormat

__all__ = ["export_model"]

_LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx", "skops")
_KNOWN_ROWS = 20
# A model and its predictions are of one run, or differ by far more.
_SAME_RUN = 1e-9


def export_model(stage: Stage, model_format: ModelFormat, converter: ModelConverter) -> ServingManifest:
    """Choose the form in which the model is served, and write it with known answers.

    Reads the model, the features and the validated rows of the holdout, and its predictions. Writes one file into
    `models/serving`, then `models/known_answers.json`, and `models/serving.json` last: while that is there, it belongs
    to the file that it names by its digest. Equal inputs give equal bytes.

    Args:
        stage: the surroundings.
        model_format: reads `models/model.skops`.
        converter: makes models in ONNX.

    Raises:
        PipelineError: the model, its manifest or the predictions are missing.
        SettingsError: the manifest is no manifest.
        ModelError: the model is not that of its manifest, cannot be read, or does not give the scores of the
            predictions.
        DataError: features, validated rows or predictions are missing, damaged or not of one run.
        FeatureError: the features lack a column that the model takes.
        ProjectError: a column that is known in advance has a type that no request can hold.
    """
    workspace, params = stage.workspace, stage.params.serving
    manifest = parse_json(ModelManifest, workspace.read_text(MODEL_MANIFEST), source=MODEL_MANIFEST)
    content = workspace.read_bytes(MODEL)
    digest = digest_of_bytes(content)
    if digest != manifest.model_digest:
        raise ModelError(
            f"{MODEL} has the digest {digest}, and {MODEL_MANIFEST} describes a model with {manifest.model_digest}",
            fix="restore the two files from one commit (`dvc checkout`), or train anew (`dvc repro`).",
        )
    estimator, columns = model_format.load(content, name=MODEL), manifest.columns
    features = pl.concat([workspace.read_table(partition(FEATURES, None, batch)) for batch in stage.holdout])
    stage.progress(f"export: comparing forms of the model on {features.height:,} rows of {', '.join(stage.holdout)}")
    rows = _judged_rows(stage, features, estimator, columns)
    choice = choose_form(
        estimator,
        features,
        stage.project.feature_contract,
        columns,
        converter,
        tolerance=params.tolerance,
        threshold=params.threshold,
        progress=stage.progress,
    )
    form: ServedFormat = "skops" if choice.converted is None else "onnx"
    known = features[_spread(rows).tolist()]
    if choice.converted is None:
        scores = score(estimator, known, columns)
    else:
        scores = converter.load(choice.converted, name=_path(form)).score(columns_of(known, columns))
    answers = known_answers(_inputs(stage, known), known, scores, columns, tolerance=params.tolerance)
    served = content if choice.converted is None else choice.converted
    exported = ServingManifest(
        schema_version=1,
        format=form,
        reason=choice.comparison.reason,
        path=_path(form),
        digest=digest_of_bytes(served),
        model_digest=digest,
        parity=choice.comparison.parity,
        threshold=params.threshold,
        libraries={library: metadata.version(library) for library in _LIBRARIES},
    )
    for path in workspace.files(SERVED):
        if path != exported.path:
            workspace.remove(path)
    workspace.write_bytes(exported.path, served)
    workspace.write_text(KNOWN_ANSWERS, answers.to_json())
    workspace.write_text(SERVING_MANIFEST, exported.to_json())
    stage.progress(f"{exported.path}: {len(served):,} bytes; {exported.reason}")
    return exported


def _path(form: ServedFormat) -> str:
    return f"{SERVED}/model.{form}"


def _judged_rows(
    stage: Stage, features: pl.DataFrame, estimator: Estimator, columns: FeatureColumns
) -> NDArray[np.intp]:
    """The numbers of the rows that the model was judged on, which is this very model."""
    predictions = stage.workspace.read_table(HOLDOUT_PREDICTIONS, [SCORE])
    target = stage.project.target.name
    rows = np.flatnonzero(features[target].is_not_null().to_numpy()) if target in features.columns else np.zeros(0, int)
    again = "run `dvc repro`: model, features and predictions are not of one run."
    if not rows.size or rows.size != predictions.height:
        raise DataError(
            f"{HOLDOUT_PREDICTIONS} has {predictions.height:,} rows, and the features of the holdout have "
            f"{rows.size:,} with a label",
            fix=again,
        )
    apart = np.abs(score(estimator, features[rows.tolist()], columns) - predictions[SCORE].to_numpy())
    if not apart.max() <= _SAME_RUN:
        raise ModelError(
            f"{MODEL} gives row {int(rows[apart.argmax()])} of the holdout a score that is {apart.max():.3g} from the "
            f"one in {HOLDOUT_PREDICTIONS}",
            fix=again,
        )
    return rows


def _spread(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """So many of the rows, evenly spread, the first and the last among them."""
    return rows[np.unique(np.linspace(0, rows.size - 1, min(_KNOWN_ROWS, rows.size)).astype(np.intp))]


def _inputs(stage: Stage, known: pl.DataFrame) -> pl.DataFrame:
    """What was known in advance of each row, in their order."""
    entity = stage.project.features.entity
    key = list(entity.key)
    needed = list(dict.fromkeys([*entity.known_in_advance, *key]))
    rows = pl.concat(
        [stage.workspace.read_table(partition(VALIDATED, entity.table, batch), needed) for batch in stage.holdout]
    )
    found = known.select(key).join(rows, on=key, how="inner", maintain_order="left", coalesce=True)
    if found.height != known.height:
        raise DataError(
            f"of {known.height} rows of the features {found.height} are among the validated {entity.table}",
            fix="run `dvc repro`: the two are not of one run.",
        )
    return found.select(entity.known_in_advance)
