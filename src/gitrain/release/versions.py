"""Versions: how they are ordered, how Git tags spell them, and which one comes next."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from gitrain.release.identity import ReleaseIdentity
from gitrain.release.record import ReleaseRecord

__all__ = ["Bump", "NextVersion", "ReleaseFacts", "Version", "next_version", "tag_name", "version_of_tag"]

Bump = Literal["patch", "minor", "major"]

# More digits than anybody counts to: tags are written by others.
_NUMBER = r"(0|[1-9]\d{0,8})"
_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}", re.ASCII)


@dataclass(frozen=True, order=True)
class Version:
    """MAJOR.MINOR.PATCH of https://semver.org, without pre-releases: what is released has been judged."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The version that `text` is, without a leading v; None if it is none."""
        found = _VERSION.fullmatch(text)
        return cls(*(int(number) for number in found.groups())) if found else None

    def bumped(self, part: Bump) -> "Version":
        """The next version: one part is counted up, those behind it start again."""
        if part == "major":
            return Version(self.major + 1, 0, 0)
        if part == "minor":
            return Version(self.major, self.minor + 1, 0)
        return Version(self.major, self.minor, self.patch + 1)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True, kw_only=True)
class ReleaseFacts:
    """What decides the next version.

    Attributes:
        commit: the full hash.
        model_digest: of the model that was judged.
        schema_digest: of the request's and the answer's schema.
    """

    commit: str
    model_digest: str
    schema_digest: str

    @classmethod
    def of(cls, identity: ReleaseIdentity) -> Self:
        """The facts of a release."""
        return cls(commit=identity.commit, model_digest=identity.model_digest, schema_digest=identity.schema_digest)


@dataclass(frozen=True, kw_only=True)
class NextVersion:
    """The version of a release that is to be built.

    Attributes:
        version: without the leading v.
        reason: one sentence.
        released: whether the commit was released under it before: then building gives the same release again.
    """

    version: str
    reason: str
    released: bool


def tag_name(project: str, version: str) -> str:
    """The Git tag of a version, in GTO's form: ``flight-delay@v1.4.0``."""
    return f"{project}@v{version}"


def version_of_tag(project: str, tag: str) -> Version | None:
    """The version that a tag names; None for tags of other projects, of other forms, and pre-releases."""
    start, _, version = tag.rpartition("@v")
    return Version.parse(version) if start == project else None


def next_version(
    project: str,
    tags: Mapping[str, str],
    records: Iterable[ReleaseRecord],
    facts: ReleaseFacts,
    *,
    bump: Bump | None = None,
    known: Mapping[str, ReleaseFacts] | None = None,
) -> NextVersion:
    """The version for a commit.

    A commit that is released already keeps its version. Otherwise the newest version is counted on: a minor one if
    the model or the schema of requests is another, a patch if the code or the environment alone is. A digest says that
    a schema is another, not that it takes less than before: who breaks callers says so with ``bump="major"``.

    Args:
        project: the project's name.
        tags: the full hash of the commit by the tag's name, which goes before a record; tags of other forms are passed
            over.
        records: of the releases that the stores have. Of two with one version the later counts: give what is published
            last, so that a commit whose version others have published meanwhile gets another.
        facts: of the commit that is to be released.
        bump: the part to count up, whatever has changed; passed over where the commit is released already.
        known: what else is known of versions, e.g. from the messages of their tags.
    """
    facts_of = dict(known or {}) | {record.version: ReleaseFacts.of(record.identity) for record in records}
    commits = {version: found.commit for version, found in facts_of.items()}
    commits |= {str(version): commit for tag, commit in tags.items() if (version := version_of_tag(project, tag))}
    versions = [(version, name) for name in commits if (version := Version.parse(name))]
    same = _newest([(version, name) for version, name in versions if commits[name] == facts.commit])
    if same is not None:
        return NextVersion(
            version=str(same), reason=f"commit {facts.commit[:12]} is release {same} already", released=True
        )
    newest = _newest(versions)
    if newest is None:
        return NextVersion(version="0.1.0", reason="the first release", released=False)
    part, reason = _bump(newest, facts_of.get(str(newest)), facts)
    if bump is not None:
        part, reason = bump, f"a {bump} version was asked for"
    return NextVersion(version=str(newest.bumped(part)), reason=reason, released=False)


def _newest(versions: Sequence[tuple[Version, str]]) -> Version | None:
    return max((version for version, _ in versions), default=None)


def _bump(newest: Version, before: ReleaseFacts | None, facts: ReleaseFacts) -> tuple[Bump, str]:
    if before is None:
        return "minor", f"what release {newest} holds is not known here: it may have another model"
    if before.model_digest != facts.model_digest:
        return "minor", f"the model is another than that of {newest}"
    if before.schema_digest != facts.schema_digest:
        return "minor", f"requests or answers have another schema than those of {newest}"
    return "patch", f"the model and the schema are those of {newest}"
