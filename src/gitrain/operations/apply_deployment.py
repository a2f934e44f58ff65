"""Make an environment run what is desired: observe, plan, apply, probe, record."""

from gitrain.deployment.steps import CanaryStretch
from gitrain.errors import UsageError
from gitrain.operations.carry_out_plan import Applied, DeploymentTools, carry_out
from gitrain.operations.plan_deployment import make_plan
from gitrain.verdicts import Outcome

__all__ = ["apply_deployment"]

# A leftover of a killed run is dealt with first, then who a canary is judged beside, then what is desired now.
_PASSES = 3


def apply_deployment(tools: DeploymentTools, *, again: bool = False, wait: float = 0.0) -> Applied:
    """One pass. Whatever kills it, the next one ends in the desired state or the former one.

    Args:
        tools: what it is given.
        again: probe and record what runs already, and try what was aborted.
        wait: seconds for which another pass is waited for.

    Raises:
        DeploymentError: another pass holds the environment, or what runs cannot be seen or put back.
        UsageError: there is a canary, and nobody to watch it.
        PipelineError: the records cannot be read, or this one not written: the next pass writes it.
    """
    since = tools.clock().isoformat(timespec="seconds")
    with tools.deployer.hold(tools.actor, since, wait=wait):
        applied = _pass(tools, again=again)
        for _ in range(_PASSES - 1):
            plan = applied.plan
            put_back = plan.kind == "heal" and plan.release != tools.desired.release
            if not (put_back or plan.kind == "undo") or applied.outcome is Outcome.ERROR:
                break
            # A release that mends the one that ran must be able to come where that does not even start.
            lost = applied.reason if put_back and applied.outcome is Outcome.FAILED else ""
            applied = _pass(tools, again=again, lost=lost)
    return applied


def _pass(tools: DeploymentTools, *, again: bool, lost: str = "") -> Applied:
    plan, observed = make_plan(tools.desired, tools.deployer, tools.records, again=again, lost=lost)
    tools.progress(f"{plan.environment}: {plan.reason}")
    if not plan.steps:
        return Applied(plan=plan, outcome=plan.outcome, reason=plan.reason)
    if tools.watch is None and any(isinstance(step, CanaryStretch) for step in plan.steps):
        raise UsageError(
            f"{plan.environment} moves its traffic by a canary, and nobody here watches one",
            fix="set strategy.kind to blue-green, or install what watches it.",
        )
    return carry_out(tools, plan, observed)
