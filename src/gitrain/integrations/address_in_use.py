"""Whether somebody listens at an address of this machine, whoever may listen beside whom there."""

import contextlib
import errno
import ipaddress
import socket
from collections.abc import Iterator

__all__ = ["is_listened_at"]

# Somebody of this machine accepts at once.
_ACCEPT_SECONDS = 0.5
_WILDCARDS, _LOOPBACKS = ("0.0.0.0", "::"), ("127.0.0.1", "::1")  # noqa: S104 - nobody is let listen there
_Place = tuple[socket.AddressFamily, str, int]


def is_listened_at(address: str) -> bool:
    """Whether somebody listens at HOST:PORT; also where they let others listen beside them.

    The system is asked twice. A place that cannot be taken is somebody's, but one that only root may take tells
    nothing, and where a wildcard may stand beside one address (macOS) it can be taken: whoever accepts a connection
    listens. A host that has no address, or none on this machine, is nobody's: who wants to listen there is told why
    not.
    """
    host, _, port = address.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    places: list[_Place] = [(family, str(place[0]), int(place[1])) for family, _, _, _, place in found]
    wildcard = any(ipaddress.ip_address(place.partition("%")[0]).is_unspecified for _, place, _ in places)
    if wildcard:
        # Caddy listens at all addresses of both families, whichever it is told.
        places = list(_both(_WILDCARDS, int(port)))
    taken = [_taken(place) for place in places]
    if True in taken:
        return True
    here = [place for place, answer in zip(places, taken, strict=True) if answer is not None]
    return any(_accepts(place) for place in (_both(_LOOPBACKS, int(port)) if wildcard and here else here))


def _both(hosts: tuple[str, str], port: int) -> Iterator[_Place]:
    return ((family, host, port) for family, host in zip((socket.AF_INET, socket.AF_INET6), hosts, strict=True))


def _taken(place: _Place) -> bool | None:
    """Whether it cannot be taken as it is somebody's; None if it is not of this machine."""
    family, *at = place
    try:
        tried = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        # The kernel knows no such family.
        return None
    with contextlib.closing(tried):
        # Connections that linger are nobody who listens.
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(tuple(at))
        except OSError as error:
            return None if error.errno == errno.EADDRNOTAVAIL else error.errno == errno.EADDRINUSE
    return False


def _accepts(place: _Place) -> bool:
    family, *at = place
    with contextlib.suppress(OSError), contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as asking:
        asking.settimeout(_ACCEPT_SECONDS)
        asking.connect(tuple(at))
        # Where nobody listens, a connection whose own port happens to be this one is connected with itself.
        return bool(asking.getsockname() != asking.getpeername())
    return False
