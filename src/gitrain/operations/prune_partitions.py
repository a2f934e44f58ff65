"""Removing the files of batches that nobody asks for any more."""

from collections.abc import Collection

from gitrain.pipeline.workspace import Workspace

__all__ = ["prune_partitions"]


def prune_partitions(workspace: Workspace, folder: str, keep: Collection[str]) -> list[str]:
    """Remove every file in `folder` and in the folders of tables below it that is not in `keep`.

    Returns:
        The paths that were removed, sorted.
    """
    found = [path for place in (folder, *workspace.folders(folder)) for path in workspace.list(place, "")]
    removed = sorted(set(found) - set(keep))
    for path in removed:
        workspace.remove(path)
    return removed
