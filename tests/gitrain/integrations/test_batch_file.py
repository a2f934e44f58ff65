import io
import random

import polars as pl
import pytest

from gitrain.errors import DataError
from gitrain.integrations.batch_file import read_batch_file

FRAME = pl.DataFrame({"a": ["x", None, 'ü,\n"quoted"'], "b": ["1", "2", "3"]})


def parquet() -> bytes:
    stream = io.BytesIO()
    FRAME.write_parquet(stream)
    return stream.getvalue()


def test_parquet_keeps_its_types(tmp_path):
    file = tmp_path / "month=3.parquet"
    FRAME.with_columns(pl.col("b").cast(pl.Int8)).write_parquet(file)
    read = read_batch_file(file)
    assert not read.text
    assert read.frame.equals(FRAME.with_columns(pl.col("b").cast(pl.Int8)))


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_csv_is_text_with_nulls_for_empty_fields(tmp_path, ending, mark):
    file = tmp_path / "batch.CSV"
    file.write_bytes((mark + FRAME.write_csv(line_terminator=ending)).encode())
    read = read_batch_file(file)
    assert read.text
    assert read.frame.equals(FRAME)


def test_a_header_alone_is_no_rows(tmp_path):
    file = tmp_path / "batch.csv"
    file.write_text("a,b\n", encoding="utf-8")
    assert read_batch_file(file).frame.equals(FRAME.clear())


def test_parquet_cut_anywhere_is_refused(tmp_path):
    whole = parquet()
    file = tmp_path / "batch.parquet"
    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        with pytest.raises(DataError):
            read_batch_file(file)


def test_damaged_parquet_is_refused_or_read_and_never_anything_else(tmp_path, capfd):
    generator = random.Random(7)
    whole = parquet()
    file = tmp_path / "batch.parquet"
    refused = 0
    for _ in range(200):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[generator.randrange(4, len(whole) - 4)] = generator.randrange(256)
        file.write_bytes(damaged)
        try:
            read_batch_file(file)
        except DataError:
            refused += 1
    assert refused > 20
