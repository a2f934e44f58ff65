import io

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve, roc_auc_score, roc_curve

from gitrain.evaluation.curves import calibration_csv, precision_recall_csv, roc_csv
from gitrain.evaluation.document import CalibrationBin


def read(text: str) -> pl.DataFrame:
    return pl.read_csv(io.StringIO(text))


def rows(count: int, *, ties: bool = False, seed: int = 0):
    random = np.random.default_rng(seed)
    scores = random.random(count)
    labels = (random.random(count) < scores**2).astype(np.int8)
    # Five digits survive the trip through the file.
    return labels, scores.round(2 if ties else 5)


@given(seed=st.integers(0, 500), ties=st.booleans())
def test_short_curves_are_those_of_scikit_learn(seed, ties):
    labels, scores = rows(60, ties=ties, seed=seed)
    if labels.min() == labels.max():
        return
    false_rate, true_rate, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    found = read(roc_csv(labels, scores))
    np.testing.assert_allclose(found["false_positive_rate"], false_rate, rtol=1e-5)
    np.testing.assert_allclose(found["true_positive_rate"], true_rate, rtol=1e-5)
    assert found["threshold"][0] is None
    np.testing.assert_allclose(found["threshold"][1:], thresholds[1:], rtol=1e-5)

    precision, recall, thresholds = precision_recall_curve(labels, scores)
    theirs = {round(t, 5): (r, p) for p, r, t in zip(precision, recall, thresholds, strict=False)}
    curve = read(precision_recall_csv(labels, scores))
    assert curve["recall"][-1] == 1
    assert curve["recall"].is_sorted()
    for recall_, precision_, threshold in curve.iter_rows():
        assert (recall_, precision_) == pytest.approx(theirs[round(threshold, 5)], rel=1e-5)
    # Every level of recall is there.
    assert len(curve) == len(np.unique(recall[recall > 0]))


def test_long_curves_keep_their_ends_and_their_area_in_a_few_hundred_points():
    labels, scores = rows(50_000)
    found = read(roc_csv(labels, scores))
    assert 200 <= found.height <= 300
    assert found.row(0)[:2] == (0.0, 0.0)
    assert found.row(-1)[:2] == (1.0, 1.0)
    area = np.trapezoid(found["true_positive_rate"], found["false_positive_rate"])
    assert area == pytest.approx(roc_auc_score(labels, scores), abs=1e-3)
    curve = read(precision_recall_csv(labels, scores))
    assert 200 <= curve.height <= 300
    assert np.diff(curve["recall"]).max() < 0.01


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_roc_curve(label):
    labels, scores = np.full(3, label, dtype=np.int8), np.array([0.1, 0.2, 0.3])
    assert roc_csv(labels, scores) == "false_positive_rate,true_positive_rate,threshold\n"
    assert len(precision_recall_csv(labels, scores).splitlines()) == (1 if label == 0 else 4)


def test_the_calibration_table_as_csv():
    bins = [
        CalibrationBin(low=0.0, high=0.1, rows=7, predicted=0.05, observed=0.0, observed_low=None, observed_high=None),
        CalibrationBin(low=0.1, high=0.2, rows=9, predicted=0.15, observed=0.2, observed_low=0.1, observed_high=0.3),
    ]
    assert calibration_csv(bins) == (
        "predicted,observed,observed_low,observed_high,rows,bin_low,bin_high\n"
        "0.05,0.0,,,7,0.0,0.1\n"
        "0.15,0.2,0.1,0.3,9,0.1,0.2\n"
    )
