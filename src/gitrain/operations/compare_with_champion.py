"""Put the challenger beside the champion on one holdout, or say what keeps them from being compared."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.errors import GitrainError
from gitrain.evaluation.estimates import Resampling
from gitrain.evaluation.scoring import score
from gitrain.gates.champion import judge_champion
from gitrain.gates.measurements import Holdout
from gitrain.gates.names import CHAMPION
from gitrain.operations.find_champion import Champion, NoChampion
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import MODEL
from gitrain.pipeline.params import ChampionParams
from gitrain.training.manifest import ModelManifest
from gitrain.training.model_format import ModelFormat
from gitrain.verdicts import Outcome, Verdict

__all__ = ["compare_with_champion"]

# A champion that scores this much otherwise than it did in its own commit was given other features.
_SAME_METRIC = 5e-4
_SHOWN = 5


def compare_with_champion(
    stage: Stage,
    model_format: ModelFormat,
    champion: Champion | NoChampion,
    rule: ChampionParams,
    *,
    challenger: str,
    holdout: Holdout,
    features: pl.DataFrame,
    scores: NDArray[np.float64],
    resampling: Resampling,
) -> Verdict:
    """The champion gate's verdict on two models; whatever keeps them from being compared makes it INCONCLUSIVE.

    Args:
        stage: the surroundings of the challenger.
        model_format: reads the champion.
        champion: the model of the base commit, or why there is none.
        rule: what has to improve, and what to be kept.
        challenger: the digest of the challenger.
        holdout: the labelled rows.
        features: of the same rows, as this tree computes them.
        scores: the challenger's, shape (rows,).
        resampling: how intervals are made.
    """

    def inconclusive(reason: str) -> Verdict:
        return Verdict(name=CHAMPION, outcome=Outcome.INCONCLUSIVE, reason=reason)

    if isinstance(champion, NoChampion):
        return inconclusive(champion.reason)
    if champion.digest == challenger:
        return Verdict(name=CHAMPION, outcome=Outcome.PASSED, reason="the model is the champion's own")
    stage.progress(f"gates: scoring the same {holdout.rows:,} rows with the champion")
    obstacle = _obstacle(stage, champion.manifest)
    if obstacle is not None:
        return inconclusive(obstacle)
    key = stage.project.features.entity.key
    try:
        estimator = model_format.load(champion.content, name=f"the champion's {MODEL}")
        theirs = score(estimator, features, champion.manifest.columns, key=key)
    except GitrainError as error:
        return inconclusive(f"the champion cannot be scored: {error.what}")
    changed = _changed_meaning(stage, rule, champion, holdout, theirs)
    if changed is not None:
        return inconclusive(changed)
    return judge_champion(
        rule,
        {metric.name: metric for metric in stage.project.measured},
        holdout,
        scores,
        theirs,
        minimum_units=stage.params.gates.minimum_units,
        resampling=resampling,
    )


def _obstacle(stage: Stage, manifest: ModelManifest) -> str | None:
    """What keeps the champion from being judged on this holdout, if anything does."""
    project = stage.project
    if (manifest.project, manifest.target) != (project.name, project.target.name):
        return (
            f"the champion predicts {manifest.target!r} of {manifest.project!r}, and the challenger "
            f"{project.target.name!r} of {project.name!r}"
        )
    seen = sorted(set(manifest.training_batches) & set(stage.holdout))
    if seen:
        return f"the champion was trained on {', '.join(seen[:_SHOWN])}, which it would be judged on"
    missing = [name for name in manifest.features if name not in project.features.names]
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        return f"the champion takes features that this tree does not compute: {', '.join(missing[:_SHOWN])}{more}"
    retyped = sorted(
        name for name in manifest.features if (name in manifest.categorical) != (name in project.features.categorical)
    )
    if retyped:
        return f"features of the champion are no longer categories, or no longer numbers: {', '.join(retyped[:_SHOWN])}"
    return None


def _changed_meaning(
    stage: Stage, rule: ChampionParams, champion: Champion, holdout: Holdout, scores: NDArray[np.float64]
) -> str | None:
    """That the champion does otherwise on these rows than its own commit says, if so: its features are no longer those.

    Known only where both commits have the same holdout.
    """
    measured = champion.evaluation
    if measured is None or list(measured.batches) != stage.holdout or measured.rows != holdout.rows:
        return None
    for name in (rule.improve, *rule.keep):
        recorded = measured.metrics[name].value if name in measured.metrics else None
        value = stage.project.metric(name).value(holdout.labels, scores)
        if recorded is not None and not abs(value - recorded) <= _SAME_METRIC:
            return (
                f"on the features of this tree the champion has {name} {value:.4g}, and in its own commit it had "
                f"{recorded:.4g} on the same rows: features that it takes, or labels, have changed their meaning"
            )
    return None
