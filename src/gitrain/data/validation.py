"""Validation: a batch is split into rows to use, rows in quarantine, and what there is to say of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import polars as pl

from gitrain.data.batch_rules import BatchFrame, batch_findings, examples_of, null_findings
from gitrain.data.batches import BatchScheme
from gitrain.data.contracts import REASON, TableContract
from gitrain.data.row_checks import BrokenRule, judge_rows
from gitrain.data.validation_report import LONGEST_VALUE, BatchValidation, Finding, share_of, shown
from gitrain.errors import ProjectError
from gitrain.verdicts import Outcome

__all__ = ["BatchOf", "Validation", "batch_of_expression", "validate"]

BatchOf = Callable[[], pl.Expr] | pl.Expr | None


@dataclass(frozen=True, kw_only=True)
class Validation:
    """The result for one batch.

    Attributes:
        summary: what the report says of the batch.
        kept: the rows that may be used if the batch passed, in their order; then in the columns' order of the schema.
        quarantined: the others, in their order, with one more column, `reason`, which names every rule that the row
            breaks with the value that breaks it.
    """

    summary: BatchValidation
    kept: pl.DataFrame
    quarantined: pl.DataFrame

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The rules that the batch breaks."""
        return self.summary.findings

    @property
    def outcome(self) -> Outcome:
        """FAILED if any finding fails the batch, else PASSED."""
        return self.summary.outcome


def validate(
    frame: pl.DataFrame,
    contract: TableContract,
    *,
    table: str,
    batch: str | None,
    scheme: BatchScheme,
    batch_of: BatchOf = None,
) -> Validation:
    """Judge one batch. Nothing but the arguments decides: no clock, no earlier batch.

    Kept and quarantined rows together are the rows of `frame`. Judging the kept rows of a batch that passed passes
    again and quarantines nothing; the order of the rows changes no outcome.

    Args:
        frame: the rows as they came.
        contract: what they must be like.
        table: the table's name, for the report.
        batch: the batch's name; None for a table that has no batches.
        scheme: knows the bounds of the batch.
        batch_of: gives the name of the batch that a row belongs to; None judges no membership.

    Raises:
        ProjectError: a rule of the contract cannot be computed, or needs a time that the batch does not have.
    """
    structure, usable = _structure(frame, contract)
    bounds = scheme.bounds(batch) if batch is not None else None
    if contract.event_time is not None and bounds is None:
        raise ProjectError(
            f"the contract of table {table!r} has an event_time, and its batches have no bounds in time",
            fix="take event_time and max_age out, or use a batch scheme with bounds, such as Months.",
        )
    membership = batch_of_expression(batch_of) if batch is not None else None
    if membership is not None and not set(membership.meta.root_names()) <= usable:
        membership = None
    judgement = judge_rows(frame, contract, usable)
    taken_out = [rule for rule in judgement.broken if not rule.warns]
    kept, quarantined = _split(frame, taken_out)
    findings = [*structure, *(_row_finding(frame, contract, rule) for rule in judgement.broken)]
    findings.extend(_quarantined_share(frame.height, quarantined.height, contract))
    if kept.height == 0:
        findings.extend(null_findings(frame, contract, usable))
    rest = BatchFrame(frame=kept, usable=usable, batch=batch, batch_of=membership, bounds=bounds)
    findings.extend(batch_findings(rest, contract, judgement))
    # What fails comes first; within a severity the order of the rules stays.
    findings.sort(key=lambda finding: ("fail", "quarantine", "warn").index(finding.severity))
    summary = BatchValidation.of(table, batch, rows=frame.height, quarantined=quarantined.height, findings=findings)
    if not structure:
        kept = kept.select(name for name in contract.schema.columns if name in usable)
    return Validation(summary=summary, kept=kept, quarantined=quarantined)


def batch_of_expression(batch_of: BatchOf) -> pl.Expr | None:
    """The expression behind `Table.batch_of`."""
    return batch_of() if callable(batch_of) else batch_of


