"""Ports for servers that are about to be started."""

import contextlib
import fcntl
import os
import secrets
import socket
import stat
import tempfile
from collections.abc import Collection
from pathlib import Path

from gitrain.errors import IntegrationError

__all__ = ["free_port"]

# Below the ports that kernels give to outgoing connections (from 32768 on Linux, from 49152 on macOS): a server takes
# seconds to start, and a port of theirs may be another connection's own by then.
_FIRST, _LAST = 20_000, 32_767
_TRIES = 1_000
_TURN = "gitrain-{user}.port"
_DIGITS = 16


def free_port(taken: Collection[int] = ()) -> int:
    """A port of this machine that nobody listens at.

    Nobody may listen at one that was chosen a moment ago, by another process, either: ports are given in turn to all of
    a user's processes, so that none is given twice before all others were.

    Args:
        taken: ports that somebody will listen at before long.

    Raises:
        IntegrationError: none was found.
    """
    for _ in range(_TRIES):
        port = _next_port()
        with contextlib.closing(socket.socket()) as listening, contextlib.suppress(OSError):
            listening.bind(("127.0.0.1", port))
            if port not in taken:
                return port
    raise IntegrationError(
        f"no port from {_FIRST} to {_LAST} is free", fix="end what listens there: `ss -ltn` shows it."
    )


def _next_port() -> int:
    """The one whose turn it is; any where the file that says so cannot be had."""
    number = _FIRST + secrets.randbelow(_LAST - _FIRST + 1)
    path = Path(tempfile.gettempdir()) / _TURN.format(user=os.getuid())
    with contextlib.suppress(OSError):
        # Others may write to that folder: neither is a link of theirs followed nor a file of theirs waited for.
        turn = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            found = os.fstat(turn)
            # A file that has another name as well is something else of the user's, which a link was made to.
            if found.st_uid != os.getuid() or not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                return number
            fcntl.flock(turn, fcntl.LOCK_EX)
            with contextlib.suppress(ValueError):
                number = int(os.pread(turn, _DIGITS, 0)) + 1
            if not _FIRST <= number <= _LAST:
                number = _FIRST
            # Written over, not emptied first: where a journal is kept, that would wait for the disk.
            os.pwrite(turn, b"%-*d" % (_DIGITS, number), 0)
        finally:
            os.close(turn)
    return number
