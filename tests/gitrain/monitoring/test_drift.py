import string
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.monitoring.bins import OTHER, CategoryBins, NumberBins, bins_of
from gitrain.monitoring.drift import drift_verdicts, feature_drift, population_stability, reference_of
from gitrain.verdicts import Outcome

LETTERS = string.ascii_lowercase
NUMBERS = st.lists(st.one_of(st.none(), st.floats(allow_nan=True), st.sampled_from([0.0, 1.0])), max_size=60)


@given(values=NUMBERS, others=NUMBERS)
def test_each_value_lies_in_one_bin(values, others):
    reference = pl.Series("x", values, dtype=pl.Float64)
    bins = bins_of(reference, category=False)
    current = pl.Series("x", others, dtype=pl.Float64)

    assert isinstance(bins, NumberBins)
    assert list(bins.edges) == sorted(set(bins.edges))
    found = bins.numbers(current)
    assert ((found >= 0) & (found < bins.size)).all() and found.size == len(others)
    unknown = [value is None or not np.isfinite(value) for value in others]
    assert ((found == bins.size - 1) == np.array(unknown, dtype=bool)).all()
    known = np.array([value for value, left_out in zip(others, unknown, strict=True) if not left_out])
    assert found[~np.array(unknown, dtype=bool)].tolist() == np.searchsorted(bins.edges[1:-1], known, "right").tolist()
    counts, grid = bins.count(current)
    assert counts.tolist() == np.bincount(found, minlength=bins.size).tolist()
    assert grid.sum() == len(others) - sum(unknown)


def test_values_are_counted_the_same_in_blocks_of_any_size(monkeypatch):
    random = np.random.default_rng(3)
    values = random.normal(size=1_000)
    values[random.integers(0, 1_000, size=30)] = np.repeat([np.nan, np.inf, 1e200], 10)
    bins = bins_of(pl.Series("x", random.normal(size=500)), category=False)
    assert isinstance(bins, NumberBins)
    series = pl.Series("x", values)
    whole, numbers = bins.count(series), bins.numbers(series)
    for size in (1, 7, 999, 1_000):
        monkeypatch.setattr("gitrain.monitoring.bins._BLOCK", size)
        assert np.array_equal(bins.numbers(series), numbers)
        assert all(np.array_equal(one, other) for one, other in zip(bins.count(series), whole, strict=True))
    # The grid is cells of equal width between the tails, and the outer ones take what lies beyond.
    known = np.clip(values[np.isfinite(values)], bins.low, bins.high)
    expected, _ = np.histogram(known, bins=256, range=(bins.low, bins.high))
    assert whole[1].tolist() == expected.tolist()


@given(values=st.lists(st.one_of(st.none(), st.sampled_from(LETTERS), st.text(max_size=3)), max_size=90))
def test_each_category_lies_in_its_own_bin(values):
    series = pl.Series("x", values, dtype=pl.String)
    bins = bins_of(series, category=True)

    counts = Counter(value for value in values if value is not None)
    frequent = sorted(counts, key=lambda name: (-counts[name], name))[:20]
    assert isinstance(bins, CategoryBins) and bins.categories == (*frequent, OTHER)
    other, unknown = len(frequent), len(frequent) + 1
    assert bins.size == unknown + 1
    asked = [*values, "never seen", None]
    expected = [unknown if each is None else frequent.index(each) if each in frequent else other for each in asked]
    assert bins.numbers(pl.Series("x", asked, dtype=pl.String)).tolist() == expected
    counted, grid = bins.count(pl.Series("x", asked, dtype=pl.String))
    assert counted.tolist() == np.bincount(expected, minlength=bins.size).tolist() and grid is None


def test_a_constant_that_becomes_another_has_moved():
    bins = bins_of(pl.Series("x", [3.0] * 50), category=False)

    assert len({int(bins.numbers(pl.Series([value]))[0]) for value in (2.0, 3.0, 4.0)}) == 3


@given(
    left=st.lists(st.integers(0, 1000), min_size=5, max_size=5),
    right=st.lists(st.integers(0, 1000), min_size=5, max_size=5),
)
def test_the_index_is_symmetric_never_negative_and_zero_for_equals(left, right):
    a, b = np.array(left, dtype=float), np.array(right, dtype=float)

    assert population_stability(a, b) == pytest.approx(population_stability(b, a))
    assert population_stability(a, b) >= 0
    assert population_stability(a, a) == 0


def days_of(random, days: int, each: int, spread: float, shift: float = 0.0):
    """Days that differ from each other: an honest reference for days that do."""
    level = random.normal(shift, spread, days).repeat(each)
    return pl.Series("x", level + random.normal(size=days * each)), np.arange(days).repeat(each)


def drift(reference, day, current, *, days: int, name: str = "x", category: bool = False, named=None):
    columns = [reference_of(reference.alias(name), day, int(day.max()) + 1, category=category)]
    found = feature_drift(columns, {name: current}, days=days, alpha=0.05, naive=0.2, windows=200, day=named)
    return found[0]


