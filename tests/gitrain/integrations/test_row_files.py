import contextlib
import json

import pandera.polars as pa
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.data.contracts import TableContract
from gitrain.errors import DataError, UsageError
from gitrain.integrations.row_files import open_rows, read_json_lines

CONTRACT = TableContract(
    schema=pa.DataFrameSchema(
        {
            "n": pa.Column(pl.Int32),
            "x": pa.Column(pl.Float64, nullable=True),
            "text": pa.Column(pl.String, nullable=True),
            "yes": pa.Column(pl.Boolean),
            "at": pa.Column(pl.Datetime("us", "UTC")),
        }
    )
)
FRAME = pl.DataFrame(
    {"n": range(10), "x": [None, *(number / 7 for number in range(9))], "text": ["", "a,b", *[None] * 8]},
    schema_overrides={"n": pl.Int32},
).with_columns(yes=pl.col("n") > 4, at=pl.datetime(2024, 3, 1, pl.col("n"), time_zone="UTC"), more=pl.lit(1))


def lines(*rows) -> bytes:
    return b"\n".join(json.dumps(row, ensure_ascii=False).encode() for row in rows)


def test_parquet_is_read_part_by_part_without_other_columns(tmp_path):
    path = tmp_path / "rows[1].parquet"
    FRAME.select(reversed(FRAME.columns)).write_parquet(path, row_group_size=3)
    source = open_rows(path, CONTRACT)

    assert (source.rows, source.findings) == (10, ())
    assert source.schema == CONTRACT.dtypes
    read = pl.concat([source.read(start, 4) for start in range(0, 10, 4)])
    assert read.equals(FRAME.drop("more"))
    assert source.read(8, 4).height == 2


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.ndjson"])
def test_text_gets_the_contract_s_types(tmp_path, name):
    path = tmp_path / name
    frame = FRAME.with_columns(pl.col("text").replace("", "b"))
    if name.endswith("csv"):
        frame.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%SZ")
    else:
        rows = [row | {"at": row["at"].isoformat()} for row in frame.iter_rows(named=True)]
        path.write_bytes(lines(*rows))
    source = open_rows(path, CONTRACT)

    assert source.findings == ()
    assert source.read(0, 100).equals(frame.drop("more"))


def test_text_without_the_type_is_a_finding(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(lines({"n": 1.5, "x": "much", "yes": 1}))
    source = open_rows(path, CONTRACT)

    assert [finding.columns for finding in source.findings] == [("n",), ("x",), ("yes",)]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(40) + b"PAR1", b"n,x\n1,2\n"])
def test_damaged_parquet_is_told(tmp_path, content):
    path = tmp_path / "rows.parquet"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"rows\.parquet is a damaged parquet file"):
        open_rows(path, CONTRACT)


def test_what_is_no_file_is_told(tmp_path):
    for name, message in (("a.parquet", "is no file"), ("a.txt", r"is no \.parquet, \.csv, \.jsonl")):
        with pytest.raises(UsageError, match=message):
            open_rows(tmp_path / name, CONTRACT)
    with pytest.raises(UsageError, match="is no file"):
        read_json_lines(tmp_path)


def test_json_lines_are_text_with_nulls_where_a_key_is_absent(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1.50, "b": true}\r\n\n{"b": false, "c": "\\u2603"}\n{"a": null, "c": -0}\n')

    read = read_json_lines(path)
    assert read.text
    assert read.frame.to_dict(as_series=False) == {
        "a": ["1.50", None, None],
        "b": ["true", "false", None],
        "c": [None, "☃", "-0"],
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"[1]", "no JSON object"),
        (b"7", "no JSON object"),
        (b'{"a": [1]}', "'a' is no single value"),
        (b'{"a": {}}', "'a' is no single value"),
        (b'{"a": 1, "a": 1}', "a key stands twice"),
        (b'{"a": NaN}', "NaN is no JSON"),
        (b'{"a": 1', "no JSON in UTF-8"),
        (b'{"a": "\xff"}', "no JSON in UTF-8"),
        (b'{"a": "\\ud800"}', "'a' is no valid Unicode"),
        (b'{"\\ud800": 1}', "no valid Unicode"),
        (b"[" * 100_000, "no JSON in UTF-8"),
    ],
)
def test_a_line_that_is_none_is_told_with_its_number(tmp_path, line, message):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n\n' + line)
    with pytest.raises(DataError, match=rf"rows\.jsonl, line 3: .*{message}"):
        read_json_lines(path)


@given(st.binary(max_size=60))
def test_any_bytes_are_lines_or_a_data_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(b'{"a": ' + content + b"}")
    with contextlib.suppress(DataError):
        assert read_json_lines(path).frame.height >= 1
