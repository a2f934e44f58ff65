"""What happened to an environment: who changed its file, when and why, and what was deployed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import yaml

from gitrain.deployment.commits import FileVersion
from gitrain.deployment.record import DeploymentRecord
from gitrain.errors import SettingsError
from gitrain.pipeline.changes import ValueChange, changed_values, flat_values

__all__ = ["Event", "history_of"]


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of a history.

    Attributes:
        at: when, in UTC.
        kind: change: the file was changed; deploy or rollback: something was done about it.
        who: by whom; with who approved it, where that is known.
        what: one sentence.
        why: one sentence; empty if nobody said.
        commit: of the change, or the one that asked for the deployment.
        outcome: of a deployment: SUCCEEDED, FAILED or ABORTED; None of a change.
    """

    at: datetime
    kind: str
    who: str
    what: str
    why: str
    commit: str
    outcome: str | None = None

    def to_json(self) -> dict[str, object]:
        """JSON-serialisable values: what `gitrain env history --json` prints a list of."""
        return {
            "at": self.at.isoformat().replace("+00:00", "Z"),
            "kind": self.kind,
            "who": self.who,
            "what": self.what,
            "why": self.why,
            "commit": self.commit,
            "outcome": self.outcome,
        }


def history_of(versions: Sequence[FileVersion], records: Sequence[DeploymentRecord]) -> list[Event]:
    """The events of an environment, the newest first.

    Args:
        versions: of its file, the newest first, as Git lists them.
        records: of the environment's deployments.
    """
    changes = [_change(before, after) for after, before in pairwise([*versions, None]) if after is not None]
    # Sorting is stable: commits of one second keep Git's order, which knows what came after what.
    events = [*(_deployment(record) for record in reversed(records)), *changes]
    return sorted(events, key=lambda event: event.at, reverse=True)


def _change(before: FileVersion | None, after: FileVersion) -> Event:
    subject, _, rest = after.message.strip().partition("\n")
    why = " ".join([subject, *rest.split()]) if rest.strip() else subject
    return Event(at=after.at, kind="change", who=after.author, what=_what(before, after), why=why, commit=after.commit)


def _what(before: FileVersion | None, after: FileVersion) -> str:
    if after.text is None:
        return "the environment was removed"
    old, new = _values(before.text if before else None), _values(after.text)
    if new is None:
        return "the file cannot be read"
    if before is None or before.text is None:
        named = new.get("release") or (f"follows {new['follows']}" if new.get("follows") else "nothing yet")
        return f"the environment was added: {named}"
    if old is None:
        return "the file can be read again"
    changes = [
        change for change in changed_values(old, new) if change.name != "digest" or not _release_changes(old, new)
    ]
    return "; ".join(_told(change) for change in changes) or "words alone"


def _told(change: ValueChange) -> str:
    missing = "nothing"
    old, new = (missing if side in (None, "null") else side for side in (change.old, change.new))
    return f"{change.name} {old} → {new}"


def _release_changes(old: dict[str, object], new: dict[str, object]) -> bool:
    return old.get("release") != new.get("release")


def _values(text: str | None) -> dict[str, object] | None:
    """The values of a file, of whatever generation; None if it cannot be read."""
    try:
        content = yaml.safe_load(text or "")
        return flat_values(content) if isinstance(content, dict) else None
    except (yaml.YAMLError, SettingsError, RecursionError):
        return None


def _deployment(record: DeploymentRecord) -> Event:
    former = f" after {record.former.version}" if record.former is not None else ""
    approved = f", approved by {record.approved_by}" if record.approved_by else ""
    return Event(
        at=record.ended,
        kind=record.kind,
        who=f"{record.actor}{approved}",
        what=f"release {record.release.version}{former}",
        why=record.reason,
        commit=record.desired_by,
        outcome=record.ending.value,
    )
