"""The gates' report as Markdown: the outcome, what was waived, the gates with the worst first."""

from gitrain.gates.report import GateReport, GateVerdict
from gitrain.reports.markdown import escape, format_figure, table
from gitrain.reports.verdicts_markdown import MARKS
from gitrain.verdicts import Outcome

__all__ = ["render_gates"]

_ROWS = 40
_CHANGES = 20
_REASON = 400
_WAIVED_MARK = "⚠️"
_WORST_FIRST = (Outcome.ERROR, Outcome.FAILED, Outcome.INCONCLUSIVE)


def render_gates(report: GateReport) -> str:
    """The report for a pull request: everything that came from data, parameters or a commit is escaped and capped."""
    verdicts = sorted(report.verdicts, key=_place)
    parts = [f"## {MARKS[report.outcome]} Gates: {report.outcome.value}", _summary(report)]
    waived = [verdict for verdict in verdicts if verdict.waived is not None]
    if waived:
        lines = [f"> **{_WAIVED_MARK} {_count(len(waived), 'gate')} waived: not passed, let through.**", ">"]
        lines += [f"> * {_code(verdict.name)}: {escape(verdict.waived, longest=_REASON)}" for verdict in waived[:_ROWS]]
        parts.append("\n".join(lines))
    rows = [
        (
            _code(verdict.name),
            _outcome(verdict),
            _value(verdict),
            _bound(verdict),
            escape(verdict.reason, longest=_REASON),
        )
        for verdict in verdicts[:_ROWS]
    ]
    parts.append(table(("gate", "outcome", "value", "bound", "reason"), rows, right=(2, 3)))
    if len(verdicts) > _ROWS:
        parts.append(f"{len(verdicts) - _ROWS} more gates are in the JSON report.")
    if report.changes:
        lines = [f"**{_WAIVED_MARK} This change alters the rules it is judged by:**", ""]
        lines += [f"* {escape(change, longest=_REASON)}" for change in report.changes[:_CHANGES]]
        if len(report.changes) > _CHANGES:
            lines.append(f"* and {len(report.changes) - _CHANGES} more")
        parts.append("\n".join(lines))
    parts.append(_provenance(report))
    return "\n\n".join(parts) + "\n"


def _place(verdict: GateVerdict) -> tuple[int, int]:
    """Errors, failures, missing evidence, waived gates, passed ones; the report's order within each."""
    if verdict.outcome in _WORST_FIRST:
        return (_WORST_FIRST.index(verdict.outcome), 0)
    return (len(_WORST_FIRST), 0 if verdict.waived is not None else 1)


def _summary(report: GateReport) -> str:
    counts = [
        (sum(verdict.outcome is outcome for verdict in report.verdicts), word)
        for outcome, word in (
            (Outcome.ERROR, "could not be run"),
            (Outcome.FAILED, "failed"),
            (Outcome.INCONCLUSIVE, "inconclusive"),
        )
    ]
    waived = sum(verdict.waived is not None for verdict in report.verdicts)
    passed = sum(verdict.outcome is Outcome.PASSED for verdict in report.verdicts) - waived
    said = [f"{count} {word}" for count, word in (*counts, (waived, "waived"), (passed, "passed")) if count]
    return (
        f"{', '.join(said)}, of {_count(len(report.verdicts), 'gate')}. Holdout {_batches(report.batches)}: "
        f"{report.rows:,} rows in {_count(report.units, 'unit')} ({escape(report.unit)})."
    )


def _outcome(verdict: GateVerdict) -> str:
    if verdict.waived is not None:
        return f"{_WAIVED_MARK} waived"
    return f"{MARKS[verdict.outcome]} {verdict.outcome.value}"


def _value(verdict: GateVerdict) -> str:
    figures = verdict.figures
    if figures.get("value") is None:
        return "–"
    low, high = figures.get("low"), figures.get("high")
    interval = f" [{format_figure(low)}, {format_figure(high)}]" if low is not None and high is not None else ""
    # The champion's is a difference: its sign says which way it went.
    sign = "+" if "champion" in figures and isinstance(figures["value"], float) and figures["value"] > 0 else ""
    return f"{sign}{format_figure(figures['value'])}{interval}"


def _bound(verdict: GateVerdict) -> str:
    if verdict.figures.get("bound") is None:
        return "–"
    sign = {"min": "≥ ", "max": "≤ "}.get(str(verdict.figures.get("side")), "")
    return f"{sign}{format_figure(verdict.figures['bound'])}"


def _provenance(report: GateReport) -> str:
    base = f"base {_code(report.base[:12])}" if report.base is not None else "no base commit"
    champion = f"champion {_code(_short(report.champion_digest))}" if report.champion_digest else "no champion"
    return f"Model {_code(_short(report.model_digest))}, {champion}, {base}, judged on {report.date.isoformat()}."


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def _batches(batches: tuple[str, ...]) -> str:
    shown = batches if len(batches) <= 3 else (f"{batches[0]} to {batches[-1]}",)
    return ", ".join(escape(batch) for batch in shown)


def _code(name: str) -> str:
    return escape(name) if set(name) & set("`|\n\r") or len(name) > 80 else f"`{name}`"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
