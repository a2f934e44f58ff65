"""Gitrain as it is in a release, as a child process."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

__all__ = ["run_gitrain"]


def run_gitrain(sources: Path, arguments: Sequence[str], *, python: str) -> int:
    """Run a command of the Gitrain that a bundle brings with it, or, where it brings none, of the installed one.

    Args:
        sources: the bundle's folder `src`; its packages go before those that are installed.
        arguments: of `gitrain`, without ``-C``.
        python: the interpreter.

    Returns:
        The exit code; a process that a signal ended gives 128 and the signal's number. Stdout and stderr are this
        process's.
    """
    environment = os.environ | {
        "PYTHONPATH": str(sources),
        # What lies in the current folder is none of the release.
        "PYTHONSAFEPATH": "1",
        # A bundle is verified each time that it is used: nothing may be added to it.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [python, "-m", "gitrain", "-C", str(sources), *arguments]
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL) as process:
        try:
            code = process.wait()
        except BaseException:
            # It has the terminal's signal too, if one came from there; either way it does not outlive us.
            process.terminate()
            raise
    return code if code >= 0 else 128 - code
