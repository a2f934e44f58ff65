"""Files of rows to predict: parquet, read part by part, and CSV or JSON lines, whose text is read as types strictly."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from gitrain.data.contracts import TableContract
from gitrain.data.incoming import BatchFile, cast_text
from gitrain.data.validation_report import Finding, shown
from gitrain.errors import DataError, UsageError
from gitrain.integrations.batch_file import read_batch_file
from gitrain.lineage import digest_of_file

__all__ = ["open_rows", "read_json_lines"]

_PARQUET = ".parquet"
_JSON_LINES = (".jsonl", ".ndjson")
_CSV = ".csv"


@dataclass(frozen=True, kw_only=True)
class _ParquetRows:
    path: Path
    digest: str
    rows: int
    schema: pl.Schema
    findings: tuple[Finding, ...] = ()

    def read(self, start: int, count: int) -> pl.DataFrame:
        try:
            return _scan(self.path).select(self.schema.names()).slice(start, count).collect()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            raise _damaged(self.path, error) from error


@dataclass(frozen=True, kw_only=True)
class _TextRows:
    frame: pl.DataFrame
    digest: str
    findings: tuple[Finding, ...]

    @property
    def rows(self) -> int:
        return self.frame.height

    @property
    def schema(self) -> pl.Schema:
        return self.frame.schema

    def read(self, start: int, count: int) -> pl.DataFrame:
        return self.frame.slice(start, count)


def open_rows(path: Path, contract: TableContract) -> _ParquetRows | _TextRows:
    """Open a parquet, CSV or JSON lines file as a `RowSource` with the columns of a contract; others are passed over.

    Raises:
        UsageError: there is no such file, or its name says that it is none of these.
        DataError: it cannot be read; the message says why.
    """
    suffix = path.suffix.lower()
    if suffix not in (_PARQUET, _CSV, *_JSON_LINES):
        raise UsageError(f"{path} is no .parquet, .csv, .jsonl or .ndjson file", fix="convert it, or correct its name.")
    if not path.is_file():
        raise UsageError(f"{path} is no file", fix="correct the path.")
    # Hashed first: what is read later was there by then, or the parts that are made from it say so.
    digest = digest_of_file(path)
    if suffix == _PARQUET:
        return _open_parquet(path, digest, contract.schema.columns)
    file = read_json_lines(path) if suffix in _JSON_LINES else read_batch_file(path)
    frame, findings = cast_text(file.frame.select(_wanted(file.frame.columns, contract.schema.columns)), contract)
    return _TextRows(frame=frame, digest=digest, findings=tuple(findings))


def _open_parquet(path: Path, digest: str, columns: Iterable[str]) -> _ParquetRows:
    try:
        scan = _scan(path)
        schema = scan.collect_schema()
        rows = scan.select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise _damaged(path, error) from error
    wanted = pl.Schema({name: schema[name] for name in _wanted(schema.names(), columns)})
    return _ParquetRows(path=path, digest=digest, rows=rows, schema=wanted)


def _scan(path: Path) -> pl.LazyFrame:
    return pl.scan_parquet(path, glob=False, hive_partitioning=False)


def _wanted(found: Iterable[str], columns: Iterable[str]) -> list[str]:
    there = set(found)
    return [name for name in columns if name in there]


def _damaged(path: Path, error: BaseException) -> DataError:
    reason = shown(" ".join(str(error).split()))
    return DataError(f"{path.name} is a damaged parquet file: {reason}", fix="copy or export it again.")


def read_json_lines(path: Path) -> BatchFile:
    """Read a file with one JSON object a line, in UTF-8; empty lines are passed over.

    Returns:
        The values as text, as in a CSV file: numbers as they are written, `true` and `false`. A null and a key that a
        line does not have are null.

    Raises:
        UsageError: there is no such file.
        DataError: a line is no JSON object, holds a key twice, a list, an object, NaN or infinity.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise UsageError(f"{path} is no file", fix="correct the path.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", fix="correct its permissions.") from error
    columns: dict[str, list[str | None]] = {}
    rows = 0
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        for key, value in _values(path.name, number, line):
            # A key that earlier lines do not have is null in them.
            column = columns.setdefault(key, [])
            column.extend([None] * (rows - len(column)))
            column.append(value)
        rows += 1
    if not rows:
        raise DataError(f"{path.name} is empty ({len(content)} bytes)", fix="export it again.")
    for column in columns.values():
        column.extend([None] * (rows - len(column)))
    return BatchFile(frame=pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)), text=True)


def _values(name: str, number: int, line: bytes) -> list[tuple[str, str | None]]:
    def pairs(found: list[tuple[str, Any]]) -> "_Object":
        return _Object(found)

    try:
        row = json.loads(
            line.decode(), object_pairs_hook=pairs, parse_int=str, parse_float=str, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{name}, line {number}: no JSON in UTF-8: {shown(str(error))}", fix="export it again."
        ) from error
    if not isinstance(row, _Object):
        raise DataError(f"{name}, line {number}: no JSON object", fix='write one object a line: {"key": value, ...}.')
    if len({key for key, _ in row.pairs}) < len(row.pairs):
        raise DataError(f"{name}, line {number}: a key stands twice", fix="take one of them out.")
    found: list[tuple[str, str | None]] = []
    for key, value in row.pairs:
        if isinstance(value, list | _Object):
            raise DataError(
                f"{name}, line {number}: {shown(key)!r} is no single value", fix="write a number, text or null."
            )
        text = {True: "true", False: "false"}[value] if isinstance(value, bool) else value
        if not (_is_unicode(key) and (text is None or _is_unicode(text))):
            raise DataError(f"{name}, line {number}: {shown(key)!r} is no valid Unicode", fix="export it again.")
        found.append((key, text))
    return found


def _is_unicode(text: str) -> bool:
    """Whether no half of a surrogate pair stands alone in it."""
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


@dataclass(frozen=True)
class _Object:
    pairs: list[tuple[str, Any]]


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
