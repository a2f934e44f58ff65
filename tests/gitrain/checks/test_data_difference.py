"""Figures of distributions against their definitions, and laws that they keep."""

import math
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.meta import Meta
from dvc_data.hashfile.tree import Tree
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gitrain.checks.data_difference import (
    Bins,
    causes_of_change,
    changed_members,
    feature_difference,
    make_bins,
    null_shares,
    population_stability,
    unit_counts,
)
from gitrain.pipeline.lock import Lock, listing_md5

IntArray = NDArray[np.int64]
COUNTS = st.lists(st.integers(0, 1000), min_size=2, max_size=8).filter(lambda counts: sum(counts) > 0)


def test_the_index_of_two_bins_by_hand() -> None:
    expected = (0.5 - 0.25) * math.log(0.5 / 0.25) + (0.5 - 0.75) * math.log(0.5 / 0.75)
    assert population_stability(np.array([50, 50]), np.array([10, 30])) == pytest.approx(expected)


@given(COUNTS, st.integers(1, 9))
def test_the_index_of_what_is_distributed_alike_is_zero(counts: list[int], times: int) -> None:
    assert population_stability(np.array(counts), np.array(counts) * times) == pytest.approx(0, abs=1e-12)


@given(COUNTS, st.randoms())
def test_the_index_is_symmetric_and_never_negative(counts: list[int], random) -> None:
    others = list(counts)
    random.shuffle(others)
    one, other = np.array(counts), np.array(others)
    assert population_stability(one, other) == pytest.approx(population_stability(other, one))
    assert population_stability(one, other) >= 0


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6), st.just(0.0)), min_size=1, max_size=60))
def test_every_value_is_counted_once_and_nulls_in_the_last_bin(values: list[float | None]) -> None:
    column = pl.Series("x", values, dtype=pl.Float64)
    bins = make_bins(column, categorical=False)
    _, counts = unit_counts(bins, column, pl.Series(["a"] * len(values)))
    assert counts.shape == (1, bins.count)
    assert counts.sum() == len(values)
    assert counts[0, -1] == column.null_count()


def test_a_column_that_is_mostly_zero_still_shows_what_is_not() -> None:
    before = pl.Series("rain", [0.0] * 95 + [1.0] * 5)
    bins = make_bins(before, categorical=False)
    counts = [
        unit_counts(bins, each, pl.Series(["a"] * 100))[1][0] for each in (before, pl.Series("rain", [1.0] * 100))
    ]
    assert population_stability(*counts) > 1


def test_nan_counts_as_missing() -> None:
    bins = make_bins(pl.Series("x", [1.0, 2.0]), categorical=False)
    assert bins.codes(pl.Series("x", [float("nan"), None])).tolist() == [bins.count - 1] * 2


def test_categories_nobody_has_seen_share_a_bin() -> None:
    bins = make_bins(pl.Series("town", ["a", "a", "b", None]), categorical=True)
    assert bins.values == ("a", "b")
    assert bins.codes(pl.Series("town", ["a", "b", "c", "d", None])).tolist() == [0, 1, 2, 2, 3]


def test_units_keep_their_own_counts() -> None:
    bins = make_bins(pl.Series("town", ["a", "b"]), categorical=True)
    units, counts = unit_counts(bins, pl.Series("town", ["a", "b", "b"]), pl.Series(["2", "1", "1"]))
    assert units == ["1", "2"]
    assert counts.tolist() == [[0, 2, 0, 0], [1, 0, 0, 0]]


def counted(days: int, level: Callable[[int], float], seed: int, bins: Bins | None = None) -> tuple[Bins, IntArray]:
    """Fifty values a day around the day's level, as counts by day and bin."""
    random = np.random.default_rng(seed)
    values = pl.Series("x", np.concatenate([random.normal(level(day), 1, 50) for day in range(days)]))
    names = pl.Series([f"{day:03d}" for day in range(days) for _ in range(50)])
    bins = bins or make_bins(values, categorical=False)
    return bins, unit_counts(bins, values, names)[1]


