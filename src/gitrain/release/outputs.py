"""Outputs that neither the cache nor a remote has: what may make them again."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

__all__ = ["OutputMaker"]


class OutputMaker(Protocol):
    """Runs stages of a commit again, in a clone of its own."""

    def make(
        self, commit: str, stages: Sequence[str], *, progress: Callable[[str], None]
    ) -> AbstractContextManager[Path]:
        """The root of a clone of the commit in which these stages, and those before them, are up to date.

        What the cache has is taken from it; the rest is run. The clone is removed on leaving.

        Raises:
            PipelineError: a stage failed.
            IntegrationError: Git or DVC is not installed.
        """
