"""Move `data.through` in params.yaml on: the edit that lets a new batch in."""

from typing import Protocol

from gitrain.pipeline.params import Params
from gitrain.project import Project

__all__ = ["ParamsFile", "advance_data"]


class ParamsFile(Protocol):
    """params.yaml as a file that people edit too: comments and layout stay as they are."""

    def change(self, key: str, value: str) -> None:
        """Set the value of a dotted key that is there already.

        Raises:
            SettingsError: no such key.
        """


def advance_data(project: Project, params: Params, file: ParamsFile, *, to: str | None) -> str:
    """Set `data.through` to the batch `to`, or to the one that follows, and return its name.

    Raises:
        SettingsError: `to` is no name of a batch.
    """
    batch = to or project.batches.following(params.data.through)
    project.batches.check(batch)
    file.change("data.through", batch)
    return batch
