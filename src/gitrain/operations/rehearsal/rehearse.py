"""Carry out a rehearsal, step by step, until the end or until a step does not prove what it should."""

from collections.abc import Callable, Mapping
from contextlib import suppress

from gitrain.errors import IntegrationError
from gitrain.operations.rehearsal import deployments, models, refusals
from gitrain.operations.rehearsal.plan import RehearsalPlan
from gitrain.operations.rehearsal.scene import REPOSITORY, Done, RehearsalTools, Scene
from gitrain.pipeline.rehearsal import Rehearsal, Requests, Step, StepResult
from gitrain.verdicts import Outcome

__all__ = ["FUNCTIONS", "rehearse"]

#: What each step does.
FUNCTIONS: Mapping[str, Callable[[Scene], Done]] = {
    "forge": models.forge,
    "champion": models.champion,
    "release": deployments.release,
    "test": deployments.test,
    "preprod": deployments.preprod,
    "production": deployments.production,
    "users": deployments.users,
    "challenger": models.challenger,
    "report": models.report,
    "merge": deployments.merge,
    "canary": deployments.canary,
    "leak": refusals.leak,
    "slow": refusals.slow,
    "rollback": refusals.rollback,
}


def rehearse(tools: RehearsalTools, plan: RehearsalPlan) -> Rehearsal:
    """Take the steps of a plan in order.

    A step that does not prove what it should is the last one. What was started is left as it is, but for the users,
    who leave, and for what is judged beside, which begins nothing any more: whoever calls this ends the rest.

    Raises:
        UsageError: nobody can be asked to approve, or the repository is not what a step needs.
        IntegrationError: a command failed, other than by a verdict.
    """
    scene = Scene(tools=tools, plan=plan)
    results: list[StepResult] = []
    try:
        for number, step in enumerate(plan.steps, start=1):
            result = _take(scene, step, f"{number}/{len(plan.steps)}")
            results.append(result)
            if result.outcome not in (None, Outcome.PASSED):
                break
        requests = tools.traffic.stop()
    except BaseException:
        # What went wrong is the message, not what became of the users after it.
        with suppress(IntegrationError):
            tools.traffic.stop()
        raise
    finally:
        scene.over = True
    return Rehearsal(
        project=plan.project.name,
        champion_batch=plan.champion,
        challenger_batch=plan.challenger,
        results=tuple(results),
        requests=requests,
        where=(*scene.where, ("the repository", f"{scene.root}/{REPOSITORY}"), ("all that was said", _log(scene))),
    )


def _take(scene: Scene, step: Step, number: str) -> StepResult:
    tools = scene.tools
    tools.progress(f"── {number} {step.name}: {step.proves}")
    if step.lacks:
        tools.progress(f"   left out: {step.lacks}")
        return StepResult(step=step, outcome=None, said=(step.lacks,))
    begun = tools.clock()
    if step.name == "merge" and scene.plan.has("leak"):
        # Judged in a clone of its own, as a runner would, while this one goes on.
        scene.leak = tools.beside(lambda: refusals.judge_leak(scene))
    done = FUNCTIONS[step.name](scene)
    result = StepResult(
        step=step,
        outcome=done.outcome,
        seconds=round(tools.clock() - begun, 1),
        said=done.said,
        figures=done.figures,
    )
    for line in result.said:
        tools.progress(f"   {line}")
    seen = tools.traffic.so_far()
    tools.progress(f"   {done.outcome.value}, {result.seconds:.1f} s{_seen(seen)}")
    return result


def _seen(requests: Requests) -> str:
    return f"; users so far: {requests.total:,} requests, {requests.failed} failed" if requests.total else ""


def _log(scene: Scene) -> str:
    return f"{scene.root}/log.txt"
