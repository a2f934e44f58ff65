"""Environments: which forge there is, and what promotions are judged with."""

import os
import re
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import urlsplit

from gitrain.environments.forge import Approvals, Forge
from gitrain.errors import UsageError
from gitrain.integrations.bare_forge import BareForge
from gitrain.integrations.deployment_branch import DeploymentBranch
from gitrain.integrations.git import GitRepository
from gitrain.integrations.git_log import GitLog
from gitrain.integrations.git_remote import GitRemote, token_header
from gitrain.operations.judge_environment import EnvironmentTools
from gitrain.settings import Settings
from gitrain.wiring.releases import open_release_keys, open_release_stores

__all__ = ["ApprovingForge", "open_environment_tools", "open_forge", "open_history"]

# user@host:owner/name.git, as ssh has it.
_SSH = re.compile(r"^(?:[\w.-]+@)?(?P<host>[\w.-]+):(?!//)(?P<path>.+)$")


class ApprovingForge(Forge, Approvals, Protocol):
    """A forge that is asked about approvals too."""


def open_environment_tools(settings: Settings) -> EnvironmentTools:
    """What is known of releases and of what has run.

    Raises:
        UsageError: a key of `release_keys` is missing, or the release store is of an unknown kind.
    """
    repository = GitRepository(settings.root)
    return EnvironmentTools(
        history=open_history(settings),
        records=DeploymentBranch(settings.root),
        stores=open_release_stores(settings),
        keys=open_release_keys(settings),
        tags=repository.tags,
        clock=lambda: datetime.now(UTC),
    )


def open_history(settings: Settings) -> GitLog:
    """The history of the repository."""
    return GitLog(settings.root)


def open_forge(settings: Settings) -> ApprovingForge:
    """The forge that the remote `origin` is on: GitHub by its name, else the Git repository itself.

    GITHUB_SERVER_URL and GITHUB_API_URL name another GitHub, as they do in its workflows; GH_TOKEN or GITHUB_TOKEN is
    the token.

    Raises:
        UsageError: there is no remote, or it names no repository of GitHub.
    """
    remote = GitRemote(settings.root)
    server = os.environ.get("GITHUB_SERVER_URL") or "https://github.com"
    host = urlsplit(server).netloc
    for url in (remote.configured, remote.url):
        found = _place(url)
        if found is None or found[0] != host:
            continue
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", found[1]):
            raise UsageError(f"{remote.shown} names no repository of {host}", fix="let origin end in OWNER/NAME.git.")
        return _github(settings, server, host, found[1])
    return BareForge(remote)


def _github(settings: Settings, server: str, host: str, repository: str) -> ApprovingForge:
    # PyGithub takes a third of a second to import.
    from gitrain.integrations.github import GitHubForge

    token = os.environ.get("GH_TOKEN") or os.environ.get("GITHUB_TOKEN") or None
    default = "https://api.github.com" if host == "github.com" else f"{server}/api/v3"
    return GitHubForge(
        GitRemote(settings.root, variables=token_header(server, token) if token else {}),
        repository,
        token,
        api=os.environ.get("GITHUB_API_URL") or default,
    )


def _place(url: str) -> tuple[str, str] | None:
    """Host and path of a remote; None for a folder."""
    if "://" in url:
        parts = urlsplit(url)
        if parts.scheme == "file":
            return None
        # A port of ssh is not the port of the server's pages.
        host = parts.netloc.rpartition("@")[2] if parts.scheme.startswith("http") else parts.hostname or ""
        path = parts.path
    else:
        found = _SSH.match(url)
        if found is None:
            return None
        host, path = found["host"], found["path"]
    return host, path.strip("/").removesuffix(".git")
