"""Metrics as functions of how often each block of rows was drawn: what makes a block bootstrap cheap and exact.

A draw of a block bootstrap repeats whole blocks (days, patients), so a metric of the drawn rows needs no rows at all,
only a few sums by block, worked out once:

* sums (log loss, Brier score, calibration error) are linear in the counts;
* the concordant pairs of the ROC curve are a quadratic form: with U[i, j] pairs between the positives of block i and
  the negatives of block j, a draw with counts c has c'Uc of them.

Average precision has no such form: it takes one pass over the rows, sorted once, a draw; so does the ROC curve where
the pairs of blocks would need too much memory (thousands of blocks). Every value equals the metric of the drawn rows,
row weights being the counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "AveragePrecision",
    "BlockStatistic",
    "CalibrationError",
    "Concordance",
    "Floats",
    "Integers",
    "MeanOfRows",
    "Reference",
    "Rows",
    "SkillRatio",
    "base_rate",
    "calibration_bin",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Cells of 8 bytes in a temporary array: 256 KB, because what stays in the processor's cache is several times as fast.
_CELLS = 32_768
# Blocks up to which all pairs of blocks are held: 8 MB.
_PAIRED_BLOCKS = 1_000


class BlockStatistic(Protocol):
    """A metric of one model on one set of rows, as a function of how often each block of rows was drawn."""

    def __call__(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """The metric for each draw.

        Args:
            counts: how often each block was drawn, shape (draws, blocks); all ones give the metric itself.

        Returns:
            Shape (draws,); NaN where a draw leaves the metric undefined (one class only).
        """


@dataclass(frozen=True)
class Rows:
    """Labels and scores of rows, and the blocks that they lie in.

    Attributes:
        labels: 0 or 1, shape (rows,).
        scores: probabilities of label 1, shape (rows,).
        present: the numbers of the blocks that have rows, ascending, shape (present,).
        block: the position in `present` of each row's block, shape (rows,).
    """

    labels: NDArray[np.int8]
    scores: Floats
    present: Integers
    block: Integers

    @classmethod
    def of(cls, labels: NDArray[np.int8], scores: Floats, blocks: Integers) -> "Rows":
        """Check the rows and find the blocks that have any; blocks without rows cost nothing.

        Raises:
            ValueError: shapes that differ, labels other than 0 and 1, scores that are no probabilities, a negative
                block number.
        """
        labels = np.asarray(labels, dtype=np.int8)
        scores = np.asarray(scores, dtype=np.float64)
        blocks = np.asarray(blocks, dtype=np.int64)
        if labels.ndim != 1 or labels.shape != scores.shape or labels.shape != blocks.shape:
            raise ValueError(
                "labels, scores and blocks must have one value a row each; their shapes are "
                f"{labels.shape}, {scores.shape} and {blocks.shape}"
            )
        if not np.isin(labels, (0, 1)).all():
            raise ValueError("labels must be 0 or 1")
        if not ((scores >= 0) & (scores <= 1)).all():  # NaN fails too
            raise ValueError("scores must be probabilities, 0 to 1")
        if (blocks < 0).any():
            raise ValueError("block numbers must not be negative")
        present, block = np.unique(blocks, return_inverse=True)
        return cls(labels=labels, scores=scores, present=present, block=block.reshape(-1))

    def drawn(self, counts: Floats) -> Floats:
        """The counts of the blocks that have rows, shape (draws, present).

        Raises:
            ValueError: `counts` has not two dimensions, or too few blocks.
        """
        counts = np.asarray(counts, dtype=np.float64)
        needed = int(self.present[-1]) + 1 if self.present.size else 0
        if counts.ndim != 2 or counts.shape[1] < needed:
            raise ValueError(f"counts must have the shape (draws, blocks) with {needed} blocks or more: {counts.shape}")
        return counts if counts.shape[1] == self.present.size else counts[:, self.present]

    def sums(self, values: NDArray[np.float64] | NDArray[np.int8] | None = None) -> Floats:
        """The sum of `values` by block (None: the number of rows), shape (present,)."""
        weights = None if values is None else np.asarray(values, dtype=np.float64)
        return np.bincount(self.block, weights=weights, minlength=self.present.size).astype(np.float64)


def calibration_bin(scores: Floats, bins: int) -> Integers:
    """The bin of each score, 0 to bins - 1: equal widths, each closed on the left, the last one on both sides."""
    return np.minimum((np.asarray(scores, dtype=np.float64) * bins).astype(np.int64), bins - 1)


class MeanOfRows:
    """The mean of a value of each row; NaN where no row was drawn."""

    def __init__(self, rows: Rows, values: Floats) -> None:
        self._rows = rows
        self._sums = rows.sums(values)
        self._sizes = rows.sums()

    def __call__(self, counts: Floats) -> Floats:
        """The mean for each draw."""
        drawn = self._rows.drawn(counts)
        return _ratio(drawn @ self._sums, drawn @ self._sizes)


def base_rate(rows: Rows) -> MeanOfRows:
    """The share of rows with label 1."""
    return MeanOfRows(rows, rows.labels.astype(np.float64))


class SkillRatio:
    """A metric divided by what the constant score at the base rate reaches on the same draw.

    Args:
        metric: the metric.
        rate: the share of positives.
        reference: from the base rate of each draw to the divisor; where that is 0 the ratio is NaN.
    """

    def __init__(self, metric: BlockStatistic, rate: BlockStatistic, reference: "Reference") -> None:
        self._metric = metric
        self._rate = rate
        self._reference = reference

    def __call__(self, counts: Floats) -> Floats:
        """The ratio for each draw."""
        return _ratio(self._metric(counts), self._reference(self._rate(counts)))


class Reference(Protocol):
    """The metric of the constant score at the base rate."""

    def __call__(self, rate: Floats, /) -> Floats:
        """From base rates, shape (draws,), to the metric of each."""


class CalibrationError:
    """Expected calibration error over bins of equal width: the mean of |share of positives - mean score| by bin."""

    def __init__(self, rows: Rows, bins: int) -> None:
        if bins < 1:
            raise ValueError(f"there must be at least one bin: {bins}")
        self._rows = rows
        cells = rows.block * bins + calibration_bin(rows.scores, bins)
        gaps = np.bincount(cells, weights=rows.labels - rows.scores, minlength=rows.present.size * bins)
        self._gaps = gaps.reshape(rows.present.size, bins)
        self._sizes = rows.sums()

    def __call__(self, counts: Floats) -> Floats:
        """The error for each draw; NaN where no row was drawn."""
        drawn = self._rows.drawn(counts)
        return _ratio(np.abs(drawn @ self._gaps).sum(axis=1), drawn @ self._sizes)


class Concordance:
    """The area under the ROC curve: the share of pairs (positive, negative) in which the positive scores higher.

    Ties count one half. NaN where a draw holds one class only.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._positives = rows.sums(rows.labels)
        self._negatives = rows.sums() - self._positives
        paired = rows.present.size <= _PAIRED_BLOCKS
        self._concordant = _PairsByBlock(rows) if paired else _PairsByRow(rows)

    def __call__(self, counts: Floats) -> Floats:
        """The area for each draw."""
        drawn = self._rows.drawn(counts)
        return _ratio(self._concordant(drawn), (drawn @ self._positives) * (drawn @ self._negatives))