def test_days_that_differ_are_no_drift_however_the_usual_rule_sees_them():
    random = np.random.default_rng(0)
    reference, day = days_of(random, 200, 100, spread=1.5)
    moved, naive = 0, 0
    for _ in range(40):
        current, _ = days_of(random, 5, 100, spread=1.5)
        found = drift(reference, day, current, days=5)
        moved, naive = moved + found.moved, naive + found.naive

    assert moved <= 6
    assert naive >= 15


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(lambda values: values * 1.8 + 32, id="scaled"),
        pytest.param(lambda values: values * 0 + 0.5, id="frozen"),
        pytest.param(lambda values: values.set(values.is_not_nan(), None), id="gone"),
    ],
)
def test_faults_are_drift(fault):
    random = np.random.default_rng(0)
    reference, day = days_of(random, 120, 50, spread=0.5)
    current, _ = days_of(random, 30, 50, spread=0.5)

    healthy, broken = (drift(reference, day, each, days=30) for each in (current, fault(current)))

    assert not healthy.moved and broken.moved
    verdicts = drift_verdicts([healthy, broken])
    assert [each.outcome for each in verdicts] == [Outcome.PASSED, Outcome.FAILED]


def depots_of(random, days: int, each: int):
    """Days of which each has its own share of the two depots."""
    share = random.uniform(0.4, 0.6, days).repeat(each)
    return pl.Series("x", np.where(random.random(days * each) < share, "NORTH", "EAST")), np.arange(days).repeat(each)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(lambda names: names.replace(["EAST"], ["NORTH"]), id="frozen"),
        pytest.param(lambda names: names.replace(["EAST"], ["SOUTH"]), id="renamed"),
        pytest.param(lambda names: names.replace(["EAST"], [None]), id="gone"),
    ],
)
def test_faults_of_categories_are_drift(fault):
    random = np.random.default_rng(0)
    reference, day = depots_of(random, 120, 50)
    current, _ = depots_of(random, 30, 50)

    healthy, broken = (drift(reference, day, each, days=30, category=True) for each in (current, fault(current)))

    assert healthy.kind == broken.kind == "category"
    assert not healthy.moved and broken.moved
    assert [each.outcome for each in drift_verdicts([healthy, broken])] == [Outcome.PASSED, Outcome.FAILED]


def test_the_distance_is_that_between_the_distributions():
    random = np.random.default_rng(0)
    reference, day = days_of(random, 60, 500, spread=0.0)

    found = drift(reference, day, reference + 0.5, days=30)

    assert found.wasserstein == pytest.approx(0.5, rel=0.05)


def test_a_reference_of_few_days_says_nothing():
    random = np.random.default_rng(0)
    reference, day = days_of(random, 10, 50, spread=0.5)

    found = drift(reference, day, reference + 9, days=5)

    assert found.threshold is None and not found.moved and found.naive
    assert drift_verdicts([found])[0].outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_few_rows_are_no_drift_for_being_few(seed):
    random = np.random.default_rng(seed)
    reference, day = days_of(random, 120, 400, spread=0.0)
    moved = {rows: 0 for rows in (1, 2, 20, 100)}
    for rows in moved:
        for _ in range(20):
            moved[rows] += drift(reference, day, pl.Series("x", random.normal(size=rows)), days=7).moved

    assert all(count <= 3 for count in moved.values()), moved
    # And a fault is one where it can be told from chance.
    for rows in (100, 2800):
        assert drift(reference, day, pl.Series("x", random.normal(size=rows) + 2), days=7).moved


def test_as_many_rows_as_the_reference_has_leave_the_limit_as_it_is():
    random = np.random.default_rng(0)
    reference, day = days_of(random, 120, 50, spread=0.5)
    current, _ = days_of(random, 40, 50, spread=0.5)

    few, enough, more = (drift(reference, day, current[:rows], days=7).threshold for rows in (200, 350, 2000))

    assert few > enough == more


def test_the_farthest_day_of_what_has_moved_is_named():
    random = np.random.default_rng(0)
    reference, day = days_of(random, 120, 50, spread=0.1)
    names = pl.Series(["first"] * 50 + ["second"] * 50 + ["third"] * 9, dtype=pl.Enum(["first", "second", "third"]))
    current = pl.Series("x", [*random.normal(size=50), *[0.0] * 50, *[99.0] * 9])

    found = drift(reference, day, current, days=2, named=names)

    assert found.moved and found.farthest_day == "second", "nine rows are no day"
    assert found.farthest_psi > found.psi
    assert "the farthest day is second (PSI " in drift_verdicts([found])[0].reason
    same = drift(reference, day, current[:50], days=2, named=names[:50])
    assert (same.moved, same.farthest_day, same.farthest_psi) == (False, None, None)
    gone = drift(reference, day, current.set(current.is_not_nan(), None)[:9], days=2, named=names[-9:])
    assert (gone.moved, gone.farthest_day) == (True, None)


def test_the_largest_share_of_a_single_day_that_was_not_known_is_told():
    random = np.random.default_rng(0)
    reference, day = days_of(random, 60, 50, spread=0.0)
    reference = reference.set((pl.Series(day) == 7) & (pl.Series(np.arange(reference.len())) % 5 == 0), None)

    found = drift(reference, day, reference, days=5)

    assert (found.usual_missing_day, found.usual_missing) == (0.2, 0.04)
