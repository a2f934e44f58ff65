"""What a materialisation did, and what a push did: values."""

from dataclasses import asdict, dataclass
from typing import Any

from gitrain.data.validation_report import BatchValidation
from gitrain.online.state import EVERYTHING, moment
from gitrain.verdicts import Outcome

__all__ = ["Materialization", "MaterializedHistory", "Push", "PushedHistory"]


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


@dataclass(frozen=True, kw_only=True)
class PushedHistory:
    """What rows that were pushed did to one history.

    Attributes:
        history: its name.
        added: rows that were not there.
        replaced: rows that took the place of one with the same key.
        removed: rows that were there and do not count any more.
        unchanged: rows that were there as they are.
        passed_over: rows of batches before all that the store holds.
    """

    history: str
    added: int
    replaced: int
    removed: int
    unchanged: int
    passed_over: int


@dataclass(frozen=True, kw_only=True)
class Push:
    """What `gitrain features push` did.

    Attributes:
        store: its address, without a password.
        changed: whether anything was written.
        judged: what the contract says of the rows; where it failed, nothing was pushed.
        histories: what became of them.
    """

    store: str
    changed: bool
    judged: BatchValidation
    histories: tuple[PushedHistory, ...]

    @property
    def outcome(self) -> Outcome:
        """PASSED only if every row was taken."""
        return Outcome.FAILED if self.judged.quarantined else self.judged.outcome

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "store": self.store,
            "outcome": self.outcome.value,
            "changed": self.changed,
            "judged": self.judged.model_dump(mode="json"),
            "histories": [asdict(history) for history in self.histories],
        }
