"""Retraining: where it is proposed, where it is recorded, and the clones in which candidates are made."""

from datetime import UTC, datetime
from pathlib import Path

from gitrain.documents import parse_json
from gitrain.errors import UsageError
from gitrain.integrations.bare_proposals import BareIssues, BareProposals
from gitrain.integrations.candidate_clones import LocalCandidateClones
from gitrain.integrations.git_log import GitLog
from gitrain.integrations.git_program import workflow_author
from gitrain.integrations.retraining_branch import RetrainingBranch
from gitrain.monitoring.report import MonitoringReport
from gitrain.operations.plan_retraining import RetrainingTools
from gitrain.settings import Settings
from gitrain.triggers.forge import Issues, Proposals
from gitrain.wiring.forges import ForgePlace, find_forge
from gitrain.wiring.repository import open_repository

__all__ = ["open_issues", "open_proposals", "open_retraining_tools", "read_monitoring_report"]

# A report has a row a day and bins of some features; whatever is longer is none.
_LARGEST = 64 * 2**20


def open_proposals(place: ForgePlace) -> Proposals:
    """Where commits are proposed."""
    if place.repository is None:
        return BareProposals(place.remote)
    # PyGithub takes a third of a second to import.
    from gitrain.integrations.github_api import GitHubApi
    from gitrain.integrations.github_proposals import GitHubProposals

    return GitHubProposals(place.remote, GitHubApi(place.repository, place.token, url=place.api))


def open_issues(settings: Settings) -> Issues:
    """Where issues are kept current. Raises UsageError if there is no remote."""
    place = find_forge(settings)
    if place.repository is None:
        return BareIssues(place.remote)
    from gitrain.integrations.github_api import GitHubApi
    from gitrain.integrations.github_proposals import GitHubIssues

    return GitHubIssues(GitHubApi(place.repository, place.token, url=place.api))


def open_retraining_tools(directory: str) -> RetrainingTools:
    """What retraining is planned and carried out with.

    Raises:
        UsageError: there is no remote, or it names no repository of GitHub.
        SettingsError, ProjectError: what is wrong with the repository.
    """
    found = open_repository(directory)
    place = find_forge(found.settings)
    return RetrainingTools(
        project=found.project,
        proposals=open_proposals(place),
        issues=open_issues(found.settings),
        history=GitLog(found.settings.root),
        records=RetrainingBranch(found.settings.root, variables=place.remote.variables),
        clones=LocalCandidateClones(place.remote, author=workflow_author()),
        clock=lambda: datetime.now(UTC),
    )


def read_monitoring_report(path: str | None) -> MonitoringReport | None:
    """What `gitrain monitor run --json` printed.

    Raises:
        UsageError: there is no such file.
        SettingsError: it is no such report.
    """
    if path is None:
        return None
    try:
        with Path(path).open("rb") as stream:
            text = stream.read(_LARGEST).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} cannot be read: {error}", fix="name a file that `gitrain monitor run` wrote."
        ) from error
    return parse_json(MonitoringReport, text, source=path)
