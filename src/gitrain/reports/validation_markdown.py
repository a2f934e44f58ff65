"""A validation report as Markdown: the verdict first, then the tables, what was found, and every batch."""

from collections.abc import Iterable

from gitrain.data.validation_report import BatchValidation, Finding, ValidationReport
from gitrain.reports.markdown import escape, format_figure, table
from gitrain.reports.verdicts_markdown import MARKS
from gitrain.verdicts import Outcome, worst

__all__ = ["FINDINGS", "render_validation"]

# At most so many findings are shown; the JSON file holds them all.
FINDINGS = 10
_OPEN_BATCHES = 12
_LONGEST_MESSAGE = 300
_SEVERITY = {"fail": "❌ fails the batch", "quarantine": "🚧 quarantine", "warn": "⚠️ warning"}
_ORDER = tuple(_SEVERITY)


def render_validation(report: ValidationReport) -> str:
    """The report; whatever comes from the data is escaped."""
    heading = f"## {MARKS[report.outcome]} Data validation: {report.outcome.value}"
    parts = [heading, _summary(report), _tables(report), *_findings(report), _batches(report)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(report: ValidationReport) -> str:
    rows = sum(batch.rows for batch in report.batches)
    quarantined = sum(batch.quarantined for batch in report.batches)
    failed = sum(batch.outcome is Outcome.FAILED for batch in report.batches)
    said = f"{rows:,} rows in {_counted(len(report.batches), 'batch', 'batches')} of `{report.project}`"
    share = f" ({quarantined / rows:.3%})" if rows else ""
    ending = f", {quarantined:,} in quarantine{share}." if quarantined else ", none in quarantine."
    return said + ending + (f" **{_counted(failed, 'batch', 'batches')} failed.**" if failed else "")


def _tables(report: ValidationReport) -> str:
    """One row a table."""
    by_table: dict[str, list[BatchValidation]] = {}
    for batch in report.batches:
        by_table.setdefault(batch.table, []).append(batch)
    rows = []
    for name, batches in by_table.items():
        outcome = worst(batch.outcome for batch in batches)
        warnings = sum(finding.severity == "warn" for batch in batches for finding in batch.findings)
        rows.append(
            (
                f"{MARKS[outcome]} {outcome.value}",
                escape(name),
                format_figure(len(batches)),
                format_figure(sum(batch.rows for batch in batches)),
                format_figure(sum(batch.quarantined for batch in batches)),
                format_figure(warnings),
            )
        )
    return table(("verdict", "table", "batches", "rows", "quarantined", "warnings"), rows, right=range(2, 6))


def _findings(report: ValidationReport) -> Iterable[str]:
    found = [(batch, finding) for batch in report.batches for finding in batch.findings]
    if not found:
        return
    found.sort(key=lambda pair: _ORDER.index(pair[1].severity))
    yield "### Findings"
    yield "\n".join(_finding(batch, finding) for batch, finding in found[:FINDINGS])
    if len(found) > FINDINGS:
        yield f"{_counted(len(found) - FINDINGS, 'more finding', 'more findings')}: see `reports/validation.json`."


def _finding(batch: BatchValidation, finding: Finding) -> str:
    line = (
        f"- {_SEVERITY[finding.severity]} · **{escape(batch.name)}** · {_code(finding.rule)}: "
        f"{escape(finding.message, longest=_LONGEST_MESSAGE)}"
    )
    examples = [
        f"  - {_code(example.value)}" + (f" at {_code(_row(example.row))}" if example.row else "")
        for example in finding.examples
    ]
    return "\n".join([line, *examples])


def _batches(report: ValidationReport) -> str:
    rows = [
        (
            f"{MARKS[batch.outcome]} {batch.outcome.value}",
            escape(batch.table),
            escape(batch.batch or "all"),
            format_figure(batch.rows),
            format_figure(batch.quarantined),
            ", ".join(dict.fromkeys(_code(finding.rule) for finding in batch.findings)) or "–",
        )
        for batch in report.batches
    ]
    shown = table(("verdict", "table", "batch", "rows", "quarantined", "rules broken"), rows, right=(3, 4))
    if len(rows) <= _OPEN_BATCHES:
        return f"### Batches\n\n{shown}"
    return f"<details><summary>All {len(rows)} batches</summary>\n\n{shown}\n\n</details>"


def _code(text: str) -> str:
    # A code element, unlike backticks, leaves no way out for a value that holds backticks; and a forge makes no
    # mentions, links or issue references inside one.
    return f"<code>{escape(text)}</code>"


def _row(row: dict[str, str]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in row.items())


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"