class _PairsByBlock:
    """Concordant pairs of a draw, from those between the positives of block i and the negatives of block j."""

    def __init__(self, rows: Rows) -> None:
        self._pairs = _concordant_pairs(rows)

    def __call__(self, drawn: Floats) -> Floats:
        concordant: Floats = (drawn @ self._pairs * drawn).sum(axis=1)
        return concordant


class _PairsByRow:
    """The same from one weight a row."""

    def __init__(self, rows: Rows) -> None:
        is_positive = rows.labels == 1
        order = np.argsort(rows.scores[~is_positive], kind="stable")
        negatives = rows.scores[~is_positive][order]
        self._negative_block = rows.block[~is_positive][order]
        self._positive_block = rows.block[is_positive]
        self._below = np.searchsorted(negatives, rows.scores[is_positive], side="left")
        self._up_to = np.searchsorted(negatives, rows.scores[is_positive], side="right")

    def __call__(self, drawn: Floats) -> Floats:
        parts = [np.zeros(0)]
        for chunk in _chunks(drawn, self._negative_block.size + self._positive_block.size):
            below = np.zeros((chunk.shape[0], self._negative_block.size + 1), dtype=chunk.dtype)
            np.cumsum(np.take(chunk, self._negative_block, axis=1), axis=1, out=below[:, 1:])
            pairs = np.take(below, self._below, axis=1) + np.take(below, self._up_to, axis=1)
            parts.append((pairs * np.take(chunk, self._positive_block, axis=1)).sum(axis=1) / 2)
        return np.concatenate(parts)


