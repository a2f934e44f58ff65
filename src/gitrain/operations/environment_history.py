"""What happened to an environment, from Git's log of its file and the records of its deployments."""

from gitrain.deployment.commits import CommitHistory
from gitrain.deployment.history import Event, history_of
from gitrain.deployment.record import DeploymentRecords
from gitrain.environments.document import environment_path
from gitrain.errors import UsageError

__all__ = ["environment_history"]


def environment_history(history: CommitHistory, records: DeploymentRecords, name: str) -> list[Event]:
    """Who changed the environment, when, what and why, and what was deployed: the newest first.

    Raises:
        UsageError: no commit that is checked out here, or before it, had such an environment.
        PipelineError: Git cannot read the repository.
        SettingsError: a record is none.
    """
    path = environment_path(name)
    versions = list(history.versions(path))
    deployments = list(records.list(name))
    if not versions and not deployments:
        raise UsageError(f"there never was an environment {name!r} here", fix=f"write {path}, and commit it.")
    return history_of(versions, deployments)
