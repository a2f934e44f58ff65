import pandera.polars as pa
import polars as pl
import pytest
from tests.gitrain.checks.trips import project
from tests.gitrain.training.generated import frame

from gitrain.checks.extremes import bounds, extreme_rows, extreme_values, kept_rows
from gitrain.data.contracts import OpenCategory, TableContract

CONTRACT = project().feature_contract
NAMES = list(CONTRACT.schema.columns)
SEEN = frame(300)


def one(column, **options):
    return TableContract(schema=pa.DataFrameSchema({"x": column}), **options)


@pytest.mark.parametrize(
    ("column", "seen", "expected"),
    [
        (pa.Column(pl.Float64, pa.Check.in_range(0, 9)), [1.0, 2.0], (0, 9)),
        (pa.Column(pl.Int32, pa.Check.in_range(0, 9, include_min=False, include_max=False)), [1, 2], (1, 8)),
        (pa.Column(pl.Int32, [pa.Check.gt(2.5), pa.Check.lt(7.5)]), [3, 4], (3, 7)),
        (pa.Column(pl.Float64, [pa.Check.ge(-1), pa.Check.ge(0), pa.Check.le(5)]), [1.0], (0, 5)),
        (pa.Column(pl.Float64, pa.Check.le(5)), [0.0, 2.0], (-2000, 5)),
        (pa.Column(pl.Int8), [0, 2], (-128, 127)),
        (pa.Column(pl.Float64, nullable=True), [None, None], (-1000, 1001)),
    ],
)
def test_bounds_are_the_contract_s(column, seen, expected):
    values = pl.Series("x", seen, dtype=column.dtype.type)

    assert bounds(one(column), "x", values) == pytest.approx(expected)


def test_open_bounds_are_not_reached():
    low, high = bounds(one(pa.Column(pl.Float64, [pa.Check.gt(0), pa.Check.lt(1)])), "x", pl.Series("x", [0.5]))

    assert 0 < low < 1e-300
    assert 1 - 1e-15 < high < 1


def test_values_of_categories():
    closed = one(pa.Column(pl.String, pa.Check.isin(["b", "a"]), nullable=True))
    opened = one(pa.Column(pl.String), open_categories={"x": OpenCategory(known=frozenset({"a", "q"}))})
    seen = pl.Series("x", ["a", "b"])

    assert extreme_values(closed, "x", seen) == [None, "a", "b"]
    assert extreme_values(opened, "x", seen)[:4] == ["a", "b", "q", "ZZZ"]


def test_rows_keep_the_contract_and_reach_its_ends():
    rows = extreme_rows(SEEN, CONTRACT, names=NAMES, seed=1, most=500)

    CONTRACT.schema.validate(rows)
    assert rows.schema == SEEN.select(NAMES).schema
    assert rows.height == 500
    assert (rows["slope"].min(), rows["slope"].max()) == (-10, 10)
    assert rows["gusts"].min() == 0
    assert rows["gusts"].max() > 1000 * 50
    assert set(rows["carrier"].unique()) == {None, "C0", "C1", "C2", "C3"}
    assert rows.filter(pl.col("carrier").is_null() & pl.col("gusts").is_null()).height


def test_equal_arguments_give_equal_rows():
    first, second = (extreme_rows(SEEN, CONTRACT, names=NAMES, seed=1, most=200) for _ in range(2))

    assert first.equals(second)
    assert not first.equals(extreme_rows(SEEN, CONTRACT, names=NAMES, seed=2, most=200))


def test_row_rules_are_kept():
    contract = TableContract(
        schema=pa.DataFrameSchema({name: pa.Column(pl.Int32, pa.Check.in_range(0, 9)) for name in ("low", "high")}),
        row_rules={"low is below high": pl.col("low") < pl.col("high")},
    )
    seen = pl.DataFrame({"low": [1, 2], "high": [3, 4]}, schema={"low": pl.Int32, "high": pl.Int32})

    rows = extreme_rows(seen, contract, names=["low", "high"], seed=0, most=300)

    assert rows.height > 100
    assert (rows["low"] < rows["high"]).all()


def test_a_column_without_a_contract_is_judged_by_what_was_seen():
    empty = one(pa.Column(pl.Int64))
    rows = extreme_rows(SEEN, empty, names=["slope", "carrier"], seed=0, most=100)

    assert rows["slope"].max() > 1000
    assert "ZZZ" in rows["carrier"].to_list()
    assert extreme_rows(SEEN.clear(), empty, names=["slope"], seed=0, most=9).is_empty()


def test_checks_that_only_warn_keep_their_rows():
    contract = one(pa.Column(pl.Int64, pa.Check.le(5, raise_warning=True)))

    assert kept_rows(pl.DataFrame({"x": [1, 9]}), contract).height == 2
