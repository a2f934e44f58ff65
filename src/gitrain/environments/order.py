"""The order of environments: each release enters at one that follows a branch, and goes on from there."""

from collections.abc import Mapping

from gitrain.environments.document import Environment
from gitrain.verdicts import Outcome, Verdict

__all__ = ["judge_order", "last_environments"]


def judge_order(name: str, environments: Mapping[str, Environment]) -> Verdict:
    """Whether an environment can be reached: back by `promotes_from`, without a gap or a circle.

    Args:
        name: one of the environments.
        environments: all of them.
    """
    chain = [name]
    while (before := environments[chain[-1]].promotes_from) is not None:
        if before not in environments:
            return _order(name, Outcome.FAILED, f"{chain[-1]} promotes from {before}, and there is no such environment")
        if before in chain:
            return _order(name, Outcome.FAILED, f"environments promote in a circle: {' from '.join([*chain, before])}")
        chain.append(before)
    return _order(name, Outcome.PASSED, " from ".join(chain) if len(chain) > 1 else f"{name} is the first environment")


def last_environments(environments: Mapping[str, Environment]) -> list[str]:
    """Those that promote from another, and from which none does: what users see, and somebody approves."""
    before = {environment.promotes_from for environment in environments.values()}
    return sorted(name for name, each in environments.items() if each.promotes_from is not None and name not in before)


def _order(name: str, outcome: Outcome, reason: str) -> Verdict:
    return Verdict(name=f"{name}:order", outcome=outcome, reason=reason)
