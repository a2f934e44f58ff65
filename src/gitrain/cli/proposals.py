"""A proposed change of an environment, as it is printed."""

from gitrain.environments.forge import ProposalState
from gitrain.operations.propose_change import ProposedChange
from gitrain.reports.environments_markdown import render_difference
from gitrain.reports.verdicts_markdown import render_verdicts

__all__ = ["proposal_text"]


def proposal_text(proposed: ProposedChange, title: str) -> str:
    """What was judged, what changes, and where it waits for review."""
    parts = [render_verdicts(title, proposed.verdicts).rstrip("\n")]
    if proposed.changed:
        parts.append(f"```diff\n{proposed.changed}\n```")
    if proposed.difference is not None:
        parts.append(render_difference(proposed.difference).rstrip("\n"))
    if proposed.proposal is not None:
        parts.append(_where(proposed))
    if proposed.superseded:
        withdrawn = ", ".join(each.url or f"branch {each.branch}" for each in proposed.superseded)
        parts.append(f"Withdrawn, for this takes their place: {withdrawn}")
    return "\n\n".join(parts)


def _where(proposed: ProposedChange) -> str:
    proposal = proposed.proposal
    if proposal is None:
        return ""
    place = proposal.url or f"branch {proposal.branch}, commit {proposal.commit[:12]}"
    if proposal.state is ProposalState.MERGED:
        return f"Merged: {place}"
    return f"{'Proposed' if proposal.created else 'Proposed before'}: {place}"
