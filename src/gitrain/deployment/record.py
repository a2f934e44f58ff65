"""What happened: a deployment, written once and never changed. Part of the public API.

Records are files of the branch `deployments`, one a record, so that they never conflict: `ENVIRONMENT/TIME-ID.json`.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Literal, Protocol, Self

from pydantic import AwareDatetime, Field, field_validator, model_validator

from gitrain.documents import Document, Section, parse_json
from gitrain.release.record import RecordedVerdict

__all__ = ["DeploymentRecord", "DeploymentRecords", "Ending", "RecordedStep", "RunningRelease"]

_DIGEST = r"^sha256:[0-9a-f]{64}$"
_VERSION = r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$"


class Ending(Enum):
    """How a deployment ended. Only SUCCEEDED counts as a run that a promotion can stand on.

    ABORTED: its canary was found worse, and the former release has all requests again. FAILED: it never got a request
    of a user, or nothing could be put back; the reason says which.
    """

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    ABORTED = "ABORTED"


class RunningRelease(Section):
    """A release in an environment.

    Attributes:
        version: without the leading v.
        digest: of its bundle.
    """

    version: str = Field(pattern=_VERSION)
    digest: str = Field(pattern=_DIGEST)


class RecordedStep(Section):
    """One thing that was done.

    Attributes:
        name: what, e.g. ``start``, ``probe smoke``, ``canary 5 %``.
        outcome: PASSED, FAILED, INCONCLUSIVE or ERROR.
        seconds: how long it took.
        verdicts: what was judged in it.
    """

    name: str
    outcome: Literal["PASSED", "INCONCLUSIVE", "FAILED", "ERROR"]
    seconds: float = Field(ge=0)
    verdicts: tuple[RecordedVerdict, ...] = ()


class DeploymentRecord(Document):
    """One deployment in one environment.

    Attributes:
        id: unlike any other's: 16 hexadecimal digits.
        project: the project's name.
        environment: its name.
        kind: deploy, or rollback where the release had succeeded here before.
        release: what was to run.
        former: what ran before; None at first.
        desired_by: the commit whose environment file asked for it.
        actor: who started it, as the forge or Git knows them.
        approved_by: who approved it; None where nobody had to.
        reason: why, in one sentence: of the ending if it did not succeed.
        began: when, in UTC.
        ended: when, in UTC.
        steps: what was done, in order.
        ending: how it ended.
    """

    id: str = Field(pattern=r"^[0-9a-f]{16}$")
    project: str
    environment: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")
    kind: Literal["deploy", "rollback"] = "deploy"
    release: RunningRelease
    former: RunningRelease | None = None
    desired_by: str = Field(pattern=r"^[0-9a-f]{40}$")
    actor: str = Field(min_length=1, max_length=200)
    approved_by: str | None = Field(default=None, max_length=200)
    reason: str = Field(max_length=2000)
    began: AwareDatetime
    ended: AwareDatetime
    steps: tuple[RecordedStep, ...] = ()
    ending: Ending

    @field_validator("began", "ended")
    @classmethod
    def _in_utc(cls, value: datetime) -> datetime:
        return value.astimezone(UTC)

    @model_validator(mode="after")
    def _ends_after_it_began(self) -> Self:
        if self.ended < self.began:
            raise ValueError("it ended before it began")
        return self

    @property
    def path(self) -> str:
        """Its file on the branch; files sort by the time at which deployments began."""
        return f"{self.environment}/{self.began.strftime('%Y%m%dT%H%M%S.%fZ')}-{self.id}.json"

    @classmethod
    def from_json(cls, text: str, *, source: str) -> Self:
        """Read a record. Raises SettingsError naming `source` where it is none."""
        return parse_json(cls, text, source=source)

    def to_json(self) -> str:
        """The file's text: sorted keys, two spaces, a newline at the end."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True, allow_nan=False) + "\n"


class DeploymentRecords(Protocol):
    """Keeps records. What is there is never changed or lost."""

    def add(self, record: DeploymentRecord) -> None:
        """Keep a record, once: adding the same again changes nothing.

        Raises:
            PipelineError: the repository refuses, or cannot be reached.
        """

    def list(self, environment: str | None = None) -> Sequence[DeploymentRecord]:
        """The records of an environment, or of all, by the time at which they began.

        Raises:
            PipelineError: the repository cannot be read.
            SettingsError: a file is no record; the message names it.
        """
