import numpy as np
import polars as pl
import pytest

from gitrain.evaluation.bootstrap import block_draws, interval
from gitrain.evaluation.document import significant
from gitrain.evaluation.estimates import Resampling, ScoredRows, calibration_bins, group_estimates, metric_estimates
from gitrain.metrics import BRIER, EXPECTED_CALIBRATION_ERROR, LOG_LOSS, ROC_AUC

RESAMPLING = Resampling(replicates=300, seed=4, confidence=0.95)
GROUPS = ["b", "a", None]


def scored(rows: int = 900, units: int = 12, seed: int = 0) -> ScoredRows:
    random = np.random.default_rng(seed)
    scores = random.random(rows)
    labels = (random.random(rows) < scores).astype(np.int8)
    return ScoredRows.of(pl.Series(labels), pl.Series(scores), pl.Series("day", random.integers(0, units, rows)))


def test_each_metric_has_its_value_and_the_interval_of_its_draws():
    rows = scored()
    found = metric_estimates(rows, [ROC_AUC, LOG_LOSS], [BRIER], RESAMPLING)
    assert list(found) == ["roc_auc", "log_loss", "brier"]
    assert [estimate.judged for estimate in found.values()] == [True, True, False]
    for metric in (ROC_AUC, LOG_LOSS, BRIER):
        estimate = found[metric.name]
        values = metric.prepare(rows.labels, rows.scores, rows.blocks)(block_draws(12, 300, 4))
        wanted = interval(values, 0.95, units=12)
        assert estimate.value == significant(metric.value(rows.labels, rows.scores))
        assert (estimate.low, estimate.high) == (significant(wanted.low), significant(wanted.high))
        assert (estimate.direction, estimate.no_skill) == (metric.direction, significant(metric.no_skill))


def test_a_group_is_measured_as_if_it_were_alone():
    rows = scored()
    names = pl.Series([GROUPS[number % 3] for number in range(rows.rows)])
    found = group_estimates(rows, names, [ROC_AUC], RESAMPLING, min_rows=10)
    assert [group.group for group in found.groups] == ["a", "b", None]
    for group in found.groups:
        here = names.eq_missing(pl.Series([group.group], dtype=pl.String))
        alone = rows.take(np.flatnonzero(here.to_numpy()))
        (estimate,) = metric_estimates(alone, [ROC_AUC], [], RESAMPLING).values()
        assert group.metrics["roc_auc"].model_dump() == {
            key: value for key, value in estimate.model_dump().items() if key in group.metrics["roc_auc"].model_dump()
        }
        assert (group.rows, group.units, group.positives) == (300, alone.units, alone.positives)


def test_a_group_that_is_seen_on_few_days_draws_from_those():
    rows = scored(units=30)
    names = pl.Series(np.where(rows.blocks < 3, "rare", "usual"))
    rare, usual = group_estimates(rows, names, [ROC_AUC], RESAMPLING, min_rows=0).groups
    assert (rare.units, usual.units) == (3, 27)
    assert rare.metrics["roc_auc"].undefined_draws == 0


def test_small_groups_have_values_and_are_not_judged():
    rows = scored()
    names = pl.Series(["small"] * 99 + ["large"] * 701 + ["enough"] * 100)
    enough, large, small = group_estimates(rows, names, [ROC_AUC], RESAMPLING, min_rows=100).groups
    assert (large.judged, enough.judged, small.judged) == (True, True, False)
    estimate = small.metrics["roc_auc"]
    assert estimate.value is not None
    assert (estimate.low, estimate.reason) == (None, "fewer than 100 rows: not judged")


def test_one_class_leaves_a_reason_where_a_metric_needs_both():
    base = scored()
    for label, reason in ((0, "undefined: no label is true"), (1, "undefined: every label is true")):
        labels = np.full(base.rows, label, dtype=np.int8)
        rows = ScoredRows(labels=labels, scores=base.scores, blocks=base.blocks, units=base.units)
        found = metric_estimates(rows, [ROC_AUC, BRIER], [], RESAMPLING)
        assert found["roc_auc"].value is None
        assert (found["roc_auc"].undefined_draws, found["roc_auc"].reason) == (300, reason)
        assert found["brier"].value is not None and found["brier"].low is not None


def test_one_unit_has_values_and_no_interval():
    rows = scored(units=1)
    found = metric_estimates(rows, [ROC_AUC], [], RESAMPLING)["roc_auc"]
    assert found.value is not None
    assert (found.low, found.high, found.reason) == (None, None, "one unit only: nothing to resample")


def test_draws_without_a_positive_are_counted():
    # Two days of eight have all positives: some draws take neither.
    blocks = np.repeat(np.arange(8), 10)
    labels = ((blocks < 2) & (np.arange(80) % 2 == 0)).astype(np.int8)
    rows = ScoredRows(labels=labels, scores=np.linspace(0, 1, 80), blocks=blocks, units=8)
    found = metric_estimates(rows, [ROC_AUC], [], RESAMPLING)["roc_auc"]
    missed = int((block_draws(8, 300, 4)[:, :2].sum(axis=1) == 0).sum())
    assert missed > 0
    assert found.undefined_draws == missed
    assert (found.low is None) == (missed > 30)


def test_a_row_without_a_unit_is_refused():
    with pytest.raises(ValueError, match="rows have no day"):
        ScoredRows.of(pl.Series([True]), pl.Series([0.5]), pl.Series("day", [None], dtype=pl.Date))


def test_the_calibration_table_holds_every_row_once_and_adds_up_to_the_error():
    rows = scored()
    for bins in (10, 7):
        found = calibration_bins(rows, bins, RESAMPLING)
        assert sum(bin_.rows for bin_ in found) == rows.rows
        assert all(bin_.low <= bin_.predicted <= bin_.high for bin_ in found)
        for bin_ in found:
            assert bin_.observed_low is not None and bin_.observed_high is not None
            assert bin_.observed_low <= bin_.observed <= bin_.observed_high
    error = sum(bin_.rows * abs(bin_.observed - bin_.predicted) for bin_ in calibration_bins(rows, 10, RESAMPLING))
    assert error / rows.rows == pytest.approx(EXPECTED_CALIBRATION_ERROR.value(rows.labels, rows.scores), rel=1e-4)


def test_bins_without_rows_are_left_out():
    rows = ScoredRows(
        labels=np.array([0, 1], dtype=np.int8), scores=np.array([0.05, 1.0]), blocks=np.array([0, 0]), units=1
    )
    low, high = calibration_bins(rows, 10, RESAMPLING)
    assert (low.low, low.high, low.observed, low.observed_low) == (0.0, 0.1, 0.0, None)
    assert (high.low, high.high, high.predicted, high.observed) == (0.9, 1.0, 1.0, 1.0)
