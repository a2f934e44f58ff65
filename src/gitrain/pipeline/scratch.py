"""A temporary folder in which stages are tried out."""

from dataclasses import dataclass

from gitrain.pipeline.shell import Shell
from gitrain.pipeline.workspace import Workspace

__all__ = ["Scratch"]


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """An empty folder away from the repository, and commands in it.

    Attributes:
        workspace: its files.
        shell: runs commands in it.
    """

    workspace: Workspace
    shell: Shell
