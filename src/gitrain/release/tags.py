"""Releases as Git tags: what a tag says of a release, and what keeps tags."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gitrain.release.record import ReleaseRecord
from gitrain.release.versions import ReleaseFacts, tag_name, version_of_tag

__all__ = ["ReleaseTag", "TagKeeper", "commits_of", "facts_of", "message_of", "named_record", "release_tag"]

_LINE = re.compile(r"^(record|bundle|model|schema): (sha256:[0-9a-f]{64})$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class ReleaseTag:
    """A tag on a commit.

    Attributes:
        name: without ``refs/tags/``.
        commit: the full hash of the commit that it is on.
        message: of an annotated tag; empty for others.
    """

    name: str
    commit: str
    message: str = ""


class TagKeeper(Protocol):
    """The tags of a Git repository."""

    def tags(self) -> Sequence[ReleaseTag]:
        """The tags that are on commits, by name.

        Raises:
            PipelineError: Git cannot read the repository.
        """

    def add_tag(self, tag: ReleaseTag) -> bool:
        """Make an annotated tag; False if the commit has a tag of this name already.

        Raises:
            ReleaseError: the name is that of a tag on another commit.
            UsageError: it is no name of a tag, or there is no such commit.
            PipelineError: Git refuses, e.g. because it knows nobody to name as the tagger.
        """


def message_of(record: ReleaseRecord) -> str:
    """The message of a release's tag. Its digests let everybody with a clone find out whether a store was changed."""
    identity = record.identity
    lines = (
        f"{identity.project} {identity.version}",
        "",
        f"record: {record.digest}",
        f"bundle: {record.bundle_digest}",
        f"model: {identity.model_digest}",
        f"schema: {identity.schema_digest}",
    )
    return "\n".join(lines) + "\n"


def named_record(tag: ReleaseTag) -> str | None:
    """The digest of the record that a tag's message names; None if it names none, as tags of GTO's own do."""
    return _digests(tag).get("record")


def commits_of(tags: Sequence[ReleaseTag]) -> dict[str, str]:
    """The commits by the tags' names, as `next_version` takes them."""
    return {tag.name: tag.commit for tag in tags}


def facts_of(project: str, tags: Sequence[ReleaseTag]) -> dict[str, ReleaseFacts]:
    """What the messages of a project's tags say, by version: enough for the next one where no store is at hand."""
    found = {}
    for tag in tags:
        version, digests = version_of_tag(project, tag.name), _digests(tag)
        if version is not None and digests.keys() >= {"model", "schema"}:
            found[str(version)] = ReleaseFacts(
                commit=tag.commit, model_digest=digests["model"], schema_digest=digests["schema"]
            )
    return found


def release_tag(record: ReleaseRecord) -> ReleaseTag:
    """The tag of a release."""
    name = tag_name(record.identity.project, record.version)
    return ReleaseTag(name=name, commit=record.identity.commit, message=message_of(record))


def _digests(tag: ReleaseTag) -> dict[str, str]:
    return dict(_LINE.findall(tag.message))
