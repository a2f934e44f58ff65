"""Plans, deployments and environments as Markdown that is also read well in a terminal."""

from collections.abc import Sequence

from gitrain.deployment.record import DeploymentRecord, RunningRelease
from gitrain.deployment.status import EnvironmentStatus
from gitrain.deployment.steps import Plan
from gitrain.reports.markdown import escape, table
from gitrain.reports.verdicts_markdown import MARKS
from gitrain.verdicts import Outcome

__all__ = ["render_applied", "render_environments", "render_plan"]

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def render_plan(plan: Plan) -> str:
    """What is to be done, step by step."""
    lines = [f"## {escape(plan.environment)}: {plan.kind}", "", escape(_sentence(plan.reason), longest=600)]
    if plan.steps:
        lines.append("")
        lines += [f"{number}. {escape(step.text, longest=400)}" for number, step in enumerate(plan.steps, start=1)]
    elif plan.kind == "none":
        lines += ["", "Nothing is to be done."]
    return "\n".join(lines) + "\n"


def render_applied(plan: Plan, outcome: Outcome, reason: str, record: DeploymentRecord | None) -> str:
    """How a pass ended, and what it did."""
    title = f"## {MARKS[outcome]} {escape(plan.environment)}: {plan.kind}: {outcome.value}"
    parts = [title, escape(_sentence(reason), longest=600)]
    if record is not None:
        rows = [
            (
                f"{MARKS[Outcome(step.outcome)]} {step.outcome}",
                escape(step.name),
                f"{step.seconds:.1f}",
                escape("; ".join(v.reason for v in step.verdicts if v.outcome != "PASSED"), longest=400),
            )
            for step in record.steps
        ]
        parts.append(table(("outcome", "step", "seconds", "what is wrong"), rows, right=(2,)))
        former = f", after {record.former.version}" if record.former is not None else ""
        approved = f", approved by {escape(record.approved_by)}" if record.approved_by is not None else ""
        parts.append(
            f"{record.release.version}{former}: {record.ending.value}, by {escape(record.actor)}{approved}. "
            f"Recorded as `deployments:{record.path}`."
        )
    return "\n\n".join(parts) + "\n"


def render_environments(statuses: Sequence[EnvironmentStatus]) -> str:
    """One row an environment, and below what is wrong with any."""
    if not statuses:
        return "There is no environment yet: write environments/test.yaml and commit it.\n"
    rows = [
        (
            escape(each.name),
            _version(each.desired),
            _version(each.running),
            f"{each.health}{', suspended' if each.suspended else ''}",
            f"{each.ready}/{each.replicas}",
            "–" if each.age is None else _age(each.age),
            f"{each.memory / 2**20:,.0f} MiB" if each.memory else "–",
            _version(each.standby),
            # To be opened: nothing of it is the user's.
            each.url or "–",
        )
        for each in statuses
    ]
    header = ("environment", "desired", "running", "health", "ready", "age", "memory", "standby", "address")
    parts = [table(header, rows, right=(5, 6))]
    notes = []
    for each in statuses:
        notes += [f"* {escape(each.name)}: {escape(text, longest=400)}." for text in each.drift]
        if each.under_way is not None:
            notes.append(f"* {escape(each.name)}: a deployment of {escape(each.under_way)} has begun and not ended.")
        if each.problem:
            notes.append(f"* {escape(each.name)}: {escape(each.problem, longest=400)}")
    if notes:
        parts.append("\n".join(notes))
    return "\n\n".join(parts) + "\n"


def _version(release: RunningRelease | None) -> str:
    return "–" if release is None else release.version


def _age(seconds: float) -> str:
    for size, name in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds:.0f} s"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
