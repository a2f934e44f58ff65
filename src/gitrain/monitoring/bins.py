"""How the values of a column are spread over bins: all that drift needs to know of a million rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.block_statistics import Floats, Integers

__all__ = ["OTHER", "Bins", "CategoryBins", "NumberBins", "bins_of", "shares"]

#: The bin of categories that are too rare to have one.
OTHER = "(other)"

_PARTS = 10
_CATEGORIES = 20
# Of the grid that the Wasserstein distance is read from; its step is a fortieth of a standard deviation or less.
_GRID = 256
_TAIL = 0.001
_HUGE = 1e150
# So many values at a time stay in a core's own cache.
_BLOCK = 65_536


class Bins(Protocol):
    """Bins of one column; the last one holds what is not known."""

    @property
    def size(self) -> int:
        """How many there are."""

    def numbers(self, values: pl.Series) -> Integers:
        """The bin of each value, shape (rows,)."""

    def count(self, values: pl.Series) -> tuple[Floats, Floats | None]:
        """How many values lie in each bin, shape (size,), and in each cell of a grid, where there is one."""


@dataclass(frozen=True, kw_only=True)
class NumberBins:
    """Bins between quantiles of the reference, so that each holds about as many of its rows.

    Attributes:
        edges: ascending, one more than there are bins of known values; the outer bins take what lies beyond.
        low: where the grid of the Wasserstein distance begins: what is lower counts as this.
        high: where it ends, likewise.
        deviation: the standard deviation of the reference within the grid.
    """

    edges: tuple[float, ...]
    low: float
    high: float
    deviation: float

    @property
    def size(self) -> int:
        """How many bins there are, that of unknown values among them."""
        return len(self.edges)

    def numbers(self, values: pl.Series) -> Integers:
        """The bin of each value; NaN and null are not known."""
        floats = _floats(values)
        found = np.empty(floats.size, dtype=np.int64)
        for start in range(0, floats.size, _BLOCK):
            known, mask = _known(floats[start : start + _BLOCK])
            # A dozen comparisons of whole blocks are faster than a search for each value.
            number = np.zeros(known.size, dtype=np.uint8)
            for edge in self.edges[1:-1]:
                number += known >= edge
            number[mask] = self.size - 1
            found[start : start + _BLOCK] = number
        return found

    def count(self, values: pl.Series) -> tuple[Floats, Floats]:
        """How many values lie in each bin, shape (size,), and in each cell of the grid, shape (cells,)."""
        floats = _floats(values)
        width = self.high - self.low
        inner = self.edges[1:-1]
        above = np.zeros(len(inner), dtype=np.int64)
        grid = np.zeros(_GRID if width > 0 else 1, dtype=np.int64)
        total = 0
        for start in range(0, floats.size, _BLOCK):
            known, mask = _known(floats[start : start + _BLOCK])
            if mask.any():
                known = known[~mask]
            total += known.size
            above += np.array([np.count_nonzero(known >= edge) for edge in inner], dtype=np.int64)
            if width > 0:
                cells = (known - self.low) * (_GRID / width)
                np.minimum(np.maximum(cells, 0, out=cells), _GRID - 1, out=cells)
                grid += np.bincount(cells.astype(np.int64), minlength=_GRID)
        if width <= 0:
            grid[0] = total
        counts = np.array([*-np.diff([total, *above, 0]), floats.size - total])
        return counts.astype(np.float64), grid.astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class CategoryBins:
    """A bin for each of the most frequent categories of the reference, one for the others.

    Attributes:
        categories: their names; the last is `OTHER`.
    """

    categories: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many bins there are, that of unknown values among them."""
        return len(self.categories) + 1

    def numbers(self, values: pl.Series) -> Integers:
        """The bin of each value; null is not known."""
        known = self.categories[:-1]
        other = len(known)
        found = values.cast(pl.String).replace_strict(
            list(known), list(range(other)), default=other, return_dtype=pl.Int64
        )
        # replace_strict gives nulls the default, too.
        numbers: Integers = found.to_numpy().copy()
        if values.null_count():
            numbers[values.is_null().to_numpy()] = other + 1
        return numbers

    def count(self, values: pl.Series) -> tuple[Floats, None]:
        """How many values lie in each bin, shape (size,); names have no grid."""
        counts = np.zeros(self.size)
        place = {name: number for number, name in enumerate(self.categories[:-1])}
        for name, rows in _names(values).value_counts().iter_rows():
            counts[self.size - 1 if name is None else place.get(name, len(place))] += rows
        return counts, None


def bins_of(values: pl.Series, *, category: bool) -> NumberBins | CategoryBins:
    """Bins that suit the values of the reference.

    Args:
        values: of the reference.
        category: whether they are names.
    """
    if category:
        counts = _names(values).drop_nulls().value_counts(sort=True)
        # Equal counts in the order of names: the same bins on every machine.
        ordered = counts.sort(["count", "name"], descending=[True, False])["name"].to_list()
        return CategoryBins(categories=(*ordered[:_CATEGORIES], OTHER))
    known, mask = _known(_floats(values))
    known = known[~mask] if mask.any() else known
    if not known.size:
        return NumberBins(edges=(0.0, 1.0), low=0.0, high=0.0, deviation=0.0)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, _PARTS + 1), method="lower"))
    if edges.size == 1:
        only = edges[0]
        above = np.nextafter(only, np.inf)
        edges = np.array([np.nextafter(only, -np.inf), only, above, np.nextafter(above, np.inf)])
    low, high = np.quantile(known, [_TAIL, 1 - _TAIL], method="nearest")
    return NumberBins(
        edges=tuple(map(float, _with_own_bin(edges, known))),
        low=float(low),
        high=float(high),
        deviation=float(np.clip(known, low, high).std()),
    )


def _with_own_bin(edges: Floats, known: Floats) -> Floats:
    """A value that many rows have (no rain) has a bin of its own, which ends right above it."""
    first = float(edges[0])
    if edges.size > 2 and (known == first).mean() >= 1 / _PARTS:
        return np.unique(np.concatenate([edges[:1], [np.nextafter(first, np.inf)], edges[1:]]))
    return edges


def _names(values: pl.Series) -> pl.Series:
    return values.cast(pl.String).alias("name")  # a feature may have the name of a count


def _floats(values: pl.Series) -> Floats:
    floats: Floats = values.cast(pl.Float64).to_numpy()  # NaN for null
    return floats


def _known(floats: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """The values, 0 for what is not known, and which are not."""
    mask = ~np.isfinite(floats)
    if not mask.any() and (not floats.size or max(-floats.min(), floats.max()) < _HUGE):
        return floats, mask
    # Squares of what is larger are no numbers.
    return np.clip(np.where(mask, 0.0, floats), -_HUGE, _HUGE), mask


def shares(counts: Floats | Sequence[float]) -> Floats:
    """Counts as shares of all; zeros where there are none. Counts may have the shape (..., bins)."""
    array = np.asarray(counts, dtype=np.float64)
    total = array.sum(axis=-1, keepdims=True)
    found: Floats = np.divide(array, total, out=np.zeros_like(array), where=total > 0)
    return found
