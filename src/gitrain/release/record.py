"""The release record: what was built from which commit, and what was known of it then. Written once, never changed."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import AwareDatetime, Field, field_validator

from gitrain.documents import Document, Section, parse
from gitrain.errors import ReleaseError, SettingsError
from gitrain.lineage import digest_of_bytes
from gitrain.release.identity import ReleaseIdentity
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = ["SBOM", "RecordedServing", "RecordedVerdict", "ReleaseRecord"]

#: The attachment whose digest is `ReleaseRecord.sbom_digest`: CycloneDX, JSON.
SBOM = "sbom.cdx.json"

_DIGEST = r"^sha256:[0-9a-f]{64}$"


class RecordedVerdict(Section):
    """What a gate said of the model that is released.

    Attributes:
        name: the gate, e.g. ``threshold:roc_auc``.
        outcome: PASSED, FAILED, INCONCLUSIVE or ERROR.
        reason: one sentence.
        figures: the numbers behind it; those that JSON has no number for are text, ``inf`` or ``nan``.
        waived: the reason of the waiver that let a FAILED or INCONCLUSIVE one through, if one did.
    """

    name: str
    outcome: Literal["PASSED", "INCONCLUSIVE", "FAILED", "ERROR"]
    reason: str
    figures: dict[str, Figure] = Field(default_factory=dict)
    waived: str | None = None

    @classmethod
    def of(cls, verdict: Verdict) -> Self:
        """A verdict as it is recorded."""
        figures = {name: _finite(value) for name, value in verdict.figures.items()}
        return cls.model_validate(verdict.to_json() | {"figures": figures})

    def verdict(self) -> Verdict:
        """The verdict that was recorded."""
        return Verdict(
            name=self.name,
            outcome=Outcome(self.outcome),
            reason=self.reason,
            figures=dict(self.figures),
            waived=self.waived,
        )


class RecordedServing(Section):
    """What is served and why, as `models/serving.json` says it.

    Attributes:
        format: onnx or skops.
        reason: why: one sentence.
        tolerance: the largest difference of two probabilities that counts as equal.
        holdout_rows: rows of the holdout that were compared.
        adversarial_rows: rows made up from the feature contract that were compared.
        largest_difference: over all of them; None where ONNX could not be had at all.
        flipped_decisions: rows that ONNX and the judged model decide differently; None likewise.
    """

    format: Literal["onnx", "skops"]
    reason: str
    tolerance: float = Field(gt=0)
    holdout_rows: int = Field(ge=0)
    adversarial_rows: int = Field(ge=0)
    largest_difference: float | None = None
    flipped_decisions: int | None = None


class ReleaseRecord(Document):
    """A release. It holds no time but the commit's: two builds of a commit give equal text.

    Attributes:
        identity: what the bundle says of itself (`release.json` in it).
        committed_at: the time of the commit, in UTC.
        bundle_digest: of the bundle's manifest (`BundleManifest.digest`).
        bundle_size: bytes of all its files.
        files: how many they are.
        sbom_digest: of the attachment `sbom.cdx.json`.
        requirements_digest: of the bundle's own requirements: the part of requirements.lock that it installs.
        python: the minor version of Python that it was built for, e.g. ``3.12``.
        system: the operating system that it was built on, as `platform.system` says it, e.g. ``Linux``.
        machine: the architecture, as `platform.machine` says it, e.g. ``x86_64``.
        metrics: of the model on the holdout, by name.
        verdicts: of the gates.
        serving: what is served and why.
    """

    identity: ReleaseIdentity
    committed_at: AwareDatetime
    bundle_digest: str = Field(pattern=_DIGEST)
    bundle_size: int = Field(ge=0)
    files: int = Field(ge=1)
    sbom_digest: str = Field(pattern=_DIGEST)
    requirements_digest: str = Field(pattern=_DIGEST)
    python: str = Field(pattern=r"^3\.\d+$")
    system: str
    machine: str
    metrics: dict[str, float | int]
    verdicts: tuple[RecordedVerdict, ...]
    serving: RecordedServing

    @field_validator("committed_at")
    @classmethod
    def _in_utc(cls, value: datetime) -> datetime:
        return value.astimezone(UTC).replace(microsecond=0)

    @field_validator("metrics")
    @classmethod
    def _numbers(cls, value: dict[str, float | int]) -> dict[str, float | int]:
        wrong = [name for name, number in value.items() if not math.isfinite(number)]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is no finite number")
        return value

    @classmethod
    def from_json(cls, text: str, *, source: str) -> Self:
        """Read a record; `source` is its name in messages.

        Raises:
            ReleaseError: it is no record, or not written as `to_json` writes it: then somebody has changed it.
        """
        try:
            record = parse(cls, json.loads(text), source=source)
        except (ValueError, RecursionError, SettingsError) as error:
            what = error.what if isinstance(error, SettingsError) else f"{source} is not valid JSON: {error}"
            raise ReleaseError(what, fix=_RESTORE) from error
        if record.to_json() != text:
            raise ReleaseError(f"{source} is not written as release records are: it was changed", fix=_RESTORE)
        return record

    @property
    def version(self) -> str:
        """The version, without the leading v."""
        return self.identity.version

    @property
    def digest(self) -> str:
        """The digest of `to_json`: what is signed, and what environments name."""
        return digest_of_bytes(self.to_json().encode())

    def to_json(self) -> str:
        """The file's text, in one form only: sorted keys, two spaces, a newline at the end."""
        return json.dumps(self.to_payload(), indent=2, sort_keys=True, allow_nan=False) + "\n"

    def to_payload(self) -> dict[str, Any]:
        """The record as JSON-serialisable values."""
        payload: Mapping[str, Any] = self.model_dump(mode="json")
        return dict(payload)


_RESTORE = "restore it from a backup, or publish the release again into an empty store."


def _finite(value: Figure) -> Figure:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
