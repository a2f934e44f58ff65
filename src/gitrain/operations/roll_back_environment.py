"""Roll an environment back: propose that it desires a release again that succeeded in it before."""

from collections.abc import Sequence

from gitrain.deployment.promotion import judge_rollback, previous_release
from gitrain.deployment.record import DeploymentRecord, Ending, RunningRelease
from gitrain.environments.forge import Forge
from gitrain.errors import UsageError
from gitrain.operations.environment_diff import difference_between
from gitrain.operations.judge_environment import EnvironmentTools, gather_case, verify_version
from gitrain.operations.propose_change import ProposedChange, Request, desired_release, propose_change
from gitrain.operations.read_environments import read_environments
from gitrain.verdicts import Outcome, Verdict

__all__ = ["roll_back_environment"]


def roll_back_environment(
    tools: EnvironmentTools,
    forge: Forge,
    name: str,
    *,
    version: str | None = None,
    reason: str | None = None,
    dry_run: bool = False,
    merge: bool = False,
) -> ProposedChange:
    """Propose to go back: by the same change of the file as a promotion. Nothing is built, nothing is trained.

    Args:
        tools: what is known of releases and of what has run.
        forge: where it is proposed, and whose default branch says what is desired now.
        name: of the environment.
        version: of the release; by default the last that ran before the present one came.
        reason: why, in a sentence.
        dry_run: judge alone.
        merge: merge it at once, where no review stands in between.

    Raises:
        UsageError: no such environment, one that follows a branch, or nothing to go back to.
        SettingsError: a file says something impossible.
        DeploymentError, IntegrationError, PipelineError: Git, the forge or a store is in the way.
    """
    head = forge.head()
    files = read_environments(tools.history, head.commit)
    environment = files.require(name)
    if environment.follows is not None:
        raise UsageError(
            f"{name} follows {environment.follows}: it goes back when that branch does",
            fix="revert the commit there, or suspend the environment.",
        )
    records = list(tools.records.list())
    here = [record for record in records if record.environment == name]
    present = desired_release(environment)
    target = _target(here, present, version)
    if target is None and version is None:
        raise UsageError(
            f"no release succeeded in {name} before the present one", fix=f"promote one: `gitrain env promote {name}`."
        )
    wanted = target.version if target else str(version)
    case = gather_case(tools, name, files.environments, wanted, target.digest if target else None, records)
    if case is None:
        said = f"release {wanted.removeprefix('v')} never succeeded here, and no store has it"
        verdict = Verdict(name=f"{name}:rollback", outcome=Outcome.FAILED, reason=said)
        return ProposedChange(environment=name, former=present, release=None, verdicts=(verdict,))
    difference = None
    if case.record is not None and present is not None and present != case.release:
        before, _ = verify_version(tools, present.version)
        difference = difference_between(tools, before.record if before else None, case.record)
    project = case.record.identity.project if case.record is not None else "release"
    former = f" from {present.version}" if present is not None else ""
    why = " ".join((reason or "").split())
    summary = f"{name} is to go back{former} to {project} {case.release.version}, which succeeded there. {why}"
    request = Request(
        environment=name,
        branch=f"rollback/{name}/{case.release.version}",
        values={"release": case.release.version, "digest": case.release.digest},
        title=f"Roll {name} back to {project} {case.release.version}",
        message=f"{case.release.digest}{',' if former else ''}{former}.{f' {why}' if why else ''}",
        summary=summary.strip(),
        verdicts=judge_rollback(case),
        difference=difference,
        dry_run=dry_run,
        merge=merge,
    )
    return propose_change(forge, head, files.texts[name], environment, request)


def _target(
    here: Sequence[DeploymentRecord], present: RunningRelease | None, version: str | None
) -> RunningRelease | None:
    """The release to go back to, with the digest that it ran with here; None if the records know none."""
    if version is None:
        return previous_release(here, present)
    wanted = version.removeprefix("v")
    ran = [each.release for each in here if each.release.version == wanted and each.ending is Ending.SUCCEEDED]
    return ran[-1] if ran else None
