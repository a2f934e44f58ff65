"""Verdicts as Markdown: the outcome first, then one row a rule."""

from collections.abc import Sequence

from gitrain.reports.markdown import escape, format_figure, table
from gitrain.verdicts import Outcome, Verdict, worst

__all__ = ["MARKS", "render_verdicts"]

MARKS = {Outcome.PASSED: "✅", Outcome.FAILED: "❌", Outcome.INCONCLUSIVE: "❔", Outcome.ERROR: "💥"}


def render_verdicts(title: str, verdicts: Sequence[Verdict]) -> str:
    """A heading with the outcome of all, and a table of the verdicts with their reasons and figures."""
    outcome = worst(verdict.outcome for verdict in verdicts)
    rows = [
        (
            f"{MARKS[verdict.outcome]} {verdict.outcome.value}",
            f"`{verdict.name}`" if "`" not in verdict.name and "|" not in verdict.name else escape(verdict.name),
            escape(verdict.reason, longest=400),
            ", ".join(f"{escape(name)} {format_figure(value)}" for name, value in verdict.figures.items()),
        )
        for verdict in verdicts
    ]
    heading = f"## {MARKS[outcome]} {title}: {outcome.value}"
    return f"{heading}\n\n{table(('verdict', 'rule', 'reason', 'figures'), rows)}\n"
