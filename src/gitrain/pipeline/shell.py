"""What operations need to run a command as a person would."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["CommandResult", "Shell"]


@dataclass(frozen=True, kw_only=True)
class CommandResult:
    """What a command left: its exit code and its stdout."""

    exit_code: int
    stdout: str


class Shell(Protocol):
    """Runs commands in one folder; `git`, `dvc` and `gitrain` are those of this installation."""

    def run(self, command: Sequence[str], *, capture: bool) -> CommandResult:
        """Run a command to its end; its stdout is captured or kept in a log, its stderr is this process's.

        Raises:
            IntegrationError: the program is not there.
        """
