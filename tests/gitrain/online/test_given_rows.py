from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from gitrain.online.given_rows import GivenRows, RowSchema, can_be_remembered, is_short

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SCHEMA = RowSchema({"origin": pl.String(), "number": pl.Int32(), "at": pl.Datetime("us", "UTC")})
ROWS: list[dict[str, Any]] = [
    {"number": 7, "origin": "JFK", "at": NOON},
    {"origin": None, "at": NOON, "number": 8},
    {"origin": "EWR"},
]


def test_values_are_had_without_a_frame():
    rows = GivenRows(ROWS, SCHEMA)

    assert rows.values("origin") == ["JFK", None, "EWR"]
    assert rows.values("number") == [7, 8, None]
    assert rows.where([True, False, True]).by_row() == [
        {"origin": "JFK", "number": 7, "at": NOON},
        {"origin": "EWR", "number": None, "at": None},
    ]
    assert "frame" not in vars(rows)
    assert rows.frame.to_dicts() == rows.by_row()


@pytest.mark.parametrize(
    ("dtype", "given", "values"),
    [
        (pl.Float32(), 0.1, [0.10000000149011612]),
        (pl.Float64(), 3, [3.0]),
        (pl.Datetime("ms"), datetime(2026, 1, 1, 0, 0, 0, 123456), [datetime(2026, 1, 1, 0, 0, 0, 123000)]),
        (pl.Datetime("us", "America/New_York"), NOON, [NOON]),
    ],
)
def test_what_a_frame_changes_is_what_it_makes_of_it(dtype, given, values):
    rows = GivenRows([{"x": given}], RowSchema({"x": dtype}))

    assert rows.values("x") == values
    assert [type(value) for value in rows.values("x")] == [type(value) for value in rows.frame["x"].to_list()]
    assert str(rows.values("x")[0]) == str(rows.frame["x"].to_list()[0])
    assert not can_be_remembered(dtype)


def test_a_frame_s_rows_are_the_same_one_or_many():
    frame = GivenRows(ROWS, SCHEMA).frame

    for height in (1, 2, 3):
        rows = GivenRows.of(frame.head(height))
        assert (len(rows), rows.by_row()) == (height, frame.head(height).to_dicts())
        assert rows.where([True] * height).frame.equals(frame.head(height))
        assert GivenRows.of(rows) is rows


def test_schemas_are_equal_if_their_columns_are_in_the_same_order():
    same = RowSchema(dict(SCHEMA.dtypes))

    assert same == SCHEMA
    assert hash(same) == hash(SCHEMA)
    assert RowSchema(dict(reversed(SCHEMA.dtypes.items()))) != SCHEMA
    assert RowSchema(SCHEMA.dtypes | {"number": pl.Int64()}) != SCHEMA


def test_a_long_text_is_not_remembered():
    assert is_short((1, None, "x" * 64, NOON))
    assert not is_short((1, "x" * 65))
