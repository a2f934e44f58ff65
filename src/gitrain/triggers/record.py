"""What happened: a retraining, told when it begins and when it ends. Part of the public API.

Records are files of the branch `retraining`, never changed: `runs/TIME-ID.json` when it begins, and
`runs/TIME-ID-ended.json` when it has ended. A retraining begins by adding its record to exactly the records that it was
decided on, so that of many that begin at once one does.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Protocol, Self

from pydantic import AwareDatetime, Field, field_validator, model_validator

from gitrain.documents import Document, parse_json

__all__ = ["CONCLUDED", "RetrainingEnding", "RetrainingRecord", "RetrainingRecords", "last_words"]

_DIGEST = r"^sha256:[0-9a-f]{64}$"
_COMMIT = r"^[0-9a-f]{40}([0-9a-f]{24})?$"
_LONGEST = 2000


class RetrainingEnding(Enum):
    """How a retraining ended.

    PROPOSED: a pull request waits for review. MERGED: it was merged as policy has it. REFUSED: the candidate failed its
    checks or gates; it was reported and closed. BAD_DATA: new data broke its contract; an issue says how. UNCHANGED:
    the same inputs gave the same model. ERROR: something broke on the way. LOST: it never said how it ended.
    """

    PROPOSED = "PROPOSED"
    MERGED = "MERGED"
    REFUSED = "REFUSED"
    BAD_DATA = "BAD_DATA"
    UNCHANGED = "UNCHANGED"
    ERROR = "ERROR"
    LOST = "LOST"


#: Endings after which the same inputs are not tried again; after the others they are.
CONCLUDED = frozenset(
    {
        RetrainingEnding.PROPOSED,
        RetrainingEnding.MERGED,
        RetrainingEnding.REFUSED,
        RetrainingEnding.BAD_DATA,
        RetrainingEnding.UNCHANGED,
    }
)


class RetrainingRecord(Document):
    """One retraining, as it is known at its beginning or at its end.

    Attributes:
        id: unlike any other's: 16 hexadecimal digits.
        project: the project's name.
        digest: of everything that it stands on, the kind of its reason among it.
        inputs: the same without the reason.
        base: the commit that it began from.
        through: what `data.through` is to be.
        batches: those that are new.
        reasons: what asked for it, e.g. ``new-data``.
        evidence: a sentence each.
        holder: the clone that it runs in; who finds itself the holder of one that has not ended knows that it is dead.
        began: when, in UTC.
        ended: when, in UTC; None while it runs.
        ending: how; None while it runs.
        reason: of the ending, in one sentence.
        branch: where the candidate was proposed.
        commit: the candidate's.
        number: of its pull request, where the forge has numbers.
        url: of its pull request, or of the issue.
    """

    id: str = Field(pattern=r"^[0-9a-f]{16}$")
    project: str
    digest: str = Field(pattern=_DIGEST)
    inputs: str = Field(pattern=_DIGEST)
    base: str = Field(pattern=_COMMIT)
    through: str = Field(max_length=100)
    batches: tuple[str, ...] = ()
    reasons: tuple[str, ...] = Field(min_length=1)
    evidence: tuple[str, ...] = ()
    holder: str = Field(pattern=r"^[0-9a-f]{16}$")
    began: AwareDatetime
    ended: AwareDatetime | None = None
    ending: RetrainingEnding | None = None
    reason: str = Field(default="", max_length=_LONGEST)
    branch: str | None = None
    commit: str | None = Field(default=None, pattern=_COMMIT)
    number: int | None = None
    url: str | None = None

    @field_validator("began", "ended")
    @classmethod
    def _in_utc(cls, value: datetime | None) -> datetime | None:
        return value.astimezone(UTC) if value is not None else None

    @model_validator(mode="after")
    def _ends_whole(self) -> Self:
        if (self.ended is None) != (self.ending is None):
            raise ValueError("it has either both an end and an ending, or neither")
        return self

    @property
    def path(self) -> str:
        """Its file on the branch; files sort by the time at which retrainings began."""
        name = f"runs/{self.began.strftime('%Y%m%dT%H%M%S.%fZ')}-{self.id}"
        return f"{name}.json" if self.ending is None else f"{name}-ended.json"

    @property
    def minutes(self) -> float:
        """How long it took; 0 while it runs, and where a clock was set back."""
        return max(0.0, (self.ended - self.began) / timedelta(minutes=1)) if self.ended is not None else 0.0

    def concluded(self, ended: datetime, ending: RetrainingEnding, reason: str, **found: object) -> "RetrainingRecord":
        """The record of its end.

        Args:
            ended: when; where clocks disagree, not before it began.
            ending: how.
            reason: in one sentence.
            found: values of `branch`, `commit`, `number` and `url`.
        """
        values = self.model_dump() | found
        values |= {"ended": max(ended, self.began), "ending": ending, "reason": reason[:_LONGEST]}
        return RetrainingRecord.model_validate(values)

    @classmethod
    def from_json(cls, text: str, *, source: str) -> Self:
        """Read a record. Raises SettingsError naming `source` where it is none."""
        return parse_json(cls, text, source=source)

    def to_json(self) -> str:
        """The file's text: sorted keys, two spaces, a newline at the end."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True, allow_nan=False) + "\n"


class RetrainingRecords(Protocol):
    """Keeps records. What is there is never changed or lost."""

    def list(self) -> Sequence[RetrainingRecord]:
        """All records by the time at which they began, the end of one after its beginning.

        Raises:
            PipelineError: the repository cannot be read.
            SettingsError: a file is no record; the message names it.
        """

    def add(
        self, judge: Callable[[Sequence[RetrainingRecord]], Sequence[RetrainingRecord]]
    ) -> Sequence[RetrainingRecord]:
        """Add records to exactly those that they were judged by, all in one step; those that were added.

        Args:
            judge: gets all records, and gives those to add; is asked anew each time that somebody else was quicker.

        Raises:
            PipelineError: the repository refuses, or cannot be reached. Errors of `list` as well.
        """


def last_words(records: Iterable[RetrainingRecord]) -> list[RetrainingRecord]:
    """Of each retraining the newest that is known, by the time at which they began."""
    found: dict[str, RetrainingRecord] = {}
    for record in records:
        if record.id not in found or record.ending is not None:
            found[record.id] = record
    return sorted(found.values(), key=lambda record: (record.began, record.id))
