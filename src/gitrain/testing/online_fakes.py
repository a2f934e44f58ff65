"""A fake of the online store: in memory, and held to the same suite as the real ones."""

import threading
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from gitrain.online.store import Change, Found, Point, StoredText

__all__ = ["MemoryOnlineStore"]


@dataclass
class MemoryOnlineStore:
    """A `gitrain.online.store.OnlineStore` in memory.

    Attributes:
        address: what messages call it.
    """

    address: str = "memory"
    _state: StoredText | None = None
    _blocks: dict[str, dict[int, bytes]] = field(default_factory=dict)
    _tables: dict[str, bytes] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def state(self) -> StoredText | None:
        """The newest state; None before anything was written."""
        return self._state

    def find(self, points: Sequence[Point]) -> Found:
        """The blocks that hold at these points."""
        with self._guard:
            blocks = [self._block(place, moment) for place, moment in points]
            return Found(version=None if self._state is None else self._state.version, blocks=blocks)

    def tables(self, names: Sequence[str]) -> list[bytes | None]:
        """Tables by name; None for what is not there."""
        with self._guard:
            return [self._tables.get(name) for name in names]

    def places(self) -> list[str]:
        """All places that have blocks."""
        with self._guard:
            return sorted(place for place, blocks in self._blocks.items() if blocks)

    def apply(self, change: Change, *, expected: str | None) -> bool:
        """Make a change in one step."""
        with self._guard:
            if (None if self._state is None else self._state.version) != expected:
                return False
            if change.clear:
                self._blocks.clear()
                self._tables.clear()
            for place, moment in change.forget.items():
                kept = {first: block for first, block in self._blocks.get(place, {}).items() if first >= moment}
                self._blocks[place] = kept
            for run in change.runs:
                kept = {first: block for first, block in self._blocks.get(run.place, {}).items() if first < run.since}
                self._blocks[run.place] = kept | dict(run.blocks)
            for name in change.drop:
                self._tables.pop(name, None)
            self._tables.update(change.put)
            self._state = change.state
            return True

    def close(self) -> None:
        """Nothing is open."""

    def _block(self, place: str, moment: int) -> bytes | None:
        blocks = self._blocks.get(place, {})
        firsts = sorted(blocks)
        found = bisect_right(firsts, moment)
        return blocks[firsts[found - 1]] if found else None
