import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.evaluation.bootstrap import block_draws, interval, paired_difference
from gitrain.evaluation.estimates import Resampling
from gitrain.gates.champion import judge_champion
from gitrain.gates.measurements import Holdout
from gitrain.metrics import METRICS, ROC_AUC
from gitrain.pipeline.params import ChampionParams
from gitrain.verdicts import Outcome

AUC = ChampionParams(improve="roc_auc")


@pytest.fixture
def judge(resampling):
    def run(holdout, challenger, champion, *, rule=AUC, minimum_units=10):
        return judge_champion(
            rule, METRICS, holdout, challenger, champion, minimum_units=minimum_units, resampling=resampling
        )

    return run


def test_a_clear_improvement_passes_and_the_reverse_fails_as_worse(make_rows, judge):
    holdout, weak = make_rows(skill=1.2)
    _, strong = make_rows(skill=1.9)
    verdict = judge(holdout, strong, weak)
    assert verdict.outcome is Outcome.PASSED
    assert ": better" in verdict.reason
    assert verdict.figures["low"] > 0
    reverse = judge(holdout, weak, strong)
    assert reverse.outcome is Outcome.FAILED
    assert ": worse" in reverse.reason
    assert reverse.figures["value"] == pytest.approx(-verdict.figures["value"])


def test_the_figures_are_those_of_the_paired_bootstrap(make_rows, judge, resampling):
    holdout, weak = make_rows(skill=1.2)
    _, strong = make_rows(skill=1.9)
    figures = judge(holdout, strong, weak).figures
    counts = block_draws(holdout.units, resampling.replicates, resampling.seed)
    values = paired_difference(ROC_AUC, holdout.labels, strong, weak, holdout.blocks, counts)
    expected = interval(values, 0.95, units=holdout.units)
    assert figures["low"] == pytest.approx(expected.low, rel=1e-5)
    assert figures["high"] == pytest.approx(expected.high, rel=1e-5)
    assert figures["challenger"] == pytest.approx(ROC_AUC.value(holdout.labels, strong), rel=1e-5)
    assert figures["champion"] == pytest.approx(ROC_AUC.value(holdout.labels, weak), rel=1e-5)


def test_a_better_estimate_whose_interval_reaches_zero_is_not_shown(make_rows, judge):
    holdout, scores = make_rows(skill=1.5)
    generator = np.random.default_rng(3)
    first, second = (np.where(generator.random(holdout.rows) < 0.02, scores[::-1], scores) for _ in range(2))
    better, worse = (first, second) if judge(holdout, first, second).figures["value"] > 0 else (second, first)
    verdict = judge(holdout, better, worse)
    assert verdict.figures["low"] < 0 < verdict.figures["value"]
    assert verdict.outcome is Outcome.FAILED
    assert "not shown to be better" in verdict.reason


def test_the_minimum_effect_has_to_be_exceeded_by_the_whole_interval(make_rows, judge):
    holdout, weak = make_rows(skill=1.2)
    _, strong = make_rows(skill=1.9)
    low = judge(holdout, strong, weak).figures["low"]
    for effect, outcome in ((low * 0.99, Outcome.PASSED), (low * 1.01, Outcome.FAILED)):
        verdict = judge(holdout, strong, weak, rule=ChampionParams(improve="roc_auc", minimum_effect=effect))
        assert verdict.outcome is outcome
        assert verdict.figures["bound"] == pytest.approx(effect)


def test_less_is_better_turns_the_sides(make_rows, judge):
    holdout, weak = make_rows(skill=1.2)
    _, strong = make_rows(skill=1.9)
    rule = ChampionParams(improve="log_loss", minimum_effect=0.001)
    verdict = judge(holdout, strong, weak, rule=rule)
    assert verdict.outcome is Outcome.PASSED
    assert verdict.figures["high"] < -0.001
    assert verdict.figures["bound"] == -0.001
    assert judge(holdout, weak, strong, rule=rule).outcome is Outcome.FAILED


