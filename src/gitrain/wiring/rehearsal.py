"""A rehearsal on this machine: its scratch folder, its processes, and how they all end."""

import fcntl
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from gitrain.errors import UsageError
from gitrain.integrations.files import LocalWorkspace, scratch_folder
from gitrain.integrations.free_ports import free_port
from gitrain.integrations.local_process import processes_with
from gitrain.integrations.process import LocalShell
from gitrain.integrations.steady_traffic import SteadyTraffic
from gitrain.operations.rehearsal.scene import REPOSITORY, Done, RehearsalTools
from gitrain.pipeline.layout import MEMO
from gitrain.release.bentofile import BENTOFILE, Bentofile
from gitrain.settings import Settings

__all__ = ["end_rehearsal", "open_rehearsal", "rehearsal_folder"]

_LOG = "log.txt"
#: Whoever is started for a rehearsal carries its folder in this variable, and is found by it whatever was killed.
_VARIABLE = "REHEARSAL_FOLDER"
# What would have the rehearsal work elsewhere, or in somebody's name.
_FORGOTTEN = re.compile(
    r"^(ACTIONS|BENTOML|DVC|GH|GIT|GITHUB|GITRAIN|INPUT|MLFLOW|REPO|RUNNER)_|token|secret|passw|credential|_key$", re.I
)
_KEPT = frozenset({"DVC_NO_ANALYTICS", "MLFLOW_DISABLE_TELEMETRY", "BENTOML_DO_NOT_TRACK"})
_CACHE = ".dvc/cache"


@contextmanager
def rehearsal_folder(path: Path) -> Iterator[Path]:
    """An empty scratch folder of this process alone; what an earlier rehearsal left running there is ended first.

    Raises:
        UsageError: there is something else, or another rehearsal goes on there.
    """
    folder = path.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    # The folder itself is emptied: what is locked lies around it.
    held = os.open(folder.parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"another rehearsal goes on in {folder.parent}", fix="wait for its end, or name another --folder."
            ) from None
        if folder.exists() and any(folder.iterdir()):
            _sweep(folder)
        yield scratch_folder(folder)
    finally:
        os.close(held)


def end_rehearsal(folder: Path, environments: Sequence[str]) -> None:
    """End all that runs there: environments as they are ended otherwise, then whatever is left."""
    repository = folder / REPOSITORY
    if repository.is_dir():
        shell = LocalShell(repository, folder / _LOG, variables=_variables(folder), quiet=True)
        for name in environments:
            shell.run(("gitrain", "deploy", "stop", name, "--wait", "5"), capture=False)
    _sweep(folder)


def open_rehearsal(
    settings: Settings, folder: Path, *, approve: Callable[[str], str], progress: Callable[[str], None]
) -> RehearsalTools:
    """What a rehearsal is given.

    Args:
        settings: of the repository that is rehearsed.
        folder: the scratch folder.
        approve: asks a person.
        progress: is told what goes on.
    """
    root, variables = settings.root, _variables(folder)
    bentofile = root / BENTOFILE
    service = Bentofile.parse(bentofile.read_text(encoding="utf-8")).service if bentofile.is_file() else None
    return RehearsalTools(
        source=str(root),
        reference=settings.repository.project,
        service=service,
        commands=lambda name: LocalShell(folder / name, folder / _LOG, variables=variables, quiet=True),
        files=lambda name: LocalWorkspace(folder / name),
        prepare=lambda name: _prepare(root, folder / name),
        share=lambda mine, other: _share(folder / mine, folder / other),
        traffic=SteadyTraffic(folder, dict(variables)),
        approve=approve,
        ports=_ports,
        beside=_beside,
        today=lambda: datetime.now(UTC).date(),
        clock=time.monotonic,
        progress=progress,
    )


def _variables(folder: Path) -> Mapping[str, str]:
    found = {name: value for name, value in os.environ.items() if name in _KEPT or not _FORGOTTEN.search(name)}
    return {**found, _VARIABLE: str(folder)}


def _sweep(folder: Path) -> None:
    """End every process of a rehearsal that still runs."""
    for process in reversed(processes_with(_VARIABLE, str(folder))):
        process.end(patience=2.0, pause=time.sleep)


def _prepare(root: Path, repository: Path) -> None:
    """What this machine has computed already need not be computed again: links, so that nothing is copied."""
    for path in (_CACHE, MEMO):
        if (root / path).is_dir():
            with suppress(FileExistsError):
                shutil.copytree(root / path, repository / path, copy_function=_link)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        # Another file system.
        shutil.copy2(source, target)


def _share(mine: Path, other: Path) -> None:
    (other / ".dvc/config.local").write_text(f"[cache]\n    dir = {mine / _CACHE}\n", encoding="utf-8")


def _ports(number: int) -> list[int]:
    found: list[int] = []
    for _ in range(number):
        found.append(free_port(found))
    return found


def _beside(work: Callable[[], Done]) -> "Future[Done]":
    """Run it in a thread that the process does not wait for at its end."""
    future: Future[Done] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="review", daemon=True).start()
    return future
