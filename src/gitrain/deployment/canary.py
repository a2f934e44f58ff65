"""Is the new release worse than the one that runs? Judged while both serve, from what each was counted to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gitrain.deployment.sequential import Counted, confidence_limits
from gitrain.environments.document import CanaryLimits
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = ["DEFAULT_RULES", "CanaryRule", "judge_canary", "rules_of"]


@dataclass(frozen=True, kw_only=True)
class CanaryRule:
    """One rate that a new release must not worsen.

    Attributes:
        name: the rate, e.g. ``errors``.
        margin: so much more (a share of requests) is let through.
        against: champion: the rate of the release that runs, over the same time; none: zero, for rates that have no
            counterpart, such as answers that differ from the champion's on the same requests.
        sides: more: only more of it is worse; either: less as well.
        parts: in so many places it may be counted, each by itself. Features and histories are not among them: services
            name all of theirs with their first prediction.
        over: the rule whose requests a part is counted over: what the champion does not have, as a feature that is new,
            happened in none of these.
    """

    name: str
    margin: float
    against: Literal["champion", "none"] = "champion"
    sides: Literal["more", "either"] = "more"
    parts: int = 1
    over: str | None = None


#: errors: no answer, or a 5xx. refused: a 4xx. slow: answers that took longer than the environment's p99 limit.
#: missing, stale: predictions made without one feature, or while the store was behind with one history. positive:
#: predictions decided as true. disagreement, distance: answers to copies of the champion's requests that are decided
#: otherwise, or whose probability is far off.
DEFAULT_RULES = (
    CanaryRule(name="errors", margin=0.005, parts=3),
    CanaryRule(name="refused", margin=0.02, parts=3),
    CanaryRule(name="slow", margin=0.02, parts=2),
    CanaryRule(name="missing", margin=0.02, over="positive"),
    CanaryRule(name="stale", margin=0.02, over="positive"),
    CanaryRule(name="positive", margin=0.10, sides="either"),
    CanaryRule(name="disagreement", margin=0.25, against="none"),
    CanaryRule(name="distance", margin=0.02, against="none"),
)


def rules_of(limits: CanaryLimits) -> tuple[CanaryRule, ...]:
    """The rules with the margins that an environment's file gives; without those that it does not judge by."""
    margins = limits.model_dump()
    return tuple(replace(rule, margin=margins[rule.name]) for rule in DEFAULT_RULES if margins[rule.name] is not None)


def judge_canary(
    challenger: Mapping[str, Counted],
    champion: Mapping[str, Counted],
    rules: Sequence[CanaryRule] = DEFAULT_RULES,
    *,
    requests: int,
    alpha: float = 0.05,
) -> list[Verdict]:
    """A verdict for each rule that something was counted for; worked out anew after every look.

    FAILED: the challenger is worse, and that is no chance; the canary is to be aborted. PASSED: it has answered the
    requests that were asked for, and nothing says that it is worse. INCONCLUSIVE: it has to answer more.

    A challenger that is not worse is aborted with probability `alpha` at most, however often one looks: all `rules` and
    the two releases share it equally, and each limit holds at all looks at once. A rule that is counted in parts, such
    as one for each feature, shares its own part of `alpha` among these. Rules and parts that nothing was counted for
    yet have their share as well: one that grew and shrank with what is counted would bound nothing over all looks.

    Args:
        challenger: what the new release was counted to do since the canary began, by the rule's name; ``NAME:PART``
            where a rule is counted in parts, of which the worst speaks for the rule.
        champion: the same of the release that runs. A rule without its counterpart here is INCONCLUSIVE; a part that
            only the new release has is compared with none of the champion's requests (`CanaryRule.over`).
        rules: what is judged.
        requests: how many requests the challenger has to answer before it can pass. Rules that compare with nothing
            are about copies, of which there may be fewer: one is enough.
        alpha: the share of equal challengers that may be aborted.

    Returns:
        Verdicts named ``canary:NAME``, in the order of the rules; rules that the challenger has no count for are left
        out.
    """
    parts = {rule.name: sorted(name for name in challenger if name.partition(":")[0] == rule.name) for rule in rules}
    counted = [rule for rule in rules if parts[rule.name]]
    verdicts = []
    for rule in counted:
        share = alpha / len(rules) / max(rule.parts, len(parts[rule.name]))
        judged = [
            _judge(rule, name, challenger[name], _counterpart(rule, name, champion), requests, share)
            for name in parts[rule.name]
        ]
        # Parts are counted in different places, so one that has seen enough speaks for those that saw less.
        first = {Outcome.FAILED: 0, Outcome.PASSED: 1, Outcome.INCONCLUSIVE: 2}
        verdicts.append(min(judged, key=lambda each: (first[each.verdict.outcome], -each.excess)).verdict)
    return verdicts


def _counterpart(rule: CanaryRule, name: str, champion: Mapping[str, Counted]) -> Counted | None:
    found = champion.get(name)
    if found is None and rule.over is not None and rule.over in champion:
        return Counted(0, champion[rule.over].total)
    return found


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """One part's verdict, and by how much its rate lies above what it is compared with."""

    verdict: Verdict
    excess: float


def _judge(rule: CanaryRule, name: str, new: Counted, old: Counted | None, requests: int, alpha: float) -> _Judged:
    figures: dict[str, Figure] = {"events": new.events, "requests": new.total, "rate": new.rate, "margin": rule.margin}
    compared = rule.against == "champion"

    def judged(outcome: Outcome, reason: str) -> _Judged:
        verdict = Verdict(name=f"canary:{rule.name}", outcome=outcome, reason=reason, figures=figures)
        difference = new.rate - (old.rate if old is not None and compared else 0.0)
        return _Judged(verdict=verdict, excess=abs(difference) if rule.sides == "either" else difference)

    if compared and (old is None or not old.total):
        return judged(
            Outcome.INCONCLUSIVE, "the release that runs has answered nothing yet that it could be compared with"
        )
    # Two limits of one release and one of the other can be wrong where both sides count, else one of each.
    share = alpha / (4 if rule.sides == "either" else 2)
    if compared and old is not None:
        low, high = confidence_limits(old, share)
        figures |= {"champion_events": old.events, "champion_requests": old.total, "champion_rate": old.rate}
        beside = f"the champion's {_percent(old.rate)} of {old.total:,}"
    else:
        low = high = 0.0
        share = alpha
        beside = "none"
    lower, upper = confidence_limits(new, share)
    figures |= {"low": lower, "high": upper}
    said = f"{name}: {_percent(new.rate)} of {new.total:,} requests beside {beside}"
    if lower > high + rule.margin:
        return judged(Outcome.FAILED, f"{said}: more than a margin of {_percent(rule.margin)} lets through")
    if rule.sides == "either" and upper < low - rule.margin:
        return judged(Outcome.FAILED, f"{said}: less than a margin of {_percent(rule.margin)} lets through")
    needed = requests if compared else min(requests, 1)
    if new.total < needed:
        return judged(Outcome.INCONCLUSIVE, f"{said}; {needed - new.total:,} more requests are needed")
    return judged(Outcome.PASSED, f"{said}: not shown to be worse")


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.2g} %" if percent < 99.5 else f"{percent:.0f} %"
