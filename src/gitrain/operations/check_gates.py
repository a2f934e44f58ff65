"""Judge the model in this tree by its thresholds, its slices, the leak alarm and the champion."""

import math
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.documents import parse_json, parse_yaml
from gitrain.errors import GitrainError, PipelineError
from gitrain.evaluation.bootstrap import block_numbers
from gitrain.evaluation.document import Evaluation
from gitrain.evaluation.estimates import Resampling
from gitrain.evaluation.predictions import LABEL, SCORE, prediction_table, slice_column
from gitrain.evaluation.scoring import score
from gitrain.gates.changes import changed_rules
from gitrain.gates.measurements import Holdout, measure
from gitrain.gates.names import CHAMPION
from gitrain.gates.report import GateReport, GateVerdict, report_outcome
from gitrain.gates.settings import HoldoutFacts, check_settings, gate_names
from gitrain.gates.slices import judge_slice
from gitrain.gates.thresholds import judge_leak_alarm, judge_threshold
from gitrain.gates.waivers import Waivers, check_waivers
from gitrain.metrics import Metric
from gitrain.operations.compare_with_champion import compare_with_champion
from gitrain.operations.find_champion import Champion, NoChampion, find_champion
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import (
    EVALUATION,
    FEATURES,
    HOLDOUT_PREDICTIONS,
    MODEL,
    MODEL_MANIFEST,
    PARAMS,
    partition,
)
from gitrain.pipeline.params import Params
from gitrain.pipeline.repository import ArtifactCache, Repository
from gitrain.training.manifest import ModelManifest
from gitrain.training.model_format import ModelFormat
from gitrain.verdicts import Outcome, Verdict

__all__ = ["check_gates"]

_AGAIN = "run `dvc repro`, and commit dvc.lock with what it wrote."
# Scores of one model on one matrix; another processor or BLAS rounds otherwise.
_SAME_SCORE = 1e-6
_NO_BASE = "no base commit was named: pass --base with the branch that this is to be merged into"
_SHOWN = 5


def check_gates(
    stage: Stage,
    model_format: ModelFormat,
    repository: Repository,
    cache: ArtifactCache,
    *,
    base: str | None,
    today: date,
) -> GateReport:
    """Judge what is in the tree: model, features and predictions have to belong together.

    No number is taken on trust: the model scores the holdout again, and metrics are computed from the predictions.
    A model of the base commit that is missing or cannot be compared makes the champion gate INCONCLUSIVE.

    Args:
        stage: the surroundings.
        model_format: reads models.
        repository: holds the base commit.
        cache: gives the champion by its hash.
        base: the commit whose model is the champion, e.g. ``origin/main``; None leaves that gate INCONCLUSIVE.
        today: the day that waivers are judged by.

    Raises:
        SettingsError: a gate is missing, trivial or misspelt, and no waiver names it; or a waiver is wrong.
        UsageError: `base` names no commit.
        PipelineError: model, manifest, predictions and evaluation do not belong together: run `dvc repro`.
        ModelError: the model cannot be read, or does not score.
        DataError: features or predictions are missing or damaged.
    """
    project, gates = stage.project, stage.params.gates
    commit = repository.commit(base) if base is not None else None
    before, changes = _rules_of(repository, commit, stage.params)
    slices = {slice_.name: slice_.min_rows for slice_ in project.slices}
    confidence = stage.params.evaluation.confidence
    names = gate_names(gates, metrics=project.metrics, slices=list(slices))
    waivers = check_waivers(
        gates.waivers, gates=names, today=today, known_before=before.gates.waivers if before is not None else ()
    )

    def settings(facts: HoldoutFacts | None) -> dict[str, str]:
        return check_settings(
            gates,
            metrics=project.metrics,
            reported=project.reported_metrics,
            slices=slices,
            confidence=confidence,
            waivers=waivers,
            facts=facts,
        )

    # Before anything is read: a rule that is misspelt is known at once.
    settings(None)
    content, digest, manifest = _model(stage)
    features, predictions = _predictions(stage, model_format, content, manifest)
    blocks, units = block_numbers(predictions[project.features.entity.unit[0]])
    holdout = Holdout(labels=predictions[LABEL].cast(pl.Int8).to_numpy(), blocks=blocks, units=units)
    scores = predictions[SCORE].to_numpy()
    perfect = {metric.name: metric.value(holdout.labels, holdout.labels.astype(float)) for metric in project.measured}
    waived = settings(HoldoutFacts(rows=holdout.rows, perfect=perfect))

    verdicts = [
        *_thresholds(stage, holdout, scores, perfect),
        *_slices(stage, holdout, scores, predictions),
        *_leak_alarms(stage, holdout, scores),
    ]
    champion = find_champion(repository, cache, commit) if commit is not None else NoChampion(reason=_NO_BASE)
    if gates.champion is not None and CHAMPION not in waived:
        verdicts.append(
            compare_with_champion(
                stage,
                model_format,
                champion,
                gates.champion,
                challenger=digest,
                holdout=holdout,
                features=features,
                scores=scores,
                resampling=_resampling(stage),
            )
        )
    judged = {verdict.name: verdict for verdict in verdicts}
    final = [
        _unjudged(name, waived[name], waivers) if name in waived else waivers.apply(judged[name]) for name in names
    ]
    return GateReport(
        schema_version=1,
        project=project.name,
        outcome=report_outcome(final),
        verdicts=tuple(GateVerdict.of(verdict) for verdict in final),
        date=today,
        model_digest=digest,
        base=commit,
        champion_digest=champion.digest if isinstance(champion, Champion) else None,
        batches=tuple(stage.holdout),
        unit=project.features.entity.unit[0],
        rows=holdout.rows,
        units=holdout.units,
        changes=changes,
    )


