"""PyGithub: requests to GitHub's interface, tried again where it is overloaded.

Its requester is used as it is, and its objects are not: which requests are made can be read where they are made, and
answers are looked at as the hostile text that they are.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import github
import requests
from github.GithubException import GithubException as GitHubRefusal

from gitrain.errors import IntegrationError, UsageError

__all__ = ["TRANSIENT", "GitHubApi", "GitHubRefusal", "said_by", "text_at"]

#: Statuses that say nothing of the request: the same may pass a moment later.
TRANSIENT = (500, 502, 503, 504)

_TRIES = 4
_PAGE = 100
_LONGEST_WAIT = 60.0
# Whoever has more pull requests for one branch, or more rules, has them read in part, and the oldest are left out.
_MOST_PAGES = 20


@dataclass(frozen=True)
class GitHubApi:
    """What can be asked of one repository on GitHub.

    Attributes:
        repository: ``owner/name``.
        token: of a person or of an app; never shown.
        url: the interface's address.
        pause: waits some seconds between tries.
    """

    repository: str
    token: str | None = field(repr=False)
    url: str = "https://api.github.com"
    pause: Callable[[float], None] = time.sleep

    @property
    def name(self) -> str:
        """The repository, for messages."""
        return f"GitHub's {self.repository}"

    @property
    def root(self) -> str:
        """Where the repository's own requests begin."""
        return f"/repos/{self.repository}"

    def request(
        self,
        verb: str,
        place: str,
        payload: Mapping[str, Any] | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        once: bool = False,
    ) -> dict[str, Any]:
        """One answer; tried again where GitHub is overloaded or wants fewer requests, never where it refuses.

        Args:
            verb: of HTTP.
            place: the path.
            payload: is sent as JSON.
            parameters: of the query.
            once: is not tried again: what must not be made twice may have been made although the answer was lost. Of
                a request too many nothing was made.

        Raises:
            GitHubRefusal: GitHub refuses.
            IntegrationError: it cannot be reached.
        """
        for attempt in range(_TRIES):
            seconds = 2.0**attempt
            try:
                _, found = self._client.requester.requestJsonAndCheck(
                    verb, place, parameters=dict(parameters or {}), input=dict(payload) if payload else None
                )
                return cast("dict[str, Any]", found)
            except GitHubRefusal as error:
                limited = _is_limit(error)
                if attempt == _TRIES - 1 or not (limited or (error.status in TRANSIENT and not once)):
                    raise
                seconds = max(seconds, _asked_wait(error)) if limited else seconds
            except (requests.RequestException, OSError) as error:
                if once or attempt == _TRIES - 1:
                    raise IntegrationError(
                        f"{self.url} cannot be reached: {type(error).__name__}",
                        fix="look at the network, and try again.",
                    ) from error
            self.pause(seconds)
        raise AssertionError("unreachable")

    def items(
        self, place: str, key: str | None = None, parameters: Mapping[str, str] | None = None
    ) -> Iterator[Mapping[str, Any]]:
        """The entries of a list, page after page; errors as in `request`.

        Args:
            place: the path.
            key: under which the list stands in the answer; None where the answer is the list.
            parameters: of the query.
        """
        for page in range(1, _MOST_PAGES + 1):
            asked = {**(parameters or {}), "per_page": str(_PAGE), "page": str(page)}
            found: Any = self.request("GET", place, parameters=asked)
            entries = found if key is None else found.get(key) if isinstance(found, Mapping) else None
            if not isinstance(entries, list):
                raise IntegrationError(f"{self.name} answered {place} with no list", fix="try again.")
            yield from (entry for entry in entries if isinstance(entry, Mapping))
            if len(entries) < _PAGE:
                return

    def need_token(self, purpose: str = "opening a pull request") -> None:
        """Raise UsageError if there is no token to write with."""
        if not self.token:
            raise UsageError(
                f"{purpose} in {self.repository} needs a token",
                fix="set GH_TOKEN or GITHUB_TOKEN; of an app or a person: GITHUB_TOKEN of a workflow starts no checks.",
            )

    def refused(self, what: str, error: GitHubRefusal, rights: str = "pull requests") -> IntegrationError:
        """The error that says that GitHub refused something, and what it takes."""
        fix = {
            401: "renew the token.",
            403: f"give the token the right to write {rights}; for workflows that is a setting of the repository.",
            404: "let the token see this repository.",
        }.get(error.status, "look at what GitHub says, and try again.")
        if _is_limit(error):
            fix = "wait until GitHub takes requests of this token again, within an hour, and try again."
        return IntegrationError(f"{self.name} refused {what}: {error.status} {said_by(error)}", fix=fix)

    @cached_property
    def _client(self) -> github.Github:
        return github.Github(
            auth=github.Auth.Token(self.token) if self.token else None,
            base_url=self.url,
            timeout=30,
            # Tries are counted here, and waits are injected.
            retry=None,
            seconds_between_requests=None,
            seconds_between_writes=None,
        )


def text_at(values: Mapping[str, Any], *keys: str) -> str:
    """A text somewhere inside an answer; empty if there is none."""
    found: Any = values
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) else ""


def said_by(error: GitHubRefusal) -> str:
    """What GitHub said when it refused, on one line."""
    message = error.data.get("message") if isinstance(error.data, Mapping) else error.data
    return " ".join(str(message or "").split())[:300]


def _is_limit(error: GitHubRefusal) -> bool:
    """Whether GitHub refuses for the number of requests alone: some limits are told by 403, like a missing right."""
    if error.status != 403:
        return error.status == 429
    return bool(_header(error, "retry-after")) or "rate limit" in said_by(error).lower()


def _asked_wait(error: GitHubRefusal) -> float:
    """The seconds that GitHub asks to wait, as far as they are waited."""
    text = _header(error, "retry-after")
    return min(float(text), _LONGEST_WAIT) if text.isdecimal() else 0.0


def _header(error: GitHubRefusal, name: str) -> str:
    return next((str(value).strip() for key, value in (error.headers or {}).items() if key.lower() == name), "")
