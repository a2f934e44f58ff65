"""The rules of a batch as a whole, judged on the rows that are not in quarantine."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from gitrain.data.contracts import TableContract
from gitrain.data.row_checks import RowJudgement, describe, keeps_check
from gitrain.data.validation_report import EXAMPLES, Example, Finding, counted_rows, share_of, shown
from gitrain.errors import ProjectError

__all__ = ["BatchFrame", "batch_findings", "examples_of", "null_findings"]

_Bounds = tuple[datetime, datetime]
_ROWS = "rows"


@dataclass(frozen=True, kw_only=True)
class BatchFrame:
    """The rows of a batch, and where they should belong.

    Attributes:
        frame: the rows.
        usable: the columns that exist and have the right type.
        batch: the batch's name; None for a table without batches.
        batch_of: an expression that names the batch of a row; None where that is not judged.
        bounds: the first moment of the batch and of the next; None where batches have no time.
    """

    frame: pl.DataFrame
    usable: frozenset[str]
    batch: str | None
    batch_of: pl.Expr | None
    bounds: _Bounds | None


def batch_findings(batch: BatchFrame, contract: TableContract, judgement: RowJudgement) -> Iterator[Finding]:
    """The findings about the batch as a whole.

    Args:
        batch: the rows that are not in quarantine.
        contract: whose rules.
        judgement: of the rows; its checks of whole frames are judged here.
    """
    frame = batch.frame
    yield from _row_count(frame, contract)
    if frame.height == 0:
        return
    figures = _figures(batch, contract)
    yield from _duplicates(frame, contract, batch.usable)
    yield from null_findings(frame, contract, batch.usable)
    if figures.get("foreign"):
        yield _foreign_rows(batch, figures["foreign"])
    yield from _times(batch, contract, figures)
    yield from _typical(contract, figures)
    yield from _open_categories(frame, contract, figures)
    for columns, check in judgement.whole:
        if not keeps_check(frame, columns, check):
            yield Finding(
                rule=check.registry_name or "check",
                severity="warn" if check.raise_warning else "fail",
                columns=columns,
                message=f"{', '.join(columns)}: the batch as a whole breaks {describe(check)}",
            )


def null_findings(frame: pl.DataFrame, contract: TableContract, usable: frozenset[str]) -> Iterator[Finding]:
    """Columns without a value, and null shares beyond their bounds."""
    rows = frame.height
    for name in contract.schema.columns:
        if name not in usable:
            continue
        nulls = frame.get_column(name).null_count()
        if not nulls:
            continue
        share = share_of(nulls, rows)
        most = contract.max_null_share.get(name)
        warn = contract.warn_null_share.get(name)
        if nulls == rows and most != 1:
            yield Finding(
                rule="all_null",
                severity="fail",
                columns=(name,),
                message=f"{name} has no value in any of {rows:,} rows",
                count=nulls,
                share=1.0,
            )
        elif most is not None and nulls > most * rows:
            yield _null_share(name, "fail", nulls, share, most)
        elif warn is not None and nulls > warn * rows:
            yield _null_share(name, "warn", nulls, share, warn)


def examples_of(
    frame: pl.DataFrame, columns: Sequence[str], key: Sequence[str], where: pl.Series | pl.Expr
) -> tuple[Example, ...]:
    """Up to five rows, in the order of the frame, as the values of `columns` and what identifies the row."""
    number = _free_name(frame, "row")
    read = list(dict.fromkeys([*columns, *key]))
    rows = frame.select(read).with_row_index(number).filter(where).head(EXAMPLES).rows(named=True)
    found = []
    for row in rows:
        value = shown(row[columns[0]]) if len(columns) == 1 else _pairs(row, columns)
        others = {shown(name): shown(row[name]) for name in key if name not in columns}
        found.append(Example(value=value, row=others if key else {"row": str(row[number])}))
    return tuple(found)


def _figures(batch: BatchFrame, contract: TableContract) -> dict[str, Any]:
    try:
        return batch.frame.select(_measures(batch, contract)).row(0, named=True)
    except pl.exceptions.PolarsError as error:
        raise ProjectError(
            f"batch_of or event_time cannot be computed: {' '.join(str(error).split())[:300]}",
            fix="correct the expression, or the type of the column that it reads.",
        ) from error


def _measures(batch: BatchFrame, contract: TableContract) -> list[pl.Expr]:
    """Everything that one pass over the rows can find out."""
    usable = batch.usable
    measures = [pl.len().alias(_ROWS)]
    if batch.batch_of is not None:
        measures.append(batch.batch_of.ne_missing(batch.batch).sum().alias("foreign"))
    when = contract.event_time_expression
    if when is not None and batch.bounds is not None and set(when.meta.root_names()) <= usable:
        measures += [(when >= batch.bounds[1]).sum().alias("future"), when.max().alias("newest")]
    measures += [pl.col(name).mean().alias(f"mean:{name}") for name in contract.typical if name in usable]
    measures += [pl.col(name).median().alias(f"median:{name}") for name in contract.typical_median if name in usable]
    measures += [
        _unknown(name, contract).sum().alias(f"unknown:{name}") for name in contract.open_categories if name in usable
    ]
    return measures


def _row_count(frame: pl.DataFrame, contract: TableContract) -> Iterator[Finding]:
    low, high = contract.rows
    if frame.height < low or (high is not None and frame.height > high):
        bounds = f"at least {low:,}" if high is None else f"{low:,} to {high:,}"
        yield Finding(
            rule="rows", severity="fail", message=f"{frame.height:,} rows are left to use, and {bounds} are expected"
        )


def _duplicates(frame: pl.DataFrame, contract: TableContract, usable: frozenset[str]) -> Iterator[Finding]:
    keys: list[tuple[str, tuple[str, ...]]] = [("duplicate_key", contract.key)] if contract.key else []
    declared = contract.schema.unique
    if declared:
        groups: list[Any] = [declared] if all(isinstance(each, str) for each in declared) else list(declared)
        keys += [("unique", tuple(group)) for group in groups]
    keys += [("unique", (name,)) for name, column in contract.schema.columns.items() if column.unique]
    for rule, key in keys:
        if not set(key) <= usable or frame.n_unique(subset=list(key)) == frame.height:
            continue
        repeated = (
            frame.group_by(key, maintain_order=True).agg(pl.len().alias(_free_name(frame, _ROWS))).filter(pl.last() > 1)
        )
        count = repeated.select(pl.last().sum()).item()
        yield Finding(
            rule=rule,
            severity="fail",
            columns=key,
            message=f"{count:,} rows share {repeated.height:,} values of {', '.join(key)}, which must be unique",
            count=count,
            share=share_of(count, frame.height),
            examples=tuple(
                Example(value=f"{_pairs(row, key)} ({counted_rows(list(row.values())[-1])})")
                for row in repeated.head(EXAMPLES).rows(named=True)
            ),
        )


def _foreign_rows(batch: BatchFrame, count: int) -> Finding:
    assert batch.batch_of is not None  # noqa: S101  (counted by it)
    found = (
        batch.frame.select(batch=batch.batch_of.cast(pl.String))
        .filter(pl.col("batch").ne_missing(batch.batch))
        .group_by("batch")
        .len()
        .sort("len", "batch", descending=[True, False])
    )
    return Finding(
        rule="batch",
        severity="fail",
        columns=tuple(dict.fromkeys(batch.batch_of.meta.root_names())),
        message=f"{count:,} rows belong to another batch than {batch.batch}",
        count=count,
        share=share_of(count, batch.frame.height),
        examples=tuple(
            Example(value=f"{shown(name)} ({counted_rows(rows)})") for name, rows in found.head(EXAMPLES).iter_rows()
        ),
    )


def _times(batch: BatchFrame, contract: TableContract, figures: Mapping[str, Any]) -> Iterator[Finding]:
    when = contract.event_time_expression
    if "newest" not in figures or when is None or batch.bounds is None:
        return
    columns = tuple(dict.fromkeys(when.meta.root_names()))
    named, end = ", ".join(columns), batch.bounds[1]
    if figures["future"]:
        yield Finding(
            rule="future",
            severity="fail",
            columns=columns,
            message=f"{named} lies at or past the end of the batch, {end}, in {figures['future']:,} rows",
            count=figures["future"],
            share=share_of(figures["future"], batch.frame.height),
            examples=examples_of(batch.frame, columns, contract.key, when >= end),
        )
    if contract.max_age is None:
        return
    newest = figures["newest"]
    if newest is None or end - newest > contract.max_age:
        age = "no time at all" if newest is None else f"{newest}, {end - newest} before the end of the batch"
        yield Finding(
            rule="freshness",
            severity="fail",
            columns=columns,
            message=f"the newest {named} is {age}; at most {contract.max_age} are allowed",
        )


def _typical(contract: TableContract, figures: Mapping[str, Any]) -> Iterator[Finding]:
    for kind, bounds in (("mean", contract.typical), ("median", contract.typical_median)):
        for name, (low, high) in bounds.items():
            value = figures.get(f"{kind}:{name}")
            # Without a single value the rule about null shares speaks.
            if value is not None and not low <= float(value) <= high:
                yield Finding(
                    rule=f"typical_{kind}",
                    severity="fail",
                    columns=(name,),
                    message=f"the {kind} of {name} is {float(value):.6g}, outside {low:g} to {high:g}: "
                    "other units, or another population",
                )


def _unknown(name: str, contract: TableContract) -> pl.Expr:
    known = sorted(contract.open_categories[name].known, key=str)
    return pl.col(name).is_in(known).not_().fill_null(False)


def _open_categories(frame: pl.DataFrame, contract: TableContract, figures: Mapping[str, Any]) -> Iterator[Finding]:
    for name, category in contract.open_categories.items():
        count = figures.get(f"unknown:{name}", 0)
        fails = category.max_share is not None and count > category.max_share * frame.height
        if not fails and count <= category.warn_share * frame.height:
            continue
        values = frame.filter(_unknown(name, contract)).get_column(name)
        distinct = values.value_counts(name="rows").sort("rows", name, descending=[True, False])
        share = share_of(count, frame.height)
        bound = category.max_share if fails else category.warn_share
        yield Finding(
            rule="unknown_values",
            severity="fail" if fails else "warn",
            columns=(name,),
            message=f"{name} holds {distinct.height:,} unknown values in {share:.2%} of the rows, "
            f"more than {bound:.2%}",
            count=count,
            share=share,
            examples=tuple(
                Example(value=f"{shown(value)} ({counted_rows(rows)})")
                for value, rows in distinct.head(EXAMPLES).iter_rows()
            ),
        )


def _null_share(name: str, severity: Any, count: int, share: float, bound: float) -> Finding:
    return Finding(
        rule="null_share",
        severity=severity,
        columns=(name,),
        message=f"{name} is null in {share:.2%} of the rows, more than {bound:.2%}",
        count=count,
        share=share,
    )


def _pairs(row: Mapping[str, object], columns: Sequence[str]) -> str:
    return ", ".join(f"{shown(name)} = {shown(row[name])}" for name in columns)


def _free_name(frame: pl.DataFrame, wanted: str) -> str:
    while wanted in frame.columns:
        wanted += "_"
    return wanted
