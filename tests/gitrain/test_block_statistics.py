import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gitrain.block_statistics as module
from gitrain.block_statistics import Concordance, Rows, calibration_bin

LABELS = np.array([0, 1], dtype=np.int8)
SCORES = np.array([0.25, 0.75])
BLOCKS = np.array([0, 1])


@given(seed=st.integers(0, 10_000), ties=st.booleans())
def test_pairs_by_row_are_pairs_by_block(seed: int, ties: bool) -> None:
    random = np.random.default_rng(seed)
    scores = random.random(60)
    rows = Rows.of(
        random.integers(0, 2, 60).astype(np.int8), scores.round(1) if ties else scores, random.integers(0, 7, 60)
    )
    counts = random.integers(0, 3, (20, 7)).astype(np.float64)
    with pytest.MonkeyPatch.context() as patch:
        by_block = Concordance(rows)(counts)
        patch.setattr(module, "_PAIRED_BLOCKS", 0)
        by_row = Concordance(rows)(counts)
    # Both add up whole and half pairs: not a digit apart.
    np.testing.assert_array_equal(by_row, by_block)


def test_thousands_of_blocks_need_no_square_of_them() -> None:
    random = np.random.default_rng(0)
    blocks = random.integers(0, 5_000, 20_000)
    rows = Rows.of(random.integers(0, 2, 20_000).astype(np.int8), random.random(20_000), blocks)
    statistic = Concordance(rows)
    held = sum(value.nbytes for value in vars(statistic._concordant).values())
    assert held < 5_000 * 5_000  # the matrix would take eight times as many bytes
    assert 0.45 < statistic(np.ones((1, 5_000)))[0] < 0.55


def test_blocks_without_rows_may_lie_anywhere() -> None:
    statistic = Concordance(Rows.of(LABELS, SCORES, np.array([3, 7])))
    counts = np.zeros((2, 10))
    counts[0, [3, 7]] = 1
    np.testing.assert_array_equal(statistic(counts), [1.0, np.nan])


@pytest.mark.parametrize("counts", [np.ones(2), np.ones((3, 1)), np.ones((1, 1, 2))])
def test_counts_for_other_blocks_are_refused(counts) -> None:
    with pytest.raises(ValueError, match="2 blocks or more"):
        Concordance(Rows.of(LABELS, SCORES, BLOCKS))(counts)


@pytest.mark.parametrize(
    ("labels", "scores", "blocks", "message"),
    [
        ([0, 1, 1], SCORES, BLOCKS, "one value a row"),
        (LABELS, SCORES, [0], "one value a row"),
        ([0, 2], SCORES, BLOCKS, "labels must be 0 or 1"),
        (LABELS, [0.1, np.nan], BLOCKS, "probabilities"),
        (LABELS, [0.1, 1.1], BLOCKS, "probabilities"),
        (LABELS, SCORES, [0, -1], "negative"),
    ],
)
def test_what_is_no_scored_row_is_refused(labels, scores, blocks, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rows.of(labels, scores, blocks)


def test_bins_are_closed_on_the_left_and_the_last_on_both_sides() -> None:
    assert calibration_bin(np.array([0.0, 0.249, 0.25, 0.5, 0.999, 1.0]), 4).tolist() == [0, 0, 1, 2, 3, 3]
