"""Extreme inputs that a contract allows: bounds, every category, one nobody has seen, nulls, and all of them mixed."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.data.contracts import TableContract
from gitrain.data.row_checks import judge_rows

__all__ = ["bounds", "extreme_rows", "extreme_values", "kept_rows"]

_CATEGORIES = 40
_UNSEEN = ("ZZZ", "QQ7", "unseen", "", "☃")
# Where the contract has no bound, values reach so many times the range that was seen beyond it.
_BEYOND = 1000.0
_BASE_ROWS = 3


def bounds(contract: TableContract, name: str, seen: pl.Series) -> tuple[float, float]:
    """The least and the largest number that the contract allows in a column.

    Read from pandera's own checks (`ge`, `gt`, `le`, `lt`, `in_range`). Where these leave a side open it is 1000 times
    the range of `seen` beyond what was seen, within what the column's type can hold.

    Args:
        contract: of the features.
        name: the column.
        seen: values of the column, of the type that the rows have.
    """
    lows, highs = [], []
    column = contract.schema.columns.get(name)
    for check in column.checks if column is not None else ():
        kind, statistics = check.registry_name, check.statistics or {}
        if kind in ("greater_than_or_equal_to", "greater_than", "in_range"):
            is_open = kind == "greater_than" or statistics.get("include_min") is False
            lows.append(_inside(statistics["min_value"], math.inf, seen.dtype, is_open=is_open))
        if kind in ("less_than_or_equal_to", "less_than", "in_range"):
            is_open = kind == "less_than" or statistics.get("include_max") is False
            highs.append(_inside(statistics["max_value"], -math.inf, seen.dtype, is_open=is_open))
    numbers = _numbers(seen)
    least, largest = (float(numbers.min()), float(numbers.max())) if numbers.size else (0.0, 1.0)
    beyond = _BEYOND * max(largest - least, abs(largest), abs(least), 1.0)
    low, high = max(lows, default=least - beyond), min(highs, default=largest + beyond)
    if seen.dtype.is_integer():
        low = max(low, float(pl.select(seen.dtype.min()).item()))  # type: ignore[attr-defined]
        high = min(high, float(pl.select(seen.dtype.max()).item()))  # type: ignore[attr-defined]
    return low, high


def extreme_values(contract: TableContract, name: str, seen: pl.Series) -> list[object]:
    """Values of one column that are as far out as the contract allows; None where it may be null.

    Args:
        contract: of the features. A column that it does not name is judged by what was seen.
        name: the column.
        seen: values of the column, of the type that the rows have.
    """
    column = contract.schema.columns.get(name)
    nullable = bool(column.nullable) if column is not None else seen.null_count() > 0
    nulls: list[object] = [None] if nullable else []
    for check in column.checks if column is not None else ():
        if check.registry_name == "isin":
            return [*nulls, *sorted((check.statistics or {})["allowed_values"])]
    if seen.dtype == pl.Boolean:
        return [*nulls, False, True]
    if not seen.dtype.is_numeric():
        open_category = contract.open_categories.get(name)
        known = {str(value) for value in (open_category.known if open_category is not None else ())}
        known |= {str(value) for value in seen.drop_nulls().unique()}
        return [*nulls, *sorted(known)[:_CATEGORIES], *(value for value in _UNSEEN if value not in known)]
    low, high = bounds(contract, name, seen)
    numbers = _numbers(seen)
    found = {low, high, 0.0} | ({float(numbers.min()), float(numbers.max())} if numbers.size else set())
    within = sorted(value for value in found if low <= value <= high)
    return [*nulls, *((int(value) for value in within) if seen.dtype.is_integer() else within)]


def extreme_rows(
    features: pl.DataFrame, contract: TableContract, *, names: Sequence[str], seed: int, most: int
) -> pl.DataFrame:
    """Rows of features that the contract allows and that hardly ever occur; equal arguments give equal rows.

    First each extreme value of each column alone, in rows that were really seen; then all columns at their least, their
    largest and null together; the rest are mixtures at random. What breaks a check or a row rule of the contract is
    left out.

    Args:
        features: rows that were seen, with at least `names`.
        contract: of the features.
        names: the columns that the model takes.
        seed: of the mixtures.
        most: the largest number of rows.

    Returns:
        The columns `names` with the types of `features`.
    """
    seen = features.select(names)
    if seen.is_empty():
        return seen
    random = np.random.default_rng(seed)
    base = seen[np.sort(random.choice(seen.height, min(_BASE_ROWS, seen.height), replace=False)).tolist()]
    held: dict[str, list[object]] = {}
    parts = []
    for name in names:
        values = extreme_values(contract, name, seen[name])
        crossed = pl.concat([_with(base, {name: value}).with_columns(_number=at) for at, value in enumerate(values)])
        rows = kept_rows(crossed, contract)
        # What does not hold up alone (an unseen category where the contract is closed) is not mixed in either.
        held[name] = [values[at] for at in rows["_number"].unique().sort()]
        parts.append(rows.drop("_number"))
    together = [
        {name: values[0] for name, values in held.items() if values},
        {name: values[-1] for name, values in held.items() if values},
        {name: next((v for v in values if v is not None), None) for name, values in held.items() if values},
    ]
    parts += [kept_rows(_with(base, values), contract) for values in together]
    alone = pl.concat(parts)
    if alone.height >= most:
        some: list[int] = np.sort(random.choice(alone.height, most, replace=False)).tolist()
        return alone[some]
    mixed = pl.DataFrame(
        {
            name: pl.Series(
                name,
                [values[at] for at in random.integers(0, len(values), most - alone.height)]
                if values
                else seen[name].sample(most - alone.height, with_replacement=True, seed=seed),
                dtype=seen.schema[name],
            )
            for name, values in held.items()
        }
    )
    return pl.concat([alone, kept_rows(mixed, contract)])


def kept_rows(rows: pl.DataFrame, contract: TableContract) -> pl.DataFrame:
    """The rows that keep every check and row rule of the contract whose columns are all there."""
    usable = [
        name
        for name, dtype in rows.schema.items()
        if name in contract.schema.columns and contract.dtypes[name] == dtype
    ]
    broken: NDArray[np.bool_] = np.zeros(rows.height, dtype=np.bool_)
    for rule in judge_rows(rows, contract, usable).broken:
        if not rule.warns:
            broken |= rule.broken.to_numpy()
    return rows.filter(pl.Series(~broken))


def _with(rows: pl.DataFrame, values: Mapping[str, object]) -> pl.DataFrame:
    return rows.with_columns(pl.lit(value, dtype=rows.schema[name]).alias(name) for name, value in values.items())


def _numbers(seen: pl.Series) -> NDArray[np.float64]:
    return seen.drop_nulls().cast(pl.Float64).drop_nans().to_numpy()


def _inside(bound: float, towards: float, dtype: pl.DataType, *, is_open: bool) -> float:
    """The bound itself, or the nearest number within it where the bound is not allowed."""
    number = float(bound)
    if dtype.is_integer():
        inwards = 1 if towards > 0 else -1
        rounded = math.ceil(number) if towards > 0 else math.floor(number)
        return float(rounded + inwards if is_open and rounded == number else rounded)
    return math.nextafter(number, towards) if is_open else number
