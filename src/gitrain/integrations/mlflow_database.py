"""MLflow's SQLite database as a file: where it is, who writes to it, and how it comes to be."""

import contextlib
import fcntl
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gitrain.errors import IntegrationError, UsageError

__all__ = ["LocalDatabase", "local_database"]

_SCHEME = "sqlite:///"
_POLL_SECONDS = 0.05


def local_database(uri: str, root: Path) -> "LocalDatabase | None":
    """The database that a tracking URI names, if it is an SQLite file; a relative path starts from `root`.

    Raises:
        UsageError: a kind of store that is no SQLite file, no database server and no MLflow server.
    """
    if uri.startswith(_SCHEME):
        name, _, options = uri.removeprefix(_SCHEME).partition("?")
        if not name or name == ":memory:":
            raise UsageError(f"the tracking URI {uri!r} keeps nothing", fix="name a file: sqlite:///mlflow.db.")
        return LocalDatabase(path=(root / name).absolute(), options=options)
    if "://" not in uri or uri.startswith("file:"):
        if uri in {"databricks", "databricks-uc"}:
            return None
        raise UsageError(
            f"the tracking URI {uri!r} names a folder, and MLflow keeps runs in databases only",
            fix="use sqlite:///mlflow.db, or the address of an MLflow server, http://HOST:PORT.",
        )
    return None


@dataclass(frozen=True, kw_only=True)
class LocalDatabase:
    """An SQLite database of MLflow's.

    Attributes:
        path: its absolute path.
        options: what follows the question mark in its URI.
    """

    path: Path
    options: str = ""

    @property
    def uri(self) -> str:
        """The URI, whatever the current folder is."""
        return f"{_SCHEME}{self.path}" + (f"?{self.options}" if self.options else "")

    @property
    def artifacts(self) -> Path:
        """The folder for artifacts: beside the database."""
        return self.path.parent / "mlruns"

    @contextlib.contextmanager
    def held(self, seconds: float) -> Iterator[None]:
        """Keep other processes of Gitrain from writing. The operating system lets go if this process is killed.

        Args:
            seconds: how long to wait for the others.

        Raises:
            IntegrationError: they took longer, or the folder cannot be written to.
        """
        try:
            self.artifacts.mkdir(parents=True, exist_ok=True)
            lock = (self.artifacts / ".lock").open("w")
        except OSError as error:
            raise IntegrationError(
                f"{self.artifacts} cannot be written to: {error.strerror}", fix="check its permissions and the disk."
            ) from error
        with lock:
            deadline = time.monotonic() + seconds
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise self._locked() from None
                    time.sleep(_POLL_SECONDS)
            yield

    def prepare(self, seconds: float) -> None:
        """Make the database if there is none, and find out whether it can be written to. Call it while it is `held`.

        MLflow retries a locked database for minutes, and processes that migrate a new one together crash; so both are
        settled before it sees the database.

        Args:
            seconds: how long to wait for other programs that write.

        Raises:
            IntegrationError: it is locked, damaged or cannot be made.
        """
        if not self.path.exists() or self.path.stat().st_size == 0:
            self._create()
        try:
            with contextlib.closing(sqlite3.connect(self.path, timeout=seconds, isolation_level=None)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise self._locked() from error
            raise IntegrationError(
                f"{self.path} cannot be written to: {error}", fix="check its permissions."
            ) from error
        except sqlite3.DatabaseError as error:
            raise IntegrationError(
                f"{self.path} is no SQLite database: {error}",
                fix="move it away: records of runs can be made again from Git.",
            ) from error

    def _create(self) -> None:
        """Migrations run in a process of their own, on a file that takes its place when it is whole."""
        unfinished = self.artifacts / ".new.db"
        for file in self.artifacts.glob(f"{unfinished.name}*"):
            file.unlink()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "mlflow", "db", "upgrade", f"{_SCHEME}{unfinished}"]
        environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise IntegrationError(
                f"MLflow could not make the database {self.path}: {said[-1] if said else done.returncode}",
                fix="check that the folder can be written to and that gitrain[mlflow] is installed.",
            )
        os.replace(unfinished, self.path)

    def _locked(self) -> IntegrationError:
        return IntegrationError(
            f"{self.path} is locked: another program writes to it",
            fix="run the command again when that program (`gitrain run record`, `mlflow server`) is done.",
        )
