"""What a materialisation did, and what a push did: values."""

from dataclasses import dataclass
from typing import Any

from gitrain.online.state import EVERYTHING, moment

__all__ = ["Materialization", "MaterializedHistory"]


@dataclass(frozen=True, kw_only=True)
class MaterializedHistory:
    """One history.

    Attributes:
        history: its name.
        read: batches that were read: new ones, and those whose file has changed.
        kept: batches that were there as they are.
        removed: batches that are no longer held.
        rows: how many rows count now.
        held_from: from when on all rows are held; `EVERYTHING` where none were left out.
        newest: when the newest row became known; None without rows.
    """

    history: str
    read: tuple[str, ...]
    kept: tuple[str, ...]
    removed: tuple[str, ...]
    rows: int
    held_from: int
    newest: int | None

    def to_json(self) -> dict[str, Any]:
        """As JSON: times in ISO 8601, null for a history that is held whole."""
        return {
            "history": self.history,
            "read": list(self.read),
            "kept": list(self.kept),
            "removed": list(self.removed),
            "rows": self.rows,
            "held_from": None if self.held_from == EVERYTHING else moment(self.held_from).isoformat(),
            "newest": None if self.newest is None else moment(self.newest).isoformat(),
        }


@dataclass(frozen=True, kw_only=True)
class Materialization:
    """What `gitrain features materialize` did.

    Attributes:
        store: its address, without a password.
        changed: whether anything was written.
        histories: what is held now.
    """

    store: str
    changed: bool
    histories: tuple[MaterializedHistory, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "store": self.store,
            "changed": self.changed,
            "histories": [history.to_json() for history in self.histories],
        }
