"""Ports for servers that are about to be started."""

import contextlib
import secrets
import socket
from collections.abc import Collection

from gitrain.errors import IntegrationError

__all__ = ["free_port"]

# Below the ports that kernels give to outgoing connections (from 32768 on Linux, from 49152 on macOS): a server takes
# seconds to start, and a port of theirs may be another connection's own by then.
_FIRST, _LAST = 20_000, 32_767
_TRIES = 1_000


def free_port(taken: Collection[int] = ()) -> int:
    """A port of this machine that nobody listens at.

    Args:
        taken: ports that somebody will listen at before long.

    Raises:
        IntegrationError: none was found.
    """
    for _ in range(_TRIES):
        port = _FIRST + secrets.randbelow(_LAST - _FIRST + 1)
        with contextlib.closing(socket.socket()) as listening, contextlib.suppress(OSError):
            listening.bind(("127.0.0.1", port))
            if port not in taken:
                return port
    raise IntegrationError(
        f"no port from {_FIRST} to {_LAST} is free", fix="end what listens there: `ss -ltn` shows it."
    )
