from datetime import UTC, date, datetime, time

import pandera.polars as pa
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.data.contracts import TableContract
from gitrain.data.incoming import cast_text

TYPES: dict[str, pl.DataType | type[pl.DataType]] = {
    "whole": pl.Int64,
    "small": pl.Int8,
    "number": pl.Float64,
    "text": pl.String,
    "truth": pl.Boolean,
    "day": pl.Date,
    "clock": pl.Time,
    "moment": pl.Datetime("us", "UTC"),
    "local": pl.Datetime("us"),
    "eastern": pl.Datetime("us", "America/New_York"),
    "kind": pl.Enum(["a", "b"]),
}
CONTRACT = TableContract(
    schema=pa.DataFrameSchema({name: pa.Column(dtype, nullable=True) for name, dtype in TYPES.items()})
)

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1))
ROW = st.fixed_dictionaries(
    {
        "whole": st.integers(-(2**63), 2**63 - 1),
        "small": st.integers(-128, 127),
        "number": st.floats(allow_nan=False, allow_infinity=False),
        "text": st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1),
        "truth": st.booleans(),
        "day": st.dates(date(1970, 1, 1), date(2100, 1, 1)),
        "clock": st.times().map(lambda at: time(at.hour, at.minute, at.second, at.microsecond)),
        "moment": MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC)),
        "local": MOMENTS,
        "eastern": MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC)),
        "kind": st.sampled_from(["a", "b"]),
    }
)


def cast(column: str, *values: str | None) -> tuple[list[object], list[str]]:
    contract = TableContract(schema=pa.DataFrameSchema({column: pa.Column(TYPES[column], nullable=True)}))
    frame, findings = cast_text(pl.DataFrame({column: values}, schema={column: pl.String}), contract)
    return frame[column].to_list(), [finding.message for finding in findings]


@given(st.lists(ROW.map(dict), max_size=5))
def test_what_is_written_as_text_is_read_as_it_was(rows):
    original = pl.DataFrame(rows, schema=TYPES)
    iso = [pl.col(name).dt.strftime("%Y-%m-%dT%H:%M:%S%.6f%:z") for name in ("moment", "eastern")]
    text = original.with_columns(*iso, pl.col("local").dt.strftime("%Y-%m-%dT%H:%M:%S%.6f"))
    text = text.with_columns(pl.col("clock").dt.strftime("%H:%M:%S%.6f"))
    text = text.select(pl.col(name).cast(pl.String) for name in TYPES)
    frame, findings = cast_text(text, CONTRACT)
    assert findings == []
    assert frame.equals(original)


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        ("truth", "TRUE", True),
        ("moment", "2024-03-01T06:00:00Z", datetime(2024, 3, 1, 6, tzinfo=UTC)),
        ("moment", "2024-03-01 06:00:00+01:00", datetime(2024, 3, 1, 5, tzinfo=UTC)),
        ("moment", "2024-03-01T06:00Z", datetime(2024, 3, 1, 6, tzinfo=UTC)),
        ("local", "2024-03-01 06:00", datetime(2024, 3, 1, 6)),
        ("number", "1e3", 1000.0),
        ("whole", None, None),
    ],
)
def test_forms_that_are_read(column, text, value):
    assert cast(column, text) == ([value], [])


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("whole", "1.0"),
        ("whole", " 1"),
        ("whole", "1,000"),
        ("whole", "9223372036854775808"),
        ("small", "128"),
        ("number", "1,5"),
        ("number", "16 C"),
        ("truth", "yes"),
        ("truth", "1"),
        ("day", "01.03.2024"),
        ("day", "2024-02-30"),
        ("day", "2024-03-01T00:00:00"),
        ("moment", "2024-03-01T06:00:00"),
        ("local", "2024-03-01T06:00:00Z"),
        ("local", "2024-03-01"),
        ("kind", "c"),
    ],
)
def test_forms_that_are_refused_stay_text_and_are_named(column, text):
    values, messages = cast(column, text, None)
    assert values == [text, None]
    assert len(messages) == 1
    assert messages[0].startswith(f"the column {column} has 1 value that is no {TYPES[column]}")


def test_a_type_without_a_text_form_asks_for_parquet():
    contract = TableContract(schema=pa.DataFrameSchema({"a": pa.Column(pl.List(pl.Int64))}))
    _, findings = cast_text(pl.DataFrame({"a": ["[1]"]}), contract)
    assert "hand over parquet" in findings[0].message
