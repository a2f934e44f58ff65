"""The head of the report on a pull request: the verdict, what stands in the way, the gates and the checks."""

from collections.abc import Sequence

from gitrain.checks.report import CheckVerdict
from gitrain.gates.report import GateReport, GateVerdict
from gitrain.reports.markdown import escape, format_figure
from gitrain.reports.pull_request_blocks import Block, code, counted, more, row_levels, short, table_of
from gitrain.reports.pull_request_document import PullRequestReport
from gitrain.reports.verdicts_markdown import MARKS
from gitrain.verdicts import Outcome

__all__ = ["checks_block", "gates_block", "head_block"]

_MEANING = {
    Outcome.PASSED: "nothing stands in the way",
    Outcome.FAILED: "not to be merged as it is",
    Outcome.INCONCLUSIVE: "not enough evidence to promote this model",
    Outcome.ERROR: "something could not be judged",
}
_WORST_FIRST = (Outcome.ERROR, Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.PASSED)
_WAIVED = "⚠️"
_OBSTACLES = 12
_FIGURES = 8


def head_block(report: PullRequestReport) -> Block:
    """The verdict in a line, what it rests on, and what stands in the way: never shortened."""
    mark, outcome = MARKS[report.outcome], report.outcome
    parts = [f"## {mark} {escape(report.project)}: {outcome.value} – {_MEANING[outcome]}", _counts(report)]
    obstacles = _obstacles(report)
    if obstacles:
        rest = more(len(obstacles), _OBSTACLES, "of them")
        parts.append(
            "\n".join(["**What stands in the way**", "", *obstacles[:_OBSTACLES], *([f"* {rest}"] * bool(rest))])
        )
    waived = [verdict for verdict in report.gates.verdicts if verdict.waived is not None] if report.gates else []
    if waived:
        lines = [f"> **{_WAIVED} {counted(len(waived), 'gate')} waived: not passed, let through.**", ">"]
        lines += [f"> * {code(verdict.name)}: {escape(verdict.waived, longest=300)}" for verdict in waived[:_OBSTACLES]]
        parts.append("\n".join(lines))
    if report.gates is not None and report.gates.changes:
        changes = report.gates.changes
        lines = [f"> **{_WAIVED} This change alters the rules that it is judged by:**", ">"]
        lines += [f"> * {escape(change, longest=200)}" for change in changes[:_OBSTACLES]]
        lines += [f"> * {rest}" for rest in [more(len(changes), _OBSTACLES, "changes")] if rest]
        parts.append("\n".join(lines))
    parts.extend(_notes(report))
    return Block(name="verdict", priority=100, levels=("\n\n".join(parts),))


def gates_block(report: PullRequestReport) -> Block:
    """The gates with their figures, what stands in the way first."""
    gates = report.gates
    title = "### Gates"
    if gates is None or report.gates_problem is not None:
        reason = report.gates_problem or "they were not run for this report"
        return Block(name="gates", priority=90, levels=(f"{title}\n\n{escape(reason, longest=400)}.",))
    verdicts = sorted(gates.verdicts, key=_place)
    rows = [
        (
            _outcome(verdict.outcome, verdict.waived),
            code(verdict.name),
            _value(verdict),
            _bound(verdict),
            escape(verdict.reason, longest=300),
        )
        for verdict in verdicts
    ]
    header = ("", "gate", "value", "bound", "reason")

    def render(most: int) -> str:
        return f"{title}\n\n{table_of(header, rows, most, right=(2, 3), what='gates')}\n\n{_provenance(gates)}"

    return Block(name="gates", priority=90, levels=row_levels(render, len(rows), (60, 25, 10)))


def checks_block(report: PullRequestReport) -> Block:
    """The checks: those that did not pass at length, the others folded away."""
    verdicts = sorted(
        (verdict for each in report.checks for verdict in each.verdicts),
        key=lambda verdict: _WORST_FIRST.index(verdict.outcome),
    )
    if not verdicts:
        if report.checks_problems:
            return Block(name="checks", priority=80, levels=())
        said = "No report of checks was handed over: `gitrain check all` runs them."
        return Block(name="checks", priority=80, levels=(f"### Checks\n\n{said}",))
    bad = [verdict for verdict in verdicts if verdict.outcome is not Outcome.PASSED]
    good = verdicts[len(bad) :]

    def render(most: int) -> str:
        parts = [f"### Checks: {_tally([verdict.outcome for verdict in verdicts], 'check')}"]
        if bad:
            parts.append(_check_table(bad, most))
        if good:
            names = table_of(
                ("", "check", "reason"),
                [(MARKS[verdict.outcome], code(verdict.name), escape(verdict.reason, longest=160)) for verdict in good],
                most,
                what="checks",
            )
            parts.append(f"<details><summary>{len(good):,} passed</summary>\n\n{names}\n\n</details>")
        return "\n\n".join(parts)

    return Block(name="checks", priority=80, levels=row_levels(render, max(len(bad), len(good)), (60, 25, 10, 3)))


