"""`gitrain data validate --batch`: one new file is judged before anything uses it."""

from pathlib import Path

import polars as pl

from gitrain.data.incoming import BatchReader, cast_text
from gitrain.data.tables import Table
from gitrain.data.validation import batch_of_expression, validate
from gitrain.data.validation_report import (
    EXAMPLES,
    BatchValidation,
    Example,
    Finding,
    ValidationReport,
    counted_rows,
    share_of,
    shown,
)
from gitrain.errors import DataError, UsageError
from gitrain.project import Project

__all__ = ["validate_batch"]

_READABLE = "readable"


def validate_batch(
    project: Project, table_name: str | None, path: Path, batch: str | None, *, read: BatchReader
) -> ValidationReport:
    """Judge the rows of a parquet or CSV file by a table's contract. Nothing is written.

    Args:
        project: whose contracts.
        table_name: the table that the file is a batch of; None for the entity's table.
        path: the file.
        batch: the batch that it should be; None takes it from the rows, which then must agree.
        read: reads the file.

    Raises:
        ProjectError: no such table, or a contract that cannot be computed.
        SettingsError: `batch` is no name of the project's batch scheme.
        UsageError: no such file, or a batch given for a table that has none.
    """
    table = project.entity_table if table_name is None else project.table(table_name)
    if batch is not None:
        if not table.batched:
            raise UsageError(f"table {table.name!r} has no batches, and {batch!r} was given", fix="leave --name out.")
        project.batches.check(batch)
    return ValidationReport.of(project.name, [_judge(project, table, path, batch, read)])


def _judge(project: Project, table: Table, path: Path, batch: str | None, read: BatchReader) -> BatchValidation:
    try:
        file = read(path)
    except DataError as error:
        unreadable = Finding(rule=_READABLE, severity="fail", message=error.what)
        return BatchValidation.of(table.name, batch, rows=0, quarantined=0, findings=[unreadable])
    frame, findings = cast_text(file.frame, table.contract) if file.text else (file.frame, [])
    if table.batched and batch is None:
        found = _batch_in(frame, table, project)
        if isinstance(found, Finding):
            # What else is wrong may be why the batch cannot be told: the structure is judged all the same.
            structure = _without_time(frame, table, project)
            return _joined(table, None, frame, [*findings, *structure, found])
        batch = found
    validation = validate(
        frame, table.contract, table=table.name, batch=batch, scheme=project.batches, batch_of=table.batch_of
    )
    summary = validation.summary
    if not findings:
        return summary
    return _joined(table, batch, frame, [*findings, *summary.findings], quarantined=summary.quarantined)


def _batch_in(frame: pl.DataFrame, table: Table, project: Project) -> str | Finding:
    """The batch that all rows belong to, or what is wrong."""
    expression = batch_of_expression(table.batch_of)
    dtypes = table.contract.dtypes
    if expression is None or any(frame.schema.get(name) != dtypes[name] for name in expression.meta.root_names()):
        return _no_batch("the batch cannot be told: the columns that say so are missing or of another type")
    names = frame.select(batch=expression.cast(pl.String)).group_by("batch").len().sort("len", "batch", descending=True)
    if names.height == 1 and names.item(0, "batch") is not None:
        name = str(names.item(0, "batch"))
        project.batches.check(name)
        return name
    if names.height == 0:
        return _no_batch("the file has no rows: its batch cannot be told")
    counted = [
        Example(value=f"{shown(name)} ({counted_rows(rows)})") for name, rows in names.head(EXAMPLES).iter_rows()
    ]
    finding = _no_batch(f"the rows belong to {names.height} batches; name the one that it should be with --name")
    others = frame.height - int(names.item(0, "len"))
    return finding.model_copy(
        update={"examples": tuple(counted), "count": others, "share": share_of(others, frame.height)}
    )


def _no_batch(message: str) -> Finding:
    return Finding(rule="batch", severity="fail", message=message)


def _without_time(frame: pl.DataFrame, table: Table, project: Project) -> list[Finding]:
    """Findings that no batch is needed for."""
    contract = table.contract.without_time()
    validation = validate(frame, contract, table=table.name, batch=None, scheme=project.batches)
    return list(validation.findings)


def _joined(
    table: Table, batch: str | None, frame: pl.DataFrame, findings: list[Finding], *, quarantined: int = 0
) -> BatchValidation:
    """One summary; a column whose text has no type is told once, by its values."""
    unreadable = {finding.columns for finding in findings if finding.rule == "type" and finding.examples}
    told = [
        finding
        for finding in findings
        if finding.rule != "type" or finding.examples or finding.columns not in unreadable
    ]
    told.sort(key=lambda finding: ("fail", "quarantine", "warn").index(finding.severity))
    return BatchValidation.of(table.name, batch, rows=frame.height, quarantined=quarantined, findings=told)
