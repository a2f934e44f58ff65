import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.checks.curve import (
    chosen_point,
    judge_generalisation_gap,
    judge_loss_falls,
    judge_sane_iteration,
    kendall_trend,
    parse_curve,
)
from gitrain.errors import DataError
from gitrain.training.fitting import CurvePoint
from gitrain.verdicts import Outcome

BASE = 0.6


def curve(losses, validation=None):
    pairs = zip(losses, validation or losses, strict=True)
    return [CurvePoint(number, *pair) for number, pair in enumerate(pairs, start=1)]


def falls(losses, chosen=-1):
    points = curve(losses)
    return judge_loss_falls(points, points[chosen], BASE)


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=30))
def test_the_trend_equals_scipy_s(values):
    from scipy.stats import kendalltau

    numbers = np.array(values)
    tau, chance = kendall_trend(numbers)

    pairs = len(values) * (len(values) - 1) / 2
    score = sum(np.sign(b - a) for at, a in enumerate(values) for b in values[at + 1 :])
    assert tau == pytest.approx(score / pairs)
    assert 0 <= chance <= 1
    if len(set(values)) == len(values):
        assert tau == pytest.approx(kendalltau(np.arange(len(values)), numbers).statistic)


def test_the_test_s_level_is_kept_where_there_is_no_trend():
    random = np.random.default_rng(0)
    found = [kendall_trend(random.normal(size=40))[1] <= 0.01 for _ in range(2000)]

    # 1 % of 2000, and three standard deviations.
    assert sum(found) <= 20 + 14


@pytest.mark.parametrize(
    ("losses", "passes"),
    [
        ([0.5, 0.45, 0.42, 0.40, 0.39, 0.38], True),
        ([0.5, 0.52, 0.45, 0.46, 0.41, 0.42, 0.38, 0.37, 0.36, 0.355], True),
        ([0.59], True),
        ([0.61], False),
        ([0.6], False),
        ([0.5, 0.49, 0.5], False),
        # First and last look fine.
        ([0.59, *[3.0, 2.0, 4.0, 1.5] * 5, 0.5], False),
        ([0.59, *np.linspace(0.5, 0.58, 20)], False),
        ([0.55, 0.54, math.nan, 0.5, 0.4, 0.3], False),
        ([0.55, 0.54, math.inf, 0.5, 0.4, 0.3], False),
        ([0.59] * 10, False),
    ],
)
def test_a_loss_falls_or_it_does_not(losses, passes):
    assert (falls(losses).outcome is Outcome.PASSED) is passes


def sane(validation, chosen=-1, **changes):
    points = curve([0.5] * len(validation), validation)
    options = {"early_stopping": False, "converged": None, "most_rising": 0.02} | changes
    return judge_sane_iteration(points, points[chosen], **options)


@pytest.mark.parametrize(
    ("found", "passes"),
    [
        (sane([0.5, 0.4, 0.39]), True),
        (sane([0.5, 0.4, 0.45]), False),
        (sane([0.5, 0.4, 0.401]), True),
        (sane([0.5, 0.4, 0.45], 1, early_stopping=True), True),
        (sane([0.4, 0.45, 0.5], 0, early_stopping=True), False),
        (sane([0.5, 0.45, 0.4], early_stopping=True), False),
        (sane([0.5, 0.45, 0.4], early_stopping=True, converged=True), True),
        (sane([0.5, 0.45, 0.4], early_stopping=True, converged=False), False),
        (sane([0.5], early_stopping=True), True),
        (sane([0.5, math.nan, 0.4]), False),
    ],
)
def test_an_iteration_is_sane_or_it_is_not(found, passes):
    assert (found.outcome is Outcome.PASSED) is passes, found.reason


@pytest.mark.parametrize(("loss", "passes"), [(0.4, True), (0.44, True), (0.55, False), (math.nan, False)])
def test_the_gap_is_that_of_the_ratios(loss, passes):
    # Another base rate in validation: the plain difference of the losses would say something else.
    found = judge_generalisation_gap(CurvePoint(9, 0.48, loss), training_base=0.6, validation_base=0.4, most=0.3)

    assert (found.outcome is Outcome.PASSED) is passes
    if passes:
        assert found.figures["gap"] == pytest.approx(loss / 0.4 - 0.8)


def test_the_chosen_point_is_the_model_s():
    points = [CurvePoint(number, 0.5, 0.5) for number in (1, 2, 4, 8, 13)]

    assert [chosen_point(points, number).iteration for number in (1, 3, 8, 20)] == [1, 2, 8, 13]


def test_a_curve_is_read_as_it_was_written():
    text = "iteration,training_loss,validation_loss\n1,0.5,nan\n4,inf,0.25\n"

    first, second = parse_curve(text, "curve.csv")

    assert (first.iteration, first.training_loss) == (1, 0.5)
    assert math.isnan(first.validation_loss)
    assert second == CurvePoint(4, math.inf, 0.25)


@pytest.mark.parametrize(
    "text", ["", "a,b\n", "iteration,training_loss,validation_loss\n", "iteration,training_loss\n1,2\n"]
)
def test_what_is_no_curve_is_an_error(text):
    with pytest.raises(DataError, match=r"curve\.csv is no training curve"):
        parse_curve(text, "curve.csv")


def test_a_cut_off_line_is_an_error():
    with pytest.raises(DataError):
        parse_curve("iteration,training_loss,validation_loss\n1,0.5\n", "curve.csv")
