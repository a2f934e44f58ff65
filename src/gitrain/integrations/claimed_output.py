"""An output file that one process at a time writes, with a folder of parts beside it."""

import contextlib
import fcntl
import glob
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from gitrain.errors import UsageError

__all__ = ["claimed_output"]


@contextlib.contextmanager
def claimed_output(output: Path, parts: Path, plan: Path) -> Iterator[None]:
    """Claim an output until the block is left; what killed runs left half-written beside it is removed.

    The claim is a lock on the folder `parts`: it ends with the process, however that ends. On leaving, the folder is
    removed unless the file `plan` in it says that there is something to go on with.

    Raises:
        UsageError: another process writes the output now, or it cannot be written.
    """
    try:
        parts.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}", fix="name another output.") from error
    descriptor = os.open(parts, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"another run is writing {output}", fix="wait for it to end, or name another output."
            ) from error
        try:
            for path in (*output.parent.glob(f".{glob.escape(output.name)}.*.part"), *parts.glob(".*.part")):
                path.unlink(missing_ok=True)
            yield
        finally:
            if not plan.exists():
                shutil.rmtree(parts, ignore_errors=True)
    finally:
        os.close(descriptor)
