"""List the recorded runs of a project."""

from gitrain.project import Project
from gitrain.tracking.runs import RunRecord, RunStore

__all__ = ["list_runs"]


def list_runs(project: Project, store: RunStore) -> list[RunRecord]:
    """The recorded runs of a project, the newest first, without their curves.

    Raises:
        IntegrationError: the store cannot be reached.
    """
    return store.list(project.name)
