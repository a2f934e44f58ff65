import numpy as np
import pytest

from gitrain.gates.slices import judge_slice
from gitrain.metrics import LOG_LOSS, ROC_AUC
from gitrain.pipeline.params import SliceThreshold
from gitrain.verdicts import Outcome


@pytest.fixture
def judge(make_rows, resampling):
    holdout, scores = make_rows()
    return Judge(holdout, scores, resampling)


class Judge:
    def __init__(self, holdout, scores, resampling):
        self.holdout, self.scores, self.resampling = holdout, scores, resampling

    def __call__(self, groups, *, scores=None, holdout=None, min_rows=50, minimum_units=10, minimum=0.7):
        holdout = self.holdout if holdout is None else holdout
        scores = self.scores if scores is None else scores
        return judge_slice(
            "town", SliceThreshold(metric="roc_auc", min=minimum), ROC_AUC, holdout, scores, groups,
            min_rows=min_rows, minimum_units=minimum_units, resampling=self.resampling,
        )  # fmt: skip


def of_thirds(rows: int) -> list[str | None]:
    return [("north", "south", "west")[row % 3] for row in range(rows)]


def test_all_groups_beyond_the_bound_pass_and_the_worst_is_named(judge):
    groups = of_thirds(judge.holdout.rows)
    verdict = judge(groups)
    mask = {name: np.array([group == name for group in groups]) for name in ("north", "south", "west")}
    values = {name: ROC_AUC.value(judge.holdout.labels[here], judge.scores[here]) for name, here in mask.items()}
    assert verdict.outcome is Outcome.PASSED
    assert verdict.figures["group"] == min(values, key=values.__getitem__)
    assert verdict.figures["value"] == pytest.approx(min(values.values()), rel=1e-5)
    assert verdict.figures["judged"] == 3


def test_one_bad_group_fails_the_slice_however_good_the_rest_is(judge):
    groups = of_thirds(judge.holdout.rows)
    scores = judge.scores.copy()
    south = np.array([group == "south" for group in groups])
    scores[south] = np.random.default_rng(1).random(int(south.sum()))
    assert ROC_AUC.value(judge.holdout.labels, scores) > 0.7  # the average hides it
    verdict = judge(groups, scores=scores)
    assert verdict.outcome is Outcome.FAILED
    assert "south" in verdict.reason
    assert "north" not in verdict.reason
    assert verdict.figures["failing"] == 1


def test_small_groups_are_named_and_not_judged(judge):
    groups = of_thirds(judge.holdout.rows)
    groups[:40] = ["tiny"] * 40
    scores = judge.scores.copy()
    scores[:40] = 1 - scores[:40]
    verdict = judge(groups, scores=scores)
    assert verdict.outcome is Outcome.PASSED
    assert "fewer than 50 rows: tiny" in verdict.reason
    assert judge(groups, scores=scores, min_rows=40).outcome is Outcome.FAILED


def test_without_a_judged_group_nothing_is_known(judge):
    verdict = judge([str(row % 100) for row in range(judge.holdout.rows)])
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "no group could be judged" in verdict.reason
    assert "and 95 more" in verdict.reason
    assert verdict.figures["value"] is None


def test_judged_groups_must_hold_half_of_the_rows(judge):
    groups = ["big" if row % 3 == 0 else str(row % 90) for row in range(judge.holdout.rows)]
    verdict = judge(groups)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "less than half" in verdict.reason


def test_a_group_with_one_class_is_not_judged(judge):
    groups = ["sure" if label else "other" for label in judge.holdout.labels]
    verdict = judge(groups)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "one class only: other, sure" in verdict.reason


def test_rows_without_a_group_are_a_group(judge):
    groups = of_thirds(judge.holdout.rows)
    without = [None if group == "west" else group for group in groups]
    scores = judge.scores.copy()
    scores[[group is None for group in without]] = 0.5
    verdict = judge(without, scores=scores)
    assert verdict.outcome is Outcome.FAILED
    assert "(none) 0.5" in verdict.reason


def test_few_units_decide_nothing(make_rows, judge):
    holdout, scores = make_rows(units=9, rows=200)
    verdict = judge(of_thirds(holdout.rows), holdout=holdout, scores=1 - scores)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "9 units, fewer than 10" in verdict.reason


def test_of_a_metric_where_less_is_better_the_worst_group_has_the_most(make_rows, resampling):
    holdout, scores = make_rows()
    groups = ["bad" if row % 2 else "good" for row in range(holdout.rows)]
    scores = np.where([group == "bad" for group in groups], 0.9, scores)
    verdict = judge_slice(
        "town", SliceThreshold(metric="log_loss", max=0.7), LOG_LOSS, holdout, scores, groups,
        min_rows=1, minimum_units=10, resampling=resampling,
    )  # fmt: skip
    assert verdict.outcome is Outcome.FAILED
    assert verdict.figures["group"] == "bad"
