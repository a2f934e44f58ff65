"""PyGithub: pull requests, reviews and settings of a repository on GitHub.

Its requester is used as it is, and its objects are not: which requests are made can be read here, and answers are
looked at as the hostile text that they are.
"""

import base64
import binascii
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

import github
import requests
from github.GithubException import GithubException

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
from gitrain.integrations.bare_forge import push_change
from gitrain.integrations.git_remote import GitRemote

__all__ = ["GitHubForge"]

_TRIES = 4
_TRANSIENT = (500, 502, 503, 504)
_PAGE = 100
# Whoever has more pull requests for one branch, or more rules, has them read in part, and the oldest are left out.
_MOST_PAGES = 20
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
        return f"GitHub's {self.repository}"

    def head(self) -> ForgeHead:
        """The default branch as it is now."""
        return self.remote.head()

    def find(self, branch: str) -> Proposal | None:
        """The newest pull request of this branch; a declined one whose branch was deleted is forgotten."""
        tip = self.remote.branch(branch)
        pulls = [pull for pull in self._pulls(branch) if _text(pull, "head", "ref") == branch]
        chosen = next((pull for pull in pulls if pull.get("state") == "open"), pulls[0] if pulls else None)
        if chosen is None:
            return None
        state = _state(chosen)
        if state is ProposalState.DECLINED and tip is None:
            return None
        return _proposal(chosen, branch, tip or _text(chosen, "head", "sha"), state)

    def propose(self, change: Change) -> Proposal:
        """Push the change as a branch and open a pull request: each of the two once."""
        self._need_token()
        found = self.find(change.branch)
        # A squash leaves the branch outside the history: that its pull request was merged says more than Git can.
        tip = self.remote.branch(change.branch)
        stale = (found is not None and found.state is ProposalState.MERGED) or (
            tip is not None and self.remote.contains(change.head.commit, tip)
        )
        commit, pushed = push_change(self.remote, change, stale=stale)
        if found is not None and found.state is ProposalState.OPEN:
            return replace(found, commit=commit, created=pushed)
        payload = {
            "title": change.title[:_LONGEST_TITLE],
            "head": change.branch,
            "base": change.head.branch,
            "body": change.body if len(change.body) <= _LONGEST_BODY else f"{change.body[:_LONGEST_BODY]}\n\n…",
            "maintainer_can_modify": False,
        }
        try:
            pull = self._request("POST", f"{self._root}/pulls", payload)
        except GithubException as error:
            there = self.find(change.branch) if error.status == 422 else None
            if there is not None and there.state is ProposalState.OPEN:
                return replace(there, created=False)
            raise self._error("the pull request", error) from error
        return replace(_proposal(pull, change.branch, commit, ProposalState.OPEN), created=True)

    def merge(self, proposal: Proposal, title: str) -> Proposal:
        """Never: merging is what reviewers do."""
        raise UsageError(
            f"{proposal.url or proposal.branch} is merged by who reviews it",
            fix="leave --merge out, and have it reviewed.",
        )

    def protection(self, environment: str) -> Protection | Unreadable | None:
        """What guards an environment."""
        place = f"{self._root}/environments/{urllib.parse.quote(environment, safe='')}"
        try:
            found = self._request("GET", place)
            policy = found.get("deployment_branch_policy")
            named = isinstance(policy, Mapping) and policy.get("custom_branch_policies") is True
            patterns = list(self._items(f"{place}/deployment-branch-policies", "branch_policies")) if named else []
        except GithubException as error:
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
            patterns=tuple(_text(each, "name") for each in patterns),
            admins_bypass=bypass if isinstance(bypass, bool) else None,
        )

    def plan(self) -> Plan | Unreadable:
        """Who sees the repository, and what its owner pays for."""
        try:
            found = self._about
        except GithubException as error:
            return self._unreadable("the repository", error)
        except IntegrationError as error:
            return Unreadable(reason=error.what, fix=error.fix.rstrip("."))
        private = found.get("private") is not False
        visibility = _text(found, "visibility") or ("private" if private else "public")
        # The two contradict each other nowhere; where they would, the stricter one counts.
        visibility = "private" if private and visibility == "public" else visibility
        return Plan(visibility=visibility, name=None if visibility == "public" else self._plan_of(found))

    def rulesets(self) -> Sequence[Ruleset] | Unreadable:
        """The rules for branches, of the repository and of what is above it."""
        try:
            listed = list(self._items(f"{self._root}/rulesets", None, {"includes_parents": "true"}))
            details = [self._request("GET", f"{self._root}/rulesets/{int(each['id'])}") for each in listed]
        except GithubException as error:
            return self._unreadable("the rules for branches", error)
        except (KeyError, TypeError, ValueError):
            return Unreadable(reason=f"{self.name} lists rules without a number", fix="try again")
        except IntegrationError as error:
            return Unreadable(reason=error.what, fix=error.fix.rstrip("."))
        return [Ruleset(name=_text(each, "name"), content=each) for each in details]

    def changes(self, commit: str, path: str) -> Sequence[ReviewedChange] | Unreadable:
        """The merged pull requests that brought a commit into the default branch."""
        try:
            main = _text(self._about, "default_branch")
            pulls = list(self._items(f"{self._root}/commits/{commit}/pulls", None))
            return [
                self._reviewed(pull, path)
                for pull in pulls
                if pull.get("merged_at") and _text(pull, "base", "ref") == main
            ]
        except GithubException as error:
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

    def _reviewed(self, pull: Mapping[str, Any], path: str) -> ReviewedChange:
        number, head = int(pull["number"]), _text(pull, "head", "sha")
        place = f"{self._root}/pulls/{number}"
        last: dict[str, Review] = {}
        for each in self._items(f"{place}/reviews", None):
            login, state = _text(each, "user", "login"), each.get("state")
            if state == "DISMISSED":
                last.pop(login, None)
            # A comment takes nothing back.
            elif login and state in ("APPROVED", "CHANGES_REQUESTED"):
                last[login] = Review(reviewer=login, approved=state == "APPROVED", commit=_text(each, "commit_id"))
        commits = list(self._items(f"{place}/commits", None))
        return ReviewedChange(
            number=number,
            url=_text(pull, "html_url"),
            author=_text(pull, "user", "login"),
            head=head,
            content=self._content(path, head),
            pushed_by=frozenset(
                login
                for each in commits
                for login in (_text(each, "author", "login"), _text(each, "committer", "login"))
                if login and login != "web-flow"
            ),
            reviews=tuple(last.values()),
        )

    def _content(self, path: str, commit: str) -> str | None:
        try:
            place = f"{self._root}/contents/{urllib.parse.quote(path)}"
            found = self._request("GET", place, parameters={"ref": commit})
            return base64.b64decode(_text(found, "content"), validate=False).decode()
        except GithubException as error:
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
            return self._request("GET", f"/orgs/{where}").get("state") == "active"
        except (GithubException, IntegrationError):
            return False

    def _plan_of(self, about: Mapping[str, Any]) -> str | None:
        owner = _text(about, "owner", "login")
        organisation = _text(about, "owner", "type") == "Organization"
        try:
            found = self._request("GET", f"/orgs/{urllib.parse.quote(owner, safe='')}" if organisation else "/user")
        except (GithubException, IntegrationError):
            return None
        # `GET /user` is about whoever the token is of.
        return (_text(found, "plan", "name") or None) if _text(found, "login") == owner else None

    def _is_there(self) -> bool:
        """Whether the repository can be read at all: GitHub says 404 of what one may not see."""
        try:
            return bool(self._about)
        except (GithubException, IntegrationError):
            return False

    @cached_property
    def _about(self) -> Mapping[str, Any]:
        return self._request("GET", self._root)

    def _pulls(self, branch: str) -> list[Mapping[str, Any]]:
        owner = self.repository.partition("/")[0]
        wanted = {"head": f"{owner}:{branch}", "state": "all", "sort": "created", "direction": "desc"}
        try:
            return list(self._items(f"{self._root}/pulls", None, wanted))
        except GithubException as error:
            raise self._error("pull requests", error) from error

    def _items(
        self, place: str, key: str | None, parameters: Mapping[str, str] | None = None
    ) -> Iterator[Mapping[str, Any]]:
        """The entries of a list, page after page."""
        for page in range(1, _MOST_PAGES + 1):
            asked = {**(parameters or {}), "per_page": str(_PAGE), "page": str(page)}
            found: Any = self._request("GET", place, parameters=asked)
            entries = found if key is None else found.get(key) if isinstance(found, Mapping) else None
            if not isinstance(entries, list):
                raise IntegrationError(f"{self.name} answered {place} with no list", fix="try again.")
            yield from (entry for entry in entries if isinstance(entry, Mapping))
            if len(entries) < _PAGE:
                return

    @property
    def _root(self) -> str:
        return f"/repos/{self.repository}"

    @cached_property
    def _client(self) -> github.Github:
        return github.Github(
            auth=github.Auth.Token(self.token) if self.token else None,
            base_url=self.api,
            timeout=30,
            # Tries are counted here, and waits are injected.
            retry=None,
            seconds_between_requests=None,
            seconds_between_writes=None,
        )

    def _request(
        self,
        verb: str,
        place: str,
        payload: Mapping[str, Any] | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """One answer; tried again where GitHub is overloaded, never where it refuses.

        Raises:
            GithubException: GitHub refuses.
            IntegrationError: it cannot be reached.
        """
        for attempt in range(_TRIES):
            try:
                _, found = self._client.requester.requestJsonAndCheck(
                    verb, place, parameters=dict(parameters or {}), input=dict(payload) if payload else None
                )
                return cast("dict[str, Any]", found)
            except GithubException as error:
                if error.status not in _TRANSIENT or attempt == _TRIES - 1:
                    raise
            except (requests.RequestException, OSError) as error:
                if attempt == _TRIES - 1:
                    raise IntegrationError(
                        f"{self.api} cannot be reached: {type(error).__name__}",
                        fix="look at the network, and try again.",
                    ) from error
            self.pause(2.0**attempt)
        raise AssertionError("unreachable")

    def _need_token(self) -> None:
        if not self.token:
            raise UsageError(
                f"opening a pull request in {self.repository} needs a token",
                fix="set GH_TOKEN or GITHUB_TOKEN; of an app or a person: GITHUB_TOKEN of a workflow starts no checks.",
            )

    def _unreadable(self, what: str, error: GithubException) -> Unreadable:
        if error.status == 404 and not self.token:
            return Unreadable(reason=f"{self.name} shows nothing without a token", fix="set GH_TOKEN")
        fix = "give the token the rights to read administration, actions, contents and pull requests"
        return Unreadable(reason=f"{what} of {self.name} cannot be read ({error.status} {_said(error)})", fix=fix)

    def _error(self, what: str, error: GithubException) -> IntegrationError:
        fix = {
            401: "renew the token.",
            403: "give the token the right to write pull requests; for workflows that is a setting of the repository.",
            404: "let the token see this repository.",
        }.get(error.status, "look at what GitHub says, and try again.")
        return IntegrationError(f"{self.name} refused {what}: {error.status} {_said(error)}", fix=fix)


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
        url=_text(pull, "html_url") or None,
    )


def _reviewer(entry: Mapping[str, Any]) -> str:
    return _text(entry, "reviewer", "login") or _text(entry, "reviewer", "slug")


def _list(values: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = values.get(key)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def _text(values: Mapping[str, Any], *keys: str) -> str:
    """A text somewhere inside an answer; empty if there is none."""
    found: Any = values
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) else ""


def _said(error: GithubException) -> str:
    message = error.data.get("message") if isinstance(error.data, Mapping) else error.data
    return " ".join(str(message or "").split())[:300]
