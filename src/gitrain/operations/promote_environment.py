"""Promote a release: propose that the next environment desires what succeeded in the one before."""

from gitrain.deployment.promotion import judge_promotion
from gitrain.deployment.record import Ending
from gitrain.environments.forge import Forge
from gitrain.errors import UsageError
from gitrain.operations.environment_diff import difference_between
from gitrain.operations.find_release import LATEST, find_release
from gitrain.operations.judge_environment import EnvironmentTools, gather_case
from gitrain.operations.propose_change import ProposedChange, Request, desired_release, propose_change
from gitrain.operations.read_environments import EnvironmentFiles, read_environments
from gitrain.verdicts import Outcome, Verdict

__all__ = ["promote_environment"]


def promote_environment(
    tools: EnvironmentTools,
    forge: Forge,
    name: str,
    *,
    version: str | None = None,
    dry_run: bool = False,
    merge: bool = False,
) -> ProposedChange:
    """Propose that an environment desires a release. The file's release and digest change, and nothing else.

    Args:
        tools: what is known of releases and of what has run.
        forge: where it is proposed, and whose default branch says what is desired now.
        name: of the environment.
        version: of the release; by default the one that succeeded last in the environment before.
        dry_run: judge alone.
        merge: merge it at once, where no review stands in between.

    Raises:
        UsageError: no such environment, or one that follows a branch.
        SettingsError: a file says something impossible.
        DeploymentError, IntegrationError, PipelineError: Git, the forge or a store is in the way.
    """
    head = forge.head()
    files = read_environments(tools.history, head.commit)
    environment = files.require(name)
    if environment.follows is not None:
        raise UsageError(
            f"{name} follows {environment.follows}: its newest release runs there without being promoted",
            fix="promote to an environment whose file names a release.",
        )
    wanted = version or _default(tools, files, name)
    if wanted is None:
        reason = f"nothing has succeeded in {environment.promotes_from} yet, and {name} promotes from it"
        return _refused(files, name, Verdict(name=f"{name}:runs", outcome=Outcome.FAILED, reason=reason))
    records = list(tools.records.list())
    case = gather_case(tools, name, files.environments, wanted, None, records)
    if case is None:
        reason = (
            f"there is no release {wanted.removeprefix('v')}, or its record was changed: look at `gitrain release list`"
        )
        return _refused(files, name, Verdict(name=f"{name}:release", outcome=Outcome.FAILED, reason=reason))
    present = desired_release(environment)
    verdicts = [] if present == case.release else judge_promotion(case)
    difference = None
    if case.record is not None and present != case.release:
        before = (
            find_release(tools.stores, present.version).record if present and _known(tools, present.version) else None
        )
        difference = difference_between(tools, before, case.record)
    project = case.record.identity.project if case.record is not None else "release"
    title = f"Promote {project} {case.release.version} to {name}"
    former = f"instead of {present.version}" if present is not None else "the first release there"
    request = Request(
        environment=name,
        branch=f"promote/{name}/{case.release.version}",
        values={"release": case.release.version, "digest": case.release.digest},
        title=title,
        message=f"{case.release.digest}, {former}.",
        summary=f"{name} is to run {project} {case.release.version}, {former}.",
        verdicts=verdicts,
        difference=difference,
        dry_run=dry_run,
        merge=merge,
        supersedes=f"promote/{name}/",
    )
    return propose_change(forge, head, files.texts[name], environment, request)


def _default(tools: EnvironmentTools, files: EnvironmentFiles, name: str) -> str | None:
    """What succeeded last in the environment before, if anything; where none comes before, the newest release."""
    before = files.environments[name].promotes_from
    if before is None:
        return LATEST
    done = [record for record in tools.records.list(before) if record.ending is Ending.SUCCEEDED]
    return done[-1].release.version if done else None


def _known(tools: EnvironmentTools, version: str) -> bool:
    return any(version in store.versions() for store in tools.stores)


def _refused(files: EnvironmentFiles, name: str, verdict: Verdict) -> ProposedChange:
    return ProposedChange(
        environment=name, former=desired_release(files.environments[name]), release=None, verdicts=(verdict,)
    )
