"""Build the release of a commit: judge it, pack it once, and keep it with its record."""

import os
import platform
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from gitrain.errors import GitrainError, PipelineError, ReleaseError
from gitrain.lineage import digest_of_bytes, digest_of_value
from gitrain.operations.judge_release import SOURCES, JudgedCommit, ReleaseTools, judge_release
from gitrain.pipeline.layout import FEATURES, IDENTITY, KNOWN_ANSWERS, MODEL_MANIFEST, PARAMS, SERVED, SERVING_MANIFEST
from gitrain.release.bentofile import BASE_IMAGES, BENTOFILE
from gitrain.release.bundle import BundleManifest
from gitrain.release.identity import ReleaseIdentity
from gitrain.release.materials import Materials
from gitrain.release.packing import BuiltBundle, BundleBuilder, BundlePlan
from gitrain.release.previous import previous_release
from gitrain.release.record import SBOM, RecordedServing, RecordedVerdict, ReleaseRecord
from gitrain.release.refusals import judge_rebuilt, judge_served_imports
from gitrain.release.requirements import requirements_text
from gitrain.release.store import ReleaseStore
from gitrain.release.tags import commits_of, facts_of
from gitrain.release.versions import Bump, NextVersion, ReleaseFacts, next_version
from gitrain.serving.openapi import interface_digest
from gitrain.serving.requests import RequestSchema
from gitrain.verdicts import Outcome, Verdict, worst

__all__ = ["PackTools", "ReleaseBuild", "build_release"]

_PYPROJECT = "pyproject.toml"
_CARRIED = (_PYPROJECT, PARAMS, SERVED, SERVING_MANIFEST, KNOWN_ANSWERS, MODEL_MANIFEST)


@dataclass(frozen=True, kw_only=True)
class PackTools:
    """What a commit is packed with.

    Attributes:
        store: keeps the release.
        known: all stores that releases may be in, this one among them: what decides the version.
        open_folder: gives an empty folder, until the context ends.
        builder: builds bundles, given an empty folder to work in.
        bill: writes the bill of materials.
        libraries: the folders of installed packages and of the standard library.
    """

    store: ReleaseStore
    known: Sequence[ReleaseStore]
    open_folder: Callable[[], AbstractContextManager[Path]]
    builder: Callable[[Path], BundleBuilder]
    bill: Callable[[Materials], bytes]
    libraries: Sequence[Path]


@dataclass(frozen=True, kw_only=True)
class ReleaseBuild:
    """What came of building a release.

    Attributes:
        commit: the full hash.
        verdicts: on the commit, its model and its bundle.
        version: what it is or would be called, and why; None where that was never asked.
        record: of the release; None if there is none.
        published: whether it is new in the store; False if it was there already.
        store: where it is.
    """

    commit: str
    verdicts: tuple[Verdict, ...]
    store: str
    version: NextVersion | None = None
    record: ReleaseRecord | None = None
    published: bool = False

    @property
    def outcome(self) -> Outcome:
        """PASSED if there is a release now."""
        return worst(verdict.outcome for verdict in self.verdicts)


def build_release(tools: ReleaseTools, pack: PackTools, *, base: str | None, bump: Bump | None) -> ReleaseBuild:
    """Build the release of the commit that is checked out, and keep it; nothing is trained.

    A commit that is refused gives verdicts and no release. One that is released already is built again, and has to
    give the same bundle.

    Args:
        tools: what the commit is judged with.
        pack: what it is packed with.
        base: the commit whose model is the champion; by default that of the newest release before this commit.
        bump: the part of the version to count up; by default what has changed decides.

    Raises:
        UsageError: `base` names no commit, or a file of the commit is not in its format.
        PipelineError: there is no commit yet, dvc.lock lacks outputs, or the cache is damaged.
        ReleaseError: the service cannot be packed, or the store has another release under this version.
        IntegrationError: Git, DVC, BentoML, a remote or the store failed.
    """
    repository = tools.repository
    commit = repository.head()
    if commit is None:
        raise PipelineError("there is no commit yet to release", fix="run `git add` and `git commit`.")
    champion = repository.commit(base) if base is not None else None
    project = tools.stage.project
    tags = repository.tags()
    records = [record for store in pack.known for record in store.list()]
    existing = next((record for record in records if record.identity.commit == commit), None)
    previous = previous_release(
        project.name, commits_of(tags), records, commit=commit, contains=lambda other: _contains(tools, other)
    )
    with pack.open_folder() as scratch:
        found, context, built, working = (scratch / name for name in ("commit", "context", "bundle", "working"))
        for folder in (found, context, working):
            folder.mkdir()
        verdicts, judged = judge_release(
            tools, found, commit=commit, base=champion, previous=previous, judge_model=existing is None
        )
        done = ReleaseBuild(commit=commit, verdicts=tuple(verdicts), store=pack.store.url)
        if judged is None or done.outcome is not Outcome.PASSED:
            return done
        facts = ReleaseFacts(commit=commit, model_digest=judged.manifest.model_digest, schema_digest=_interface(tools))
        version = next_version(
            project.name, commits_of(tags), records, facts, bump=bump, known=facts_of(project.name, tags)
        )
        identity = _identity(tools, judged, facts, version.version)
        tools.stage.progress(f"release: packing {version.version} ({version.reason})")
        plan = _plan(tools, judged, identity, context)
        _lay_out(judged, identity, context)
        bundle = pack.builder(working).build(plan, built)
        verdicts.append(_judge_bundle(tools, pack, judged, bundle, context))
        manifest = BundleManifest.of(built)
        if existing is not None:
            before, now = (each.model_dump() for each in (existing.identity, identity))
            verdicts.append(
                judge_rebuilt(
                    existing.version,
                    found=manifest.digest,
                    recorded=existing.bundle_digest,
                    different=[key for key in before if before[key] != now[key]],
                )
            )
        done = ReleaseBuild(commit=commit, verdicts=tuple(verdicts), store=pack.store.url, version=version)
        if done.outcome is not Outcome.PASSED:
            return done
        bill = pack.bill(_materials(judged, identity, plan, manifest))
        record = existing or _record(judged, identity, plan, manifest, bill)
        published = pack.store.publish(record, built, {SBOM: bill})
    return ReleaseBuild(
        commit=commit,
        verdicts=done.verdicts,
        version=version,
        record=record,
        published=published,
        store=pack.store.url,
    )


