"""What retraining asks of a forge: branches proposed, found, closed and merged, and issues kept current."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gitrain.environments.forge import ForgeHead, Proposal

__all__ = ["BranchProposal", "Issue", "Issues", "OpenProposal", "Proposals"]


@dataclass(frozen=True, kw_only=True)
class BranchProposal:
    """Commits to be proposed.

    Attributes:
        branch: where, e.g. ``retrain/0123456789ab``; the same proposal has the same branch.
        commit: the newest of them, a full hash; it is here.
        head: what they are commits on.
        mark: a line of the commit's message; a branch that is there already and has it is the same proposal.
        title: of the pull request, one line.
        body: of the pull request, Markdown.
    """

    branch: str
    commit: str
    head: ForgeHead
    mark: str
    title: str
    body: str


@dataclass(frozen=True, kw_only=True)
class OpenProposal:
    """A proposal that waits for review.

    Attributes:
        branch: where it is.
        commit: the branch's newest commit.
        number: of the pull request; None where the forge has none.
        url: of the pull request; None where the forge has none.
    """

    branch: str
    commit: str
    number: int | None = None
    url: str | None = None

    @property
    def shown(self) -> str:
        """What people call it."""
        return f"#{self.number}" if self.number is not None else f"the branch {self.branch}"


class Proposals(Protocol):
    """Where commits are proposed."""

    @property
    def name(self) -> str:
        """What it is and where, for messages; without passwords."""

    def head(self) -> ForgeHead:
        """The default branch as it is now.

        Raises:
            UsageError: there is no such remote.
            IntegrationError: the forge cannot be reached or refuses. All functions here raise it.
        """

    def find(self, branch: str) -> Proposal | None:
        """The newest proposal of this branch; None if there was none."""

    def waiting(self, prefix: str) -> Sequence[OpenProposal]:
        """The proposals that wait for review, of branches of this repository that begin so."""

    def propose(self, wanted: BranchProposal) -> Proposal:
        """Propose commits: once, however often it is called and wherever a call was cut short.

        Raises:
            DeploymentError: the branch holds something else.
        """

    def close(self, branch: str, comment: str) -> None:
        """Close the open proposal of a branch and say why; nothing where none is open. Its commits are kept."""

    def merge(self, proposal: Proposal, title: str) -> Proposal:
        """Merge a proposal, if what protects the default branch lets it; else it comes back as it is."""


@dataclass(frozen=True, kw_only=True)
class Issue:
    """An issue that is open.

    Attributes:
        key: what it is about; there is one open issue a key.
        number: where the forge has numbers.
        url: where the forge has pages.
        created: whether it was opened just now.
    """

    key: str
    number: int | None = None
    url: str | None = None
    created: bool = False


class Issues(Protocol):
    """Issues that are kept current by a program: one for each key."""

    def keep(self, key: str, title: str, body: str) -> Issue:
        """Let there be one open issue of this key that says this: opened, or changed where it says something else.

        Args:
            key: lower-case letters, digits, hyphens and slashes, e.g. ``retraining/data``.
            title: one line.
            body: Markdown.

        Raises:
            UsageError: it cannot be written there without a token.
            IntegrationError: the forge cannot be reached or refuses.
        """

    def find(self, key: str) -> Issue | None:
        """The open issue of this key; None if none is open. Needs no token where anybody may read."""

    def close(self, key: str, comment: str) -> bool:
        """Close the issue of this key and say why; False where none is open. Errors as in `keep`."""
