"""The checks' report and their catalogue as Markdown."""

from collections.abc import Sequence
from itertools import groupby

from gitrain.checks.catalogue import CheckDefinition
from gitrain.checks.report import CheckReport
from gitrain.reports.markdown import escape, table
from gitrain.reports.verdicts_markdown import MARKS, render_verdicts

__all__ = ["render_catalogue", "render_checks"]


def render_checks(report: CheckReport) -> str:
    """The outcome first, then a table a group, those that did not pass before the others."""
    counts = ", ".join(
        f"{sum(verdict.outcome is outcome for verdict in report.verdicts)} {outcome.value}"
        for outcome in MARKS
        if any(verdict.outcome is outcome for verdict in report.verdicts)
    )
    parts = [f"# {MARKS[report.outcome]} Checks of {escape(report.project)}: {report.outcome.value}\n"]
    parts.append(f"{counts}.\n" if counts else "There was nothing to check.\n")
    for group, members in groupby(report.verdicts, key=lambda verdict: verdict.group):
        verdicts = sorted((member.verdict for member in members), key=lambda verdict: verdict.outcome.value == "PASSED")
        seconds = report.seconds.get(group)
        title = f"{group} ({seconds:.1f} s)" if seconds is not None else group
        parts.append(render_verdicts(title, verdicts))
    return "\n".join(parts)


def render_catalogue(definitions: Sequence[CheckDefinition]) -> str:
    """Every check and what it catches."""
    rows = [(f"`{each.name}`", each.group, escape(each.catches, longest=300)) for each in definitions]
    return table(("check", "group", "catches"), rows) + "\n"
