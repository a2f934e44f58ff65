"""The report of a batch prediction as Markdown: the outcome first, then what is in quarantine, then the features."""

from gitrain.data.validation_report import Finding
from gitrain.reports.markdown import escape, format_figure, table
from gitrain.reports.verdicts_markdown import MARKS
from gitrain.serving.batch_report import BatchReport
from gitrain.verdicts import Outcome

__all__ = ["render_batch"]

_LONGEST_MESSAGE = 300


def render_batch(report: BatchReport) -> str:
    """The report; whatever comes from the data is escaped."""
    heading = f"## {MARKS[report.outcome]} Batch prediction: {report.outcome.value}"
    parts = [heading, _summary(report)]
    if report.findings:
        title = "### Why" if report.outcome is Outcome.FAILED else "### In quarantine"
        parts += [title, "\n".join(_finding(finding) for finding in report.findings)]
    if report.missing or report.stale:
        rows = [(escape(name), "no value", format_figure(count)) for name, count in report.missing.items()]
        rows += [(escape(name), "behind the decision", format_figure(count)) for name, count in report.stale.items()]
        parts += ["### Missing and stale", table(("feature or history", "is", "rows"), rows, right=(2,))]
    if report.newest:
        newest = [(escape(name), escape(moment or "never")) for name, moment in report.newest.items()]
        parts += ["### Freshness", table(("history", "known up to (UTC)"), newest)]
    return "\n\n".join(parts) + "\n"


def _summary(report: BatchReport) -> str:
    said = f"{format_figure(report.rows)} rows for release {escape(report.release)} of `{report.project}`"
    if report.outcome is Outcome.FAILED:
        return f"{said}: **nothing is predicted**, the file breaks the contract."
    predicted, decided = format_figure(report.predicted), format_figure(report.decided)
    quarantined = format_figure(report.quarantined)
    return f"{said}: {predicted} predicted, {decided} of them decided as true, {quarantined} in quarantine."


def _finding(finding: Finding) -> str:
    line = f"- <code>{escape(finding.rule)}</code>: {escape(finding.message, longest=_LONGEST_MESSAGE)}"
    examples = [
        f"  - <code>{escape(example.value)}</code>"
        + (f" at <code>{escape(', '.join(f'{k} = {v}' for k, v in example.row.items()))}</code>" if example.row else "")
        for example in finding.examples
    ]
    return "\n".join([line, *examples])
