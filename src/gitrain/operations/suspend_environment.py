"""Suspend an environment, or resume it: propose that nothing is changed in it, or that changes are made again."""

from gitrain.environments.forge import Forge
from gitrain.errors import UsageError
from gitrain.operations.judge_environment import EnvironmentTools
from gitrain.operations.propose_change import ProposedChange, Request, propose_change
from gitrain.operations.read_environments import read_environments
from gitrain.verdicts import Outcome, Verdict

__all__ = ["suspend_environment"]


def suspend_environment(
    tools: EnvironmentTools,
    forge: Forge,
    name: str,
    *,
    suspend: bool,
    reason: str,
    dry_run: bool = False,
    merge: bool = False,
) -> ProposedChange:
    """Propose to set `suspend` in an environment's file. What runs there keeps running.

    Args:
        tools: of which the history is asked.
        forge: where it is proposed, and whose default branch says what holds now.
        name: of the environment.
        suspend: whether nothing is to be changed in it.
        reason: why, in a sentence: for those who find it suspended.
        dry_run: propose nothing.
        merge: merge it at once, where no review stands in between.

    Raises:
        UsageError: no such environment, or no reason.
        SettingsError: a file says something impossible.
        DeploymentError, IntegrationError, PipelineError: Git or the forge is in the way.
    """
    why = " ".join(reason.split())
    if not why:
        raise UsageError("there is no reason", fix="give one with --reason: it is what others will find.")
    head = forge.head()
    files = read_environments(tools.history, head.commit)
    environment = files.require(name)
    verb = "suspend" if suspend else "resume"
    done = f"{name} is to be left as it is" if suspend else f"what is desired of {name} is to be brought about again"
    request = Request(
        environment=name,
        branch=f"{verb}/{name}",
        values={"suspend": suspend},
        title=f"{verb.capitalize()} {name}",
        message=why,
        summary=f"{done}: {why}",
        verdicts=[Verdict(name=f"{name}:{verb}", outcome=Outcome.PASSED, reason=why)],
        dry_run=dry_run,
        merge=merge,
    )
    return propose_change(forge, head, files.texts[name], environment, request)
