"""A year of a repository, lived again in a scratch folder."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from gitrain.errors import UsageError
from gitrain.integrations.files import LocalMemo, LocalWorkspace, replacing, scratch_folder
from gitrain.operations.replay.batches import prepare_year
from gitrain.operations.replay.candidates import Trials
from gitrain.operations.replay.year import ReplayTools, replay_year
from gitrain.pipeline.layout import MEMO, PARAMS
from gitrain.pipeline.replay import ReplayReport
from gitrain.serving.log_records import ReadRecords, parse_records
from gitrain.wiring.repository import open_model_format, open_stage

__all__ = ["FolderOfDays", "replay_folder", "replay_repository"]

# What `scratch_folder` leaves in a folder that it made.
_MARKER = ".made-by-gitrain"


@dataclass(frozen=True)
class FolderOfDays:
    """Records of days as files of a prediction log, one a day: `gitrain monitor run --log` reads them too.

    Args:
        folder: made if it is not there.
        keep: whether days stay there when their batch is over.
    """

    folder: Path
    keep: bool = False

    def write(self, day: str, time: datetime, lines: bytes) -> None:
        """Replace the file of a day."""
        with replacing(self._path(time)) as stream:
            stream.write(lines)

    def read(self, day: str, time: datetime) -> ReadRecords:
        """Read it back. Raises DataError where it is no log."""
        path = self._path(time)
        return parse_records(path.read_bytes(), source=str(path))

    def forget(self, day: str, time: datetime) -> None:
        """Remove it."""
        if not self.keep:
            self._path(time).unlink(missing_ok=True)

    def _path(self, time: datetime) -> Path:
        return self.folder / f"predictions-{time:%Y%m%dT%H%M%S.%fZ}-0-000001.jsonl"


@contextlib.contextmanager
def replay_folder(path: Path) -> Iterator[Path]:
    """A scratch folder of our own, with what an earlier run left in it; no other replay is at work there meanwhile.

    Raises:
        UsageError: there is something else at `path`, or another replay is at work there.
    """
    folder = path.absolute()
    if not (folder / _MARKER).is_file():
        scratch_folder(folder)
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    except BlockingIOError as error:
        raise UsageError(
            f"another replay is at work in {folder}", fix="wait until it has ended, or name another folder (--folder)."
        ) from error
    finally:
        os.close(held)


def replay_repository(
    directory: str,
    folder: Path,
    *,
    bootstrap: int,
    through: str | None,
    keep_log: bool,
    progress: Callable[[str], None],
) -> ReplayReport:
    """Live a year of the repository again. What an earlier run finished in `folder` is taken up.

    Args:
        directory: in the repository; none of its files are changed.
        folder: as `replay_folder` gives it.
        bootstrap: batches that the first model is trained on.
        through: the last batch; None: all that the sources have.
        keep_log: whether records stay in `folder` when their batch is over.
        progress: takes a line that tells how far the work is.

    Raises:
        UsageError: too few batches, or no decision time.
        GitrainError: as the stages of the pipeline do.
    """
    start = time.monotonic()
    here = open_stage(directory, progress)
    source = here.workspace.root
    root = folder.absolute()
    stage = replace(
        here,
        workspace=LocalWorkspace(root),
        # What the repository has computed already is not computed again.
        memo=LocalMemo(folder=source / MEMO, root=root),
    )
    year = prepare_year(stage, bootstrap=bootstrap, through=through)
    trials = Trials(
        stage=year.stage,
        model_format=open_model_format(source),
        open_folder=lambda name: _folder_of_candidate(root, name),
        stopwatch=time.monotonic,
    )
    report = replay_year(
        year,
        ReplayTools(
            trials=trials,
            log=FolderOfDays(root / "log", keep=keep_log),
            rules=here.workspace.read_text(PARAMS),
            label_delay=timedelta(hours=here.params.monitoring.label_delay_hours),
            stopwatch=time.monotonic,
            progress=progress,
        ),
    )
    return report.model_copy(update={"seconds": round(time.monotonic() - start, 3)})


def _folder_of_candidate(root: Path, name: str) -> LocalWorkspace:
    folder = root / "candidates" / name
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    link = data / "features"
    if not link.is_symlink():
        link.symlink_to(root / "data" / "features", target_is_directory=True)
    return LocalWorkspace(folder)
