import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from gitrain.evaluation.bootstrap import (
    _student_quantile,
    block_draws,
    block_numbers,
    draw_chunks,
    interval,
    paired_difference,
)
from gitrain.metrics import BRIER, LOG_LOSS, ROC_AUC


@given(blocks=st.integers(1, 50), replicates=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
def test_a_draw_takes_as_many_blocks_as_there_are(blocks: int, replicates: int, seed: int) -> None:
    counts = block_draws(blocks, replicates, seed)
    assert counts.shape == (replicates, blocks)
    assert (counts.sum(axis=1) == blocks).all()
    np.testing.assert_array_equal(counts, block_draws(blocks, replicates, seed))


@given(blocks=st.integers(1, 50), replicates=st.integers(1, 40), seed=st.integers(0, 100), cells=st.integers(1, 500))
def test_the_size_of_the_chunks_changes_no_draw(blocks: int, replicates: int, seed: int, cells: int) -> None:
    chunks = list(draw_chunks(blocks, replicates, seed, cells=cells))
    assert max(chunk.size for chunk in chunks) <= max(cells, blocks)
    np.testing.assert_array_equal(np.concatenate(chunks), block_draws(blocks, replicates, seed))


def test_draws_are_uniform_and_differ_by_seed() -> None:
    counts = block_draws(20, 5_000, 0)
    # Each block is drawn once on average, with the variance of a binomial of 20 tries.
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.06)
    np.testing.assert_allclose(counts.var(axis=0), 0.95, atol=0.1)
    assert not np.array_equal(counts, block_draws(20, 5_000, 1))


def test_no_blocks_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="at least one block"):
        block_draws(0, 10, 0)


def test_units_are_numbered_in_their_order() -> None:
    numbers, count = block_numbers(pl.Series("day", ["c", "a", "c", "b"]))
    assert (numbers.tolist(), count) == ([2, 0, 2, 1], 3)
    assert block_numbers(pl.Series("day", [], dtype=pl.Date))[1] == 0
    with pytest.raises(ValueError, match="1 rows have no day"):
        block_numbers(pl.Series("day", ["a", None]))


def test_the_interval_is_made_of_percentiles() -> None:
    found = interval(np.arange(1001.0), 0.9)
    assert found.low == pytest.approx(50)
    assert found.high == pytest.approx(950)
    assert (found.draws, found.undefined, found.reason) == (1001, 0, None)


def test_undefined_draws_are_passed_over_and_counted() -> None:
    values = np.concatenate([np.arange(1000.0), np.full(60, np.nan)])
    found, without = interval(values, 0.95), interval(values[:1000], 0.95)
    assert (found.low, found.high, found.undefined, found.draws) == (without.low, without.high, 60, 1060)


@pytest.mark.parametrize(
    ("values", "units", "reason"),
    [
        (np.concatenate([np.arange(80.0), np.full(20, np.nan)]), 30, "undefined in 20 of 100 draws"),
        (np.full(10, np.nan), None, "undefined in 10 of 10 draws"),
        (np.zeros(100), 1, "one unit only"),
        (np.zeros(100), 0, "no unit"),
        (np.zeros(0), 5, "no draws"),
    ],
)
def test_where_there_is_no_interval_there_is_a_reason(values, units: int | None, reason: str) -> None:
    found = interval(values, 0.95, units=units)
    assert found.low is None
    assert found.high is None
    assert found.reason is not None
    assert reason in found.reason


@given(units=st.integers(2, 500), seed=st.integers(0, 50))
def test_few_units_widen_the_interval(units: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=2000)
    plain, widened = interval(values, 0.95), interval(values, 0.95, units=units)
    assert widened.low is not None and plain.low is not None and widened.low <= plain.low
    assert widened.high is not None and plain.high is not None and widened.high >= plain.high


def test_the_widened_interval_of_a_mean_is_students() -> None:
    sample = np.random.default_rng(5).normal(10, 2, 12)
    means = block_draws(12, 200_000, 0) @ sample / 12
    found = interval(means, 0.95, units=12)
    half = student.ppf(0.975, 11) * sample.std(ddof=1) / np.sqrt(12)
    assert found.low == pytest.approx(sample.mean() - half, abs=0.05)
    assert found.high == pytest.approx(sample.mean() + half, abs=0.05)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 9, 29, 364, 100_000])
@pytest.mark.parametrize("probability", [0.05, 0.025, 0.005])
def test_students_quantile_is_close_to_scipys(freedom: int, probability: float) -> None:
    assert _student_quantile(probability, freedom) == pytest.approx(student.ppf(probability, freedom), rel=0.01)


def rows_with_day_effects(random: np.random.Generator, days: int, a_day: int = 100):
    """Scores that know nothing of what kind of day it is, which moves the whole day's labels."""
    day = np.repeat(np.arange(days), a_day)
    signal = random.normal(size=day.size)
    truth = 1 / (1 + np.exp(1.3 - 1.6 * signal - random.normal(size=days)[day]))
    labels = (random.random(day.size) < truth).astype(np.int8)
    return labels, 1 / (1 + np.exp(1.3 - 1.6 * signal)), day


def test_whole_days_cover_the_truth_and_single_rows_do_not() -> None:
    random = np.random.default_rng(0)
    labels, scores, _ = rows_with_day_effects(random, 5_000)
    truth = LOG_LOSS.value(labels, scores)
    months, days, a_day = 200, 30, 100
    by_day, by_row = block_draws(days, 400, 1), block_draws(days * a_day, 400, 1)
    covered_by_day = covered_by_row = 0
    for _ in range(months):
        labels, scores, day = rows_with_day_effects(random, days, a_day)
        for number, (blocks, counts) in enumerate(((day, by_day), (np.arange(day.size), by_row))):
            found = interval(LOG_LOSS.prepare(labels, scores, blocks)(counts), 0.95, units=counts.shape[1])
            assert found.low is not None and found.high is not None
            inside = found.low <= truth <= found.high
            covered_by_day += inside and number == 0
            covered_by_row += inside and number == 1
    assert 0.90 <= covered_by_day / months <= 0.99
    assert covered_by_row / months < 0.7


def test_a_paired_difference_is_that_of_the_two_models_on_the_same_draw() -> None:
    random = np.random.default_rng(2)
    labels, champion, blocks = rows_with_day_effects(random, 20)
    challenger = np.clip(champion + random.normal(0, 0.02, champion.size), 0, 1)
    counts = block_draws(20, 50, 0)
    for metric in (ROC_AUC, BRIER):
        found = paired_difference(metric, labels, challenger, champion, blocks, counts)
        for number in (0, 49):
            rows = np.repeat(np.arange(labels.size), counts[number][blocks].astype(int))
            wanted = metric.value(labels[rows], challenger[rows]) - metric.value(labels[rows], champion[rows])
            assert found[number] == pytest.approx(wanted)
        alone = metric.prepare(labels, challenger, blocks)(counts)
        assert found.std() < alone.std() / 3  # what a day does to both cancels out
        assert (paired_difference(metric, labels, champion, champion, blocks, counts) == 0).all()
