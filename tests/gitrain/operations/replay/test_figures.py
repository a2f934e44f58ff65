import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from gitrain.evaluation.estimates import Resampling
from gitrain.metrics import LOG_LOSS, ROC_AUC
from gitrain.operations.replay.figures import entropy, log_losses, mean_difference, metrics_of

RESAMPLING = Resampling(replicates=500, seed=0, confidence=0.95)


def units(count, *, shift):
    random = np.random.default_rng(3)
    found = []
    for _ in range(count):
        scores = random.uniform(0.1, 0.9, size=40)
        labels = (random.random(40) < scores).astype(np.int8)
        found.append((labels, scores, np.clip(scores + shift, 0.01, 0.99)))
    return found


def test_metrics_of_one_class_are_left_out():
    labels, scores = np.ones(5, dtype=np.int8), np.full(5, 0.25)

    assert metrics_of((ROC_AUC, LOG_LOSS), labels, scores) == {"log_loss": pytest.approx(-np.log(0.25), rel=1e-5)}
    assert metrics_of((ROC_AUC, LOG_LOSS), labels[:0], scores[:0]) == {}


@given(share=st.floats(min_value=0, max_value=1))
def test_no_constant_score_is_better_than_the_entropy(share):
    for score in (0.1, share, 0.9):
        loss = share * -np.log(max(score, 1e-300)) + (1 - share) * -np.log(max(1 - score, 1e-300))
        assert entropy(share) <= loss + 1e-9
    # The share itself reaches it.
    reached = share * -np.log(max(share, 1e-300)) + (1 - share) * -np.log(max(1 - share, 1e-300))
    assert entropy(share) == pytest.approx(reached, abs=1e-9)


def test_losses_are_those_of_scikit_learn():
    labels, scores, _ = units(1, shift=0)[0]

    assert log_losses(labels, scores).mean() == pytest.approx(log_loss(labels, scores))
    assert log_losses(np.array([1], dtype=np.int8), np.array([0.0]))[0] == pytest.approx(36.04, abs=0.01)


def test_the_difference_of_two_models_and_its_interval():
    found = mean_difference(units(60, shift=0.25), RESAMPLING)

    assert len(found) == 3
    assert found[1] < found[0] < found[2] < 0
    assert mean_difference(units(60, shift=0.0), RESAMPLING) == (0.0, 0.0, 0.0)


def test_one_unit_has_no_interval():
    assert mean_difference(units(1, shift=0.1), RESAMPLING) == ()
