"""The release that comes before a commit, and what is not judged again where nothing has changed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from gitrain.gates.names import CHAMPION
from gitrain.release.record import ReleaseRecord
from gitrain.release.versions import Version, version_of_tag
from gitrain.verdicts import Outcome, Verdict

__all__ = ["Previous", "pass_over_champion", "previous_release"]


@dataclass(frozen=True, kw_only=True)
class Previous:
    """An earlier release.

    Attributes:
        version: without the leading v.
        commit: the full hash.
    """

    version: str
    commit: str


def previous_release(
    project: str,
    tags: Mapping[str, str],
    records: Iterable[ReleaseRecord],
    *,
    commit: str,
    contains: Callable[[str], bool],
) -> Previous | None:
    """The newest release of a commit that this one builds on; None if there is none.

    Args:
        project: the project's name.
        tags: the full hash of the commit by the tag's name.
        records: of releases, which may not be tagged yet.
        commit: the full hash of the commit that is to be released; its own releases are passed over.
        contains: whether a commit is in this one's history; False for one that this clone does not have.
    """
    commits = {record.version: record.identity.commit for record in records}
    commits |= {str(version): found for tag, found in tags.items() if (version := version_of_tag(project, tag))}
    versions = sorted(((version, name) for name in commits if (version := Version.parse(name))), reverse=True)
    for _, name in versions:
        if commits[name] != commit and contains(commits[name]):
            return Previous(version=name, commit=commits[name])
    return None


def pass_over_champion(
    verdicts: Iterable[Verdict], previous: Previous | None, *, named: bool, unchanged: bool
) -> list[Verdict]:
    """The verdicts of the gates; a champion gate that has nothing to compare with lets the release through.

    Args:
        verdicts: as the gates gave them.
        previous: the earlier release, if there is one.
        named: whether a base was named by whoever asks: then its verdict stands.
        unchanged: whether model and data are those of the earlier release.
    """
    reason = None
    if previous is None and not named:
        reason = "passed over: there is no earlier release whose model could be the champion"
    elif previous is not None and not named and unchanged:
        reason = f"passed over: model and data are those of release {previous.version}"
    return [
        replace(verdict, outcome=Outcome.PASSED, reason=reason)
        if reason is not None and verdict.name == CHAMPION and verdict.outcome is Outcome.INCONCLUSIVE
        else verdict
        for verdict in verdicts
    ]
