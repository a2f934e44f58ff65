"""The stage `validate`: raw batches are judged; good rows go on, bad ones go to quarantine."""

import polars as pl

from gitrain.data.tables import Table
from gitrain.data.validation import validate
from gitrain.data.validation_report import BatchValidation, Finding, ValidationReport
from gitrain.errors import DataError
from gitrain.operations.prune_partitions import prune_partitions
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import (
    QUARANTINE,
    RAW,
    VALIDATED,
    VALIDATION_MARKDOWN,
    VALIDATION_REPORT,
    partition,
)
from gitrain.pipeline.workspace import memo_key
from gitrain.reports.validation_markdown import render_validation
from gitrain.verdicts import Outcome

__all__ = ["validate_data"]

# Findings of one batch, so that the memo can bring them back with its rows.
_FINDINGS = ".gitrain/validation"
_QUARANTINE_NOTE = f"{QUARANTINE}/README.md"
_QUARANTINE_TEXT = """# Quarantine

Rows that broke a rule of their table's contract, one parquet file a table and batch, only where there are such rows.
The column `reason` names every rule that a row breaks. See `reports/validation.md`.
"""


def validate_data(stage: Stage) -> ValidationReport:
    """Judge every raw batch and write what may be used, what may not, and the report.

    A batch that fails writes nothing but its part of the report: what an earlier run left of it stays as it is. Files
    of batches that are no longer asked for are removed once all batches pass.

    Returns:
        The report, which is also in ``reports/validation.json`` and ``reports/validation.md``.

    Raises:
        PipelineError: a raw batch is missing.
        ProjectError: a contract cannot be computed.
    """
    judged = [
        _judge(stage, table, batch)
        for table in stage.project.tables
        for batch in (stage.batches if table.batched else [None])
    ]
    report = ValidationReport.of(stage.project.name, judged)
    workspace = stage.workspace
    workspace.write_text(_QUARANTINE_NOTE, _QUARANTINE_TEXT)
    if report.outcome is Outcome.PASSED:
        for folder in (VALIDATED, QUARANTINE):
            keep = {_QUARANTINE_NOTE, *(partition(folder, each.table, each.batch) for each in judged)}
            prune_partitions(workspace, folder, keep)
    workspace.write_text(VALIDATION_REPORT, report.to_json())
    workspace.write_text(VALIDATION_MARKDOWN, render_validation(report))
    return report


def _judge(stage: Stage, table: Table, batch: str | None) -> BatchValidation:
    workspace, project = stage.workspace, stage.project.name
    raw = partition(RAW, table.name, batch)
    validated = partition(VALIDATED, table.name, batch)
    quarantine = partition(QUARANTINE, table.name, batch)
    findings = f"{_FINDINGS}/{table.name}/{batch or 'all'}.json"
    key = memo_key(f"validate/{table.name}", batch, {"code": stage.code, "raw": workspace.digest(raw)})
    if stage.memo.restore(key, [validated, quarantine, findings]):
        summary = ValidationReport.from_json(workspace.read_text(findings), source=findings).batches[0]
        stage.progress(f"validate: {_line(summary)} (unchanged)")
        return summary
    try:
        frame = workspace.read_table(raw)
    except DataError as error:
        return _unreadable(stage, table, batch, error)
    validation = validate(
        frame,
        table.contract,
        table=table.name,
        batch=batch,
        scheme=stage.project.batches,
        batch_of=table.batch_of,
    )
    stage.progress(f"validate: {_line(validation.summary)}")
    if validation.outcome is Outcome.PASSED:
        workspace.write_table(validated, validation.kept)
        _write_or_remove(stage, quarantine, validation.quarantined)
        workspace.write_text(findings, ValidationReport.of(project, [validation.summary]).to_json())
        stage.memo.store(key, [validated, quarantine, findings])
    return validation.summary


def _write_or_remove(stage: Stage, path: str, quarantined: pl.DataFrame) -> None:
    if quarantined.height:
        stage.workspace.write_table(path, quarantined)
    else:
        stage.workspace.remove(path)


def _unreadable(stage: Stage, table: Table, batch: str | None, error: DataError) -> BatchValidation:
    finding = Finding(rule="readable", severity="fail", message=error.what)
    summary = BatchValidation.of(table.name, batch, rows=0, quarantined=0, findings=[finding])
    stage.progress(f"validate: {_line(summary)}")
    return summary


def _line(summary: BatchValidation) -> str:
    failed = next((finding.message for finding in summary.findings if finding.severity == "fail"), None)
    if failed is not None:
        return f"{summary.name} FAILED: {failed}"
    quarantined = f", {summary.quarantined:,} in quarantine" if summary.quarantined else ""
    return f"{summary.name}, {summary.rows:,} rows{quarantined}"