class AveragePrecision:
    """The area under the precision-recall steps: the mean over positives of the precision at their score.

    Tied rows enter together, as in scikit-learn. NaN where a draw holds no positive.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._positives = rows.sums(rows.labels)
        order = np.argsort(-rows.scores, kind="stable")
        is_positive = rows.labels[order] == 1
        ascending = -rows.scores[order]
        self._block = rows.block[order]
        self._positive_block = self._block[is_positive]
        # Tied rows enter together: each positive counts what has entered by the end of its score.
        self._last = np.searchsorted(ascending, ascending[is_positive], side="right") - 1
        self._last_positive = np.searchsorted(ascending[is_positive], ascending[is_positive], side="right") - 1

    def __call__(self, counts: Floats) -> Floats:
        """The average precision for each draw."""
        drawn = self._rows.drawn(counts)
        parts = [np.zeros(0)]
        for chunk in _chunks(drawn, self._block.size):
            total = np.take(np.take(chunk, self._block, axis=1).cumsum(axis=1), self._last, axis=1)
            weight = np.take(chunk, self._positive_block, axis=1)
            entered = np.take(weight.cumsum(axis=1), self._last_positive, axis=1)
            # Where nothing was drawn down to a score, the precision is 0 / 0: any number will do, its weight is 0.
            total += total == 0
            parts.append((weight * (entered / total)).sum(axis=1))
        return _ratio(np.concatenate(parts), drawn @ self._positives)


def _concordant_pairs(rows: Rows) -> Floats:
    """Concordant pairs between the positives of block i (row) and the negatives of block j (column); ties half."""
    size = rows.present.size
    distinct, rank = np.unique(rows.scores, return_inverse=True)
    rank = rank.reshape(-1)
    is_positive = rows.labels == 1
    positive_rank, positive_block = rank[is_positive], rows.block[is_positive]
    pairs = np.zeros((size, size))
    negatives = np.flatnonzero(~is_positive)
    negatives = negatives[np.argsort(rows.block[negatives], kind="stable")]
    bounds = np.searchsorted(rows.block[negatives], np.arange(size + 1))
    for block in range(size):
        here = np.bincount(rank[negatives[bounds[block] : bounds[block + 1]]], minlength=distinct.size)
        below = here.cumsum() - here / 2
        pairs[:, block] = np.bincount(positive_block, weights=below[positive_rank], minlength=size)
    return pairs


def _chunks(drawn: Floats, width: int) -> Iterator[Floats | Integers]:
    """`drawn` a few draws at a time, so that an array of draws times `width` stays small.

    As integers, where the counts are whole as those of a bootstrap are: adding those up is three times as fast.
    """
    whole = drawn.astype(np.int64)
    counts = whole if np.array_equal(whole, drawn) else drawn
    step = max(1, _CELLS // max(1, width))
    for start in range(0, drawn.shape[0], step):
        yield counts[start : start + step]


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """`numerator` / `denominator`, NaN where that is undefined."""
    quotient: Floats = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient
