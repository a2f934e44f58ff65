"""Is the new release worse than the one that runs? Judged while both serve, from what each was counted to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gitrain.deployment.sequential import Counted, confidence_limits
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = ["DEFAULT_RULES", "CanaryRule", "judge_canary"]


@dataclass(frozen=True, kw_only=True)
class CanaryRule:
    """One rate that a new release must not worsen.

    Attributes:
        name: the rate, e.g. ``errors``.
        margin: so much more (a share of requests) is let through.
        against: champion: the rate of the release that runs, over the same time; none: zero, for rates that have no
            counterpart, such as answers that differ from the champion's on the same requests.
        sides: more: only more of it is worse; either: less as well.
    """

    name: str
    margin: float
    against: Literal["champion", "none"] = "champion"
    sides: Literal["more", "either"] = "more"


#: errors: no answer, or a 5xx. slow: answers that took longer than the environment's p99 limit. missing, stale:
#: predictions made without a feature that is usually there, or from old ones. positive: predictions decided as true.
#: disagreement: answers to copies of the champion's requests that are decided otherwise.
DEFAULT_RULES = (
    CanaryRule(name="errors", margin=0.005),
    CanaryRule(name="slow", margin=0.02),
    CanaryRule(name="missing", margin=0.02),
    CanaryRule(name="stale", margin=0.02),
    CanaryRule(name="positive", margin=0.10, sides="either"),
    CanaryRule(name="disagreement", margin=0.25, against="none"),
)


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

    A challenger that is not worse is aborted with probability `alpha` at most, however often one looks: the rules and
    the two releases share it equally, and each limit holds at all looks at once.

    Args:
        challenger: what the new release was counted to do since the canary began, by the rule's name.
        champion: the same of the release that runs. A rule without its counterpart here is INCONCLUSIVE.
        rules: what is judged.
        requests: how many requests the challenger has to answer before it can pass.
        alpha: the share of equal challengers that may be aborted.

    Returns:
        Verdicts named ``canary:NAME``, in the order of the rules; rules that the challenger has no count for are left
        out.
    """
    counted = [rule for rule in rules if rule.name in challenger]
    each = alpha / len(counted) if counted else alpha
    return [_judge(rule, challenger[rule.name], champion.get(rule.name), requests, each) for rule in counted]


def _judge(rule: CanaryRule, new: Counted, old: Counted | None, requests: int, alpha: float) -> Verdict:
    name = f"canary:{rule.name}"
    figures: dict[str, Figure] = {"events": new.events, "requests": new.total, "rate": new.rate, "margin": rule.margin}
    if rule.against == "champion" and (old is None or not old.total):
        return Verdict(
            name=name,
            outcome=Outcome.INCONCLUSIVE,
            reason="the release that runs has answered nothing yet that it could be compared with",
            figures=figures,
        )
    # Two limits of one release and one of the other can be wrong where both sides count, else one of each.
    share = alpha / (4 if rule.sides == "either" else 2)
    if rule.against == "champion" and old is not None:
        low, high = confidence_limits(old, share)
        figures |= {"champion_events": old.events, "champion_requests": old.total, "champion_rate": old.rate}
        beside = f"the champion's {_percent(old.rate)} of {old.total:,}"
    else:
        low = high = 0.0
        share = alpha
        beside = "none"
    lower, upper = confidence_limits(new, share)
    figures |= {"low": lower, "high": upper}
    said = f"{rule.name}: {_percent(new.rate)} of {new.total:,} requests beside {beside}"
    if lower > high + rule.margin:
        reason = f"{said}: more than a margin of {_percent(rule.margin)} lets through"
        return Verdict(name=name, outcome=Outcome.FAILED, reason=reason, figures=figures)
    if rule.sides == "either" and upper < low - rule.margin:
        reason = f"{said}: less than a margin of {_percent(rule.margin)} lets through"
        return Verdict(name=name, outcome=Outcome.FAILED, reason=reason, figures=figures)
    if new.total < requests:
        reason = f"{said}; {requests - new.total:,} more requests are needed"
        return Verdict(name=name, outcome=Outcome.INCONCLUSIVE, reason=reason, figures=figures)
    return Verdict(name=name, outcome=Outcome.PASSED, reason=f"{said}: not shown to be worse", figures=figures)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
