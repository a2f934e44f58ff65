"""Verify a release: every digest, its signature and its tag."""

from collections.abc import Sequence
from dataclasses import dataclass

from gitrain.errors import ReleaseError
from gitrain.operations.find_release import LATEST, choose_store
from gitrain.release.record import ReleaseRecord
from gitrain.release.signature import TrustedKey, judge_signatures
from gitrain.release.store import ReleaseStore
from gitrain.release.tags import ReleaseTag, named_record, release_tag
from gitrain.verdicts import Outcome, Verdict, worst

__all__ = ["TAG", "VerifiedRelease", "judge_tag", "verify_release"]

#: The name of the verdict about the tag.
TAG = "release:tag"

_SCHEMA_VERSION = 1
_TOLD = 20


@dataclass(frozen=True, kw_only=True)
class VerifiedRelease:
    """What was found out about a release.

    Attributes:
        version: without the leading v.
        store: where it was looked at.
        record: None if it cannot be read.
        verdicts: of the digests, the signature and the tag; the last two only where the record can be read.
    """

    version: str
    store: str
    record: ReleaseRecord | None
    verdicts: tuple[Verdict, ...]

    @property
    def outcome(self) -> Outcome:
        """The worst of the verdicts."""
        return worst(verdict.outcome for verdict in self.verdicts)

    def to_json(self) -> dict[str, object]:
        """JSON-serialisable values: what `gitrain release verify --json` prints."""
        return {
            "schema_version": _SCHEMA_VERSION,
            "version": self.version,
            "store": self.store,
            "record_digest": self.record.digest if self.record else None,
            "bundle_digest": self.record.bundle_digest if self.record else None,
            "outcome": self.outcome.value,
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
        }


def verify_release(
    stores: Sequence[ReleaseStore],
    version: str = LATEST,
    *,
    keys: Sequence[TrustedKey],
    tags: Sequence[ReleaseTag],
) -> VerifiedRelease:
    """Compute every digest of a release anew, and judge its signatures and its tag.

    Args:
        stores: in the order in which they are asked: the first that has the version is looked at.
        version: with or without a leading v, or ``latest``.
        keys: whose signatures count; with one of them a release has to be signed.
        tags: of the Git repository. The tag of a release names the digest of its record: a store that was changed
            throughout, digests and all, is found out by it.

    Raises:
        UsageError: `version` is no version.
        ReleaseError: no store has it.
        IntegrationError: a store cannot be reached.
    """
    store, chosen = choose_store(stores, version)
    problems = store.problems(chosen)
    try:
        record = store.find(chosen)
    except ReleaseError:
        record = None
    verdicts = _of_digests(problems, record)
    if record is not None:
        attachments = {name: store.attachment(chosen, name) for name in store.attachments(chosen)}
        verdicts += [judge_signatures(record, attachments, keys), judge_tag(record, tags)]
    return VerifiedRelease(version=chosen, store=store.url, record=record, verdicts=tuple(verdicts))


def judge_tag(record: ReleaseRecord, tags: Sequence[ReleaseTag]) -> Verdict:
    """Whether the tag of a release, if there is one, is on its commit and names its record."""
    wanted = release_tag(record)
    there = next((tag for tag in tags if tag.name == wanted.name), None)
    if there is None:
        return _tag(Outcome.PASSED, f"there is no tag {wanted.name} here: publishing makes it")
    if there.commit != wanted.commit:
        return _tag(Outcome.FAILED, f"the tag {there.name}: expected commit {wanted.commit}, found {there.commit}")
    named = named_record(there)
    if named is not None and named != record.digest:
        return _tag(Outcome.FAILED, f"the tag {there.name} names the record {named}, found {record.digest}")
    says = "and names this record" if named else "and names no record: it was not made by `gitrain release publish`"
    return _tag(Outcome.PASSED, f"the tag {there.name} is on the release's commit {says}")


def _of_digests(problems: Sequence[str], record: ReleaseRecord | None) -> list[Verdict]:
    name = "release:digests"
    if not problems and record is not None:
        reason = "the record, the manifest, every file, the SBOM, the model and the requirements are what was released"
        figures = {"files": record.files, "bytes": record.bundle_size}
        return [Verdict(name=name, outcome=Outcome.PASSED, reason=reason, figures=figures)]
    told = list(problems[:_TOLD])
    if len(problems) > _TOLD:
        told.append(f"and {len(problems) - _TOLD} more differences")
    return [Verdict(name=name, outcome=Outcome.FAILED, reason=reason) for reason in told]


def _tag(outcome: Outcome, reason: str) -> Verdict:
    return Verdict(name=TAG, outcome=outcome, reason=reason)
