"""What a probe found: what `gitrain probe ... --json` prints. Part of the public API."""

import json
from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from gitrain.documents import Document, Section
from gitrain.verdicts import Figure, Outcome, Verdict, worst

__all__ = ["ProbeKind", "ProbeReport", "ProbeVerdict"]

#: What a probe asks: known rows, requests made up from the description, load.
ProbeKind = Literal["smoke", "contract", "load"]


class ProbeVerdict(Section):
    """A verdict as the file has it; see `gitrain.verdicts.Verdict`.

    Attributes:
        name: e.g. ``load:p99``.
        outcome: PASSED, FAILED, INCONCLUSIVE or ERROR.
        reason: one sentence that a reviewer can decide from.
        figures: the numbers behind it.
    """

    name: str
    outcome: Outcome
    reason: str
    figures: dict[str, Figure] = Field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """The entry as a verdict."""
        return Verdict(name=self.name, outcome=self.outcome, reason=self.reason, figures=self.figures)


class ProbeReport(Document):
    """What a probe found.

    Attributes:
        probe: smoke, contract or load.
        url: what was asked.
        environment: whose limits held; None where they were given or left as they are.
        outcome: the worst of the verdicts.
        verdicts: in the order in which they were found.
        seconds: how long it took.
    """

    probe: ProbeKind
    url: str
    environment: str | None = None
    outcome: Outcome
    verdicts: tuple[ProbeVerdict, ...] = ()
    seconds: float = Field(ge=0)

    @model_validator(mode="after")
    def _outcome_is_that_of_the_verdicts(self) -> Self:
        if self.outcome is not worst(verdict.outcome for verdict in self.verdicts):
            raise ValueError("the outcome is not the worst of the verdicts")
        return self

    @classmethod
    def of(
        cls, probe: ProbeKind, url: str, verdicts: Sequence[Verdict], *, seconds: float, environment: str | None
    ) -> Self:
        """The report of these verdicts."""
        return cls(
            schema_version=1,
            probe=probe,
            url=url,
            environment=environment,
            outcome=worst(verdict.outcome for verdict in verdicts),
            verdicts=tuple(
                ProbeVerdict(name=each.name, outcome=each.outcome, reason=each.reason, figures=dict(each.figures))
                for each in verdicts
            ),
            seconds=round(seconds, 3),
        )

    def to_json(self) -> str:
        """The text of the file."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
