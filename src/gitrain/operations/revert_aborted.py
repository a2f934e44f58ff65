"""Open the revert of what asked for a release that was aborted: Git is to say again what runs."""

from gitrain.deployment.record import DeploymentRecord, Ending
from gitrain.environments.forge import Forge
from gitrain.operations.judge_environment import EnvironmentTools
from gitrain.operations.propose_change import ProposedChange, desired_release
from gitrain.operations.read_environments import read_environments
from gitrain.operations.roll_back_environment import roll_back_environment

__all__ = ["revert_aborted"]

_LONGEST = 500


def revert_aborted(tools: EnvironmentTools, forge: Forge, record: DeploymentRecord) -> ProposedChange | None:
    """Propose that the environment desires again what ran before, once however often it is asked for.

    Args:
        tools: what is known of releases and of what has run.
        forge: where it is proposed.
        record: of the deployment that was aborted.

    Returns:
        None where there is nothing to revert: the deployment was not aborted or nothing ran before it, the default
        branch asks for another release by now, or the environment follows a branch.

    Raises:
        UsageError, SettingsError: the default branch has no such environment, or an impossible one.
        DeploymentError, IntegrationError, PipelineError: Git, the forge or a store is in the way.
    """
    if record.ending is not Ending.ABORTED or record.former is None:
        return None
    files = read_environments(tools.history, forge.head().commit)
    environment = files.require(record.environment)
    if environment.follows is not None or desired_release(environment) != record.release:
        return None
    return roll_back_environment(
        tools,
        forge,
        record.environment,
        version=record.former.version,
        reason=f"The canary of {record.release.version} was aborted: {record.reason[:_LONGEST]}",
    )
