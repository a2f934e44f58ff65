"""What operations need to make a candidate: a clean clone in which commands are run, away from the user's tree."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from gitrain.pipeline.workspace import Workspace

__all__ = ["CandidateClone", "CandidateClones", "Finished"]


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A command that came to its end.

    Attributes:
        exit_code: its exit code; negative: the signal that ended it.
        stdout: what it printed there.
        said: the last lines of its stderr.
    """

    exit_code: int
    stdout: str
    said: str = ""


class CandidateClone(Protocol):
    """A clone of one commit, with the cache and the memo of the repository that it was made from."""

    @property
    def workspace(self) -> Workspace:
        """The files in the folder of dvc.yaml."""

    def run(self, command: Sequence[str], *, progress: Callable[[str], None]) -> Finished:
        """Run `gitrain`, `dvc` or another program there; each line of its stderr is told as it comes.

        Raises:
            IntegrationError: the program is not there.
        """

    def commit(self, message: str) -> str | None:
        """Commit what the pipeline wrote and Git keeps, and params.yaml; the commit is in the user's repository then.

        Returns:
            The full hash; None if nothing has changed.

        Raises:
            PipelineError: Git refuses, or the stages left a broken dvc.lock.
        """

    def push_data(self, *, progress: Callable[[str], None]) -> bool:
        """Push the outputs to the DVC remote; False where none is configured.

        Raises:
            PipelineError: DVC could not.
        """


class CandidateClones(Protocol):
    """Makes clones, one at a time."""

    @property
    def holder(self) -> str:
        """Which repository on which machine this is: 16 hexadecimal digits that stay the same."""

    def busy(self) -> bool:
        """Whether a process of this repository makes a candidate just now. Raises IntegrationError as `alone` does."""

    def alone(self) -> AbstractContextManager[bool]:
        """While it is held no other process of this repository makes a candidate; False if one is at it.

        What a run that was killed left behind is removed.

        Raises:
            IntegrationError: the disk refuses.
        """

    def make(self, commit: str) -> AbstractContextManager[CandidateClone]:
        """A clone of a commit; removed on leaving. To be called by who is alone.

        Raises:
            PipelineError: Git or DVC refuses.
            IntegrationError: the disk refuses.
        """
