"""What a materialisation did, and what a push did, as Markdown."""

from gitrain.online.materialization import Materialization, Push
from gitrain.online.state import EVERYTHING, moment
from gitrain.reports.markdown import escape, table

__all__ = ["render_materialization", "render_push"]


def render_materialization(done: Materialization) -> str:
    """One line a history: what was read, and what is held now."""
    where = escape(done.store, longest=300)
    if not done.histories:
        return f"The features read no history: nothing is stored in {where}.\n"
    rows = [
        (
            escape(each.history),
            escape(", ".join(each.read) or "–"),
            escape(", ".join(each.kept) or "–"),
            escape(", ".join(each.removed) or "–"),
            f"{each.rows:,}",
            "its start" if each.held_from == EVERYTHING else _time(each.held_from),
            "–" if each.newest is None else _time(each.newest),
        )
        for each in done.histories
    ]
    header = ("history", "read", "as before", "removed", "rows", "held from (UTC)", "newest (UTC)")
    said = "Written to" if done.changed else "Nothing to do in"
    return f"{said} {where}\n\n{table(header, rows, right=(4,))}\n"


def render_push(done: Push) -> str:
    """What the contract says of the rows, and what became of those that keep it."""
    judged = done.judged
    lines = [
        f"**{done.outcome.value}**: {judged.rows:,} rows of {escape(judged.table)}, {judged.quarantined:,} refused"
    ]
    lines += [f"- {escape(finding.message, longest=300)}" for finding in judged.findings]
    if not done.histories:
        return "\n".join([*lines, "", "Nothing was pushed."]) + "\n"
    said = "Written to" if done.changed else "Nothing new for"
    rows = [
        (
            escape(each.history),
            *(f"{count:,}" for count in (each.added, each.replaced, each.removed, each.unchanged, each.passed_over)),
        )
        for each in done.histories
    ]
    header = ("history", "added", "replaced", "removed", "as before", "too old")
    told = table(header, rows, right=range(1, 6))
    return "\n".join([*lines, "", f"{said} {escape(done.store, longest=300)}", "", told]) + "\n"


def _time(microseconds: int) -> str:
    return f"{moment(microseconds):%Y-%m-%d %H:%M}"
