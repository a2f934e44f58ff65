"""What a gate, a check or a probe says: an outcome, its reason and its figures. A value, never an exception."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["Figure", "Outcome", "Verdict", "worst"]

Figure = float | int | str | bool | None


class Outcome(Enum):
    """The four outcomes. INCONCLUSIVE: not enough evidence. ERROR: the rule itself could not be run."""

    PASSED = "PASSED"
    INCONCLUSIVE = "INCONCLUSIVE"
    FAILED = "FAILED"
    ERROR = "ERROR"

    @property
    def exit_code(self) -> int:
        """The exit code of a command whose result this is; only 0 promotes."""
        return {"PASSED": 0, "FAILED": 1, "ERROR": 3, "INCONCLUSIVE": 4}[self.value]


# An error hides every other answer, a failure outweighs missing evidence.
_SEVERITY = (Outcome.PASSED, Outcome.INCONCLUSIVE, Outcome.FAILED, Outcome.ERROR)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The outcome of one rule.

    Attributes:
        name: the rule, e.g. ``threshold:roc_auc``.
        outcome: PASSED, FAILED, INCONCLUSIVE or ERROR.
        reason: one sentence that a reviewer can decide from.
        figures: the numbers behind it.
        waived: the reason of the waiver that let a FAILED or INCONCLUSIVE rule through, if one did.
    """

    name: str
    outcome: Outcome
    reason: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    waived: str | None = None

    def to_json(self) -> dict[str, object]:
        """The verdict as JSON-serialisable values."""
        payload: dict[str, object] = {
            "name": self.name,
            "outcome": self.outcome.value,
            "reason": self.reason,
            "figures": dict(self.figures),
        }
        if self.waived is not None:
            payload["waived"] = self.waived
        return payload


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome of several rules taken together; with no rules at all nothing is known: INCONCLUSIVE."""
    found = list(outcomes)
    if not found:
        return Outcome.INCONCLUSIVE
    return max(found, key=_SEVERITY.index)
