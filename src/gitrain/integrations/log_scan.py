"""A folder of prediction logs, read fast and again and again: each file is parsed once, and kept as Parquet.

Monitoring looks at the same predictions every day, and reading a million of them from JSON takes longer than judging
them. Of files that are finished services make copies, beside the log (`gitrain.integrations.log_copies`); what a look
has to parse all the same it keeps in a folder of its own. A file that has grown is parsed anew, and so is one whose
copy is damaged.
"""

import contextlib
import os
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from gitrain.errors import DataError
from gitrain.integrations.log_copies import COPIES, copy_name, read_copy, short_digest, write_copy
from gitrain.integrations.log_lines import no_predictions, parse_log
from gitrain.lineage import digest_of_value
from gitrain.monitoring.log_content import LoggedPredictions

__all__ = ["LogScan"]

# Files at a time. While one is taken apart, which Polars does in parallel, another is read, typed and kept.
_THREADS = 2
# Copies of other logs, and what runs that were killed left half written, stay so long.
_STAYS_SECONDS = 7 * 86_400
# When a file was begun stands in its name.
_BEGUN = re.compile(r"^predictions-(\d{8}T\d{6}\.\d{6})Z-")


class LogScan:
    """Reads the logs of a folder.

    Args:
        folder: that services write.
        kept: where what had to be parsed is kept, of other logs as well; None keeps nothing.
        clock: seconds since the epoch, as files have them.
    """

    def __init__(self, folder: Path, *, kept: Path | None, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._kept = kept
        self._clock = clock
        self._log = short_digest(digest_of_value(str(folder.resolve())))

    def read(self, schema: Mapping[str, pl.DataType]) -> LoggedPredictions:
        """All records. Files that are being written may be read.

        Raises:
            DataError: there is no such folder, or a file cannot be read at all.
        """
        if not self._folder.is_dir():
            raise DataError(
                f"there is no folder of predictions {self._folder}",
                fix="name the one that services log to (GITRAIN_PREDICTION_LOG) with --log, or deploy first.",
            )
        paths = sorted(self._folder.glob("predictions-*.jsonl"))
        with ThreadPoolExecutor(_THREADS) as pool:
            found = [each for each in pool.map(lambda path: self._found(path, schema), paths) if each is not None]
        self._forget({name for _, name in found if name is not None})
        parts = [part for part, _ in found]
        return LoggedPredictions(
            frame=pl.concat(part.frame for part in parts) if parts else no_predictions(schema),
            files=len(paths),
            torn=sum(part.torn for part in parts),
            damaged=tuple(each for part in parts for each in part.damaged),
        )

    def _found(self, path: Path, schema: Mapping[str, pl.DataType]) -> tuple[LoggedPredictions, str | None] | None:
        """What a file holds, and which copy of our own it has; None where the file is gone."""
        try:
            return self._file(path, schema)
        except FileNotFoundError:
            return None  # the oldest are removed by the services that write them
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}", fix="see to its permissions.") from error

    def _file(self, path: Path, schema: Mapping[str, pl.DataType]) -> tuple[LoggedPredictions, str | None]:
        state = path.stat()
        part, name = self._part(path, state, schema)
        return _dated(part, path, state), name

    def _part(
        self, path: Path, state: os.stat_result, schema: Mapping[str, pl.DataType]
    ) -> tuple[LoggedPredictions, str | None]:
        copied = read_copy(self._folder / COPIES / copy_name(path, state, schema), schema)
        if copied is not None:
            return copied, None
        name = copy_name(path, state, schema, log=self._log)
        if self._kept is not None:
            copied = read_copy(self._kept / name, schema)
            if copied is not None:
                return copied, name
        with path.open("rb") as stream:
            part = parse_log(stream, schema)
            size = stream.tell()
        # A file that has grown since its size was taken would be kept under the wrong name.
        if self._kept is not None and size == state.st_size:
            self._keep(self._kept / name, part)
        return part, name

    def _keep(self, path: Path, part: LoggedPredictions) -> None:
        # A full disk costs time at the next look, and no verdict.
        with contextlib.suppress(OSError, pl.exceptions.PolarsError):
            # They hold what users asked: nobody else's business.
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_copy(path, part)

    def _forget(self, current: set[str]) -> None:
        """Remove what this log has no use for any more; what cannot be removed costs room alone."""
        if self._kept is None:
            return
        with contextlib.suppress(OSError):
            copies = [path for path in self._kept.glob("predictions-*") if path.name not in current]
            for path in [*copies, *self._kept.glob(".predictions-*.part")]:
                with contextlib.suppress(OSError):
                    # Another log's copies, and what another run may be writing: their age tells.
                    ours = path.match(f"*.{self._log}.*.kept")
                    if ours or self._clock() - path.stat().st_mtime > _STAYS_SECONDS:
                        path.unlink()


def _dated(part: LoggedPredictions, path: Path, state: os.stat_result) -> LoggedPredictions:
    """Lines are of the file's time where none of its records has one: from when it was begun to its last change."""
    if all(each.last is not None for each in part.damaged):
        return part
    begun, changed = _begun(path), _changed(state)
    if changed is None or (begun is not None and changed < begun):
        return part  # clocks are set back, and files are copied without their times
    return replace(
        part,
        damaged=tuple(
            each if each.last is not None else replace(each, first=begun, last=changed) for each in part.damaged
        ),
    )


def _begun(path: Path) -> datetime | None:
    named = _BEGUN.match(path.name)
    with contextlib.suppress(ValueError):
        return datetime.strptime(named[1], "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC) if named else None
    return None


def _changed(state: os.stat_result) -> datetime | None:
    # Disks know years that Python does not.
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(state.st_mtime, UTC)
    return None