def _rules_of(repository: Repository, commit: str | None, params: Params) -> tuple[Params | None, tuple[str, ...]]:
    """The parameters of the base, and what this tree has changed of its rules."""
    content = repository.read(commit, PARAMS) if commit is not None else None
    if content is None:
        return None, ()
    try:
        before = parse_yaml(Params, content.decode(), source=f"{PARAMS} of the base")
    except (GitrainError, UnicodeDecodeError) as error:
        what = error.what if isinstance(error, GitrainError) else str(error)
        return None, (f"the rules of the base cannot be read, so nobody knows what has changed: {what}",)
    return before, changed_rules(before, params)


def _model(stage: Stage) -> tuple[bytes, str, ModelManifest]:
    """The model in the tree, once its manifest and its evaluation are known to be about it."""
    workspace = stage.workspace
    manifest = parse_json(ModelManifest, workspace.read_text(MODEL_MANIFEST), source=MODEL_MANIFEST)
    evaluation = parse_json(Evaluation, workspace.read_text(EVALUATION), source=EVALUATION)
    content, digest = workspace.read_bytes(MODEL), workspace.digest(MODEL)
    for what, found, wanted in (
        (f"{MODEL_MANIFEST} describes the model", manifest.model_digest, digest),
        (f"{EVALUATION} is about the model", evaluation.model_digest, digest),
        (
            f"{EVALUATION} is about predictions with the digest",
            evaluation.predictions_digest,
            workspace.digest(HOLDOUT_PREDICTIONS),
        ),
        (f"{EVALUATION} is about the batches", list(evaluation.batches), stage.holdout),
        (f"{MODEL} was trained on", list(manifest.training_batches), stage.training_batches),
        (f"{MODEL} was made for the project", manifest.project, stage.project.name),
        (f"{MODEL} was made for the target", manifest.target, stage.project.target.name),
    ):
        if found != wanted:
            raise PipelineError(f"{what} {_short(found)}, and the tree has {_short(wanted)}", fix=_AGAIN)
    return content, digest, manifest


