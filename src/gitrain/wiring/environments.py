"""Environments: which forge there is, and what promotions are judged with."""

from datetime import UTC, datetime
from typing import Protocol

from gitrain.environments.forge import Approvals, Forge
from gitrain.integrations.bare_forge import BareForge
from gitrain.integrations.deployment_branch import DeploymentBranch
from gitrain.integrations.git import GitRepository
from gitrain.integrations.git_log import GitLog
from gitrain.operations.judge_environment import EnvironmentTools
from gitrain.settings import Settings
from gitrain.wiring.forges import find_forge
from gitrain.wiring.releases import open_release_keys, open_release_stores

__all__ = ["ApprovingForge", "open_environment_tools", "open_forge", "open_history"]


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
    """The forge that the remote `origin` is on; see `find_forge`, whose errors it raises."""
    place = find_forge(settings)
    if place.repository is None:
        return BareForge(place.remote)
    # PyGithub takes a third of a second to import.
    from gitrain.integrations.github import GitHubForge

    return GitHubForge(place.remote, place.repository, place.token, api=place.api)
