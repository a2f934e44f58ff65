"""New batches from outside the pipeline: how they are read, and strict types for text."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import polars as pl

from gitrain.data.contracts import TableContract
from gitrain.data.validation_report import EXAMPLES, Example, Finding, share_of, shown

__all__ = ["BatchFile", "BatchReader", "cast_text"]

_ZONE = r"(?:Z|[+-]\d{2}:?\d{2})$"
_SECONDS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M")


@dataclass(frozen=True, kw_only=True)
class BatchFile:
    """What a file holds.

    Attributes:
        frame: the rows.
        text: every column is text, as in a CSV file, and has no type of its own yet.
    """

    frame: pl.DataFrame
    text: bool


class BatchReader(Protocol):
    """Reads one file of rows; `gitrain.integrations.batch_file` does it for parquet and CSV."""

    def __call__(self, path: Path) -> BatchFile:
        """The rows of a file.

        Raises:
            UsageError: there is no such file, or its name says that it is neither parquet nor CSV.
            DataError: it cannot be read; the message says why.
        """


def cast_text(frame: pl.DataFrame, contract: TableContract) -> tuple[pl.DataFrame, list[Finding]]:
    """Give the columns of a text file the types of a contract, strictly.

    An empty field is null. Numbers are written without spaces or separators, integers without a point, booleans as
    true and false, dates and datetimes as ISO 8601; a datetime has an offset (or Z) exactly if its type has a zone.
    A column with a value that cannot be read so stays text and is a finding that fails the batch.

    Args:
        frame: columns of strings.
        contract: whose types.

    Returns:
        The frame with the types, and the findings.
    """
    findings = []
    typed: list[pl.Series] = []
    for series in frame.iter_columns():
        dtype = contract.dtypes.get(series.name)
        if dtype is None or dtype == pl.String:
            typed.append(series)
            continue
        cast = _cast(series, dtype)
        if cast is None:
            findings.append(_no_text_form(series.name, dtype))
            typed.append(series)
            continue
        failed = cast.is_null() & series.is_not_null()
        if failed.any():
            findings.append(_unreadable(frame, series, dtype, failed, contract))
        typed.append(series if failed.any() else cast)
    return pl.DataFrame(typed), findings


def _cast(series: pl.Series, dtype: pl.DataType) -> pl.Series | None:
    """The values in a type, null where a text has no such value; None if no text stands for this type."""
    if isinstance(dtype, pl.Boolean):
        return series.str.to_lowercase().replace_strict(
            {"true": True, "false": False}, default=None, return_dtype=dtype
        )
    if isinstance(dtype, pl.Datetime):
        return _datetimes(series, dtype)
    if isinstance(dtype, pl.Date):
        return series.str.to_date("%Y-%m-%d", strict=False)
    if isinstance(dtype, pl.Time):
        return series.str.to_time("%H:%M:%S%.f", strict=False)
    if dtype.is_numeric() or isinstance(dtype, pl.Enum | pl.Categorical):
        return series.cast(dtype, strict=False)
    return None


def _datetimes(series: pl.Series, dtype: pl.Datetime) -> pl.Series:
    text = series.str.replace(r"^(\S{10}) ", "${1}T")
    unit = dtype.time_unit
    if dtype.time_zone is None:
        # A text with an offset does not fit: it knows the moment, and a type without a zone would forget it.
        return _first([text.str.to_datetime(form, time_unit=unit, strict=False) for form in _SECONDS])
    text = text.str.replace(r"Z$", "+00:00")
    moments = [text.str.to_datetime(f"{form}%:z", time_unit=unit, strict=False, time_zone="UTC") for form in _SECONDS]
    return _first(moments).dt.convert_time_zone(dtype.time_zone)


def _first(candidates: list[pl.Series]) -> pl.Series:
    return pl.select(pl.coalesce(candidates)).to_series().rename(candidates[0].name)


def _unreadable(
    frame: pl.DataFrame, series: pl.Series, dtype: pl.DataType, failed: pl.Series, contract: TableContract
) -> Finding:
    count = int(failed.sum())
    said = "1 value that is" if count == 1 else f"{count:,} values that are"
    key = [name for name in contract.key if name in frame.columns and name != series.name]
    rows = frame.with_row_index("\0row").filter(failed).head(EXAMPLES).rows(named=True)
    return Finding(
        rule="type",
        severity="fail",
        columns=(series.name,),
        message=f"the column {shown(series.name)} has {said} no {dtype}{_hint(series, dtype)}",
        count=count,
        share=share_of(count, frame.height),
        examples=tuple(
            Example(
                value=shown(row[series.name]),
                row={name: shown(row[name]) for name in key} or {"row": str(row["\0row"])},
            )
            for row in rows
        ),
    )


def _hint(series: pl.Series, dtype: pl.DataType) -> str:
    if not isinstance(dtype, pl.Datetime):
        return ""
    first = series.drop_nulls().first()
    zoned = isinstance(first, str) and re.search(_ZONE, first) is not None
    if dtype.time_zone is not None and not zoned:
        return ": the offset from UTC is lost; write for example 2013-05-01T06:00:00Z"
    if dtype.time_zone is None and zoned:
        return ": write it without an offset, for example 2013-05-01T06:00:00"
    return ""


def _no_text_form(name: str, dtype: pl.DataType) -> Finding:
    return Finding(
        rule="type",
        severity="fail",
        columns=(name,),
        message=f"the column {shown(name)} is {dtype} in the contract, which a CSV file cannot hold: hand over parquet",
    )
