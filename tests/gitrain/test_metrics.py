import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from gitrain.metrics import (
    AVERAGE_PRECISION,
    AVERAGE_PRECISION_RATIO,
    BRIER,
    EXPECTED_CALIBRATION_ERROR,
    LOG_LOSS,
    LOG_LOSS_RATIO,
    METRICS,
    ROC_AUC,
    Metric,
    expected_calibration_error,
)

Draw = tuple[Any, Any, Any, Any]


def weighted_base_rate(labels, weights):
    return float(np.average(labels, weights=weights))


def weighted_entropy(labels, weights):
    return log_loss(labels, np.full(labels.size, weighted_base_rate(labels, weights)), sample_weight=weights)


def weighted_calibration_error(labels, scores, weights, bins=10):
    """Straight from the definition, bin by bin."""
    total = 0.0
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        inside = [low <= score and (score < high or number == bins - 1) for score in scores]
        weight = weights[inside].sum()
        if weight:
            observed = (weights[inside] * labels[inside]).sum() / weight
            predicted = (weights[inside] * scores[inside]).sum() / weight
            total += weight * abs(observed - predicted)
    return total / weights.sum()


# What each metric is on rows with weights, according to scikit-learn or to the definition.
REFERENCES: dict[str, Callable[..., float]] = {
    "roc_auc": lambda y, s, w: roc_auc_score(y, s, sample_weight=w),
    "average_precision": lambda y, s, w: average_precision_score(y, s, sample_weight=w),
    "average_precision_ratio": lambda y, s, w: (
        average_precision_score(y, s, sample_weight=w) / weighted_base_rate(y, w)
    ),
    "log_loss": lambda y, s, w: log_loss(y, s, sample_weight=w, labels=[0, 1]),
    "log_loss_ratio": lambda y, s, w: log_loss(y, s, sample_weight=w) / weighted_entropy(y, w),
    "brier": lambda y, s, w: brier_score_loss(y, s, sample_weight=w),
    "expected_calibration_error": weighted_calibration_error,
}
NEEDS_BOTH_CLASSES = {"roc_auc", "log_loss_ratio"}
NEEDS_POSITIVES = {"average_precision", "average_precision_ratio"}


@st.composite
def draws(draw: st.DrawFn) -> Draw:
    """Rows in blocks and how often each block was drawn: with ties, blocks of one class, without rows, not drawn."""
    rows = draw(st.integers(1, 40))
    blocks = draw(st.integers(1, 8))
    # Sixteenths are exact, so that ties are ties for everyone; 0 and 1 are among them.
    scores = draw(st.lists(st.integers(0, 16).map(lambda n: n / 16), min_size=rows, max_size=rows))
    labels = draw(st.lists(st.integers(0, 1), min_size=rows, max_size=rows))
    block = draw(st.lists(st.integers(0, blocks - 1), min_size=rows, max_size=rows))
    counts = draw(st.lists(st.lists(st.integers(0, 3), min_size=blocks, max_size=blocks), min_size=1, max_size=4))
    return (
        np.array(labels, dtype=np.int8),
        np.array(scores),
        np.array(block, dtype=np.int64),
        np.array(counts, dtype=np.float64),
    )


def expected(name: str, labels, scores, weights) -> float:
    kept = weights > 0
    labels, scores, weights = labels[kept], scores[kept], weights[kept]
    one_class = labels.size == 0 or labels.min() == labels.max()
    if labels.size == 0 or (one_class and name in NEEDS_BOTH_CLASSES) or (not labels.any() and name in NEEDS_POSITIVES):
        return math.nan
    return REFERENCES[name](labels, scores, weights)


