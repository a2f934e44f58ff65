"""What an online store holds, since when and how fresh: the document that is stored beside the features."""

import json
from datetime import UTC, datetime, timedelta

from pydantic import Field

from gitrain.documents import Document, Section
from gitrain.lineage import digest_of_bytes
from gitrain.online.store import StoredText

__all__ = ["EVERYTHING", "StoreState", "StoredHistory", "StoredTable", "microseconds", "moment"]

#: A history is held from its first row on.
EVERYTHING = -(2**63)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class StoredTable(Section):
    """Rows of a history, made ready.

    Attributes:
        name: of the table in the store; equal names hold equal rows.
        source: the digest of the file that they were read from; of the rows themselves where they were pushed.
        rows: how many.
    """

    name: str
    source: str
    rows: int = Field(ge=0)


class StoredHistory(Section):
    """One history.

    Attributes:
        held_from: from this moment on (microseconds since 1970, UTC) every row is held that became known;
            `EVERYTHING` where there are no earlier rows.
        newest: when its newest row became known; null without rows.
        rows: how many rows count.
        batches: what was materialised, by batch (``all`` for a table without batches).
        pushed: rows that were pushed since.
        key: the columns that identify a row of its table; without them nothing can be pushed.
        keys: by column that groups it, the kind of its values.
        real: the window features (their places among all definitions) whose values are floats; others' are integers.
    """

    held_from: int
    newest: int | None
    rows: int = Field(ge=0)
    batches: dict[str, StoredTable]
    pushed: StoredTable | None = None
    key: tuple[str, ...]
    keys: dict[str, str]
    real: tuple[int, ...]


class StoreState(Document):
    """The whole document.

    Attributes:
        definitions: the digest of the definitions that the store was made with.
        histories: by name.
        materialized_at: when batches were last materialised (UTC); runs that change nothing leave it as it is.
        pushed_at: when rows were last pushed; null if never.
    """

    definitions: str
    histories: dict[str, StoredHistory]
    materialized_at: datetime
    pushed_at: datetime | None = None

    def to_stored(self) -> StoredText:
        """The text, and the version that it makes of the store."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return StoredText(version=digest_of_bytes(text.encode()), text=text)


def moment(microseconds_since: int) -> datetime:
    """A moment of the store as a time in UTC."""
    return _EPOCH + timedelta(microseconds=microseconds_since)


def microseconds(time: datetime) -> int:
    """The other way round; a time without a zone is taken as UTC."""
    aware = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)
