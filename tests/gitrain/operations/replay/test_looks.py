import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.errors import DataError
from gitrain.monitoring.judgement import OVERALL
from gitrain.monitoring.performance import daily_losses, look_at
from gitrain.operations.replay.looks import DayOfLabels, Watch
from gitrain.pipeline.monitoring_params import PerformanceParams

PARAMS = PerformanceParams(minimum_rows=20)


def day(number: int, rows: int, *, worse: float = 0.0) -> DayOfLabels:
    random = np.random.default_rng(number)
    scores = random.uniform(0.05, 0.95, size=rows)
    labels = (random.random(rows) < scores).astype(np.int8)
    return DayOfLabels(day=f"{number:04}", labels=labels, scores=np.clip(scores + worse, 0.01, 0.99))


REFERENCE = [day(10_000 + number, 200) for number in range(30)]


@given(sizes=st.lists(st.integers(min_value=0, max_value=60), min_size=1, max_size=25))
def test_looks_one_by_one_are_those_of_all_days_at_once(sizes):
    days = [day(number, rows) for number, rows in enumerate(sizes)]
    watch = Watch("1.0.0", REFERENCE, PARAMS)
    looks = [look for look in map(watch.look, days) if look is not None]

    numbers = np.repeat(np.arange(len(days)), sizes)
    labels = np.concatenate([each.labels for each in days]) == 1
    scores = np.concatenate([each.scores for each in days])
    losses = daily_losses([each.day for each in days], numbers, labels, scores, minimum_rows=20)
    if not losses.days:
        assert looks == []
        return
    whole = daily_losses(
        [each.day for each in REFERENCE],
        np.repeat(np.arange(30), 200),
        np.concatenate([each.labels for each in REFERENCE]) == 1,
        np.concatenate([each.scores for each in REFERENCE]),
        minimum_rows=20,
    )
    expected = look_at(
        "performance:log_loss_ratio",
        "1.0.0",
        losses.days,
        losses.ratio,
        whole.ratio,
        alpha=0.05 * OVERALL,
        tolerated=0.0,
    )

    assert watch.sequence == expected
    assert looks == list(expected.looks)


def test_a_model_that_has_become_worse_is_found():
    watch = Watch("1.0.0", REFERENCE, PARAMS)
    before = [watch.look(day(number, 200)) for number in range(20)]
    after = [watch.look(day(number, 200, worse=0.3)) for number in range(20, 60)]

    assert not any(look is None or look.alarm for look in before)
    assert after[-1] is not None
    assert after[-1].alarm
    assert watch.sequence.alarm is not None


def test_a_holdout_of_two_days_is_no_reference():
    with pytest.raises(DataError, match="has 2 days"):
        Watch("1.0.0", REFERENCE[:2], PARAMS)