@pytest.mark.parametrize("name", METRICS)
@given(drawn=draws())
def test_a_draw_is_the_metric_with_the_counts_as_weights(name: str, drawn: Draw) -> None:
    labels, scores, blocks, counts = drawn
    found = METRICS[name].prepare(labels, scores, blocks)(counts)
    assert found.shape == (counts.shape[0],)
    for value, count in zip(found, counts, strict=True):
        assert value == pytest.approx(expected(name, labels, scores, count[blocks]), rel=1e-9, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", METRICS)
@given(drawn=draws(), seed=st.integers(0, 1000))
def test_the_order_of_the_rows_and_the_names_of_the_blocks_are_nothing(name: str, drawn: Draw, seed: int) -> None:
    labels, scores, blocks, counts = drawn
    order = np.random.default_rng(seed).permutation(labels.size)
    renamed = np.random.default_rng(seed).permutation(counts.shape[1])
    moved = np.empty_like(counts)
    moved[:, renamed] = counts
    straight = METRICS[name].prepare(labels, scores, blocks)(counts)
    shuffled = METRICS[name].prepare(labels[order], scores[order], renamed[blocks][order])(moved)
    np.testing.assert_allclose(shuffled, straight, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", METRICS)
def test_counts_need_not_be_whole(name: str) -> None:
    # The weights of a Bayesian bootstrap, for example.
    random = np.random.default_rng(3)
    labels, scores = random.integers(0, 2, 200).astype(np.int8), random.random(200).round(2)
    blocks, counts = random.integers(0, 9, 200), random.dirichlet(np.ones(9), size=5)
    found = METRICS[name].prepare(labels, scores, blocks)(counts)
    wanted = [expected(name, labels, scores, count[blocks]) for count in counts]
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


@given(drawn=draws())
def test_the_value_is_the_draw_that_takes_each_row_once(drawn: Draw) -> None:
    labels, scores, blocks, counts = drawn
    for metric in METRICS.values():
        each = metric.prepare(labels, scores, blocks)(np.ones((1, counts.shape[1])))[0]
        assert metric.value(labels, scores) == pytest.approx(each, rel=1e-9, abs=1e-12, nan_ok=True)


def test_no_rows_leave_every_metric_undefined() -> None:
    nothing = np.zeros(0)
    for metric in METRICS.values():
        assert math.isnan(metric.value(nothing.astype(np.int8), nothing))


def test_a_certain_and_wrong_score_is_finite() -> None:
    assert LOG_LOSS.value(np.array([1], dtype=np.int8), np.array([0.0])) == pytest.approx(36.04, abs=0.01)


def test_what_no_skill_reaches_is_where_each_metric_says() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 200_000).astype(np.int8)
    constant, noise = np.full(labels.size, labels.mean()), random.random(labels.size)
    assert ROC_AUC.value(labels, noise) == pytest.approx(ROC_AUC.no_skill, abs=0.01)
    assert AVERAGE_PRECISION_RATIO.value(labels, noise) == pytest.approx(AVERAGE_PRECISION_RATIO.no_skill, abs=0.01)
    assert LOG_LOSS_RATIO.value(labels, constant) == pytest.approx(LOG_LOSS_RATIO.no_skill)
    assert LOG_LOSS.value(labels, constant) == pytest.approx(LOG_LOSS.no_skill, abs=1e-4)
    assert BRIER.value(labels, constant) == pytest.approx(BRIER.no_skill, abs=1e-4)
    assert EXPECTED_CALIBRATION_ERROR.value(labels, noise) == pytest.approx(
        EXPECTED_CALIBRATION_ERROR.no_skill, abs=0.01
    )


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_direction_says_which_way_a_better_model_lies(metric: Metric) -> None:
    random = np.random.default_rng(1)
    truth = random.random(5000)
    labels = (random.random(5000) < truth).astype(np.int8)
    worse = np.clip(truth + random.normal(0, 0.4, 5000), 0.001, 0.999)
    gain = metric.value(labels, truth) - metric.value(labels, worse)
    assert gain > 0 if metric.direction == "higher" else gain < 0


def test_the_bins_of_the_calibration_error_are_a_choice() -> None:
    labels, scores = np.array([0, 1], dtype=np.int8), np.array([0.1, 0.3])
    assert expected_calibration_error(10).value(labels, scores) == pytest.approx((0.1 + 0.7) / 2)
    assert expected_calibration_error(2).value(labels, scores) == pytest.approx(0.3)
    with pytest.raises(ValueError, match="at least one bin"):
        expected_calibration_error(0)


def test_the_metric_in_the_documentation_works() -> None:
    page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102  (our own page)
    metric: Metric = names["MEAN_ABSOLUTE_ERROR"]
    assert metric.value(np.array([0, 1], dtype=np.int8), np.array([0.25, 0.5])) == 0.375


def test_names_are_the_keys() -> None:
    assert all(name == metric.name for name, metric in METRICS.items())
    assert METRICS["average_precision"] is AVERAGE_PRECISION
