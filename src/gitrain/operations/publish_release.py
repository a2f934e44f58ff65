"""Publish a release: verify it, sign it, copy it to where others find it, tag its commit, tell the registry."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from gitrain.errors import PipelineError, ReleaseError, UsageError
from gitrain.lineage import digest_of_bytes
from gitrain.operations.find_release import LATEST
from gitrain.operations.record_run import RecordStore
from gitrain.operations.verify_release import TAG, VerifiedRelease, judge_tag, verify_release
from gitrain.pipeline.layout import LOCK
from gitrain.pipeline.workspace import Workspace
from gitrain.project import Project
from gitrain.registry.models import RegisteredModel
from gitrain.registry.releases import RegisteredRelease, ReleaseRegistry
from gitrain.release.record import ReleaseRecord
from gitrain.release.signature import SIGNATURE, Signer, TrustedKey, judge_signatures, signature_name
from gitrain.release.store import ReleaseStore
from gitrain.release.tags import TagKeeper, release_tag
from gitrain.verdicts import Outcome

__all__ = ["PublishStep", "PublishedRelease", "ReleaseRecordStore", "ReleaseRegistration", "publish_release"]

_SCHEMA_VERSION = 1


class ReleaseRecordStore(RecordStore, ReleaseRegistry, Protocol):
    """Keeps records of runs, and models, and knows which releases serve them."""


@dataclass(frozen=True, kw_only=True)
class PublishStep:
    """One step of publishing.

    Attributes:
        name: signature, store, tag or registry.
        done: whether something was done now; False where it was done before, or is left out.
        text: one sentence.
    """

    name: str
    done: bool
    text: str


@dataclass(frozen=True, kw_only=True)
class PublishedRelease:
    """What came of publishing.

    Attributes:
        verified: what was found out about the release; unless it passed, there are no steps.
        steps: in their order.
    """

    verified: VerifiedRelease
    steps: tuple[PublishStep, ...] = ()

    def to_json(self) -> dict[str, object]:
        """JSON-serialisable values: what `gitrain release publish --json` prints."""
        record = self.verified.record
        return {
            "schema_version": _SCHEMA_VERSION,
            "version": self.verified.version,
            "tag": release_tag(record).name if record else None,
            "record_digest": record.digest if record else None,
            "bundle_digest": record.bundle_digest if record else None,
            "outcome": self.verified.outcome.value,
            "verdicts": [verdict.to_json() for verdict in self.verified.verdicts],
            "changed": any(step.done for step in self.steps),
            "steps": [{"name": step.name, "done": step.done, "text": step.text} for step in self.steps],
        }


@dataclass(frozen=True, kw_only=True)
class ReleaseRegistration:
    """What telling the registry takes.

    Attributes:
        registry: of models.
        workspace: the files of this tree.
        record_run: records the run that this tree's dvc.lock describes, and registers its model.
    """

    registry: ReleaseRegistry
    workspace: Workspace
    record_run: Callable[[], object]


def publish_release(
    project: Project,
    stores: Sequence[ReleaseStore],
    target: ReleaseStore,
    version: str = LATEST,
    *,
    tags: TagKeeper,
    keys: Sequence[TrustedKey],
    scratch: Callable[[], AbstractContextManager[Path]],
    signer: Signer | None = None,
    make_tag: bool = True,
    registration: ReleaseRegistration | None = None,
) -> PublishedRelease:
    """Publish a release; what is done already is left as it is, so that whoever was interrupted publishes again.

    Args:
        project: its name is that of the tags and of the model in the registry.
        stores: where the release is looked for; the first that has it is copied from.
        target: where it is published.
        version: with or without a leading v, or ``latest``.
        tags: of the Git repository.
        keys: whose signatures count.
        scratch: gives an empty folder that goes on leaving.
        signer: signs the record.
        make_tag: whether to tag the commit.
        registration: None leaves the registry out.

    Raises:
        UsageError: no such version; a key is configured and the release is signed by none; the signer is not trusted.
        ReleaseError: no store has it; `target` has another release of this version; the tag is on another commit.
        IntegrationError: a store or the registry cannot be reached.
        PipelineError: Git refuses.
    """
    verified = verify_release(stores, version, keys=keys, tags=tags.tags())
    record = verified.record
    # A release that is not signed yet is no failure: the signature is made below.
    sound = all(each.outcome is Outcome.PASSED for each in verified.verdicts if each.name != SIGNATURE)
    if record is None or not sound:
        return PublishedRelease(verified=verified)
    if record.identity.project != project.name:
        raise ReleaseError(
            f"release {record.version} in {verified.store} is of the project {record.identity.project!r}, not of "
            f"{project.name!r}",
            fix="give each project a store of its own.",
        )
    source = next(store for store in stores if store.url == verified.store)
    attachments = {name: source.attachment(record.version, name) for name in source.attachments(record.version)}
    signed, signing = _signed(record, attachments, signer, keys)
    attachments |= signed
    judged = judge_signatures(record, attachments, keys)
    if judged.outcome is not Outcome.PASSED:
        raise UsageError(
            f"release {record.version}: {judged.reason}",
            fix="name the file of a private key whose public key is in release_keys: GITRAIN_SIGNING_KEY=FILE.",
        )
    steps = [signing, _stored(record, source, target, attachments, scratch)]
    if make_tag:
        steps.append(_tagged(record, tags))
    if registration is not None:
        steps.append(_registered(record, registration))
    now = {SIGNATURE: judged, TAG: judge_tag(record, tags.tags())}
    verdicts = tuple(now.get(each.name, each) for each in verified.verdicts)
    return PublishedRelease(verified=replace(verified, verdicts=verdicts), steps=tuple(steps))


def _signed(
    record: ReleaseRecord, attachments: dict[str, bytes], signer: Signer | None, keys: Sequence[TrustedKey]
) -> tuple[dict[str, bytes], PublishStep]:
    """The signature to attach, if any, and what is said of it."""
    if signer is None:
        judged = judge_signatures(record, attachments, keys)
        return {}, PublishStep(name="signature", done=False, text=judged.reason)
    if signer.fingerprint not in {key.fingerprint for key in keys}:
        raise UsageError(
            f"the key that signs, {signer.fingerprint}, is not in release_keys: nobody would trust its signature",
            fix="commit its public key and name that file in release_keys of [tool.gitrain], or use another key.",
        )
    name = signature_name(signer.fingerprint)
    there = name in attachments
    text = f"signed with {signer.fingerprint}" + (" already" if there else "")
    content = signer.sign(record.digest).to_json().encode()
    return {name: content}, PublishStep(name="signature", done=not there, text=text)


def _stored(
    record: ReleaseRecord,
    source: ReleaseStore,
    target: ReleaseStore,
    attachments: dict[str, bytes],
    scratch: Callable[[], AbstractContextManager[Path]],
) -> PublishStep:
    """Bring the release and its signature to the stores that lack them. Its record comes last: once there, all is."""
    places = {store.url: store for store in (source, target)}
    lacking = [
        store
        for store in places.values()
        if store.find(record.version) != record or set(store.attachments(record.version)) != set(attachments)
    ]
    if lacking:
        with scratch() as folder:
            bundle = source.unpack(record.version, folder / "bundle")
            for store in lacking:
                store.publish(record, bundle, attachments)
    done = target in lacking
    text = f"{target.url} has {record.version}" + ("" if done else " already")
    return PublishStep(name="store", done=done, text=text)


def _tagged(record: ReleaseRecord, tags: TagKeeper) -> PublishStep:
    tag = release_tag(record)
    made = tags.add_tag(tag)
    text = f"{tag.name} is on commit {tag.commit[:12]}" + ("" if made else " already")
    return PublishStep(name="tag", done=made, text=text)


def _registered(record: ReleaseRecord, registration: ReleaseRegistration) -> PublishStep:
    """The registry is a record: where this tree cannot make it, it is left out, and can be made later."""
    identity = record.identity
    registry = registration.registry
    model = registry.find(identity.project, identity.model_digest)
    if model is None:
        model, why = _recorded(record, registration)
        if model is None:
            return PublishStep(name="registry", done=False, text=f"left out: {why}")
    release = RegisteredRelease(
        version=record.version,
        record_digest=record.digest,
        bundle_digest=record.bundle_digest,
        commit=identity.commit,
        lineage={
            "data": identity.data_digest,
            "environment": identity.environment_digest,
            "lock": identity.lock_digest,
            "served": identity.served_digest,
        },
    )
    named = registry.name_release(model, release)
    text = f"{model.name} v{model.version} is named {record.version}" + ("" if named else " already")
    return PublishStep(name="registry", done=named, text=text)


def _recorded(record: ReleaseRecord, registration: ReleaseRegistration) -> tuple[RegisteredModel | None, str]:
    identity = record.identity
    again = "publish again where it is at hand"
    workspace = registration.workspace
    here = digest_of_bytes(workspace.read_bytes(LOCK)) if workspace.exists(LOCK) else "nothing"
    if here != identity.lock_digest:
        return None, (
            f"the run is not recorded, and this tree is another than commit {identity.commit[:12]}: check that out, "
            "`dvc pull`, and publish again"
        )
    try:
        registration.record_run()
    except PipelineError as error:
        return None, f"the run is not recorded, and cannot be from this tree ({error.what}): {again}"
    model = registration.registry.find(identity.project, identity.model_digest)
    return model, f"the run of this tree has another model than the release: {again}"
