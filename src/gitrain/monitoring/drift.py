"""Data drift: how far features have moved, and whether further than days of the reference differ from each other.

The population stability index between two samples of one distribution is not 0, and where days are alike within and
differ from each other (weather, seasons) it is often above the 0.2 that is usually taken as drift. So whole days are
the units: windows of as many days in a row, of the reference itself, are compared with the rest of it, and a feature
has moved where it is further off than those. All features are asked at once, and the bound holds for all of them.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import polars as pl

from gitrain.block_statistics import Floats, Integers
from gitrain.monitoring.bins import CategoryBins, NumberBins, bins_of, shares
from gitrain.monitoring.recent import FEWEST_ROWS, names_of_days
from gitrain.monitoring.report import FeatureDrift, Histogram
from gitrain.verdicts import Outcome, Verdict

__all__ = ["PREDICTION", "ReferenceColumn", "drift_verdicts", "feature_drift", "population_stability", "reference_of"]

#: The name under which the probability stands among the features.
PREDICTION = "prediction"

# A share of 0 would be infinitely far from any other: half a row's worth of a window of some ten thousand.
_LEAST_SHARE = 1e-4
# With fewer windows of the reference a p-value of a twentieth cannot be reached.
_FEWEST_WINDOWS = 20
_THREADS = 2
# Of what chance makes of few rows: enough for one in a thousand, as it is for fifty features.
_DRAWS = 2_000
# Of the rows that windows have: as many make no difference worth drawing for.
_ENOUGH = 0.8


@dataclass(frozen=True, kw_only=True)
class ReferenceColumn:
    """A column of the reference.

    Attributes:
        name: the feature.
        bins: that suit it.
        counts: how many rows of each day lie in each bin, shape (days, bins); days in order.
        grid: how many rows lie in each cell of the grid, for numbers.
    """

    name: str
    bins: NumberBins | CategoryBins
    counts: Floats
    grid: Floats | None


def reference_of(values: pl.Series, day: Integers, days: int, *, category: bool) -> ReferenceColumn:
    """A column of the reference, by day.

    Args:
        values: one a row.
        day: the number of each row's day, 0 to days - 1.
        days: how many there are.
        category: whether the values are names.
    """
    bins = bins_of(values, category=category)
    cells = day * bins.size + bins.numbers(values)
    counts = np.bincount(cells, minlength=days * bins.size).reshape(days, bins.size).astype(np.float64)
    grid = bins.count(values)[1]
    return ReferenceColumn(name=values.name, bins=bins, counts=counts, grid=grid)


def population_stability(reference: Floats, current: Floats) -> Floats:
    """The population stability index, sum of (c - r) ln(c / r) over bins; shares below 0.0001 count as that.

    Twice Jeffreys' divergence of the two distributions, symmetric (Yurdakul and Naranjo, Statistical properties of the
    population stability index, 2020).

    Args:
        reference: shares or counts, shape (..., bins).
        current: likewise.
    """
    r, c = (np.maximum(shares(each), _LEAST_SHARE) for each in (reference, current))
    found: Floats = ((c - r) * np.log(c / r)).sum(axis=-1)
    return found


def feature_drift(
    reference: Sequence[ReferenceColumn],
    current: Mapping[str, pl.Series],
    *,
    days: int,
    alpha: float,
    naive: float,
    windows: int,
    day: pl.Series | None = None,
) -> list[FeatureDrift]:
    """How far each column has moved, the farthest from what is usual first.

    A column has moved if its index is above its own limit: the quantile of 1 - alpha of the windows of the reference,
    times what makes it hold for all columns together: the same quantile of the greatest ratio that any column of a
    window has to its own (Westfall and Young's single step, 1993). Where `current` has fewer rows than such windows,
    its index is larger by chance alone: the limit is raised by what that comes to, drawn at random at the same level.

    Args:
        reference: all of the same days.
        current: a column of that name for each of them.
        days: how many days `current` is of.
        alpha: the probability that any column of a window of the reference is said to have moved.
        naive: what the usual rule takes as drift.
        windows: windows of the reference, at most.
        day: the name of each row's day, in categories that are in order; then the farthest day is named of what has
            moved.
    """
    if not reference:
        return []
    drawn = _windows(reference[0].counts.shape[0], days, windows)
    distances = np.stack([_distances(column.counts, drawn) for column in reference], axis=1) if len(drawn) else None
    limits = _limits(distances, alpha) if distances is not None else None

    def count(column: ReferenceColumn) -> tuple[Floats, float | None]:
        counts, grid = column.bins.count(current[column.name])
        return counts, _wasserstein(column, grid)

    found = []
    # numpy lets go of the interpreter while it compares and counts.
    with ThreadPoolExecutor(_THREADS) as pool:
        counted = list(pool.map(count, reference))
    for number, (column, (counts, wasserstein)) in enumerate(zip(reference, counted, strict=True)):
        total = column.counts.sum(axis=0)
        psi = float(population_stability(total, counts)) if counts.sum() else 0.0
        threshold = None
        if limits is not None:
            threshold = _raised(float(limits[number]), column.counts, drawn, counts, alpha / len(reference))
        p_value = None
        if distances is not None:
            p_value = (1 + int((distances[:, number] >= psi).sum())) / (1 + len(drawn))
        was, now = shares(total), shares(counts)
        moved = threshold is not None and psi > threshold
        farthest = _farthest(column, current[column.name], day) if moved and day is not None else (None, None)
        found.append(
            FeatureDrift(
                name=column.name,
                kind="number" if isinstance(column.bins, NumberBins) else "category",
                psi=_rounded(psi),
                wasserstein=wasserstein,
                threshold=_rounded(threshold) if threshold is not None else None,
                p_value=_rounded(p_value) if p_value is not None else None,
                moved=moved,
                naive=psi > naive,
                missing=_rounded(now[-1]),
                reference_missing=_rounded(was[-1]),
                usual_missing=_usual_missing(column.counts, drawn),
                usual_missing_day=_usual_missing_day(column.counts),
                farthest_day=farthest[0],
                farthest_psi=farthest[1],
                histogram=_histogram(column.bins, was, now),
            )
        )
    return sorted(found, key=lambda each: (not each.moved, -each.psi, each.name))


def drift_verdicts(found: Sequence[FeatureDrift]) -> list[Verdict]:
    """A verdict a column: PASSED, FAILED where it has moved, INCONCLUSIVE where the reference has too few days."""
    verdicts = []
    for each in found:
        figures: dict[str, float | int | str | bool | None] = {
            "psi": each.psi,
            "wasserstein": each.wasserstein,
            "threshold": each.threshold,
            "p_value": each.p_value,
            "naive": each.naive,
        }
        if each.threshold is None:
            outcome = Outcome.INCONCLUSIVE
            reason = f"PSI {each.psi:.3f}; the reference has too few days to say what is usual"
        else:
            outcome = Outcome.FAILED if each.moved else Outcome.PASSED
            said = "further than days of the reference differ" if each.moved else "no further than days differ"
            reason = f"PSI {each.psi:.3f}, limit {each.threshold:.3f}: {said}"
            if each.farthest_day is not None and each.farthest_psi is not None:
                reason += f"; the farthest day is {each.farthest_day} (PSI {each.farthest_psi:.3f})"
                figures["farthest_day"] = each.farthest_day
        verdicts.append(Verdict(name=f"drift:{each.name}", outcome=outcome, reason=reason, figures=figures))
    return verdicts


def _windows(days: int, length: int, most: int) -> Integers:
    """The first day and the one after the last of windows in a row, shape (windows, 2); none where they are too few."""
    # The rest has to be a reference of its own.
    length = max(1, min(length, days // 2))
    starts = np.arange(0, days - length + 1)
    if starts.size > most:
        starts = np.unique(np.linspace(0, starts[-1], most).round().astype(np.int64))
    if days < 2 or starts.size < _FEWEST_WINDOWS:
        return np.zeros((0, 2), dtype=np.int64)
    return np.stack([starts, starts + length], axis=1)


def _usual_missing(counts: Floats, windows: Integers) -> float | None:
    """The largest share of unknown values of any window."""
    if not windows.size:
        return None
    sums = np.concatenate([np.zeros((1, counts.shape[1])), np.cumsum(counts, axis=0)])
    return _rounded(float(shares(sums[windows[:, 1]] - sums[windows[:, 0]])[:, -1].max()))


def _usual_missing_day(counts: Floats) -> float | None:
    """The largest share of unknown values of any day that has rows enough to say."""
    many = counts[counts.sum(axis=1) >= FEWEST_ROWS]
    return _rounded(float(shares(many)[:, -1].max())) if len(many) else None


def _raised(limit: float, reference: Floats, windows: Integers, counts: Floats, alpha: float) -> float:
    """The limit, and what the index of fewer rows than windows have is larger by if nothing has moved.

    Args:
        limit: for as many rows as windows have.
        reference: rows by day and bin.
        windows: of its days.
        counts: rows by bin that are judged.
        alpha: the level.
    """
    days = reference.sum(axis=1)
    rows, usual = int(counts.sum()), int(days.mean() * (windows[:, 1] - windows[:, 0]).mean())
    if not 0 < rows < usual * _ENOUGH:
        return limit
    total = shares(reference.sum(axis=0))
    # The bins of few rows are often empty, of which no formula for large numbers knows.
    few, many = (
        np.quantile(
            population_stability(total, np.random.default_rng(0).multinomial(size, total, _DRAWS).astype(np.float64)),
            1 - alpha,
        )
        for size in (rows, usual)
    )
    # Of very few rows there are few indices that can be: none of them is beyond by the last bit.
    return limit + max(0.0, float(few - min(many, limit))) * (1 + 1e-9)


def _farthest(column: ReferenceColumn, values: pl.Series, day: pl.Series) -> tuple[str | None, float | None]:
    """The day whose own index is the largest, of those with rows enough, and that index."""
    names = names_of_days(day)
    size = column.bins.size
    cells = day.to_physical().cast(pl.Int64).to_numpy() * size + column.bins.numbers(values)
    counts = np.bincount(cells, minlength=len(names) * size).reshape(len(names), size).astype(np.float64)
    indices = population_stability(column.counts.sum(axis=0), counts)
    indices[counts.sum(axis=1) < FEWEST_ROWS] = -1.0
    place = int(indices.argmax())
    return (names[place], _rounded(indices[place])) if indices[place] >= 0 else (None, None)


def _distances(counts: Floats, windows: Integers) -> Floats:
    """The index of each window and the rest of the reference, shape (windows,)."""
    sums = np.concatenate([np.zeros((1, counts.shape[1])), np.cumsum(counts, axis=0)])
    inside = sums[windows[:, 1]] - sums[windows[:, 0]]
    return population_stability(sums[-1] - inside, inside)


def _limits(distances: Floats, alpha: float) -> Floats:
    own = np.maximum(np.quantile(distances, 1 - alpha, axis=0, method="higher"), 1e-9)
    together = float(np.quantile((distances / own).max(axis=1), 1 - alpha, method="higher"))
    found: Floats = own * max(together, 1.0)
    return found


def _wasserstein(column: ReferenceColumn, now: Floats | None) -> float | None:
    """The area between the distribution functions, in standard deviations of the reference (Wasserstein-1).

    Read from a grid: what lies beyond the 0.1 % at each end of the reference counts as the end.
    """
    if not isinstance(column.bins, NumberBins) or column.grid is None or now is None or column.bins.deviation <= 0:
        return None
    if not now.sum() or not column.grid.sum():
        return None
    gap = np.abs(np.cumsum(shares(column.grid)) - np.cumsum(shares(now)))
    step = (column.bins.high - column.bins.low) / column.grid.size
    return _rounded(float(gap.sum()) * step / column.bins.deviation)


def _histogram(bins: NumberBins | CategoryBins, was: Floats, now: Floats) -> Histogram:
    numeric = isinstance(bins, NumberBins)
    return Histogram(
        edges=bins.edges if isinstance(bins, NumberBins) else (),
        categories=() if numeric or not isinstance(bins, CategoryBins) else bins.categories,
        reference=tuple(map(_rounded, was)),
        current=tuple(map(_rounded, now)),
    )


def _rounded(value: float) -> float:
    return float(f"{float(value):.6g}")