def test_what_has_to_be_kept_can_refuse_an_improvement(make_rows, judge):
    holdout, scores = make_rows(skill=1.9)
    # The same order, scores squeezed towards one half: AUC is the same, calibration is spoilt.
    champion = 0.45 + 0.1 * scores
    worse_order = scores.copy()
    swapped = np.random.default_rng(0).random(holdout.rows) < 0.15
    worse_order[swapped] = worse_order[swapped][::-1]
    free = judge(holdout, worse_order, champion, rule=ChampionParams(improve="log_loss"))
    kept = judge(holdout, worse_order, champion, rule=ChampionParams(improve="log_loss", keep={"roc_auc": 0.002}))
    assert free.outcome is Outcome.PASSED
    assert kept.outcome is Outcome.FAILED
    assert "roc_auc" in kept.reason
    assert "may be worse by more than 0.002" in kept.reason
    assert kept.figures["roc_auc.margin"] == 0.002
    same = judge(holdout, scores, champion, rule=ChampionParams(improve="log_loss", keep={"roc_auc": 0.002}))
    assert same.outcome is Outcome.PASSED
    assert "kept within 0.002" in same.reason


def test_equal_scores_are_no_improvement(make_rows, judge):
    holdout, scores = make_rows()
    verdict = judge(holdout, scores, scores)
    assert verdict.outcome is Outcome.FAILED
    assert "same score" in verdict.reason


def test_few_units_are_inconclusive_however_large_the_gain(make_rows, judge):
    holdout, weak = make_rows(units=9, rows=300, skill=0.2)
    _, strong = make_rows(units=9, rows=300, skill=2.0)
    verdict = judge(holdout, strong, weak)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "9 units, fewer than 10" in verdict.reason
    assert judge(holdout, strong, weak, minimum_units=9).outcome is Outcome.PASSED


def test_one_class_is_inconclusive(make_rows, judge):
    holdout, scores = make_rows()
    one = Holdout(labels=np.zeros_like(holdout.labels), blocks=holdout.blocks, units=holdout.units)
    verdict = judge(one, scores, 1 - scores)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "no interval" in verdict.reason


def test_days_decide_and_not_rows(judge):
    """Better on twelve days, worse on eight: many rows make that no evidence."""
    generator = np.random.default_rng(0)
    units, rows = 20, 600
    blocks = np.repeat(np.arange(units), rows)
    signal = generator.normal(size=blocks.size)
    labels = (generator.random(blocks.size) < 1 / (1 + np.exp(-signal))).astype(np.int8)
    noise = generator.normal(size=(2, blocks.size))
    first, second = (1 / (1 + np.exp(-signal - 2 * part)) for part in noise)
    clean = 1 / (1 + np.exp(-signal))
    challenger = np.where(blocks < 12, clean, first)
    champion = np.where(blocks >= 12, clean, second)
    by_day = judge(Holdout(labels=labels, blocks=blocks, units=units), challenger, champion)
    by_row = judge(Holdout(labels=labels, blocks=np.arange(blocks.size) % 500, units=500), challenger, champion)
    assert by_row.outcome is Outcome.PASSED
    assert by_day.outcome is Outcome.FAILED


@given(st.integers(0, 2**16), st.floats(0.5, 1.9), st.floats(0.5, 1.9))
def test_never_can_each_of_two_models_replace_the_other(seed, first, second):
    generator = np.random.default_rng(seed)
    blocks = np.repeat(np.arange(12), 25)
    signal, *noise = generator.normal(size=(3, blocks.size))
    labels = (signal + generator.normal(size=blocks.size) > 0).astype(np.int8)
    holdout = Holdout(labels=labels, blocks=blocks, units=12)
    scores = [
        1 / (1 + np.exp(-skill * signal - (2 - skill) * part))
        for skill, part in zip((first, second), noise, strict=True)
    ]
    resampling = Resampling(replicates=200, seed=0, confidence=0.9)
    outcomes = [
        judge_champion(AUC, METRICS, holdout, ours, theirs, minimum_units=10, resampling=resampling).outcome
        for ours, theirs in (scores, scores[::-1])
    ]
    assert outcomes.count(Outcome.PASSED) <= 1