def _predictions(
    stage: Stage, model_format: ModelFormat, content: bytes, manifest: ModelManifest
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The labelled features of the holdout and the kept predictions, once the model has given them again."""
    project = stage.project
    kept = stage.workspace.read_table(HOLDOUT_PREDICTIONS)
    frames = [stage.workspace.read_table(partition(FEATURES, None, batch)) for batch in stage.holdout]
    names = [batch for batch, frame in zip(stage.holdout, frames, strict=True) for _ in range(frame.height)]
    try:
        features = pl.concat(frames, how="vertical")
        labelled = features[project.target.name].is_not_null()
    except pl.exceptions.PolarsError as error:
        raise PipelineError(
            f"the features of {', '.join(stage.holdout)} do not fit together: {' '.join(str(error).split())}",
            fix=_AGAIN,
        ) from error
    features = features.filter(labelled)
    batches = pl.Series("batch", names, dtype=pl.String).filter(labelled)
    stage.progress(f"gates: scoring {features.height:,} rows of {', '.join(stage.holdout)} again")
    entity = project.features.entity
    again = prediction_table(
        features,
        batches,
        features[project.target.name],
        score(model_format.load(content, name=MODEL), features, manifest.columns, key=entity.key),
        key=entity.key,
        unit=entity.unit[0],
        slices={slice_.name: slice_.by for slice_ in project.slices},
    )
    if again.schema != kept.schema or again.height != kept.height:
        raise PipelineError(
            f"{HOLDOUT_PREDICTIONS} has {kept.height} rows of {', '.join(kept.columns)}; the features give "
            f"{again.height} rows of {', '.join(again.columns)}",
            fix=_AGAIN,
        )
    for name in again.drop(SCORE).columns:
        if not again[name].equals(kept[name], null_equal=True):
            raise PipelineError(f"{HOLDOUT_PREDICTIONS} and the features differ in the column {name!r}", fix=_AGAIN)
    gap = np.abs(again[SCORE].to_numpy() - kept[SCORE].to_numpy())
    if not (gap <= _SAME_SCORE).all():  # NaN is none either
        raise PipelineError(
            f"{int((~(gap <= _SAME_SCORE)).sum())} of {gap.size} scores in {HOLDOUT_PREDICTIONS} are not those that "
            f"{MODEL} gives, by up to {np.nanmax(gap, initial=0):.2g}",
            fix=_AGAIN,
        )
    return features, kept


def _resampling(stage: Stage) -> Resampling:
    params = stage.params.evaluation
    return Resampling(replicates=params.replicates, seed=params.seed, confidence=params.confidence)


def _thresholds(
    stage: Stage, holdout: Holdout, scores: NDArray[np.float64], perfect: dict[str, float]
) -> list[Verdict]:
    rate = float(holdout.labels.mean()) if holdout.rows else math.nan
    return [
        judge_threshold(
            name,
            threshold,
            measure(metric, holdout, scores, _resampling(stage)),
            minimum_units=stage.params.gates.minimum_units,
            base_rate_alone=_base_rate_alone(metric, holdout, rate, perfect[name]),
        )
        for name, threshold in stage.params.gates.thresholds.items()
        for metric in [stage.project.metric(name)]
    ]


def _base_rate_alone(metric: Metric, holdout: Holdout, rate: float, perfect: float) -> float | None:
    """What the constant score at the base rate reaches; None where that is perfect, as it is for calibration."""
    value = metric.value(holdout.labels, np.full(holdout.rows, rate))
    return None if math.isnan(value) or math.isclose(value, perfect, abs_tol=1e-9) else value


def _slices(stage: Stage, holdout: Holdout, scores: NDArray[np.float64], predictions: pl.DataFrame) -> list[Verdict]:
    gates = stage.params.gates
    return [
        judge_slice(
            slice_.name,
            gates.slices[slice_.name],
            stage.project.metric(gates.slices[slice_.name].metric),
            holdout,
            scores,
            predictions[slice_column(slice_.name)].to_list(),
            min_rows=slice_.min_rows,
            minimum_units=gates.minimum_units,
            resampling=_resampling(stage),
        )
        for slice_ in stage.project.slices
        if slice_.name in gates.slices
    ]


def _leak_alarms(stage: Stage, holdout: Holdout, scores: NDArray[np.float64]) -> list[Verdict]:
    return [
        judge_leak_alarm(
            name,
            alarm,
            measure(stage.project.metric(name), holdout, scores, _resampling(stage)),
            minimum_units=stage.params.gates.minimum_units,
        )
        for name, alarm in stage.params.gates.leak_alarm.items()
    ]


def _unjudged(name: str, problem: str, waivers: Waivers) -> Verdict:
    return Verdict(
        name=name,
        outcome=Outcome.PASSED,
        reason=f"not judged, and waived: {problem}",
        waived=waivers.explain(name),
    )


def _short(value: object) -> str:
    if isinstance(value, list):
        return f"{value[0]} to {value[-1]}" if len(value) > _SHOWN else ", ".join(map(str, value)) or "nothing"
    return str(value)
