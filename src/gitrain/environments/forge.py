"""What is asked of a forge: changes for review, and what it makes of approvals. Protocols and their values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, Protocol

from gitrain.environments.edit import Value

__all__ = [
    "Approvals",
    "Change",
    "Forge",
    "ForgeHead",
    "Plan",
    "Proposal",
    "ProposalState",
    "Protection",
    "Review",
    "ReviewedChange",
    "Ruleset",
    "Unreadable",
]


@dataclass(frozen=True, kw_only=True)
class ForgeHead:
    """Where changes go.

    Attributes:
        branch: the default branch.
        commit: its newest commit, a full hash; fetched, so that it can be read here.
    """

    branch: str
    commit: str


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of one environment's file, to be proposed.

    Attributes:
        environment: its name.
        branch: where it is proposed, e.g. ``promote/production/1.4.0``; the same change has the same branch.
        head: what it is a change of.
        path: the file, relative to the folder that the forge was opened with.
        content: of the whole file.
        values: what the change sets; a branch that is there already and says the same is the same proposal.
        title: one line; of the commit and of the pull request.
        message: of the commit, below the title.
        body: of the pull request, Markdown.
    """

    environment: str
    branch: str
    head: ForgeHead
    path: str
    content: str
    values: Mapping[str, Value]
    title: str
    message: str = ""
    body: str = ""


class ProposalState(Enum):
    """OPEN: waits for review. MERGED: it is in. DECLINED: it was closed without being merged."""

    OPEN = "OPEN"
    MERGED = "MERGED"
    DECLINED = "DECLINED"


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A change that waits for review, or was reviewed.

    Attributes:
        branch: where it is.
        commit: the branch's newest commit, a full hash.
        state: what has become of it.
        number: of the pull request; None where the forge has none.
        url: of the pull request; None where the forge has none.
        created: whether it was made just now.
    """

    branch: str
    commit: str
    state: ProposalState
    number: int | None = None
    url: str | None = None
    created: bool = False


class Forge(Protocol):
    """Where changes are proposed and merged."""

    @property
    def name(self) -> str:
        """What it is and where, for messages; without passwords."""

    def head(self) -> ForgeHead:
        """The default branch as it is now.

        Raises:
            UsageError: there is no such remote.
            IntegrationError: the forge cannot be reached or refuses.
        """

    def find(self, branch: str) -> Proposal | None:
        """The newest proposal of this branch; None if there was none. Its commit is fetched. Errors as in `head`."""

    def propose(self, change: Change) -> Proposal:
        """Propose a change: once, however often it is called and wherever a call was cut short.

        Raises:
            DeploymentError: the branch holds something else.
            IntegrationError: the forge cannot be reached or refuses.
        """

    def waiting(self, prefix: str) -> Sequence[Proposal]:
        """The proposals that wait for review and whose branches begin so, by their names. Errors as in `head`."""

    def withdraw(self, proposal: Proposal, comment: str) -> bool:
        """Take a proposal back and say why: it is not declined, and may be made again.

        Returns:
            False if its branch was changed meanwhile: then it stays.

        Raises:
            IntegrationError: the forge cannot be reached or refuses.
        """

    def merge(self, proposal: Proposal, title: str) -> Proposal:
        """Merge a proposal, where nobody's review stands in between.

        Raises:
            UsageError: merging is for reviewers there.
            DeploymentError: it cannot be merged any more.
            IntegrationError: the forge cannot be reached or refuses.
        """


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A setting that could not be read.

    Attributes:
        reason: one sentence: what the forge said.
        fix: one sentence: what to do.
    """

    reason: str
    fix: str


@dataclass(frozen=True, kw_only=True)
class Protection:
    """What a forge does before a job may run in an environment.

    Attributes:
        reviewers: logins, and ``organisation/team``: one of them has to approve.
        prevents_self_review: who started the job cannot approve it.
        branches: all: jobs of every branch may run; protected: of protected ones; named: of those that `patterns` name.
        patterns: names of branches, with ``*``.
        admins_bypass: whether administrators need no approval; None if the forge does not say.
    """

    reviewers: tuple[str, ...] = ()
    prevents_self_review: bool = False
    branches: Literal["all", "protected", "named"] = "all"
    patterns: tuple[str, ...] = ()
    admins_bypass: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What decides whether reviewers of an environment do anything.

    Attributes:
        visibility: public, private or internal.
        name: of the owner's plan, e.g. ``free``; None if the forge does not say.
    """

    visibility: str
    name: str | None


@dataclass(frozen=True, kw_only=True)
class Ruleset:
    """Rules for branches, in the form of the forge's interface.

    Attributes:
        name: theirs.
        content: JSON-serialisable values.
    """

    name: str
    content: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Review:
    """A review of a change, as it stands: each reviewer's last word.

    Attributes:
        reviewer: the login.
        approved: whether it approves.
        commit: what was reviewed, a full hash.
    """

    reviewer: str
    approved: bool
    commit: str


@dataclass(frozen=True, kw_only=True)
class ReviewedChange:
    """A pull request that was merged.

    Attributes:
        number: its number.
        url: where it is.
        author: the login of who opened it.
        pushed_by: logins of the authors and committers of its commits, where the forge knows them.
        head: its last commit, a full hash.
        content: of the environment's file in that commit; None if there is none.
        reviews: the last word of each reviewer.
    """

    number: int
    url: str
    author: str
    head: str
    content: str | None
    pushed_by: frozenset[str] = frozenset()
    reviews: Sequence[Review] = field(default=())


class Approvals(Protocol):
    """What a forge knows of approvals. What it does not tell is a value too: it counts as not there."""

    @property
    def name(self) -> str:
        """What it is and where, for messages; without passwords."""

    def protection(self, environment: str) -> Protection | Unreadable | None:
        """What guards an environment; None if the forge has no environment of this name."""

    def plan(self) -> Plan | Unreadable:
        """Who sees the repository, and what its owner pays for."""

    def rulesets(self) -> Sequence[Ruleset] | Unreadable:
        """The rules for the branches of the repository."""

    def changes(self, commit: str, path: str) -> Sequence[ReviewedChange] | Unreadable:
        """The pull requests that brought a commit into the default branch, and what they made of a file."""

    def members(self, owners: Sequence[str], logins: Sequence[str]) -> Sequence[str]:
        """Those of the logins that are owners: named as ``@login``, or in a team ``@organisation/team``.

        Who cannot be found out to be one is none.
        """
