"""GitHub: pull requests of environments, reviews and settings of a repository."""

import base64
import binascii
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from gitrain.environments.forge import (
    Change,
    ForgeHead,
    Plan,
    Proposal,
    ProposalState,
    Protection,
    Review,
    ReviewedChange,
    Ruleset,
    Unreadable,
)
from gitrain.errors import IntegrationError, UsageError
from gitrain.integrations.bare_forge import WITHDRAWN, push_change
from gitrain.integrations.git_remote import GitRemote
from gitrain.integrations.github_api import GitHubApi, GitHubRefusal, said_by, text_at

__all__ = ["GitHubForge"]

_LONGEST_TITLE = 200
# GitHub refuses more.
_LONGEST_BODY = 65_000


@dataclass(frozen=True)
class GitHubForge:
    """`Forge` and `Approvals` on GitHub.

    Attributes:
        remote: the Git side; branches are pushed there.
        repository: ``owner/name``.
        token: of a person or of an app; never shown.
        api: the interface's address.
        pause: waits some seconds between tries.
    """

    remote: GitRemote
    repository: str
    token: str | None = field(repr=False)
    api: str = "https://api.github.com"
    pause: Callable[[float], None] = time.sleep

    @property
    def name(self) -> str:
        """The repository."""
        return self._api.name

    def head(self) -> ForgeHead:
        """The default branch as it is now."""
        return self.remote.head()

    def find(self, branch: str) -> Proposal | None:
        """The newest pull request of this branch; a declined one whose branch was deleted is forgotten."""
        tip = self.remote.branch(branch)
        pulls = [pull for pull in self._pulls(branch) if text_at(pull, "head", "ref") == branch]
        chosen = next((pull for pull in pulls if pull.get("state") == "open"), pulls[0] if pulls else None)
        if chosen is None:
            return None
        state = _state(chosen)
        if state is ProposalState.DECLINED and tip is None:
            return None
        return _proposal(chosen, branch, tip or text_at(chosen, "head", "sha"), state)

    def propose(self, change: Change) -> Proposal:
        """Push the change as a branch and open a pull request: each of the two once."""
        self._api.need_token()
        found = self.find(change.branch)
        # A squash leaves the branch outside the history: that its pull request was merged says more than Git can.
        tip = self.remote.branch(change.branch)
        stale = (found is not None and found.state is ProposalState.MERGED) or (
            tip is not None and self.remote.contains(change.head.commit, tip)
        )
        said = {
            "title": change.title[:_LONGEST_TITLE],
            "body": change.body if len(change.body) <= _LONGEST_BODY else f"{change.body[:_LONGEST_BODY]}\n\n…",
        }
        is_open = found is not None and found.state is ProposalState.OPEN

        def tell() -> None:
            # Left from an earlier time: it tells why the environment was to change then. Before the branch is made
            # anew, since nobody who was killed in between would see that it has to be told.
            if found is not None and is_open:
                self._tell(found, said)

        commit, pushed = push_change(self.remote, change, stale=stale, before=tell)
        if found is not None and is_open:
            return replace(found, commit=commit, created=pushed)
        payload = {**said, "head": change.branch, "base": change.head.branch, "maintainer_can_modify": False}
        try:
            pull = self._api.request("POST", f"{self._api.root}/pulls", payload)
        except GitHubRefusal as error:
            there = self.find(change.branch) if error.status == 422 else None
            if there is not None and there.state is ProposalState.OPEN:
                return replace(there, created=False)
            raise self._api.refused("the pull request", error) from error
        return replace(_proposal(pull, change.branch, commit, ProposalState.OPEN), created=True)

    def waiting(self, prefix: str) -> Sequence[Proposal]:
        """The open pull requests of branches that begin so; a fork's branches are not ours, whatever their names."""
        try:
            pulls = list(self._api.items(f"{self._api.root}/pulls", None, {"state": "open"}))
        except GitHubRefusal as error:
            raise self._api.refused("pull requests", error) from error
        ours = [pull for pull in pulls if text_at(pull, "head", "repo", "full_name").lower() == self.repository.lower()]
        branches = {text_at(pull, "head", "ref"): pull for pull in ours}
        return [
            _proposal(pull, branch, text_at(pull, "head", "sha"), ProposalState.OPEN)
            for branch, pull in sorted(branches.items())
            if branch.startswith(prefix)
        ]

    def withdraw(self, proposal: Proposal, comment: str) -> bool:
        """Put the branch away, which closes its pull request; close it if that is still open, and say why.

        The branch goes first: one that is left would say that reviewers declined it. A comment twice is worse than
        none, so it comes last.
        """
        self._api.need_token("closing a pull request")
        place = f"{WITHDRAWN}{proposal.branch}"
        tip = self.remote.branch(proposal.branch)
        if tip is not None and not self.remote.put_away(proposal.branch, tip, f"Withdrawn\n\n{comment}\n", place):
            return False
        try:
            self._api.request("PATCH", f"{self._api.root}/pulls/{proposal.number}", {"state": "closed"})
            comments = f"{self._api.root}/issues/{proposal.number}/comments"
            self._api.request("POST", comments, {"body": comment}, once=True)
        except GitHubRefusal as error:
            raise self._api.refused(f"closing pull request {proposal.number}", error) from error
        return True

    def merge(self, proposal: Proposal, title: str) -> Proposal:
        """Never: merging is what reviewers do."""
        raise UsageError(
            f"{proposal.url or proposal.branch} is merged by who reviews it",
            fix="leave --merge out, and have it reviewed.",
        )

    def protection(self, environment: str) -> Protection | Unreadable | None:
        """What guards an environment."""
        place = f"{self._api.root}/environments/{urllib.parse.quote(environment, safe='')}"
        try:
            found = self._api.request("GET", place)
            policy = found.get("deployment_branch_policy")
            named = isinstance(policy, Mapping) and policy.get("custom_branch_policies") is True
            patterns = list(self._api.items(f"{place}/deployment-branch-policies", "branch_policies")) if named else []
        except GitHubRefusal as error:
            return (
                None
                if error.status == 404 and self._is_there()
                else self._unreadable(f"environment {environment}", error)
            )
        except IntegrationError as error:
            return Unreadable(reason=error.what, fix=error.fix.rstrip("."))
        rules = [rule for rule in _list(found, "protection_rules") if rule.get("type") == "required_reviewers"]
        protected = isinstance(policy, Mapping) and policy.get("protected_branches") is True
        bypass = found.get("can_admins_bypass")
        return Protection(
            reviewers=tuple(name for rule in rules for each in _list(rule, "reviewers") if (name := _reviewer(each))),
            prevents_self_review=bool(rules) and all(rule.get("prevent_self_review") is True for rule in rules),
            branches="protected" if protected else "named" if named else "all",
            patterns=tuple(text_at(each, "name") for each in patterns),
            admins_bypass=bypass if isinstance(bypass, bool) else None,
        )

    def plan(self) -> Plan | Unreadable:
        """Who sees the repository, and what its owner pays for."""
        try:
            found = self._about
        except GitHubRefusal as error:
            return self._unreadable("the repository", error)
        except IntegrationError as error:
            return Unreadable(reason=error.what, fix=error.fix.rstrip("."))
        private = found.get("private") is not False
        visibility = text_at(found, "visibility") or ("private" if private else "public")
        # The two contradict each other nowhere; where they would, the stricter one counts.
        visibility = "private" if private and visibility == "public" else visibility
        return Plan(visibility=visibility, name=None if visibility == "public" else self._plan_of(found))

    def rulesets(self) -> Sequence[Ruleset] | Unreadable:
        """The rules for branches, of the repository and of what is above it."""
        try:
            listed = list(self._api.items(f"{self._api.root}/rulesets", None, {"includes_parents": "true"}))
            details = [self._api.request("GET", f"{self._api.root}/rulesets/{int(each['id'])}") for each in listed]
        except GitHubRefusal as error:
            return self._unreadable("the rules for branches", error)
        except (KeyError, TypeError, ValueError):
            return Unreadable(reason=f"{self.name} lists rules without a number", fix="try again")
        except IntegrationError as error:
            return Unreadable(reason=error.what, fix=error.fix.rstrip("."))
        return [Ruleset(name=text_at(each, "name"), content=each) for each in details]

    def changes(self, commit: str, path: str) -> Sequence[ReviewedChange] | Unreadable:
        """The merged pull requests that brought a commit into the default branch."""
        try:
            main = text_at(self._about, "default_branch")
            pulls = list(self._api.items(f"{self._api.root}/commits/{commit}/pulls", None))
            return [
                self._reviewed(pull, path)
                for pull in pulls
                if pull.get("merged_at") and text_at(pull, "base", "ref") == main
            ]
        except GitHubRefusal as error:
            return self._unreadable("the pull requests of a commit", error)
        except IntegrationError as error:
            return Unreadable(reason=error.what, fix=error.fix.rstrip("."))

    def members(self, owners: Sequence[str], logins: Sequence[str]) -> Sequence[str]:
        """Those of the logins that are owners; who a team's members are has to be readable."""
        people = {owner.removeprefix("@").lower() for owner in owners if "/" not in owner}
        teams = [owner.removeprefix("@").partition("/") for owner in owners if "/" in owner]
        return [
            login
            for login in logins
            if login.lower() in people
            or any(self._in_team(organisation, team, login) for organisation, _, team in teams)
        ]

    def _tell(self, proposal: Proposal, said: Mapping[str, str]) -> None:
        try:
            self._api.request("PATCH", f"{self._api.root}/pulls/{proposal.number}", said)
        except GitHubRefusal as error:
            raise self._api.refused(f"changing pull request {proposal.number}", error) from error

    def _reviewed(self, pull: Mapping[str, Any], path: str) -> ReviewedChange:
        number, head = int(pull["number"]), text_at(pull, "head", "sha")
        place = f"{self._api.root}/pulls/{number}"
        last: dict[str, Review] = {}
        for each in self._api.items(f"{place}/reviews", None):
            login, state = text_at(each, "user", "login"), each.get("state")
            if state == "DISMISSED":
                last.pop(login, None)
            # A comment takes nothing back.
            elif login and state in ("APPROVED", "CHANGES_REQUESTED"):
                last[login] = Review(reviewer=login, approved=state == "APPROVED", commit=text_at(each, "commit_id"))
        commits = list(self._api.items(f"{place}/commits", None))
        return ReviewedChange(
            number=number,
            url=text_at(pull, "html_url"),
            author=text_at(pull, "user", "login"),
            head=head,
            content=self._content(path, head),
            pushed_by=frozenset(
                login
                for each in commits
                for login in (text_at(each, "author", "login"), text_at(each, "committer", "login"))
                if login and login != "web-flow"
            ),
            reviews=tuple(last.values()),
        )

    def _content(self, path: str, commit: str) -> str | None:
        try:
            place = f"{self._api.root}/contents/{urllib.parse.quote(path)}"
            found = self._api.request("GET", place, parameters={"ref": commit})
            return base64.b64decode(text_at(found, "content"), validate=False).decode()
        except GitHubRefusal as error:
            if error.status == 404:
                return None
            raise
        except (binascii.Error, UnicodeDecodeError):
            return None

    def _in_team(self, organisation: str, team: str, login: str) -> bool:
        where = "/".join(
            urllib.parse.quote(part, safe="") for part in (organisation, "teams", team, "memberships", login)
        )
        try:
            return self._api.request("GET", f"/orgs/{where}").get("state") == "active"
        except (GitHubRefusal, IntegrationError):
            return False

    def _plan_of(self, about: Mapping[str, Any]) -> str | None:
        owner = text_at(about, "owner", "login")
        organisation = text_at(about, "owner", "type") == "Organization"
        try:
            found = self._api.request("GET", f"/orgs/{urllib.parse.quote(owner, safe='')}" if organisation else "/user")
        except (GitHubRefusal, IntegrationError):
            return None
        # `GET /user` is about whoever the token is of.
        return (text_at(found, "plan", "name") or None) if text_at(found, "login") == owner else None

    def _is_there(self) -> bool:
        """Whether the repository can be read at all: GitHub says 404 of what one may not see."""
        try:
            return bool(self._about)
        except (GitHubRefusal, IntegrationError):
            return False

    @cached_property
    def _about(self) -> Mapping[str, Any]:
        return self._api.request("GET", self._api.root)

    def _pulls(self, branch: str) -> list[Mapping[str, Any]]:
        owner = self.repository.partition("/")[0]
        wanted = {"head": f"{owner}:{branch}", "state": "all", "sort": "created", "direction": "desc"}
        try:
            return list(self._api.items(f"{self._api.root}/pulls", None, wanted))
        except GitHubRefusal as error:
            raise self._api.refused("pull requests", error) from error

    @cached_property
    def _api(self) -> GitHubApi:
        return GitHubApi(self.repository, self.token, url=self.api, pause=self.pause)

    def _unreadable(self, what: str, error: GitHubRefusal) -> Unreadable:
        if error.status == 404 and not self.token:
            return Unreadable(reason=f"{self.name} shows nothing without a token", fix="set GH_TOKEN")
        fix = "give the token the rights to read administration, actions, contents and pull requests"
        return Unreadable(reason=f"{what} of {self.name} cannot be read ({error.status} {said_by(error)})", fix=fix)


def _state(pull: Mapping[str, Any]) -> ProposalState:
    if pull.get("state") == "open":
        return ProposalState.OPEN
    return ProposalState.MERGED if pull.get("merged_at") else ProposalState.DECLINED


def _proposal(pull: Mapping[str, Any], branch: str, commit: str, state: ProposalState) -> Proposal:
    number = pull.get("number")
    return Proposal(
        branch=branch,
        commit=commit,
        state=state,
        number=number if isinstance(number, int) else None,
        url=text_at(pull, "html_url") or None,
    )


def _reviewer(entry: Mapping[str, Any]) -> str:
    return text_at(entry, "reviewer", "login") or text_at(entry, "reviewer", "slug")


def _list(values: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = values.get(key)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []
