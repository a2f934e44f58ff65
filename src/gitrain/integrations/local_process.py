"""Processes that outlive the command which started them, and how to know them again."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from gitrain.errors import DeploymentError

__all__ = ["LOG", "LocalProcess", "processes_with", "start_detached"]

#: The variable that a detached process carries: where what it says is added.
LOG = "GITRAIN_LOG"

# A process's start is kept as a fraction of a second that goes through JSON and back unchanged, or nearly.
_SAME_START = 0.01
# A process whose program is just being replaced by another (a shell's by what it starts) has no variables for a moment:
# who has none is looked at again, after all others and some more time, as it may have been the last of them.
_LOOKS = 3
_MOMENT_SECONDS = 0.005
# When nobody was started.
_GONE = 0.0
# A runner of GitHub ends, after a job, every process that carries it.
_TRACKED = "RUNNER_TRACKING_ID"


@dataclass(frozen=True, kw_only=True)
class LocalProcess:
    """A process of this machine; another one that got its number later is not taken for it.

    Attributes:
        pid: its number.
        started: when it was started, as the operating system says: seconds since 1970.
    """

    pid: int
    started: float

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._found() is not None

    @property
    def memory(self) -> int:
        """The bytes that it and its children hold (resident set size), 0 if it is gone."""
        total = 0
        for process in self._tree():
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
        return total

    def end(self, *, patience: float, pause: Callable[[float], None]) -> bool:
        """Ask it to end, and end it and its children if it has not after `patience` seconds.

        Returns:
            Whether it ended by itself.
        """
        tree = self._tree()
        if not tree:
            return True
        with contextlib.suppress(psutil.NoSuchProcess):
            tree[0].terminate()
        for _ in range(int(patience / 0.05)):
            if not self.alive:
                break
            pause(0.05)
        by_itself = not self.alive
        for process in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        return by_itself

    def _found(self) -> psutil.Process | None:
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) > _SAME_START or process.status() == psutil.STATUS_ZOMBIE:
                return None
        except psutil.NoSuchProcess:
            return None
        return process

    def _tree(self) -> list[psutil.Process]:
        process = self._found()
        if process is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            return [process, *process.children(recursive=True)]
        return []


def processes_with(variable: str, value: str, *, pause: Callable[[float], None] = time.sleep) -> list[LocalProcess]:
    """This user's processes that were started with a variable of this value, the oldest first.

    A program that was killed before it wrote down whom it had started finds them so; children inherit the variable.

    Args:
        variable: its name.
        value: the whole of it.
        pause: waits some seconds, where a process had no variables when it was looked at.
    """
    found, left, silent = [], psutil.process_iter(), []
    for later in reversed(range(_LOOKS)):
        for process in left:
            # Those of others cannot be looked at, and any may be gone by now.
            with contextlib.suppress(psutil.Error, OSError):
                variables = process.environ()
                if variables.get(variable) == value and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(LocalProcess(pid=process.pid, started=process.create_time()))
                if not variables:
                    silent.append(process)
        if not silent or not later:
            break
        pause(_MOMENT_SECONDS)
        left, silent = iter(silent), []
    return sorted(found, key=lambda each: (each.started, each.pid))


def start_detached(
    command: Sequence[str], *, folder: Path, log: Path, environment: Mapping[str, str] | None = None
) -> LocalProcess:
    """Start a program that is no child of this process: it belongs to no terminal, and nobody has to wait for it.

    Args:
        command: the program and its arguments.
        folder: where it runs.
        log: what it says is added there.
        environment: its variables; those of this process by default.

    Returns:
        The process. One that is gone by the time that it can be looked at is returned all the same: it is not alive, as
        one is not that ends a moment later.

    Raises:
        DeploymentError: it cannot be started.
    """
    # The shell starts it and ends: it then belongs to the machine's first process.
    script = f'nohup "$@" </dev/null >>"${LOG}" 2>&1 & echo $!'
    variables = dict(os.environ if environment is None else environment) | {LOG: str(log)}
    variables.pop(_TRACKED, None)
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *command],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    try:
        pid = int(done.stdout)
    except ValueError as error:
        raise DeploymentError(
            f"{command[0]} could not be started: {done.stderr.strip()}", fix=f"look at {log}."
        ) from error
    try:
        return LocalProcess(pid=pid, started=psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return LocalProcess(pid=pid, started=_GONE)
