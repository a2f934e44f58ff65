"""A bare Git repository as the place where commits are proposed, and issues kept: branches and files.

A proposal is a branch. One that is closed goes to `refs/closed/`, below a commit that says why. Issues are files of the
branch `issues`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gitrain.environments.forge import ForgeHead, Proposal, ProposalState
from gitrain.errors import DeploymentError, UsageError
from gitrain.integrations.git_remote import GitRemote
from gitrain.integrations.orphan_branch import BranchChange, BranchState, OrphanBranch
from gitrain.triggers.forge import BranchProposal, Issue, OpenProposal

__all__ = ["BareIssues", "BareProposals", "push_proposal"]

_CLOSED = "refs/closed/"
_TRIES = 3
_KEY = re.compile(r"[a-z0-9][a-z0-9/-]{0,79}")


@dataclass(frozen=True)
class BareProposals:
    """`Proposals` on any Git remote.

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
        """The branch: merged, open, or put away."""
        found = self.remote.proposal(branch)
        if found is not None:
            return found
        place = f"{_CLOSED}{branch}"
        closed = self.remote.refs(place).get(place)
        return Proposal(branch=branch, commit=closed, state=ProposalState.DECLINED) if closed else None

    def waiting(self, prefix: str) -> Sequence[OpenProposal]:
        """The branches that begin so and are not merged."""
        return [OpenProposal(branch=each.branch, commit=each.commit) for each in self.remote.proposals(prefix)]

    def propose(self, wanted: BranchProposal) -> Proposal:
        """Push the commits as a branch, once; one that was put away stays so."""
        found = self.find(wanted.branch)
        if found is not None and found.state is not ProposalState.OPEN:
            return found
        commit, pushed = push_proposal(self.remote, wanted)
        return Proposal(branch=wanted.branch, commit=commit, state=ProposalState.OPEN, created=pushed)

    def close(self, branch: str, comment: str) -> None:
        """Put the branch away, with the reason."""
        for _ in range(_TRIES):
            tip = self.remote.branch(branch)
            if tip is None or self.remote.put_away(branch, tip, f"Closed\n\n{comment}\n", f"{_CLOSED}{branch}"):
                return
        raise DeploymentError(f"others keep changing the branch {branch}", fix="try again.")

    def merge(self, proposal: Proposal, title: str) -> Proposal:
        """Merge the branch into the default branch; one that contradicts it is left open."""
        try:
            self.remote.merge(proposal.branch, f"{title}\n\nMerge branch '{proposal.branch}'\n")
        except DeploymentError:
            return proposal
        return replace(proposal, state=ProposalState.MERGED)


@dataclass(frozen=True)
class BareIssues:
    """`Issues` as files `KEY.md` of the branch `issues`.

    Attributes:
        remote: where the branch is.
    """

    remote: GitRemote

    def keep(self, key: str, title: str, body: str) -> Issue:
        """Write the file, where it says something else."""
        path = _path(key)
        content = f"# {' '.join(title.split())}\n\n{body.strip()}\n".encode()
        created = False

        def judge(state: BranchState) -> BranchChange | None:
            nonlocal created
            there = state.read(path)
            created = there is None
            return None if there == content else BranchChange(files={path: content}, message=f"{title}\n")

        self._branch.change(judge)
        return Issue(key=key, created=created)

    def find(self, key: str) -> Issue | None:
        """Whether there is the file."""
        return Issue(key=key) if self._branch.state().read(_path(key)) is not None else None

    def close(self, key: str, comment: str) -> bool:
        """Remove the file; the commit says why."""
        path = _path(key)

        def judge(state: BranchState) -> BranchChange | None:
            if state.read(path) is None:
                return None
            return BranchChange(files={path: None}, message=f"Close {key}\n\n{comment}\n")

        return self._branch.change(judge)

    @property
    def _branch(self) -> OrphanBranch:
        remote = self.remote
        return OrphanBranch(remote.root, "issues", "issues", remote=remote.remote, variables=remote.variables)


def push_proposal(remote: GitRemote, wanted: BranchProposal) -> tuple[str, bool]:
    """Let a branch of the remote hold a proposal; the commit that it is at, and whether that was pushed just now.

    Raises:
        DeploymentError: the branch is there and holds something else.
    """
    for _ in range(_TRIES):
        tip = remote.branch(wanted.branch)
        if tip is not None:
            if wanted.mark in remote.message(tip).splitlines():
                return tip, False
            raise DeploymentError(
                f"the branch {wanted.branch} of {remote.shown} is there and holds something else",
                fix=f"delete it: `git push {remote.remote} --delete {wanted.branch}`.",
            )
        if remote.push(wanted.commit, wanted.branch, None):
            return wanted.commit, True
    raise DeploymentError(f"others keep changing the branch {wanted.branch}", fix="try again.")


def _path(key: str) -> str:
    if not _KEY.fullmatch(key) or "//" in key or key.endswith("/"):
        raise UsageError(f"{key!r} is no key of an issue", fix="use lower-case letters, digits, hyphens and slashes.")
    return f"{key}.md"
