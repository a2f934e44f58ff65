"""Programs as child processes."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitrain.errors import IntegrationError
from gitrain.pipeline.shell import CommandResult

__all__ = ["LocalShell", "stop_group"]

# They run with this very interpreter, whatever PATH says.
_OWN_MODULES = ("dvc", "gitrain")
_SECONDS_TO_STOP = 10


@dataclass(frozen=True)
class LocalShell:
    """A `Shell` in a local folder; what commands print on stdout goes to the end of the file `log`.

    Attributes:
        folder: where they run.
        log: a file.
        variables: what commands find in their environment; this process's by default.
        quiet: whether their stderr goes to the log too.
    """

    folder: Path
    log: Path
    variables: Mapping[str, str] = field(default_factory=lambda: os.environ)
    quiet: bool = False

    def run(self, command: Sequence[str], *, capture: bool) -> CommandResult:
        """Run a command to its end; its stdout is captured or goes to the log, its stderr is this process's."""
        program, *arguments = command
        line = [sys.executable, "-m", program, *arguments] if program in _OWN_MODULES else list(command)
        # The commands of DVC's stages find `gitrain` beside this interpreter too.
        beside = str(Path(sys.executable).parent)
        path = os.pathsep.join((beside, self.variables.get("PATH", os.defpath)))
        environment = {**self.variables, "PATH": path}
        # A hook or a `git` that called us must not point the child at another repository.
        for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
            environment.pop(name, None)
        try:
            with self.log.open("ab") as log:
                done = subprocess.run(
                    line,
                    cwd=self.folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE if capture else log,
                    stderr=log if self.quiet else None,
                    text=True,
                    check=False,
                )
        except FileNotFoundError as error:
            raise IntegrationError(f"{program!r} is not on this machine", fix=f"install {program}.") from error
        return CommandResult(exit_code=done.returncode, stdout=done.stdout or "")


def stop_group(process: "subprocess.Popen[Any]") -> None:
    """Ask a child that leads a group, and all that it has started, to stop, as Ctrl-C would; what is left is killed."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_SECONDS_TO_STOP)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
