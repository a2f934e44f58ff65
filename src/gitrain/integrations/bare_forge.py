"""A bare Git repository as the forge: changes are branches, and whoever reviews them merges them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gitrain.environments.edit import has_values
from gitrain.environments.forge import (
    Change,
    ForgeHead,
    Plan,
    Proposal,
    ProposalState,
    Protection,
    ReviewedChange,
    Ruleset,
    Unreadable,
)
from gitrain.errors import DeploymentError
from gitrain.integrations.git_remote import GitRemote

__all__ = ["WITHDRAWN", "BareForge", "push_change"]

#: Where the commits of a proposal are that was withdrawn, before its branch's name.
WITHDRAWN = "refs/withdrawn/"

_TRIES = 3
_NOTHING = Unreadable(
    reason="a bare Git repository knows neither reviewers nor rules",
    fix="keep the repository on GitHub, or let whoever approves merge the branch; nobody else may push there then.",
)


@dataclass(frozen=True)
class BareForge:
    """`Forge` and `Approvals` on any Git remote.

    Attributes:
        remote: where branches are pushed to.
    """

    remote: GitRemote

    @property
    def name(self) -> str:
        """Where it is."""
        return self.remote.shown

    def head(self) -> ForgeHead:
        """The default branch as it is now."""
        return self.remote.head()

    def find(self, branch: str) -> Proposal | None:
        """The branch, if it is there: merged, or open."""
        return self.remote.proposal(branch)

    def propose(self, change: Change) -> Proposal:
        """Push the change as a branch, once."""
        found = self.find(change.branch)
        stale = found is not None and found.state is ProposalState.MERGED
        commit, pushed = push_change(self.remote, change, stale=stale)
        return Proposal(branch=change.branch, commit=commit, state=ProposalState.OPEN, created=pushed)

    def waiting(self, prefix: str) -> Sequence[Proposal]:
        """The branches that begin so and are not merged."""
        return self.remote.proposals(prefix)

    def withdraw(self, proposal: Proposal, comment: str) -> bool:
        """Put the branch away: what somebody may have added to it is kept under another name."""
        return self.remote.put_away(
            proposal.branch, proposal.commit, f"Withdrawn\n\n{comment}\n", f"{WITHDRAWN}{proposal.branch}"
        )

    def merge(self, proposal: Proposal, title: str) -> Proposal:
        """Merge the branch into the default branch."""
        self.remote.merge(proposal.branch, f"{title}\n\nMerge branch '{proposal.branch}'\n")
        return replace(proposal, state=ProposalState.MERGED)

    def protection(self, environment: str) -> Protection | Unreadable | None:
        """Nothing: Git has no environments."""
        return _NOTHING

    def plan(self) -> Plan | Unreadable:
        """Nothing: Git has no plans."""
        return _NOTHING

    def rulesets(self) -> Sequence[Ruleset] | Unreadable:
        """Nothing: what a bare repository refuses is decided by its hooks, which nobody can ask."""
        return _NOTHING

    def changes(self, commit: str, path: str) -> Sequence[ReviewedChange] | Unreadable:
        """Nothing: who merged a branch is not who says so in the commit."""
        return _NOTHING

    def members(self, owners: Sequence[str], logins: Sequence[str]) -> Sequence[str]:
        """Nobody: Git has no logins."""
        return []


def push_change(
    remote: GitRemote, change: Change, *, stale: bool, before: Callable[[], None] = lambda: None
) -> tuple[str, bool]:
    """Let a branch of the remote hold a change; the commit, and whether it was pushed just now.

    A branch that says the same, but changes another file than the default branch has by now, is left from an earlier
    time: merged, it would contradict or bring back what was there then. It is made anew.

    Args:
        remote: where.
        change: what.
        stale: whether a branch of this name, if there is one, belongs to a change that is done with.
        before: is called before a branch is made anew that belongs to one that is not.

    Raises:
        DeploymentError: the branch is there and says something else, or it would be made anew and somebody added to it.
    """
    for _ in range(_TRIES):
        tip = remote.branch(change.branch)
        if tip is not None and not stale:
            text = remote.read(tip, change.path)
            if text is None or not has_values(text, change.environment, change.values):
                raise DeploymentError(
                    f"the branch {change.branch} of {remote.shown} is there and says something else of {change.path}",
                    fix=f"merge it or delete it: `git push {remote.remote} --delete {change.branch}`.",
                )
            base = remote.common(change.head.commit, tip)
            if base is not None and remote.read(base, change.path) == remote.read(change.head.commit, change.path):
                return tip, False
            if base is None or remote.added(base, tip) > 1:
                raise DeploymentError(
                    f"{change.path} has changed since the branch {change.branch} of {remote.shown} was made, and "
                    "somebody has added commits to it, which are not thrown away",
                    fix=f"merge it or delete it: `git push {remote.remote} --delete {change.branch}`.",
                )
            before()
        message = f"{change.title}\n\n{change.message}".strip() + "\n"
        commit = remote.commit_file(change.head.commit, change.path, change.content, message)
        if remote.push(commit, change.branch, tip):
            return commit, True
        # Somebody else was quicker: what is there now is looked at.
        stale = False
    raise DeploymentError(f"others keep changing the branch {change.branch}", fix="try again.")
