"""The gates' report: what `gitrain gate check --json` prints. Part of the public API."""

import json
from collections.abc import Iterable
from datetime import date
from typing import Self

from pydantic import Field, model_validator

from gitrain.documents import Document, Section
from gitrain.verdicts import Figure, Outcome, Verdict, worst

__all__ = ["GateReport", "GateVerdict", "report_outcome"]

_DIGEST = r"^sha256:[0-9a-f]{64}$"
_COMMIT = r"^[0-9a-f]{40}([0-9a-f]{24})?$"


class GateVerdict(Section):
    """A verdict as the file has it; see `gitrain.verdicts.Verdict`."""

    name: str
    outcome: Outcome
    reason: str
    figures: dict[str, Figure] = Field(default_factory=dict)
    waived: str | None = None

    @classmethod
    def of(cls, verdict: Verdict) -> Self:
        """The entry of a verdict."""
        return cls(
            name=verdict.name,
            outcome=verdict.outcome,
            reason=verdict.reason,
            figures=dict(verdict.figures),
            waived=verdict.waived,
        )


class GateReport(Document):
    """What the gates said of the model in a tree.

    Attributes:
        project: the project's name.
        outcome: the worst of the verdicts.
        verdicts: in the order of thresholds, slices, leak alarms, champion.
        date: the day that waivers were judged by.
        model_digest: of the model on trial.
        base: the commit whose model is the champion; None if none was named.
        champion_digest: of the champion; None if there is none to compare with.
        batches: the holdout.
        unit: what was resampled.
        rows: the holdout's rows with a label.
        units: how many units they lie in.
        changes: how the rules differ from the base's, one sentence a key.
    """

    project: str
    outcome: Outcome
    verdicts: tuple[GateVerdict, ...] = Field(min_length=1)
    date: date
    model_digest: str = Field(pattern=_DIGEST)
    base: str | None = Field(default=None, pattern=_COMMIT)
    champion_digest: str | None = Field(default=None, pattern=_DIGEST)
    batches: tuple[str, ...] = Field(min_length=1)
    unit: str
    rows: int = Field(ge=0)
    units: int = Field(ge=0)
    changes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _outcome_is_that_of_the_verdicts(self) -> Self:
        if self.outcome is not report_outcome(self.verdicts):
            raise ValueError("the outcome is not the worst of the verdicts")
        return self

    def to_json(self) -> str:
        """The text of the file."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def report_outcome(verdicts: Iterable[Verdict | GateVerdict]) -> Outcome:
    """The outcome of verdicts taken together: the worst."""
    return worst(verdict.outcome for verdict in verdicts)