def _counts(report: PullRequestReport) -> str:
    said = []
    if report.gates is not None and report.gates_problem is None:
        said.append(_tally([verdict.outcome for verdict in report.gates.verdicts], "gate"))
    else:
        said.append("the gates say nothing")
    outcomes = [verdict.outcome for each in report.checks for verdict in each.verdicts]
    said.append(_tally(outcomes, "check") if outcomes else "no checks were handed over")
    line = f"**Gates:** {said[0]} · **checks:** {said[1]}."
    evaluation = report.evaluation
    if evaluation is not None:
        batches = evaluation.batches
        span = batches[0] if len(batches) == 1 else f"{batches[0]} to {batches[-1]}"
        line += (
            f" Judged on {code(span)}: {evaluation.rows:,} rows in {evaluation.units:,} units "
            f"({escape(evaluation.unit)})."
        )
    return line


def _tally(outcomes: Sequence[Outcome], noun: str) -> str:
    words = {
        Outcome.ERROR: "could not be run",
        Outcome.FAILED: "failed",
        Outcome.INCONCLUSIVE: "inconclusive",
        Outcome.PASSED: "passed",
    }
    found = [(sum(outcome is each for outcome in outcomes), words[each]) for each in _WORST_FIRST]
    said = ", ".join(f"{count:,} {word}" for count, word in found if count)
    return f"{said} of {counted(len(outcomes), noun)}"


def _obstacles(report: PullRequestReport) -> list[str]:
    lines = []
    if report.gates_problem is not None:
        lines.append(f"* {MARKS[Outcome.ERROR]} **gates**: {escape(report.gates_problem, longest=400)}")
    lines += [
        f"* {MARKS[Outcome.ERROR]} **checks**: {escape(problem, longest=400)}" for problem in report.checks_problems
    ]
    verdicts: list[GateVerdict | CheckVerdict] = []
    if report.gates is not None and report.gates_problem is None:
        verdicts += report.gates.verdicts
    verdicts += [verdict for each in report.checks for verdict in each.verdicts]
    for outcome in _WORST_FIRST[:-1]:
        lines += [
            f"* {MARKS[outcome]} {code(verdict.name)}: {escape(verdict.reason, longest=240)}"
            for verdict in verdicts
            if verdict.outcome is outcome
        ]
    if report.gates is None and report.gates_problem is None:
        lines.append(f"* {MARKS[Outcome.INCONCLUSIVE]} the gates were not run: `gitrain gate check`")
    return lines


def _notes(report: PullRequestReport) -> list[str]:
    commits = report.commits
    notes = []
    if commits.contains_base is False:
        notes.append(
            "The base has commits that this tree lacks, and what they changed shows here the other way round: "
            "merge the base first."
        )
    if commits.uncommitted:
        notes.append(
            f"{counted(commits.uncommitted, 'file')} not committed: the report is about the files as they are."
        )
    return ["\n>\n".join(f"> {_WAIVED} {note}" for note in notes)] if notes else []


def _place(verdict: GateVerdict) -> tuple[int, int]:
    """Errors, failures, missing evidence, waived gates, passed ones; the report's order within each."""
    return (_WORST_FIRST.index(verdict.outcome), 0 if verdict.waived is not None else 1)


def _outcome(outcome: Outcome, waived: str | None) -> str:
    # A space that does not break: the column is narrow.
    return f"{_WAIVED}\u00a0waived" if waived is not None else f"{MARKS[outcome]}\u00a0{outcome.value}"


def _value(verdict: GateVerdict) -> str:
    figures = verdict.figures
    value = figures.get("value")
    if value is None:
        return "–"
    # The champion's is a difference: its sign says which way it went.
    sign = "+" if "champion" in figures and isinstance(value, float) and value > 0 else ""
    # Its interval is in the reason.
    return f"**{sign}{format_figure(value)}**"


def _bound(verdict: GateVerdict) -> str:
    if verdict.figures.get("bound") is None:
        return "–"
    sign = {"min": "≥ ", "max": "≤ "}.get(str(verdict.figures.get("side")), "")
    return f"{sign}{format_figure(verdict.figures['bound'])}"


def _provenance(gates: GateReport) -> str:
    champion = f"champion {code(short(gates.champion_digest))}" if gates.champion_digest else "no champion"
    return f"Model {code(short(gates.model_digest))}, {champion}, judged on {gates.date.isoformat()}."


def _check_table(verdicts: Sequence[CheckVerdict], most: int) -> str:
    rows = [
        (
            _outcome(verdict.outcome, None),
            code(verdict.name),
            escape(verdict.reason, longest=300),
            ", ".join(
                f"{escape(name, longest=40)} {format_figure(value)}"
                for name, value in list(verdict.figures.items())[:_FIGURES]
            )
            or "–",
        )
        for verdict in verdicts
    ]
    return table_of(("", "check", "reason", "figures"), rows, most, what="checks that did not pass")
