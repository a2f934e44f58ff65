from datetime import timedelta

import pandera.polars as pa
import polars as pl
import pytest

from gitrain.data.contracts import OpenCategory, TableContract
from gitrain.errors import ProjectError

COLUMNS = {
    "id": pa.Column(pl.Int64),
    "at": pa.Column(pl.Datetime("us", "UTC")),
    "day": pa.Column(pl.Date),
    "speed": pa.Column(pl.Float64, nullable=True),
    "kind": pa.Column(pl.String),
}
SCHEMA = pa.DataFrameSchema(COLUMNS, strict=True)


class Model(pa.DataFrameModel):
    id: int


@pytest.mark.parametrize(
    ("part", "options", "said"),
    [
        ("a column of the key", {"key": ("id", "number")}, "key of the contract names the column 'number'"),
        ("the key", {"key": ("id", "id")}, "names a column twice"),
        ("a row rule's column", {"row_rules": {"r": pl.col("sped") > 0}}, "row rule 'r' of the contract names"),
        ("a row rule's type", {"row_rules": {"r": pl.col("speed") + 1}}, "gives Float64, not true or false"),
        ("a row rule's parts", {"row_rules": {"r": pl.col("kind") > 1}}, "cannot be computed"),
        ("a null share's column", {"max_null_share": {"sped": 0.1}}, "max_null_share of the contract names"),
        ("a null share", {"max_null_share": {"speed": 10}}, "is 10"),
        ("a warning's share", {"warn_null_share": {"speed": -0.1}}, "is -0.1"),
        ("the quarantine's share", {"max_quarantined_share": 5}, "max_quarantined_share of the contract is 5"),
        ("rows", {"rows": (10, 5)}, "rows of the contract is (10, 5)"),
        ("event_time", {"event_time": "when"}, "event_time of the contract names the column 'when'"),
        ("event_time's type", {"event_time": "id"}, "event_time of the contract gives Int64"),
        ("max_age", {"max_age": timedelta(days=1)}, "max_age and no event_time"),
        ("max_age's sign", {"event_time": "at", "max_age": timedelta(0)}, "max_age of the contract is 0:00:00"),
        ("typical's column", {"typical": {"sped": (0, 1)}}, "typical of the contract names"),
        ("typical's type", {"typical": {"kind": (0, 1)}}, "'kind', which is String"),
        ("typical's order", {"typical_median": {"speed": (2, 1)}}, "is (2, 1)"),
        ("an open category", {"open_categories": {"sort": OpenCategory(known=())}}, "open_categories of the contract"),
        ("its share", {"open_categories": {"kind": OpenCategory(known=("a",), max_share=2)}}, "max_share of the"),
        ("non_finite", {"non_finite": ("id",)}, "'id', which is Int64"),
        ("an empty schema", {"schema": pa.DataFrameSchema({})}, "has no columns"),
        ("a model", {"schema": Model}, "not a pandera.polars.DataFrameSchema"),
        ("a pattern", {"schema": pa.DataFrameSchema({"^a.*$": pa.Column(pl.Int64, regex=True)})}, "is a pattern"),
        ("no type", {"schema": pa.DataFrameSchema({"a": pa.Column()})}, "'a' of the contract has no type"),
        ("coerce", {"schema": pa.DataFrameSchema(COLUMNS, coerce=True)}, "sets coerce"),
        ("a filter", {"schema": pa.DataFrameSchema(COLUMNS, strict="filter")}, "sets strict='filter'"),
        ("a default", {"schema": pa.DataFrameSchema({"a": pa.Column(pl.Int64, default=0)})}, "sets default"),
        ("a coerced column", {"schema": pa.DataFrameSchema({"a": pa.Column(pl.Int64, coerce=True)})}, "sets coerce"),
        ("a column named reason", {"schema": pa.DataFrameSchema({"reason": pa.Column(pl.String)})}, "in quarantine"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_contract_refuses_parts_that_do_not_fit(part, options, said):
    with pytest.raises(ProjectError) as caught:
        TableContract(**{"schema": SCHEMA, **options})
    assert said in caught.value.what
    assert caught.value.fix


def test_a_contract_that_fits_is_taken():
    contract = TableContract(
        schema=SCHEMA,
        key=("id",),
        row_rules={"positive": pl.col("speed") > 0},
        event_time=pl.col("at").dt.convert_time_zone("America/New_York"),
        max_age=timedelta(days=1),
        typical={"speed": (0, 100)},
    )
    assert dict(contract.dtypes) == {
        "id": pl.Int64,
        "at": pl.Datetime("us", "UTC"),
        "day": pl.Date,
        "speed": pl.Float64,
        "kind": pl.String,
    }


@pytest.mark.parametrize(
    ("event_time", "expected"),
    [
        ("at", "2024-03-01 03:00:00"),
        (pl.col("at").dt.convert_time_zone("America/New_York"), "2024-02-29 22:00:00"),
        ("day", "2024-03-01 00:00:00"),
    ],
)
def test_event_time_is_a_wall_clock_without_a_zone(event_time, expected):
    expression = TableContract(schema=SCHEMA, event_time=event_time).event_time_expression
    assert expression is not None
    frame = pl.DataFrame({"at": ["2024-03-01T03:00:00Z"], "day": ["2024-03-01"]}).select(
        pl.col("at").str.to_datetime(time_zone="UTC"), pl.col("day").str.to_date()
    )
    result = frame.select(expression.alias("when"))
    assert result.schema["when"] == pl.Datetime("us")
    assert str(result.item()) == expected
