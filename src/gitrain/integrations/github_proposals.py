"""GitHub as the place where commits are proposed, and issues kept current."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gitrain.environments.forge import ForgeHead, Proposal, ProposalState
from gitrain.errors import IntegrationError, UsageError
from gitrain.integrations.bare_proposals import push_proposal
from gitrain.integrations.git_remote import GitRemote
from gitrain.integrations.github_api import TRANSIENT, GitHubApi, GitHubRefusal, text_at
from gitrain.triggers.forge import BranchProposal, Issue, OpenProposal

__all__ = ["GitHubIssues", "GitHubProposals"]

_LONGEST_TITLE = 200
# GitHub refuses more.
_LONGEST_BODY = 65_000
# Only who may triage can give an issue this: a body alone can be written by anybody.
_LABEL = "gitrain"
_KEY = re.compile(r"[a-z0-9][a-z0-9/-]{0,79}")
# What protects a branch says so with these.
_NOT_YET = (405, 409, 422)


@dataclass(frozen=True)
class GitHubProposals:
    """`Proposals` as pull requests.

    Attributes:
        remote: the Git side; branches are pushed there.
        api: the other side.
    """

    remote: GitRemote
    api: GitHubApi

    @property
    def name(self) -> str:
        """The repository."""
        return self.api.name

    def head(self) -> ForgeHead:
        """The default branch as it is now."""
        return self.remote.head()

    def find(self, branch: str) -> Proposal | None:
        """The newest pull request of this branch."""
        pulls = self._pulls({"head": f"{self._owner}:{branch}", "state": "all"})
        mine = [pull for pull in pulls if text_at(pull, "head", "ref") == branch]
        chosen = next((pull for pull in mine if pull.get("state") == "open"), mine[0] if mine else None)
        if chosen is None:
            return None
        state = ProposalState.OPEN
        if chosen.get("state") != "open":
            state = ProposalState.MERGED if chosen.get("merged_at") else ProposalState.DECLINED
        return Proposal(
            branch=branch,
            commit=text_at(chosen, "head", "sha"),
            state=state,
            number=_number(chosen),
            url=text_at(chosen, "html_url") or None,
        )

    def waiting(self, prefix: str) -> Sequence[OpenProposal]:
        """The open pull requests of branches that begin so. A fork's branches are not ours, whatever their names."""
        return [
            OpenProposal(
                branch=text_at(pull, "head", "ref"),
                commit=text_at(pull, "head", "sha"),
                number=_number(pull),
                url=text_at(pull, "html_url") or None,
            )
            for pull in self._pulls({"state": "open"})
            if text_at(pull, "head", "ref").startswith(prefix)
            and text_at(pull, "head", "repo", "full_name").lower() == self.api.repository.lower()
        ]

    def propose(self, wanted: BranchProposal) -> Proposal:
        """Push the commits and open a pull request: each of the two once; one that was closed stays so."""
        self.api.need_token()
        found = self.find(wanted.branch)
        if found is not None and found.state is not ProposalState.OPEN:
            return found
        commit, _ = push_proposal(self.remote, wanted)
        if found is not None:
            return replace(found, commit=commit)
        payload = {
            "title": wanted.title[:_LONGEST_TITLE],
            "head": wanted.branch,
            "base": wanted.head.branch,
            "body": _cut(wanted.body),
            "maintainer_can_modify": False,
        }
        try:
            pull = self.api.request("POST", f"{self.api.root}/pulls", payload)
        except GitHubRefusal as error:
            # It may have been opened although the answer was lost, or by another run.
            there = self.find(wanted.branch) if error.status == 422 else None
            if there is not None:
                return there
            raise self.api.refused("the pull request", error) from error
        return Proposal(
            branch=wanted.branch,
            commit=commit,
            state=ProposalState.OPEN,
            number=_number(pull),
            url=text_at(pull, "html_url") or None,
            created=True,
        )

    def close(self, branch: str, comment: str) -> None:
        """Close the pull request, then say why: twice would be worse than never. The branch is kept."""
        self.api.need_token("closing a pull request")
        found = self.find(branch)
        if found is None or found.state is not ProposalState.OPEN:
            return
        try:
            self.api.request("PATCH", f"{self.api.root}/pulls/{found.number}", {"state": "closed"})
            _comment(self.api, found.number, comment)
        except GitHubRefusal as error:
            raise self.api.refused(f"closing pull request {found.number}", error) from error

    def merge(self, proposal: Proposal, title: str) -> Proposal:
        """Merge the pull request, if its checks and reviews are there already; else it is left to them."""
        payload = {"commit_title": title[:_LONGEST_TITLE], "sha": proposal.commit, "merge_method": "merge"}
        try:
            self.api.request("PUT", f"{self.api.root}/pulls/{proposal.number}/merge", payload)
        except GitHubRefusal as error:
            if error.status in _NOT_YET:
                return proposal
            raise self.api.refused(f"merging pull request {proposal.number}", error) from error
        return replace(proposal, state=ProposalState.MERGED)

    @property
    def _owner(self) -> str:
        return self.api.repository.partition("/")[0]

    def _pulls(self, wanted: Mapping[str, str]) -> list[Mapping[str, Any]]:
        order = {"sort": "created", "direction": "desc"}
        try:
            return list(self.api.items(f"{self.api.root}/pulls", None, {**wanted, **order}))
        except GitHubRefusal as error:
            raise self.api.refused("pull requests", error) from error


