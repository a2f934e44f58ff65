"""Judge whether a commit may be released: all that keeps it from that, at once."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Protocol

from gitrain.checks.lock import EXECUTION, READABLE, STORED
from gitrain.documents import parse_json
from gitrain.errors import GitrainError, PipelineError, SettingsError, UsageError
from gitrain.evaluation.document import Evaluation
from gitrain.lineage import digest_of_bytes
from gitrain.operations.check_gates import check_gates
from gitrain.operations.check_lock import check_lock
from gitrain.operations.gather_outputs import gather_outputs
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import (
    EVALUATION,
    FEATURES,
    HOLDOUT_PREDICTIONS,
    KNOWN_ANSWERS,
    LOCK,
    MODEL,
    MODEL_MANIFEST,
    PARAMS,
    REQUIREMENTS,
    SERVED,
    SERVING_MANIFEST,
    partition,
)
from gitrain.pipeline.lock import Lock
from gitrain.pipeline.repository import ArtifactCache, Comparison
from gitrain.pipeline.stages import PipelineTree, StageSandbox
from gitrain.pipeline.workspace import Workspace
from gitrain.release.bentofile import BENTOFILE, Bentofile
from gitrain.release.imports import Imports, imports_of
from gitrain.release.outputs import OutputMaker
from gitrain.release.packing import packed_files, packed_packages
from gitrain.release.previous import Previous, pass_over_champion
from gitrain.release.refusals import GATES, judge_commit, judge_imports, judge_models, judge_requirements
from gitrain.release.requirements import Closure, Installed, LockedRequirement, close_over, parse_requirements
from gitrain.release.tags import TagKeeper
from gitrain.release.tree import CommitTree
from gitrain.serving.manifest import ServingManifest
from gitrain.training.manifest import ModelManifest
from gitrain.training.model_format import ModelFormat
from gitrain.verdicts import Outcome, Verdict

__all__ = ["SOURCES", "JudgedCommit", "ReleaseRepository", "ReleaseTools", "judge_release"]

_PYPROJECT = "pyproject.toml"
_GITRAIN = "gitrain"
#: Where the sources of the commit are put, below the folder.
SOURCES = ".sources"
# What trains and judges. Where ONNX is served, nothing of it is imported.
_ONLY_FOR_SKOPS = frozenset({"scikit-learn", "skops"})
_FROM_GIT = (EVALUATION, KNOWN_ANSWERS, MODEL_MANIFEST, PARAMS, _PYPROJECT, SERVING_MANIFEST)


class ReleaseRepository(Comparison, TagKeeper, Protocol):
    """A repository that commits are released from."""


@dataclass(frozen=True, kw_only=True)
class ReleaseTools:
    """What a commit is judged with. What is opened is opened when it is needed.

    Attributes:
        stage: the surroundings.
        project: where the project object is, as in ``package.module:NAME``.
        repository: the Git repository of the tree.
        tree: the files of its commits.
        cache: content by its hash.
        open_pipeline: gives dvc.yaml, hashes and storage, until the context ends.
        sandbox: runs a stage again, where the lock is to be judged by that.
        maker: runs stages again whose outputs nobody has.
        open_model_format: gives what reads models.
        workspace_in: gives the files below a folder.
        installed: the packages of this machine.
        today: the day that waivers are judged by.
    """

    stage: Stage
    project: str
    repository: ReleaseRepository
    tree: CommitTree
    cache: ArtifactCache
    open_pipeline: Callable[[], AbstractContextManager[PipelineTree]]
    sandbox: StageSandbox
    maker: OutputMaker
    open_model_format: Callable[[], ModelFormat]
    workspace_in: Callable[[Path], Workspace]
    installed: Installed
    today: date


@dataclass(frozen=True, kw_only=True)
class JudgedCommit:
    """A commit, as far as it is known before it is packed.

    Attributes:
        lock: its dvc.lock.
        bentofile: its bentofile.yaml.
        manifest: its models/model.json.
        serving: its models/serving.json.
        evaluation: its reports/evaluation.json.
        sources: by their place in the bundle, the files of the commit that are packed.
        imports: what each packed source imports, by its place in the bundle.
        requirements: the entries of its requirements.lock that the bundle installs.
        closure: what these are, and what the service needs itself.
        installer: the entries that install the others in an image; none if none is locked.
        environment_digest: of requirements.lock.
        gates: what the gates said.
        folder: holds what was found: outputs and manifests at their own paths, the sources below `SOURCES`.
    """

    lock: Lock
    bentofile: Bentofile
    manifest: ModelManifest
    serving: ServingManifest
    evaluation: Evaluation
    sources: dict[str, str]
    imports: dict[str, Imports]
    requirements: tuple[LockedRequirement, ...]
    closure: Closure
    installer: tuple[LockedRequirement, ...]
    environment_digest: str
    gates: tuple[Verdict, ...]
    folder: Path

    @property
    def packages(self) -> frozenset[str]:
        """The top-level modules that are packed."""
        return packed_packages(self.sources)


def judge_release(
    tools: ReleaseTools,
    folder: Path,
    *,
    commit: str,
    base: str | None,
    previous: Previous | None,
    judge_model: bool = True,
) -> tuple[list[Verdict], JudgedCommit | None]:
    """Judge a commit; what it holds is put below a folder, at its own paths: its outputs by their hashes.

    Args:
        tools: what it is judged with.
        folder: an empty folder.
        commit: the full hash of the commit that is checked out.
        base: the commit whose model is the champion, if one was named.
        previous: the earlier release, whose model it is otherwise.
        judge_model: False where the gates have judged this very commit before.

    Returns:
        All verdicts, of the gates too; and the commit, unless something kept it from being read to the end.

    Raises:
        SettingsError: a file of the commit is not in its format.
        PipelineError: the lock has no such outputs, or the cache is damaged.
        IntegrationError: Git, DVC or a remote failed.
    """
    stage = tools.stage
    verdicts = [judge_commit(commit, tools.repository.changed())]
    stage.progress(f"release: {LOCK} against commit {commit[:12]}")
    with tools.open_pipeline() as pipeline:
        found = check_lock(stage, tools.repository, pipeline, tools.sandbox, base=None, execute="none")
    # Nothing is run again here: the pull request's checks did that. And what nobody has, the models' verdict names.
    found = [verdict for verdict in found if verdict.name not in {EXECUTION, STORED}]
    verdicts += found
    if _outcome_of(found, READABLE) is not Outcome.PASSED:
        return verdicts, None

    files = tools.tree.files(commit)
    lock = Lock.parse(_text(tools, commit, LOCK), source=f"{LOCK} of commit {commit[:12]}")
    bentofile = Bentofile.parse(_text(tools, commit, BENTOFILE))
    tools.tree.export(commit, [path for path in _FROM_GIT if path in files], folder)
    workspace = tools.workspace_in(folder)

    stage.progress("release: the models, by their hashes")
    holdout = [partition(FEATURES, None, batch) for batch in stage.holdout]
    kept = [path for path in (*_FROM_GIT, MODEL, SERVED) if path not in files and path in lock.outs]
    gathered = gather_outputs(
        lock,
        [*kept, *([HOLDOUT_PREDICTIONS, *holdout] if judge_model else [])],
        folder,
        cache=tools.cache,
        workspace=stage.workspace,
        maker=tools.maker,
        commit=commit,
        progress=stage.progress,
    )
    absent = [path for path in (*_FROM_GIT, MODEL, SERVED) if not gathered.problems and not workspace.exists(path)]
    if absent:
        raise PipelineError(
            f"commit {commit[:12]} has no {', '.join(absent)}, and {LOCK} has no such output",
            fix="add the stage that writes it to dvc.yaml, e.g. `gitrain export`, run `dvc repro`, and commit.",
        )
    manifest = parse_json(ModelManifest, workspace.read_text(MODEL_MANIFEST), source=MODEL_MANIFEST)
    serving = parse_json(ServingManifest, workspace.read_text(SERVING_MANIFEST), source=SERVING_MANIFEST)
    models = _judge_models(workspace, gathered.problems, gathered.remade, manifest, serving)
    verdicts.append(models)

    stage.progress(f"release: what the service needs, by {REQUIREMENTS}")
    placed = packed_files(files, bentofile, modules=_modules(tools, bentofile))
    sources = {target: path for path, target in placed.items()}
    imports = _imports(tools, commit, sources, folder)
    packed = packed_packages(sources)
    text = _text(tools, commit, REQUIREMENTS)
    entries = parse_requirements(text)
    closure, installed = _closure(tools, workspace, bentofile, entries, packed=packed, onnx=serving.format == "onnx")
    verdicts += [judge_requirements(closure), judge_imports(imports, installed, entries, packed=packed)]

    gates: list[Verdict] = []
    if judge_model:
        sound = all(verdict.outcome is Outcome.PASSED for verdict in (*found, models))
        gates = _judge_gates(tools, workspace, lock, base=base, previous=previous) if sound else []
        verdicts += gates
    judged = JudgedCommit(
        lock=lock,
        bentofile=bentofile,
        manifest=manifest,
        serving=serving,
        evaluation=parse_json(Evaluation, workspace.read_text(EVALUATION), source=EVALUATION),
        sources=sources,
        imports=imports,
        requirements=tuple(entry for entry in entries if entry.name in closure.names),
        closure=closure,
        installer=tuple(entry for entry in entries if entry.name == "uv"),
        environment_digest=digest_of_bytes(text.encode()),
        gates=tuple(gates),
        folder=folder,
    )
    return verdicts, judged


def _judge_models(
    workspace: Workspace,
    problems: Sequence[str],
    remade: Sequence[str],
    manifest: ModelManifest,
    serving: ServingManifest,
) -> Verdict:
    served = workspace.files(SERVED)
    digests = {path: workspace.digest(path) for path in (MODEL, *served) if workspace.exists(path)}
    described = {
        f"{MODEL_MANIFEST}: {MODEL}": manifest.model_digest,
        f"{SERVING_MANIFEST}: {MODEL}": serving.model_digest,
        f"{SERVING_MANIFEST}: {serving.path}": serving.digest,
    }
    return judge_models(
        problems=problems,
        remade=remade,
        digests=digests,
        described=described,
        served=served,
        served_path=serving.path,
    )


def _judge_gates(
    tools: ReleaseTools, workspace: Workspace, lock: Lock, *, base: str | None, previous: Previous | None
) -> list[Verdict]:
    """What the gates say of the files that have the hashes of the lock, whatever lies in the tree."""
    stage = tools.stage
    champion = base if base is not None else previous.commit if previous is not None else None
    stage.progress(f"release: the gates, {'without a champion' if champion is None else f'against {champion[:12]}'}")
    try:
        report = check_gates(
            replace(stage, workspace=workspace),
            tools.open_model_format(),
            tools.repository,
            tools.cache,
            base=champion,
            today=tools.today,
        )
    except UsageError:
        raise
    except GitrainError as error:
        # One more reason, beside those that were found already.
        return [Verdict(name=GATES, outcome=Outcome.ERROR, reason=f"{error.what}; to mend it: {error.fix}")]
    verdicts = [
        Verdict(
            name=verdict.name,
            outcome=verdict.outcome,
            reason=verdict.reason,
            figures=verdict.figures,
            waived=verdict.waived,
        )
        for verdict in report.verdicts
    ]
    unchanged = previous is not None and _same_model_and_data(tools, lock, previous.commit)
    return pass_over_champion(verdicts, previous, named=base is not None, unchanged=unchanged)


def _same_model_and_data(tools: ReleaseTools, lock: Lock, commit: str) -> bool:
    content = tools.repository.read(commit, LOCK)
    try:
        before = Lock.parse(content.decode(), source=f"{LOCK} of {commit[:12]}") if content is not None else None
    except (GitrainError, UnicodeDecodeError):
        return False
    return before is not None and all(_hashes(lock, path) == _hashes(before, path) for path in (MODEL, FEATURES))


def _hashes(lock: Lock, folder: str) -> dict[str, str | None]:
    return {path: out.md5 for path, out in lock.outs.items() if path == folder or path.startswith(f"{folder}/")}


def _closure(
    tools: ReleaseTools,
    workspace: Workspace,
    bentofile: Bentofile,
    entries: Sequence[LockedRequirement],
    *,
    packed: frozenset[str],
    onnx: bool,
) -> tuple[Closure, Installed]:
    installed = tools.installed
    if _GITRAIN in packed:
        without = _ONLY_FOR_SKOPS if onnx else frozenset[str]()
        installed = installed.from_source(_GITRAIN, workspace.read_text(_PYPROJECT), without=without)
    roots = [installed.read(each) for each in ("gitrain[serving]", *bentofile.python.packages)]
    return close_over(roots, entries, installed, packed=packed & {_GITRAIN}), installed


def _imports(tools: ReleaseTools, commit: str, sources: dict[str, str], folder: Path) -> dict[str, Imports]:
    """What the packed sources import; they are put below `SOURCES`, at their own paths."""
    exported = folder / SOURCES
    tools.tree.export(commit, list(sources.values()), exported)
    return {
        target: imports_of((exported / path).read_bytes(), name=path)
        for target, path in sources.items()
        if PurePosixPath(path).suffix == ".py"
    }


def _modules(tools: ReleaseTools, bentofile: Bentofile) -> tuple[str, str]:
    project, service = (each.partition(":")[0].partition(".")[0] for each in (tools.project, bentofile.service))
    return project, service


def _text(tools: ReleaseTools, commit: str, path: str) -> str:
    content = tools.repository.read(commit, path)
    if content is None:
        raise SettingsError(f"commit {commit[:12]} has no {path}", fix=f"write {path}, `git add {path}`, `git commit`.")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} of commit {commit[:12]} is no UTF-8 text: {error}", fix=f"mend {path}.") from error


def _outcome_of(verdicts: Sequence[Verdict], name: str) -> Outcome | None:
    return next((verdict.outcome for verdict in verdicts if verdict.name == name), None)
