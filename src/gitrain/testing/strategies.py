"""Strategies for hypothesis: rows of features that the project's contract allows, extreme ones above all."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from hypothesis import strategies as st

from gitrain.checks.extremes import bounds, extreme_values, kept_rows
from gitrain.data.contracts import TableContract

__all__ = ["feature_rows", "feature_values"]


def feature_values(contract: TableContract, name: str, seen: pl.Series) -> st.SearchStrategy[Any]:
    """Values of one column: its extremes and, between the bounds, any number.

    Args:
        contract: of the features.
        name: the column.
        seen: real values, of the column's type; they say what the contract leaves open.
    """
    extremes = st.sampled_from(extreme_values(contract, name, seen))
    column = contract.schema.columns.get(name)
    closed = column is not None and any(check.registry_name == "isin" for check in column.checks)
    if closed or not seen.dtype.is_numeric():
        return extremes
    low, high = bounds(contract, name, seen)
    if seen.dtype.is_integer():
        return extremes | st.integers(int(low), int(high))
    return extremes | st.floats(low, high, allow_nan=False, allow_infinity=False)


@st.composite
def feature_rows(
    draw: st.DrawFn,
    contract: TableContract,
    seen: pl.DataFrame,
    *,
    names: Sequence[str] | None = None,
    min_rows: int = 1,
    max_rows: int = 20,
) -> pl.DataFrame:
    """Frames of rows that keep the contract's checks and row rules.

    Args:
        draw: given by hypothesis.
        contract: of the features.
        seen: real rows, of the types that the features have.
        names: the columns; all of `seen` by default.
        min_rows: the least number of rows that are drawn; those that break a row rule are left out.
        max_rows: the largest.

    Returns:
        The columns `names` with the types of `seen`; at least one row.
    """
    chosen = list(names if names is not None else seen.columns)
    row: Mapping[str, st.SearchStrategy[Any]] = {name: feature_values(contract, name, seen[name]) for name in chosen}
    drawn = draw(st.lists(st.fixed_dictionaries(dict(row)), min_size=min_rows, max_size=max_rows))
    frame = pl.DataFrame(drawn, schema={name: seen.schema[name] for name in chosen}, orient="row")
    kept = kept_rows(frame, contract)
    # A real row is always allowed: examples are never thrown away for want of one.
    return kept if kept.height else seen.select(chosen).head(1)