@dataclass(frozen=True)
class GitHubIssues:
    """`Issues` on GitHub: known by a label and by a mark in the body that nobody sees.

    Attributes:
        api: the interface.
    """

    api: GitHubApi

    def keep(self, key: str, title: str, body: str) -> Issue:
        """Open it, or change what it says; of several the oldest is kept."""
        self.api.need_token("opening an issue")
        wanted = {"title": title[:_LONGEST_TITLE], "body": _cut(f"{_mark(key)}\n{body.strip()}\n")}
        try:
            found = self._open(key)
            if not found:
                try:
                    made = self.api.request(
                        "POST", f"{self.api.root}/issues", {**wanted, "labels": [_LABEL]}, once=True
                    )
                    return _issue(key, made, created=True)
                except GitHubRefusal as error:
                    # It may be there although the answer was lost: never a second one.
                    found = self._open(key) if error.status in TRANSIENT else []
                    if not found:
                        raise
            first, *others = found
            if any(first.get(name) != text for name, text in wanted.items()):
                self.api.request("PATCH", f"{self.api.root}/issues/{_number(first)}", wanted)
            for other in others:
                self._close(other, f"The same as #{_number(first)}.")
            return _issue(key, first, created=False)
        except GitHubRefusal as error:
            raise self.api.refused("the issue", error, "issues") from error

    def find(self, key: str) -> Issue | None:
        """The oldest that is open."""
        try:
            found = self._open(key)
        except GitHubRefusal as error:
            raise self.api.refused("the issue", error, "issues") from error
        return _issue(key, found[0], created=False) if found else None

    def close(self, key: str, comment: str) -> bool:
        """Close it, then say why."""
        self.api.need_token("closing an issue")
        try:
            found = self._open(key)
            for each in found:
                self._close(each, comment)
        except GitHubRefusal as error:
            raise self.api.refused("closing the issue", error, "issues") from error
        return bool(found)

    def _open(self, key: str) -> list[Mapping[str, Any]]:
        """The open issues of this key, the oldest first."""
        listed = self.api.items(f"{self.api.root}/issues", None, {"state": "open", "labels": _LABEL})
        mark = _mark(key)
        mine = [each for each in listed if "pull_request" not in each and text_at(each, "body").startswith(mark)]
        return sorted((each for each in mine if _number(each) is not None), key=lambda each: int(each["number"]))

    def _close(self, issue: Mapping[str, Any], comment: str) -> None:
        place = f"{self.api.root}/issues/{_number(issue)}"
        self.api.request("PATCH", place, {"state": "closed", "state_reason": "completed"})
        _comment(self.api, _number(issue), comment)


def _comment(api: GitHubApi, number: int | None, text: str) -> None:
    try:
        api.request("POST", f"{api.root}/issues/{number}/comments", {"body": _cut(text)}, once=True)
    except GitHubRefusal as error:
        # It may be there although the answer was lost; what matters is done.
        if error.status not in TRANSIENT:
            raise


def _mark(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise UsageError(f"{key!r} is no key of an issue", fix="use lower-case letters, digits, hyphens and slashes.")
    return f"<!-- gitrain: {key} -->"


def _cut(body: str) -> str:
    return body if len(body) <= _LONGEST_BODY else f"{body[:_LONGEST_BODY]}\n\n…"


def _number(entry: Mapping[str, Any]) -> int | None:
    number = entry.get("number")
    return number if isinstance(number, int) else None


def _issue(key: str, entry: Mapping[str, Any], *, created: bool) -> Issue:
    number = _number(entry)
    if number is None:
        raise IntegrationError("GitHub answered with an issue without a number", fix="try again.")
    return Issue(key=key, number=number, url=text_at(entry, "html_url") or None, created=created)
