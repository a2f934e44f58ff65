"""What an online store has to do: keep blocks and tables of rows, and change them all in one step or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Change", "Found", "OnlineStore", "Point", "Run", "StoredText"]

#: A place (a group's past, see `gitrain.online.tracks`) and a moment in it, microseconds since 1970, UTC.
Point = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class StoredText:
    """The document that describes the store (`gitrain.online.state`), and the version of the store that it describes.

    Attributes:
        version: another one after each change.
        text: JSON.
    """

    version: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found at some points, all in the same version of the store.

    Attributes:
        version: None for a store that nothing was ever written to.
        blocks: for each point the block of its place that begins at its moment or, failing that, latest before it.
    """

    version: str | None
    blocks: Sequence[bytes | None]


@dataclass(frozen=True, kw_only=True)
class Run:
    """The new blocks of one place from a moment on.

    Attributes:
        place: which group's past.
        since: blocks that begin at this moment or later are removed.
        blocks: their successors: the moment that each begins at, and its bytes.
    """

    place: str
    since: int
    blocks: Sequence[tuple[int, bytes]]


@dataclass(frozen=True, kw_only=True)
class Change:
    """Everything that one step changes.

    Attributes:
        state: the document afterwards.
        clear: remove all that there is first.
        runs: blocks that are replaced.
        forget: by place, blocks that begin before this moment are removed.
        put: tables of rows by name, to be kept.
        drop: names of tables to be removed.
    """

    state: StoredText
    clear: bool = False
    runs: Sequence[Run] = ()
    forget: Mapping[str, int] = field(default_factory=dict)
    put: Mapping[str, bytes] = field(default_factory=dict)
    drop: Sequence[str] = ()


class OnlineStore(Protocol):
    """Keeps what look-ups need. Safe to use from several threads, and from several processes at the same time.

    Every method raises IntegrationError if the store cannot be reached or is not what it says it is; the message has
    the store's address without a password.
    """

    @property
    def address(self) -> str:
        """Where it is, without a password: for messages."""

    def state(self) -> StoredText | None:
        """The newest state; None before anything was written."""

    def find(self, points: Sequence[Point]) -> Found:
        """The blocks that hold at these points, read in one step."""

    def tables(self, names: Sequence[str]) -> list[bytes | None]:
        """Tables by name; None for what is not there (any more)."""

    def places(self) -> list[str]:
        """All places that have blocks."""

    def apply(self, change: Change, *, expected: str | None) -> bool:
        """Make a change, in one step: readers see all of it or nothing, also if this process is killed meanwhile.

        Args:
            change: what is to change.
            expected: the version that the change was worked out from; None: nothing was there.

        Returns:
            False, and nothing is changed, if the store is at another version.
        """

    def close(self) -> None:
        """Let go of connections."""