def _structure(frame: pl.DataFrame, contract: TableContract) -> tuple[list[Finding], frozenset[str]]:
    """Findings about columns, and the columns that can be judged further."""
    expected, found = contract.dtypes, frame.schema
    findings: list[Finding] = []
    usable = set()
    for name, column in contract.schema.columns.items():
        if name not in found:
            if column.required:
                findings.append(_structural("missing_column", name, f"the column {shown(name)} is missing"))
        elif found[name] != expected[name]:
            findings.append(
                _structural(
                    "type", name, f"the column {shown(name)} is {found[name]}, and {expected[name]} is expected"
                )
            )
        else:
            usable.add(name)
    for name in found:
        if name not in expected:
            findings.append(
                _structural("extra_column", name, f"the column {shown(name)} ({found[name]}) is not in the contract")
            )
    ordered = [name for name in contract.schema.columns if name in found]
    if contract.schema.ordered and not findings and list(found) != ordered:
        findings.append(
            Finding(
                rule="column_order",
                severity="fail",
                message=f"the columns are in the order {', '.join(map(shown, found))}; "
                f"{', '.join(ordered)} is expected",
            )
        )
    return findings, frozenset(usable)


def _structural(rule: str, column: str, message: str) -> Finding:
    return Finding(rule=rule, severity="fail", columns=(shown(column),), message=message)


def _split(frame: pl.DataFrame, rules: list[BrokenRule]) -> tuple[pl.DataFrame, pl.DataFrame]:
    if not rules:
        return frame, frame.clear().with_columns(pl.lit(None, dtype=pl.String).alias(REASON))
    broken = rules[0].broken
    for rule in rules[1:]:
        broken = broken | rule.broken
    return frame.filter(~broken), _with_reasons(frame, rules, broken)


def _with_reasons(frame: pl.DataFrame, rules: Iterable[BrokenRule], broken: pl.Series) -> pl.DataFrame:
    """The broken rows with a column that names every rule that each breaks, in the order of the rules."""
    quarantined = frame.filter(broken)
    reasons = []
    for rule in rules:
        parts: list[pl.Expr] = []
        # A check of the whole schema may have read any column: the row itself is beside the reason.
        for number, name in enumerate(() if rule.of_schema else rule.columns):
            parts += [pl.lit(f"{', ' if number else ''}{name} = "), _as_text(name, frame.schema[name])]
        parts.append(pl.lit(f" breaks {rule.text}" if parts else f"breaks {rule.text}"))
        reasons.append(pl.when(rule.broken.filter(broken)).then(pl.concat_str(parts)))
    # `reason` replaces a column of that name, which no contract has: the frame is then failed for an extra column.
    return quarantined.with_columns(pl.concat_str(reasons, separator="; ", ignore_nulls=True).alias(REASON))


def _as_text(name: str, dtype: pl.DataType) -> pl.Expr:
    if dtype.is_nested() or isinstance(dtype, pl.Binary | pl.Object):
        return pl.lit(f"({dtype})")
    return pl.col(name).cast(pl.String).str.slice(0, LONGEST_VALUE).fill_null("null")


def _row_finding(frame: pl.DataFrame, contract: TableContract, rule: BrokenRule) -> Finding:
    count = int(rule.broken.sum())
    named = "the row" if rule.of_schema else ", ".join(rule.columns)
    rows = "1 row breaks" if count == 1 else f"{count:,} rows break"
    key = contract.key if set(contract.key) <= set(frame.columns) else ()
    return Finding(
        rule=rule.rule,
        severity="warn" if rule.warns else "quarantine",
        columns=rule.columns,
        message=f"{named}: {rows} the rule {rule.text}",
        count=count,
        share=share_of(count, frame.height),
        examples=examples_of(frame, rule.columns, key, rule.broken),
    )


def _quarantined_share(rows: int, quarantined: int, contract: TableContract) -> list[Finding]:
    if quarantined <= contract.max_quarantined_share * rows:
        return []
    share = share_of(quarantined, rows)
    return [
        Finding(
            rule="quarantined_share",
            severity="fail",
            message=f"{quarantined:,} of {rows:,} rows ({share:.2%}) break row rules, "
            f"more than {contract.max_quarantined_share:.2%}",
            count=quarantined,
            share=share,
        )
    ]
