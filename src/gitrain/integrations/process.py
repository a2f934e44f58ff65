"""Programs as child processes."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gitrain.errors import IntegrationError
from gitrain.pipeline.shell import CommandResult

__all__ = ["LocalShell"]

# They run with this very interpreter, whatever PATH says.
_OWN_MODULES = ("dvc", "gitrain")


@dataclass(frozen=True)
class LocalShell:
    """A `Shell` in a local folder; what commands print on stdout goes to the end of the file `log`."""

    folder: Path
    log: Path

    def run(self, command: Sequence[str], *, capture: bool) -> CommandResult:
        """Run a command to its end; its stdout is captured or goes to the log, its stderr is this process's."""
        program, *arguments = command
        line = [sys.executable, "-m", program, *arguments] if program in _OWN_MODULES else list(command)
        # The commands of DVC's stages find `gitrain` beside this interpreter too.
        beside = str(Path(sys.executable).parent)
        environment = os.environ | {"PATH": os.pathsep.join((beside, os.environ.get("PATH", os.defpath)))}
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
                    text=True,
                    check=False,
                )
        except FileNotFoundError as error:
            raise IntegrationError(f"{program!r} is not on this machine", fix=f"install {program}.") from error
        return CommandResult(exit_code=done.returncode, stdout=done.stdout or "")
