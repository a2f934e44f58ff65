"""Has copies made of a log's finished files, by a process beside the service that never gets in its way."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import polars as pl

import gitrain
from gitrain.integrations.log_copies import finished_without_copy, remove_unfinished, writing_copies

__all__ = ["LogCopier"]

_PROGRAM = "gitrain.integrations.log_copy_program"
# It steps back further in its first line; until then, some milliseconds, this has to do.
_NICE = "nice"
# So much is parsed by who looks in less time than a process takes to start.
_LEAST_BYTES = 2**18
# A process that was killed ends as soon as it gets a core, which may be a while; nobody waits so long.
_END_SECONDS = 0.25
# What marks whose process one is. Whoever ends all that carry a mark waits until none is left; this one ends with its
# service, and may take seconds to die where nobody leaves it a core.
_MARKS = re.compile(r"^(GITRAIN|REHEARSAL)_")


class LogCopier:
    """Starts the program that makes copies, one at a time. Used by the thread that writes the log.

    Whatever fails, the log is as good as without copies; it is tried again when the next file is begun.

    Args:
        folder: of the log.
        schema: of its records; see `gitrain.monitoring.logged.logged_schema`.
        least_bytes: files without copies that are fewer bytes together have none made.
    """

    def __init__(self, folder: Path, schema: Mapping[str, pl.DataType], *, least_bytes: int = _LEAST_BYTES) -> None:
        self._folder = folder.absolute()
        self._least_bytes = least_bytes
        self._wanted = False
        self._process: subprocess.Popen[bytes] | None = None
        given = io.BytesIO()
        pl.DataFrame(schema=dict(schema)).write_ipc(given)
        self._schema = given.getvalue()

    def begun(self) -> None:
        """A file was begun: those before it may be finished."""
        self._wanted = True

    def turn(self) -> None:
        """Start the program if there is something to do for it; never waits."""
        if self._process is not None and self._process.poll() is None:
            return
        self._process = None
        if self._wanted:
            self._wanted = False
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                files = finished_without_copy(self._folder)
                if sum(path.stat().st_size for path in files) >= self._least_bytes:
                    self._process = self._start()

    def close(self) -> None:
        """End what runs: nothing is left behind by a service that has ended."""
        if self._process is None:
            return
        self._process.kill()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            return
        self._process = None
        with contextlib.suppress(OSError), writing_copies(self._folder) as ours:
            if ours:
                remove_unfinished(self._folder)

    def _start(self) -> "subprocess.Popen[bytes]":
        nice = [_NICE, "-n", "19"] if shutil.which(_NICE) else []
        paths = [str(Path(gitrain.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        # A file, since a pipe would have to be written to as fast as it is read.
        with tempfile.TemporaryFile() as given:
            given.write(self._schema)
            given.seek(0)
            return subprocess.Popen(
                # Of the folder that it is started in nothing is imported (-P).
                [*nice, sys.executable, "-P", "-m", _PROGRAM, str(self._folder), str(os.getpid())],
                env={
                    **{name: value for name, value in os.environ.items() if not _MARKS.search(name)},
                    "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                    "OMP_NUM_THREADS": "1",
                    "POLARS_MAX_THREADS": "1",
                },
                stdin=given,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
