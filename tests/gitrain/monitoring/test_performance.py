import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.metrics import LOG_LOSS
from gitrain.monitoring.performance import LOST_SKILL, daily_losses, judge_sequence, look_at
from gitrain.verdicts import Outcome


def rows(seed: int, days: int, each: int, rate: float):
    random = np.random.default_rng(seed)
    logit = np.log(rate / (1 - rate)) + random.normal(0, 1.2, days * each)
    scores = 1 / (1 + np.exp(-logit))
    return np.repeat(np.arange(days), each), random.random(days * each) < scores, scores


@given(seed=st.integers(0, 1000), days=st.integers(1, 5), each=st.integers(2, 50))
def test_a_days_loss_is_its_log_loss(seed, days, each):
    day, labels, scores = rows(seed, days, each, 0.3)
    names = [f"d{number}" for number in range(days)]

    found = daily_losses(names, day, labels, scores, minimum_rows=1)

    assert found.days == tuple(names)
    for number in range(days):
        mine = day == number
        assert found.loss[number] == pytest.approx(LOG_LOSS.value(labels[mine].astype(np.int8), scores[mine]))
    assert ((found.ratio > 0) & (found.ratio <= LOST_SKILL)).all(), "also of days with one class"


def test_days_with_few_rows_wait_for_the_next_ones():
    day = np.repeat([0, 1, 2, 3], [40, 5, 30, 3])
    labels, scores = np.tile([True, False], 39), np.full(78, 0.5)

    found = daily_losses(["a", "b", "c", "d"], day, labels, scores, minimum_rows=20)

    assert found.days == ("a", "c") and found.rows.tolist() == [40, 35]


def test_a_season_that_moves_the_base_rate_alone_moves_the_loss_and_not_the_statistic():
    summer, winter = (
        daily_losses([str(n) for n in range(60)], *rows(seed, 60, 800, rate), minimum_rows=1)
        for seed, rate in ((1, 0.15), (2, 0.35))
    )

    assert winter.loss.mean() > 1.2 * summer.loss.mean()
    looks = look_at("performance:x", "1", winter.days, winter.ratio, summer.ratio, alpha=0.05, tolerated=0.0)
    lost = look_at("performance:x", "1", winter.days, winter.loss, summer.loss, alpha=0.05, tolerated=0.0)
    assert looks.alarm is None
    assert lost.alarm is not None, "the loss itself would have alarmed"


def test_verdicts_of_sequences():
    random = np.random.default_rng(0)
    reference, live = random.normal(0.9, 0.05, 30), random.normal(0.9, 0.05, 20)
    days = [f"{number:02d}" for number in range(20)]

    def judged(values, days=days, tolerated=0.0):
        sequence = look_at("performance:x", "1", days, values, reference, alpha=0.05, tolerated=tolerated)
        return judge_sequence(sequence, minimum_days=5, what="x", unit="day", better="no worse")

    assert judged(live).outcome is Outcome.PASSED
    assert judged(live[:3], days[:3]).outcome is Outcome.INCONCLUSIVE
    assert judged(live[:0], []).outcome is Outcome.INCONCLUSIVE
    worse = judged(live + 0.1)
    assert worse.outcome is Outcome.FAILED and "an alarm since" in worse.reason
    assert judged(live + 0.1, tolerated=0.2).outcome is Outcome.PASSED
    recovered = np.concatenate([live + 0.15, live, live, live, live])
    assert judged(recovered, [f"{number:03d}" for number in range(100)]).outcome is Outcome.FAILED, "it stays one"
