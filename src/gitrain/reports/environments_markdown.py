"""Proposals for environments, their history and differences, as Markdown that a terminal shows well too."""

import re
from collections.abc import Sequence

from gitrain.deployment.difference import MetricChange, ReleaseDifference
from gitrain.deployment.history import Event
from gitrain.pipeline.changes import ValueChange
from gitrain.reports.markdown import escape, format_figure, table
from gitrain.reports.verdicts_markdown import render_verdicts
from gitrain.verdicts import Verdict

__all__ = ["render_difference", "render_history", "render_proposal_body"]

_ROWS = 40
_REASON = 400
_SHORT = 12
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def render_proposal_body(
    title: str, summary: str, verdicts: Sequence[Verdict], difference: ReleaseDifference | None
) -> str:
    """The text of a pull request: what changes, what it stands on, what differs. All of it is escaped and capped.

    Args:
        title: of what is judged.
        summary: one sentence: what the change is.
        verdicts: of the rules.
        difference: between the release that is left and the one that follows; None if none does.
    """
    parts = [escape(summary, longest=_REASON), render_verdicts(escape(title), verdicts).rstrip("\n")]
    if difference is not None:
        parts.append(render_difference(difference).rstrip("\n"))
    parts.append("Merging this changes what is to run; nothing is built or trained again.")
    return "\n\n".join(parts) + "\n"


def render_difference(difference: ReleaseDifference) -> str:
    """What differs between two releases: data, parameters, dependencies, metrics, code."""
    before = difference.old or "nothing"
    parts = [f"## What changes: {escape(before)} → {escape(difference.new)}"]
    about = [
        ("bundle", _digest(difference.old_digest), _digest(difference.new_digest)),
        *((escape(each.name), _side(each.old), _side(each.new)) for each in difference.about),
    ]
    parts.append(table(("", escape(before), escape(difference.new)), about))
    # Of the first release there is nothing to tell that its record does not say.
    if difference.old is not None:
        parts.append(_values("Parameters", "parameter", difference.parameters))
        parts.append(_values("Dependencies", "package", difference.dependencies))
    if difference.metrics:
        rows = [
            (escape(each.name), format_figure(each.old), format_figure(each.new), _moved(each))
            for each in difference.metrics[:_ROWS]
        ]
        note = "Each on the holdout of its own release: `gitrain gate check` compares models on the same rows."
        header = ("metric", escape(before), escape(difference.new), "change")
        parts.append(f"### Metrics\n\n{table(header, rows, right=(1, 2, 3))}\n\n{note}")
    if difference.old is not None:
        parts.append(_commits(difference))
    return "\n\n".join(parts) + "\n"


def render_history(name: str, events: Sequence[Event]) -> str:
    """The events of an environment, one row each, in the order given."""
    if not events:
        return f"Nothing has happened to {escape(name)} yet.\n"
    rows = [
        (
            event.at.strftime("%Y-%m-%d %H:%M:%S"),
            escape(event.kind) if event.outcome is None else f"{escape(event.kind)}: {event.outcome}",
            escape(event.what, longest=200),
            escape(event.who),
            f"`{event.commit[:7]}`",
            escape(event.why, longest=_REASON) or "–",
        )
        for event in events
    ]
    return f"## {escape(name)}\n\n{table(('when (UTC)', 'event', 'what', 'who', 'commit', 'why'), rows)}\n"


def _values(title: str, noun: str, changes: Sequence[ValueChange] | None) -> str:
    if changes is None:
        return f"### {title}\n\nNot known: the commits of the two releases are not both in this clone."
    if not changes:
        return f"### {title}\n\nThe same."
    rows = [(escape(each.name), _side(each.old), _side(each.new)) for each in changes[:_ROWS]]
    more = f"\n\nAnd {len(changes) - _ROWS} more." if len(changes) > _ROWS else ""
    return f"### {title}\n\n{table((noun, 'before', 'after'), rows)}{more}"


def _commits(difference: ReleaseDifference) -> str:
    if difference.commits is None:
        return "### Commits\n\nNot known: the commits of the two releases are not both in this clone."
    if not difference.commits:
        return "### Commits\n\nNone."
    lines = [
        f"* `{each.commit[:7]}` {each.at:%Y-%m-%d} {escape(each.author)}: {escape(each.subject)}"
        for each in difference.commits
    ]
    if difference.more_commits:
        lines.append(f"* and {difference.more_commits:,} more")
    said = "Going back takes these away:\n\n" if difference.undone else ""
    return f"### Commits\n\n{said}" + "\n".join(lines)


def _moved(metric: MetricChange) -> str:
    if metric.old is None or metric.new is None:
        return "–"
    moved = metric.new - metric.old
    return f"{'+' if moved > 0 else ''}{format_figure(moved)}"


def _side(value: str | None) -> str:
    if value is None:
        return "–"
    return _digest(value) if _DIGEST.fullmatch(value) else escape(value)


def _digest(digest: str | None) -> str:
    if digest is None or not _DIGEST.fullmatch(digest):
        return "–" if digest is None else escape(digest)
    return f"`{digest.removeprefix('sha256:')[:_SHORT]}`"