def _contains(tools: ReleaseTools, commit: str) -> bool:
    try:
        return tools.repository.contains(commit)
    except GitrainError:
        # A shallow clone lacks it, or it is another repository's.
        return False


def _interface(tools: ReleaseTools) -> str:
    project = tools.stage.project
    entity = project.features.entity
    return interface_digest(RequestSchema.of(entity, project.table(entity.table).contract), project.features)


def _identity(tools: ReleaseTools, judged: JudgedCommit, facts: ReleaseFacts, version: str) -> ReleaseIdentity:
    features = {
        path: out.md5 for path, out in judged.lock.outs.items() if path == FEATURES or path.startswith(f"{FEATURES}/")
    }
    return ReleaseIdentity(
        schema_version=1,
        project=tools.stage.project.name,
        version=version,
        commit=facts.commit,
        lock_digest=judged.lock.digest,
        data_through=tools.stage.params.data.through,
        data_digest=digest_of_value(dict(features)),
        model_digest=facts.model_digest,
        served_format=judged.serving.format,
        served_digest=judged.serving.digest,
        schema_digest=facts.schema_digest,
        environment_digest=judged.environment_digest,
        threshold=judged.serving.threshold,
    )


def _plan(tools: ReleaseTools, judged: JudgedCommit, identity: ReleaseIdentity, context: Path) -> BundlePlan:
    python = ".".join(platform.python_version_tuple()[:2])
    base_image = judged.bentofile.docker.base_image or BASE_IMAGES.get(python)
    if base_image is None:
        raise ReleaseError(
            f"there is no default image for Python {python}",
            fix=f"name one with its digest in {BENTOFILE}, under docker.base_image.",
        )
    return BundlePlan(
        context=context,
        bentofile=judged.bentofile,
        version=identity.version,
        labels={
            "gitrain.commit": identity.commit,
            "gitrain.data": identity.data_through,
            "gitrain.model": identity.model_digest,
            "gitrain.project": identity.project,
            "gitrain.version": identity.version,
        },
        requirements=requirements_text(judged.requirements, judged.closure.names),
        installer=requirements_text(judged.installer, {"uv"}),
        base_image=base_image,
        python=python,
        at=tools.tree.committed_at(identity.commit),
    )


def _lay_out(judged: JudgedCommit, identity: ReleaseIdentity, context: Path) -> None:
    """Put together what the bundle's `src/` will hold: sources flat, models and manifests at their own paths."""
    for target, path in judged.sources.items():
        place = context / target
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(judged.folder / SOURCES / path, place)
    for path in _CARRIED:
        source, place = judged.folder / path, context / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place)
        else:
            shutil.copyfile(source, place)
    (context / IDENTITY).write_text(identity.to_json(), encoding="utf-8")


def _judge_bundle(
    tools: ReleaseTools, pack: PackTools, judged: JudgedCommit, bundle: BuiltBundle, context: Path
) -> Verdict:
    return judge_served_imports(
        bundle.modules,
        judged.imports,
        tools.installed,
        context=context.resolve(),
        libraries=pack.libraries,
        names=judged.closure.names,
        packed=judged.packages,
    )


def _materials(
    judged: JudgedCommit, identity: ReleaseIdentity, plan: BundlePlan, manifest: BundleManifest
) -> Materials:
    return Materials(
        identity=identity,
        committed_at=plan.at,
        bundle_digest=manifest.digest,
        requirements=judged.requirements,
        direct=judged.closure.direct,
        served_path=judged.serving.path,
        sources=tuple(sorted(judged.packages)),
    )


def _record(
    judged: JudgedCommit, identity: ReleaseIdentity, plan: BundlePlan, manifest: BundleManifest, bill: bytes
) -> ReleaseRecord:
    parity = judged.serving.parity
    return ReleaseRecord(
        schema_version=1,
        identity=identity,
        committed_at=plan.at,
        bundle_digest=manifest.digest,
        bundle_size=manifest.size,
        files=len(manifest.files),
        sbom_digest=digest_of_bytes(bill),
        requirements_digest=digest_of_bytes(plan.requirements.encode()),
        python=plan.python,
        system=platform.system(),
        machine=platform.machine(),
        metrics={
            name: estimate.value for name, estimate in judged.evaluation.metrics.items() if estimate.value is not None
        },
        verdicts=tuple(RecordedVerdict.of(verdict) for verdict in judged.gates),
        serving=RecordedServing(
            format=judged.serving.format,
            reason=judged.serving.reason,
            tolerance=parity.tolerance,
            holdout_rows=parity.holdout_rows,
            adversarial_rows=parity.adversarial_rows,
            largest_difference=parity.largest_difference,
            flipped_decisions=parity.flipped_decisions,
        ),
    )
