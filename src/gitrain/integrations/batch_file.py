"""Single files of rows from outside: parquet and CSV, read so strictly that nothing is lost without a word."""

import csv
import io
from collections import Counter
from pathlib import Path

import polars as pl

from gitrain.data.incoming import BatchFile
from gitrain.data.validation_report import shown
from gitrain.errors import DataError, UsageError

__all__ = ["read_batch_file"]

_PARQUET, _CSV = ".parquet", ".csv"
_OTHER_DELIMITERS = ";\t|"


def read_batch_file(path: Path) -> BatchFile:
    """Read a parquet file, or a CSV file in UTF-8 with commas and a header.

    Raises:
        UsageError: there is no such file, or its name ends neither in .parquet nor in .csv.
        DataError: empty, cut short, in another encoding, with another delimiter, or with lines of different lengths.
    """
    suffix = path.suffix.lower()
    if suffix not in (_PARQUET, _CSV):
        raise UsageError(f"{path} is neither a .parquet nor a .csv file", fix="convert it, or correct its name.")
    try:
        content = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise UsageError(f"{path} is no file", fix="correct the path.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", fix="correct its permissions.") from error
    if not content.strip():
        raise DataError(f"{path.name} is empty ({len(content)} bytes)", fix="export it again.")
    if suffix == _PARQUET:
        return BatchFile(frame=_parquet(path.name, content), text=False)
    return BatchFile(frame=_csv(path.name, content), text=True)


def _parquet(name: str, content: bytes) -> pl.DataFrame:
    if content[:4] != b"PAR1":
        raise DataError(f"{name} does not start as a parquet file", fix="export it again as parquet.")
    if content[-4:] != b"PAR1":
        raise DataError(f"{name} is cut short: the end of a parquet file is missing", fix="copy or export it again.")
    try:
        return pl.read_parquet(io.BytesIO(content), hive_partitioning=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        reason = shown(" ".join(str(error).split()))
        raise DataError(f"{name} is a damaged parquet file: {reason}", fix="copy or export it again.") from error


def _csv(name: str, content: bytes) -> pl.DataFrame:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{name} is not UTF-8: line {line} has the byte 0x{content[error.start]:02x}", fix="export it as UTF-8."
        ) from error
    header = _check_shape(name, text)
    try:
        return pl.read_csv(
            io.BytesIO(text.encode()), infer_schema=False, new_columns=header, truncate_ragged_lines=False
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = shown(" ".join(str(error).split()))
        raise DataError(f"{name} is no valid CSV: {reason}", fix="export it again.") from error


def _check_shape(name: str, text: str) -> list[str]:
    """The header; Polars fills up lines that are too short, and renames columns that stand twice, in silence."""
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(lines)
        if len(header) == 1 and any(delimiter in header[0] for delimiter in _OTHER_DELIMITERS):
            raise DataError(
                f"{name} has one column, {shown(header[0])!r}: its fields are not separated by commas",
                fix="export it with commas.",
            )
        repeated = [column for column, count in Counter(header).items() if count > 1]
        if repeated:
            raise DataError(f"{name} has the column {shown(repeated[0])!r} twice", fix="take one of them out.")
        for fields in lines:
            if len(fields) != len(header):
                raise DataError(
                    f"{name} has {len(fields)} fields in line {lines.line_num} and {len(header)} in its header",
                    fix="export it again: it is cut short, or a comma is not quoted.",
                )
    except csv.Error as error:
        raise DataError(f"{name} is no valid CSV in line {lines.line_num}: {error}", fix="export it again.") from error
    return header
