import pandera.polars as pa
import polars as pl
from hypothesis import Phase, find, given, settings
from tests.gitrain.checks.trips import project
from tests.gitrain.training.generated import frame

from gitrain.data.contracts import TableContract
from gitrain.testing.strategies import feature_rows

CONTRACT = project().feature_contract
SEEN = frame(200).select(list(CONTRACT.schema.columns))
WITH_RULE = TableContract(
    schema=pa.DataFrameSchema({"low": pa.Column(pl.Int32, pa.Check.in_range(0, 9)), "high": pa.Column(pl.Int32)}),
    row_rules={"low is below high": pl.col("low") < pl.col("high")},
)
PAIRS = pl.DataFrame({"low": [1, 2], "high": [3, 4]}, schema={"low": pl.Int32, "high": pl.Int32})


@given(feature_rows(CONTRACT, SEEN))
def test_rows_keep_the_contract(rows):
    assert rows.schema == SEEN.schema
    assert rows.height
    CONTRACT.schema.validate(rows)


@given(feature_rows(WITH_RULE, PAIRS))
def test_rows_keep_the_row_rules(rows):
    assert (rows["low"] < rows["high"]).all()
    assert rows["low"].is_between(0, 9).all()


def test_extremes_are_found():
    some = settings(max_examples=100, phases=[Phase.generate])
    rows = feature_rows(CONTRACT, SEEN, max_rows=3)
    for wanted in (pl.col("slope") == -10, pl.col("gusts").is_null(), pl.col("gusts") > 10_000):

        def has(found, wanted=wanted):
            return found.select(wanted.any()).item() is True

        assert find(rows, has, settings=some).height
