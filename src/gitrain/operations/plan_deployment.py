"""Find out what a commit desires of an environment, what runs there, and what is to be done."""

from collections.abc import Sequence

from gitrain.deployment.deployer import Deployer
from gitrain.deployment.desired import Commits
from gitrain.deployment.plan import plan_deployment
from gitrain.deployment.record import DeploymentRecords, RunningRelease
from gitrain.deployment.replicas import Desired, Observed
from gitrain.deployment.steps import Plan
from gitrain.environments.document import FOLDER, Environment, environment_path, parse_environment
from gitrain.errors import ReleaseError, SettingsError, UsageError
from gitrain.operations.find_release import find_release
from gitrain.release.record import ReleaseRecord
from gitrain.release.store import ReleaseStore
from gitrain.release.versions import Version

__all__ = ["environment_names", "find_desired", "make_plan"]

_SUFFIX = ".yaml"


def environment_names(commits: Commits, ref: str = "HEAD") -> list[str]:
    """The environments that a commit has files of, sorted."""
    return [name.removesuffix(_SUFFIX) for name in commits.files(ref, FOLDER) if name.endswith(_SUFFIX)]


def find_desired(name: str, commits: Commits, stores: Sequence[ReleaseStore], *, ref: str = "HEAD") -> Desired:
    """What a commit says of an environment, and which release that is.

    Args:
        name: of the environment.
        commits: of the repository.
        stores: where releases are looked for, in this order.
        ref: the commit whose file counts: what only the working tree says, nobody has reviewed.

    Raises:
        UsageError: there is no such environment or branch, or another deployer is asked for.
        SettingsError: the file says something impossible.
        ReleaseError: the release is not there, was changed, or is another one than the file's digest says.
        PipelineError, IntegrationError: Git or a store cannot be read.
    """
    path = environment_path(name)
    content = commits.read(ref, path)
    if content is None:
        known = environment_names(commits, ref)
        raise UsageError(
            f"there is no environment {name!r}: commit {commits.commit(ref)[:12]} has no {path}",
            fix=f"name one of these: {', '.join(known)}; a new file counts once it is committed."
            if known
            else f"write {path} and commit it.",
        )
    try:
        file = parse_environment(content.decode(), name)
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text", fix="write it anew.") from error
    if file.runtime.deployer != "local":
        raise UsageError(
            f"{path} asks for the deployer {file.runtime.deployer!r}, and this command runs replicas on this machine",
            fix="set runtime.deployer to local, or deploy by what serves the other one.",
        )
    record = _followed(file.follows, commits, stores) if file.follows is not None else _named(file, path, stores)
    return Desired(
        name=name,
        file=file,
        commit=commits.changed_by(ref, path),
        project="" if record is None else record.identity.project,
        release=None if record is None else RunningRelease(version=record.version, digest=record.bundle_digest),
        record_digest=None if record is None else record.digest,
    )


def make_plan(
    desired: Desired, deployer: Deployer, records: DeploymentRecords, *, again: bool = False, lost: str = ""
) -> tuple[Plan, Observed]:
    """What is to be done, and what was seen; nothing is changed. `again` and `lost` as `plan_deployment` has them.

    Raises:
        DeploymentError: what runs cannot be seen.
        PipelineError, SettingsError: the records cannot be read; they are where another release is to run, or has a
            share.
    """
    observed = deployer.observe()
    plan = plan_deployment(desired, observed, again=again, lost=lost)
    if plan.kind in ("deploy", "heal") and list(observed.shares) != [desired.release]:
        plan = plan_deployment(desired, observed, records.list(desired.name), again=again, lost=lost)
    return plan, observed


def _named(file: Environment, path: str, stores: Sequence[ReleaseStore]) -> ReleaseRecord | None:
    if file.release is None:
        return None
    found = find_release(stores, file.release)
    if found.record.bundle_digest != file.digest:
        raise ReleaseError(
            f"{path} wants release {file.release} with the bundle {file.digest}, and {found.store.url} has it with "
            f"{found.record.bundle_digest}",
            fix="promote the release again: what was approved is not what would run.",
        )
    return found.record


def _followed(branch: str, commits: Commits, stores: Sequence[ReleaseStore]) -> ReleaseRecord | None:
    """The newest release of a commit on a branch."""
    tip = _tip(branch, commits)
    found = {Version.parse(name): (name, store) for store in reversed(stores) for name in store.versions()}
    for version in sorted((version for version in found if version is not None), reverse=True):
        name, store = found[version]
        record = store.find(name)
        if record is not None and commits.has(record.identity.commit, tip):
            return record
    return None


def _tip(branch: str, commits: Commits) -> str:
    """The branch as it is shared, if it is shared at all: what only this clone has, nobody has reviewed."""
    try:
        return commits.commit(f"refs/remotes/origin/{branch}")
    except UsageError:
        return commits.commit(f"refs/heads/{branch}")