def test_a_season_is_usual_however_large_its_index_and_a_jump_is_not() -> None:
    """Days in a row are alike: runs of the base's own days differ from all others as much as a new run does."""

    def season(day: int) -> float:
        return 2 * math.sin(2 * math.pi * day / 40)

    bins, before = counted(160, season, seed=1)
    _, spring = counted(10, season, seed=2, bins=bins)
    found = feature_difference(bins, before, spring)
    assert found.psi > 0.2  # what a fixed limit would call drift
    assert not found.unusual
    bins, before = counted(160, lambda day: 0.0, seed=3)
    _, same = counted(10, lambda day: 0.0, seed=4, bins=bins)
    _, jumped = counted(10, lambda day: 0.5, seed=4, bins=bins)
    assert not feature_difference(bins, before, same).unusual
    assert feature_difference(bins, before, jumped).unusual


def test_too_few_units_say_nothing_about_what_is_usual() -> None:
    bins = make_bins(pl.Series("x", [1.0]), categorical=False)
    counts = np.ones((5, bins.count), dtype=np.int64)
    assert feature_difference(bins, counts, counts[:3]).psi_of_units is None
    assert not feature_difference(bins, counts, counts[:3]).unusual


def test_shares_of_nulls() -> None:
    assert null_shares(pl.DataFrame({"a": [1, None, None, 4], "b": [1, 2, 3, 4]})) == {"a": 0.5}
    assert null_shares(pl.DataFrame()) == {}


@given(
    st.dictionaries(st.text(max_size=4), st.sampled_from("abc")),
    st.dictionaries(st.text(max_size=4), st.sampled_from("abc")),
)
def test_members_that_changed(before: dict[str, str], after: dict[str, str]) -> None:
    found = changed_members(before, after)
    rebuilt = {name: value for name, value in before.items() if found.get(name) != "removed"}
    rebuilt |= {name: after[name] for name, status in found.items() if status != "removed"}
    assert rebuilt == after
    assert set(found) == {name for name in {*before, *after} if before.get(name) != after.get(name)}


def lock(code: str = "a", through: str = "1", rate: float = 0.1, raw: str = "c") -> Lock:
    return Lock.parse(
        f"""schema: '2.0'
stages:
  ingest:
    cmd: get
    deps: [{{path: source.py, hash: md5, md5: {code * 32}}}]
    params: {{params.yaml: {{data: {{through: '{through}', rate: {rate}}}}}}}
    outs: [{{path: data/raw, hash: md5, md5: {raw * 32}.dir}}]
  features:
    cmd: build
    deps: [{{path: data/raw, hash: md5, md5: {raw * 32}.dir}}]
    outs: [{{path: data/features, hash: md5, md5: {raw * 32}.dir}}]
"""
    )


def test_causes_are_code_and_parameters_and_not_the_choice_of_batches() -> None:
    harmless = ("data.through",)
    assert causes_of_change(lock(), lock(through="2", raw="d"), "data/raw", harmless=harmless) == []
    assert causes_of_change(lock(), lock(code="b"), "data/raw", harmless=harmless) == ["source.py"]
    assert causes_of_change(lock(), lock(rate=0.2), "data/raw", harmless=harmless) == ["data.rate"]
    # What comes from another stage is no cause of its own.
    assert causes_of_change(lock(), lock(raw="d"), "data/features") == []
    assert causes_of_change(lock(), lock(), "data/unknown") == ["the stage that writes it"]


def test_a_listing_is_hashed_as_dvc_does() -> None:
    members = {"b/c": "415290769594460e2e485922904f345d", "a": "9dd4e461268c8034f5c8564e155c67a6"}
    tree = Tree()
    for name, md5 in members.items():
        tree.add(tuple(name.split("/")), Meta(), HashInfo("md5", md5))
    tree.digest()
    assert listing_md5(members) == tree.hash_info.value
