import math

import numpy as np
import pytest

from gitrain.evaluation.bootstrap import Interval
from gitrain.gates.measurements import Holdout, Measurement, measure
from gitrain.gates.thresholds import judge_leak_alarm, judge_threshold
from gitrain.metrics import ROC_AUC
from gitrain.pipeline.params import Threshold
from gitrain.verdicts import Outcome


def measured(value, *, low=None, high=None, rows=3000, units=30):
    found = Interval(low=low, high=high, draws=400, undefined=0)
    return Measurement(value=value, interval=found, rows=rows, units=units)


@pytest.mark.parametrize(
    ("threshold", "value", "outcome"),
    [
        (Threshold(min=0.7), 0.71, Outcome.PASSED),
        (Threshold(min=0.7), 0.7, Outcome.PASSED),
        (Threshold(min=0.7), 0.699, Outcome.FAILED),
        (Threshold(max=0.9), 0.9, Outcome.PASSED),
        (Threshold(max=0.9), 0.901, Outcome.FAILED),
    ],
)
def test_the_estimate_decides_and_the_bound_itself_passes(threshold, value, outcome):
    verdict = judge_threshold("m", threshold, measured(value, low=0.0, high=1.0), minimum_units=10)
    assert verdict.name == "threshold:m"
    assert verdict.outcome is outcome
    assert "the interval reaches over the bound" in verdict.reason


def test_an_interval_on_one_side_of_the_bound_is_not_remarked_on():
    verdict = judge_threshold("m", Threshold(min=0.7), measured(0.75, low=0.72, high=0.8), minimum_units=10)
    assert verdict.reason == "m 0.75 [0.72, 0.8], min 0.7"
    assert verdict.figures == {
        "value": 0.75, "side": "min", "bound": 0.7, "low": 0.72, "high": 0.8, "rows": 3000, "units": 30
    }  # fmt: skip


def test_too_few_units_decide_nothing_either_way():
    for value in (0.5, 0.9):
        verdict = judge_threshold("m", Threshold(min=0.7), measured(value, units=9), minimum_units=10)
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert "9 units, fewer than 10" in verdict.reason


def test_one_class_and_no_rows_are_inconclusive(resampling):
    blocks = np.repeat(np.arange(20), 5)
    holdout = Holdout(labels=np.ones(100, dtype=np.int8), blocks=blocks, units=20)
    found = measure(ROC_AUC, holdout, np.full(100, 0.5), resampling)
    verdict = judge_threshold("roc_auc", Threshold(min=0.7), found, minimum_units=10)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "one class only" in verdict.reason
    assert verdict.figures["value"] is None

    empty = measure(ROC_AUC, holdout.part(np.zeros(100, dtype=bool)), np.zeros(0), resampling)
    verdict = judge_threshold("roc_auc", Threshold(min=0.7), empty, minimum_units=10)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "no labels" in verdict.reason


def test_a_bound_that_the_base_rate_alone_would_pass_is_remarked_on():
    arguments = ("log_loss", Threshold(max=0.69), measured(0.4))
    assert (
        "base rate alone would pass it with 0.5"
        in judge_threshold(*arguments, minimum_units=10, base_rate_alone=0.5).reason
    )
    assert "base rate" not in judge_threshold(*arguments, minimum_units=10, base_rate_alone=0.7).reason


@pytest.mark.parametrize(
    ("alarm", "value", "outcome"),
    [
        (Threshold(max=0.85), 0.86, Outcome.FAILED),
        (Threshold(max=0.85), 0.85, Outcome.PASSED),
        (Threshold(min=0.01), 0.001, Outcome.FAILED),
        (Threshold(min=0.01), 0.3, Outcome.PASSED),
    ],
)
def test_the_leak_alarm_fires_beyond_its_bound(alarm, value, outcome):
    verdict = judge_leak_alarm("m", alarm, measured(value), minimum_units=10)
    assert verdict.name == "leak-alarm:m"
    assert verdict.outcome is outcome
    assert ("too good to be true" in verdict.reason) == (outcome is Outcome.FAILED)


def test_the_leak_alarm_fires_on_few_units_and_gives_no_all_clear_on_them():
    fires = judge_leak_alarm("m", Threshold(max=0.85), measured(0.99, units=3), minimum_units=10)
    quiet = judge_leak_alarm("m", Threshold(max=0.85), measured(0.7, units=3), minimum_units=10)
    unknown = judge_leak_alarm("m", Threshold(max=0.85), measured(math.nan), minimum_units=10)
    assert fires.outcome is Outcome.FAILED
    assert quiet.outcome is Outcome.INCONCLUSIVE
    assert unknown.outcome is Outcome.INCONCLUSIVE
