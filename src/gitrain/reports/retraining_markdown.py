"""Retrainings as Markdown: the decision, the pull request, the issue, the comment on what was closed."""

from gitrain.data.validation_report import ValidationReport
from gitrain.reports.markdown import escape, table
from gitrain.reports.validation_markdown import render_validation
from gitrain.triggers.decision import Decision, RetrainingPlan

__all__ = ["render_bad_data", "render_failure", "render_proposal", "render_retraining_plan", "render_unreadable"]

_LONG = 600
_ROWS = 20
_MARKS = {Decision.RETRAIN: "🔁", Decision.WAIT: "⏳", Decision.NOTHING: "✅"}


def render_retraining_plan(plan: RetrainingPlan) -> str:
    """The decision first, then what asks for a retraining, and what was not there."""
    parts = [
        f"## {_MARKS[plan.decision]} Retraining: {plan.decision.value}",
        f"{escape(_capital(plan.sentence), longest=_LONG)}.",
    ]
    if plan.evidence:
        parts.append(_evidence(plan))
    facts = [("data", f"{escape(plan.former)} → {escape(plan.through)}"), ("base", f"`{plan.base[:12]}`")]
    facts.append(("branch", f"`{plan.branch}`"))
    if plan.until is not None:
        facts.append(("not before", f"{plan.until:%Y-%m-%d %H:%M} UTC"))
    if plan.waiting is not None:
        facts.append(("waits for review", escape(plan.waiting.url or plan.waiting.branch)))
    if plan.superseded and plan.decision is Decision.RETRAIN:
        facts.append(("takes the place of", ", ".join(escape(each.url or each.branch) for each in plan.superseded)))
    parts.append(table(("", ""), facts))
    if plan.unreadable is not None:
        parts.append(f"⚠️ {escape(_capital(plan.unreadable), longest=_LONG)}.")
    notes = [note for note in plan.notes if note != plan.unreadable]
    parts.extend(f"* {escape(note, longest=_LONG)}" for note in notes[:_ROWS])
    return "\n\n".join(parts) + "\n"


def render_proposal(plan: RetrainingPlan, sentence: str, report: str, *, refused: bool) -> str:
    """The text of a pull request: why it is there, how it was judged, and the report that any other has.

    Args:
        plan: what it was made by.
        sentence: how checks and gates ended.
        report: Markdown, of `gitrain report pr`.
        refused: whether the candidate failed.
    """
    judged = "❌ The candidate is refused" if refused else "The candidate was judged"
    parts = [
        f"A model trained again, on data through {escape(plan.through)} (before: {escape(plan.former)}).",
        _evidence(plan),
        f"{judged}: {escape(sentence, longest=_LONG)}.",
    ]
    if refused:
        parts.append("It is closed with this report, and what is in production stays as it is.")
    else:
        parts.append("Merging it builds a release and puts it into environments that follow this branch, no others.")
    parts += [
        f"Made from `{plan.base[:12]}`; inputs `{plan.digest.removeprefix('sha256:')[:12]}`.",
        report.rstrip("\n"),
    ]
    return "\n\n".join(parts) + "\n"


def render_bad_data(plan: RetrainingPlan, sentence: str, report: ValidationReport | None) -> str:
    """The text of an issue: new data that cannot be used, and all that validation says of it.

    Args:
        plan: what was to be done.
        sentence: what is wrong with the data.
        report: of validation; None where it is known from a former try that the data cannot be used.
    """
    known = (
        f"It is what was tried before. `gitrain data advance --to {escape(plan.through)}`, `gitrain data ingest` and "
        "`gitrain data validate` say all that is wrong with it."
    )
    parts = [
        f"No model was trained on data through {escape(plan.through)}: {escape(sentence, longest=_LONG)}.",
        "Production stays as it is. Have the batch delivered again, or change the contract; the next "
        "`gitrain retrain open` tries what is there then, and closes this once data can be used.",
        render_validation(report).rstrip("\n") if report is not None else known,
    ]
    return "\n\n".join(parts) + "\n"


def render_unreadable(plan: RetrainingPlan) -> str:
    """The text of an issue: a source that failed on new data, as the plan has it."""
    parts = [
        f"No model was trained on data through {escape(plan.through)}: {escape(plan.unreadable or '', longest=_LONG)}.",
        "Production stays as it is. Mend the source, or have the batch delivered again; the next "
        "`gitrain retrain open` that can read it goes on, and closes this. A batch that was not delivered yet is "
        "waited for without a word: a source says so by raising `DataError`.",
    ]
    return "\n\n".join(parts) + "\n"


def render_failure(plan: RetrainingPlan, what: str) -> str:
    """The text of an issue: a retraining that something broke.

    Args:
        plan: what was to be done.
        what: the error, of several lines perhaps.
    """
    said = "\n".join(f"    {line}" for line in what.splitlines()[:_ROWS])
    parts = [
        f"The retraining on data through {escape(plan.through)} could not be finished:",
        "".join(char if char.isprintable() or char == "\n" else " " for char in said),
        "Production stays as it is. The next `gitrain retrain open` tries again, and closes this once it can go on.",
    ]
    return "\n\n".join(parts) + "\n"


def _evidence(plan: RetrainingPlan) -> str:
    return "\n".join(f"* {each.reason.value}: {escape(each.sentence, longest=_LONG)}" for each in plan.evidence)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
