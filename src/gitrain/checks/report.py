"""The report of the checks: what `gitrain check all --json` prints. Part of the public API."""

import json
import math
from collections.abc import Sequence
from typing import Self

from pydantic import Field, model_validator

from gitrain.documents import Document, Section
from gitrain.verdicts import Figure, Outcome, Verdict, worst

__all__ = ["CheckReport", "CheckVerdict"]


class CheckVerdict(Section):
    """A verdict as the file has it; see `gitrain.verdicts.Verdict`.

    Attributes:
        group: the group of the check, e.g. ``training``.
        name: the check's name, e.g. ``training:loss-falls``.
        outcome: PASSED, FAILED, INCONCLUSIVE or ERROR.
        reason: one sentence that a reviewer can decide from.
        figures: the numbers behind it.
    """

    group: str
    name: str
    outcome: Outcome
    reason: str
    figures: dict[str, Figure] = Field(default_factory=dict)

    @classmethod
    def of(cls, group: str, verdict: Verdict) -> Self:
        """The entry of a verdict."""
        return cls(
            group=group,
            name=verdict.name,
            outcome=verdict.outcome,
            reason=verdict.reason,
            figures=dict(verdict.figures),
        )

    @property
    def verdict(self) -> Verdict:
        """The entry as a verdict."""
        return Verdict(name=self.name, outcome=self.outcome, reason=self.reason, figures=self.figures)


class CheckReport(Document):
    """What the checks said of a tree.

    Attributes:
        project: the project's name.
        outcome: the worst of the verdicts; INCONCLUSIVE if there are none.
        verdicts: group by group, in the order in which they ran.
        seconds: how long each group took.
    """

    project: str
    outcome: Outcome
    verdicts: tuple[CheckVerdict, ...] = ()
    seconds: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _outcome_is_that_of_the_verdicts(self) -> Self:
        if self.outcome is not worst(verdict.outcome for verdict in self.verdicts):
            raise ValueError("the outcome is not the worst of the verdicts")
        return self

    @classmethod
    def of(cls, project: str, verdicts: Sequence[CheckVerdict], seconds: dict[str, float]) -> Self:
        """The report of these verdicts."""
        outcome = worst(verdict.outcome for verdict in verdicts)
        return cls(schema_version=1, project=project, outcome=outcome, verdicts=tuple(verdicts), seconds=seconds)

    def to_json(self) -> str:
        """The text of the file. A figure that is NaN or infinite is given by its name: JSON has no such numbers."""
        return json.dumps(_plain(self.model_dump(mode="json")), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
