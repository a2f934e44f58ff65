"""Checks of what a fitted model says: finite, the same however it is asked, better than nothing, not too good."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.checks.training import BEATS_BASE_RATE, EXTREME_INPUTS, FINITE, LEAK_ALARM, ROW_PERMUTATION, SAVE_LOAD
from gitrain.evaluation.bootstrap import block_numbers
from gitrain.evaluation.estimates import Resampling
from gitrain.metrics import LOG_LOSS_RATIO
from gitrain.training.fitting import CurvePoint
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = [
    "Predict",
    "judge_beats_base_rate",
    "judge_extreme_inputs",
    "judge_finite",
    "judge_leak_alarm",
    "judge_row_permutation",
    "judge_save_load",
]

#: From rows of features to the probability of true, shape (rows,), whatever the model makes of them.
Predict = Callable[[pl.DataFrame], NDArray[np.float64]]

_SHOWN = 5
# A product of matrices is added up in another order for another number of rows: the last bits differ.
_ROUNDING = 1e-9


def judge_finite(
    features: Mapping[str, int], parameters: Sequence[str], curve: Sequence[CurvePoint], scores: NDArray[np.float64]
) -> Verdict:
    """Whether every number of the training run is one.

    Args:
        features: how many values of each feature column are NaN or infinite, columns without any left out.
        parameters: where the model holds NaN or infinity.
        curve: the losses.
        scores: what the model says of the holdout, shape (rows,).
    """
    losses = [point for point in curve if not np.isfinite([point.training_loss, point.validation_loss]).all()]
    wrong = int((~np.isfinite(scores) | (scores < 0) | (scores > 1)).sum())
    figures: dict[str, Figure] = {
        "features": sum(features.values()),
        "parameters": len(parameters),
        "losses": len(losses),
        "predictions": wrong,
        "rows": len(scores),
    }
    problems = []
    if features:
        problems.append(
            f"the features {_some(sorted(features))} hold NaN or infinity ({sum(features.values()):,} values)"
        )
    if parameters:
        problems.append(f"the model's parameters {_some(parameters)} do")
    if losses:
        problems.append(f"the loss is none from iteration {losses[0].iteration} on")
    if wrong:
        problems.append(f"{wrong:,} of {len(scores):,} predictions are no probability")
    reason = "; ".join(problems) or f"features, losses, parameters and {len(scores):,} predictions are finite"
    return _verdict(FINITE, not problems, reason, figures)


def judge_extreme_inputs(predict: Predict, rows: pl.DataFrame) -> Verdict:
    """Whether the model gives probabilities for extreme inputs that the contract allows; see `checks.extremes`."""
    figures: dict[str, Figure] = {"rows": rows.height}
    if rows.is_empty():
        reason = "no extreme rows could be made that keep the contract of the features"
        return Verdict(name=EXTREME_INPUTS, outcome=Outcome.INCONCLUSIVE, reason=reason, figures=figures)
    try:
        scores = predict(rows)
    except Exception as error:  # an estimator may raise anything
        message = " ".join(str(error).split())[:200]
        reason = f"on {rows.height:,} extreme rows the model raises {type(error).__name__}: {message}"
        return _verdict(EXTREME_INPUTS, False, reason, figures)
    bad = np.flatnonzero(~((scores >= 0) & (scores <= 1)))
    figures |= {"wrong": len(bad)}
    if bad.size:
        row = {name: value for name, value in rows.row(int(bad[0]), named=True).items() if value is not None}
        shown = ", ".join(f"{name}={value}" for name, value in list(row.items())[:_SHOWN])
        reason = (
            f"{bad.size:,} of {rows.height:,} extreme rows get no probability, e.g. {scores[bad[0]]} for {shown}, ..."
        )
        return _verdict(EXTREME_INPUTS, False, reason, figures)
    figures |= {"least": float(scores.min()), "largest": float(scores.max())}
    reason = f"all of {rows.height:,} extreme rows that the contract allows get a probability"
    return _verdict(EXTREME_INPUTS, True, reason, figures)


def judge_beats_base_rate(
    labels: NDArray[np.int8], scores: NDArray[np.float64], units: pl.Series, resampling: Resampling
) -> Verdict:
    """Whether the log loss is surely below that of the base rate: the whole interval of their ratio is below 1.

    Args:
        labels: of the holdout, 0 or 1, shape (rows,).
        scores: probabilities, shape (rows,).
        units: the resampling unit of each row.
        resampling: how the interval is made.
    """
    blocks, count = block_numbers(units)
    statistic = LOG_LOSS_RATIO.prepare(labels, scores, blocks)
    ratio = float(statistic(np.ones((1, count)))[0])
    found = resampling.intervals([statistic], count)[0]
    figures: dict[str, Figure] = {
        "log_loss_ratio": ratio,
        "low": found.low,
        "high": found.high,
        "rows": len(labels),
        "units": count,
    }
    if not ratio < 1:
        reason = f"the log loss is {ratio:.3f} times that of always saying the base rate: the model knows nothing"
        return _verdict(BEATS_BASE_RATE, False, reason, figures)
    if found.high is None or found.low is None or found.high >= 1:
        interval = (
            f"{found.low:.3f} to {found.high:.3f}" if found.low is not None and found.high is not None else "none"
        )
        reason = f"the log loss is {ratio:.3f} times that of the base rate, but its interval ({interval}) reaches 1"
        return Verdict(name=BEATS_BASE_RATE, outcome=Outcome.INCONCLUSIVE, reason=reason, figures=figures)
    reason = f"the log loss is {ratio:.3f} times that of the base rate ({found.low:.3f} to {found.high:.3f})"
    return _verdict(BEATS_BASE_RATE, True, reason, figures)


def judge_leak_alarm(
    metrics: Mapping[str, tuple[float, float, bool]], features: Mapping[str, float], *, feature_alarm: float
) -> Verdict:
    """Whether nothing is too good to be true.

    Args:
        metrics: the metrics that have an alarm: value on the holdout, bound, and whether the value is within it.
        features: the AUC that each feature reaches alone.
        feature_alarm: the AUC at which one alone is suspect.
    """
    named = sorted(((auc, name) for name, auc in features.items() if auc >= feature_alarm), reverse=True)
    loud = [(name, value, bound) for name, (value, bound, within) in metrics.items() if not within]
    best = max(features, key=lambda name: features[name], default=None)
    figures: dict[str, Figure] = {name: value for name, (value, _, _) in metrics.items()}
    figures |= {"best_feature": best, "best_feature_auc": features.get(best) if best else None}
    figures |= {"feature_alarm": feature_alarm}
    problems = [f"{name} is {value:.4g}, beyond its alarm at {bound:g}" for name, value, bound in loud]
    problems += [f"the feature {name!r} alone reaches an AUC of {auc:.3f}" for auc, name in named[:_SHOWN]]
    if problems:
        reason = "; ".join(problems) + ": too good to be true, so look for what it knows of the outcome"
        return _verdict(LEAK_ALARM, False, reason, figures)
    alone = (
        f"the best feature alone, {best!r}, reaches an AUC of {features[best]:.3f}" if best else "there are no features"
    )
    return _verdict(LEAK_ALARM, True, f"no metric is beyond its alarm; {alone}, below {feature_alarm:g}", figures)


def judge_save_load(differences: Mapping[str, float], *, same_bytes: bool, rows: int, tolerance: float) -> Verdict:
    """Whether a stored model is the model.

    Args:
        differences: the largest difference of probabilities by what was compared.
        same_bytes: whether storing the loaded model again gives the bytes that it was loaded from.
        rows: how many rows were compared.
        tolerance: up to which a difference may be rounding.
    """
    # A difference that is NaN is not within its bound.
    beyond = {name: value for name, value in differences.items() if not value <= tolerance}
    figures: dict[str, Figure] = {"rows": rows, "same_bytes": same_bytes, **differences}
    problems = [f"{name} differ by up to {value:.3g}" for name, value in beyond.items()]
    if not same_bytes:
        problems.append("loaded and stored again the model has other bytes")
    reason = "; ".join(problems) or f"stored and loaded, the model says the same of {rows:,} rows"
    return _verdict(SAVE_LOAD, not problems, reason, figures)


def judge_row_permutation(predict: Predict, rows: pl.DataFrame, *, seed: int, alone: int) -> Verdict:
    """Whether a row's prediction depends on that row only: not on its place, and not on the rows beside it.

    Args:
        predict: the model.
        rows: real rows.
        seed: of the order and of the choice.
        alone: how many rows are also asked one by one.
    """
    random = np.random.default_rng(seed)
    together = predict(rows)
    order = random.permutation(rows.height)
    permuted = np.empty_like(together)
    permuted[order] = predict(rows[order])
    single = np.sort(random.choice(rows.height, min(alone, rows.height), replace=False))
    by_itself = np.array([float(predict(rows[[int(at)]])[0]) for at in single])
    by_order = float(np.abs(permuted - together).max(initial=0.0))
    by_company = float(np.abs(by_itself - together[single]).max(initial=0.0))
    figures: dict[str, Figure] = {
        "rows": rows.height,
        "alone": len(single),
        "largest_difference_permuted": by_order,
        "largest_difference_alone": by_company,
    }
    problems = []
    # Differences that are NaN are not within the bound.
    if not by_order <= _ROUNDING:
        problems.append(f"another order of the rows changes predictions by up to {by_order:.3g}")
    if not by_company <= _ROUNDING:
        problems.append(f"a row alone gets a prediction that differs by up to {by_company:.3g}")
    reason = "; ".join(problems) or (
        f"{rows.height:,} rows in another order, and {len(single)} of them one by one, get the same predictions"
    )
    return _verdict(ROW_PERMUTATION, not problems, reason, figures)


def _verdict(name: str, passed: bool, reason: str, figures: dict[str, Figure]) -> Verdict:
    return Verdict(name=name, outcome=Outcome.PASSED if passed else Outcome.FAILED, reason=reason, figures=figures)


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(name) for name in names[:_SHOWN]) + rest
