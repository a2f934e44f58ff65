"""What differs between the releases of two environments, or between an environment's and another one."""

from gitrain.deployment.commits import CommitLine
from gitrain.deployment.difference import ReleaseDifference, ReleaseSources, difference_of
from gitrain.deployment.record import Ending
from gitrain.environments.document import Environment
from gitrain.errors import UsageError
from gitrain.operations.find_release import LATEST, find_release
from gitrain.operations.judge_environment import EnvironmentTools
from gitrain.operations.read_environments import read_environments
from gitrain.pipeline.layout import PARAMS, REQUIREMENTS
from gitrain.release.record import ReleaseRecord

__all__ = ["difference_between", "environment_diff", "version_in"]

_MOST_COMMITS = 30


def environment_diff(
    tools: EnvironmentTools, name: str, other: str | None = None, *, release: str | None = None
) -> ReleaseDifference:
    """What changes from the release of one environment to that of another, or to a release.

    Args:
        tools: what is asked.
        name: of the environment that one goes from.
        other: of the environment whose release one goes to.
        release: the version that one goes to instead.

    Raises:
        UsageError: there is no such environment, nothing is desired in it, or neither or both of the two are given.
        ReleaseError: a release is not there, or was changed.
    """
    if (other is None) == (release is None):
        raise UsageError("one thing is to be compared with", fix="name a second environment, or --release VERSION.")
    files = read_environments(tools.history, tools.history.resolve("HEAD") or "HEAD")
    old = version_in(tools, name, files.require(name))
    new = release or (version_in(tools, other, files.require(other)) if other is not None else None)
    if new is None:
        raise UsageError(f"nothing runs in {other}, and nothing is desired there", fix="name another environment.")
    before = find_release(tools.stores, old).record if old is not None else None
    return difference_between(tools, before, find_release(tools.stores, new).record)


def version_in(tools: EnvironmentTools, name: str, environment: Environment) -> str | None:
    """The version of an environment: the one that its file names, or, where it follows a branch, that succeeded last.

    Returns:
        None if there is none.
    """
    if environment.follows is None:
        return environment.release
    done = [record for record in tools.records.list(name) if record.ending is Ending.SUCCEEDED]
    if done:
        return done[-1].release.version
    return LATEST if any(store.versions() for store in tools.stores) else None


def difference_between(tools: EnvironmentTools, old: ReleaseRecord | None, new: ReleaseRecord) -> ReleaseDifference:
    """What differs between two releases, as far as this clone has their commits."""
    history = tools.history
    commits: tuple[CommitLine, ...] | None = None
    undone = False
    if old is not None and all(history.resolve(each.identity.commit) for each in (old, new)):
        ahead = tuple(history.between(old.identity.commit, new.identity.commit))
        behind = tuple(history.between(new.identity.commit, old.identity.commit)) if not ahead else ()
        commits, undone = (behind, True) if behind else (ahead, False)
    return difference_of(
        old,
        new,
        sources=(_sources(tools, old), _sources(tools, new)),
        commits=commits[:_MOST_COMMITS] if commits is not None else None,
        more_commits=max(len(commits or ()) - _MOST_COMMITS, 0),
        undone=undone,
    )


def _sources(tools: EnvironmentTools, record: ReleaseRecord | None) -> ReleaseSources:
    if record is None:
        return ReleaseSources(parameters=None, requirements=None)
    commit = record.identity.commit
    return ReleaseSources(
        parameters=tools.history.read(commit, PARAMS), requirements=tools.history.read(commit, REQUIREMENTS)
    )
