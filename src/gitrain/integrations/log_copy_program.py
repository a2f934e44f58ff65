"""Makes the copies that a log's finished files lack: a program of its own, that a service starts and never waits for.

It takes a core only where nobody else wants one, is the first to go where memory ends, and ends when the service that
started it has. It may be killed anywhere: what is half written is removed by the next one, and a file without a copy
is parsed by whoever looks at it.
"""

import contextlib
import errno
import io
import os
import resource
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

__all__ = ["make_copies"]

# Seconds of a core that all files of a log take some times over, each line of them damaged.
_MOST_CPU_SECONDS = 300
# Larger ones are none of ours, and would take more memory than this may.
_LARGEST = 128 * 2**20
# Predictions go first: a copy is made where so many times the file's size are free.
_ROOM = 4
_PARENT_SECONDS = 0.5
# No copy has room then.
_FULL = (errno.ENOSPC, errno.EDQUOT)


def make_copies(folder: Path, schema: "Mapping[str, pl.DataType]") -> int:
    """Make the copies that are missing in a log's folder, as long as there is room; the number that were made.

    Where another process is making them nothing is done: it finds all files that were finished before it ends. A file
    that cannot be copied keeps none of the others from it.

    Args:
        folder: of the log.
        schema: of its records.

    Raises:
        OSError, PolarsError, PanicException, MemoryError: a copy cannot be written, or a file cannot be read; after all
            others were copied, but for a full disk, which ends it at once.
    """
    # Polars comes with it: not before this process has stepped back.
    import polars as pl

    from gitrain.integrations.log_copies import finished_without_copy, remove_unfinished, writing_copies

    count = 0
    failed: dict[Path, BaseException] = {}
    while True:
        with writing_copies(folder) as ours:
            if not ours:
                break
            remove_unfinished(folder)
            files = finished_without_copy(folder)
            # Newest first: where a file takes more than this program may, those that are left go first anyway.
            for path in reversed(files):
                if path in failed:
                    continue
                try:
                    count += _copied(path, schema)
                except (Exception, pl.exceptions.PanicException) as error:  # the latter is none, as Python sees it
                    if isinstance(error, OSError) and error.errno in _FULL:
                        raise
                    # Without what it was working on: the next one has need of the memory.
                    failed[path] = error.with_traceback(None)
        # Whoever found us at work has gone away: what was finished since is looked for after we have let go.
        if set(finished_without_copy(folder)) <= set(files):
            break
    for first in failed.values():
        raise first
    return count


def _copied(path: Path, schema: "Mapping[str, pl.DataType]") -> bool:
    from gitrain.integrations.log_copies import COPIES, copy_name, write_copy
    from gitrain.integrations.log_lines import parse_log

    copy = None
    with contextlib.suppress(FileNotFoundError):
        with path.open("rb") as stream:
            state = os.fstat(stream.fileno())
            room = shutil.disk_usage(path.parent).free
            if state.st_size <= _LARGEST and room >= _ROOM * state.st_size:
                part = parse_log(stream, schema)
                if stream.tell() == state.st_size:
                    copy = path.parent / COPIES / copy_name(path, state, schema)
                    write_copy(copy, part)
        # A service may have removed the file meanwhile, which has no use for a copy then.
        if copy is not None and not path.exists():
            copy.unlink(missing_ok=True)
            return False
    return copy is not None


def _step_back() -> None:
    """After everything else, at disks too (the system derives that), and the first to go; as far as it is allowed."""
    with contextlib.suppress(OSError):
        os.nice(19)
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (_MOST_CPU_SECONDS, _MOST_CPU_SECONDS))


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_SECONDS)
    os._exit(1)


def _main(folder: str, parent: str) -> int:
    _step_back()
    threading.Thread(target=_end_with, args=(int(parent),), daemon=True).start()
    import polars as pl

    schema = pl.read_ipc(io.BytesIO(sys.stdin.buffer.read())).schema
    make_copies(Path(folder), dict(schema))
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
