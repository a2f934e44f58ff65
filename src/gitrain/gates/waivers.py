"""Waivers: a gate let through by a reviewed line in params.yaml, for a reason and until a date, never in silence."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from gitrain.errors import SettingsError
from gitrain.gates.names import LEAK_ALARM, nearest
from gitrain.pipeline.layout import PARAMS
from gitrain.pipeline.params import Waiver
from gitrain.verdicts import Outcome, Verdict

__all__ = ["LONGEST_WAIVER", "Waivers", "check_waivers"]

# A longer exception is a rule: change the rule.
LONGEST_WAIVER = timedelta(days=90)


@dataclass(frozen=True, kw_only=True)
class Waivers:
    """The waivers in force, and those that are past their date, by the gate that they name.

    Attributes:
        active: let their gate through; the day of expiry is the last one.
        expired: have no effect, and the report says so.
        added: the gates whose waiver the base commit does not have: what is under review adds it.
    """

    active: dict[str, Waiver]
    expired: dict[str, Waiver]
    added: frozenset[str] = frozenset()

    def explain(self, gate: str) -> str | None:
        """The reason of the waiver in force for `gate`, with its date; None if there is none."""
        waiver = self.active.get(gate)
        if waiver is None:
            return None
        origin = "added by this change" if gate in self.added else "already in the base"
        return f"{waiver.reason} (until {waiver.expires.isoformat()}; {origin})"

    def apply(self, verdict: Verdict) -> Verdict:
        """Let a FAILED or INCONCLUSIVE verdict through if a waiver says so; say so if the waiver has expired.

        An ERROR is never let through: nobody knows what was waived.
        """
        if verdict.outcome not in (Outcome.FAILED, Outcome.INCONCLUSIVE):
            return verdict
        expired = self.expired.get(verdict.name)
        if expired is not None:
            return replace(
                verdict, reason=f"{verdict.reason}; the waiver for it expired on {expired.expires.isoformat()}"
            )
        explanation = self.explain(verdict.name)
        if explanation is None:
            return verdict
        return replace(
            verdict,
            outcome=Outcome.PASSED,
            reason=f"{verdict.outcome.value}, and waived: {verdict.reason}",
            waived=explanation,
        )


def check_waivers(
    waivers: Sequence[Waiver], *, gates: Collection[str], today: date, known_before: Collection[Waiver] = ()
) -> Waivers:
    """Sort waivers into those in force and those expired.

    Args:
        waivers: as they stand in params.yaml.
        gates: the names of all gates of the project.
        today: decides what has expired.
        known_before: the waivers of the base commit.

    Raises:
        SettingsError: a gate that does not exist or cannot be waived, two waivers for one, or a date too far ahead.
    """
    active: dict[str, Waiver] = {}
    expired: dict[str, Waiver] = {}
    for waiver in waivers:
        where = f"{PARAMS}: a waiver in gates.waivers"
        if waiver.gate.startswith(f"{LEAK_ALARM}:") or waiver.gate == LEAK_ALARM:
            raise SettingsError(
                f"{where} names {waiver.gate!r}, and a leak alarm cannot be waived",
                fix="find the leak; or, if the model really is that good, raise the alarm's bound in gates.leak_alarm.",
            )
        if waiver.gate not in gates:
            raise SettingsError(
                f"{where} names the gate {waiver.gate!r}, which does not exist", fix=nearest(waiver.gate, gates)
            )
        if waiver.gate in active or waiver.gate in expired:
            raise SettingsError(f"{where} names {waiver.gate!r} a second time", fix="keep one of them.")
        if waiver.expires > today + LONGEST_WAIVER:
            raise SettingsError(
                f"{where} for {waiver.gate!r} expires on {waiver.expires.isoformat()}, more than "
                f"{LONGEST_WAIVER.days} days ahead",
                fix=f"let it expire on {(today + LONGEST_WAIVER).isoformat()} or earlier; it can be renewed.",
            )
        (active if waiver.expires >= today else expired)[waiver.gate] = waiver
    before = set(known_before)
    return Waivers(
        active=active,
        expired=expired,
        added=frozenset(gate for gate, waiver in active.items() if waiver not in before),
    )
