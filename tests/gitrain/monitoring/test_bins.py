"""Bins of names; those of numbers are tested with the distances that are read from them."""

import polars as pl
import pytest

from gitrain.monitoring.bins import OTHER, CategoryBins, bins_of


@pytest.mark.parametrize("name", ["kind", "count", "name", "", "proportion"])
def test_a_feature_may_have_any_name(name):
    values = pl.Series(name, ["b", "a", None, "b", "c"])

    bins = bins_of(values, category=True)

    assert isinstance(bins, CategoryBins)
    assert bins.categories == ("b", "a", "c", OTHER)
    assert bins.count(values)[0].tolist() == [2, 1, 1, 0, 1]
    assert bins.numbers(values).tolist() == [0, 1, 4, 0, 2]
