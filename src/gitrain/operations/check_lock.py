"""Judge whether dvc.lock belongs to this tree: by hashes, without moving data, and by running one stage again."""

import platform
from collections.abc import Mapping, Sequence
from typing import Literal

from gitrain.checks.lock import (
    EXECUTION,
    READABLE,
    judge_chain,
    judge_inputs,
    judge_outputs,
    judge_params,
    judge_stages,
    refused_paths,
)
from gitrain.checks.lock_execution import choose_stages, judge_execution, judge_stored
from gitrain.checks.lock_links import link_stages
from gitrain.errors import PipelineError
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import LOCK
from gitrain.pipeline.lock import Lock
from gitrain.pipeline.repository import Repository
from gitrain.pipeline.stages import PipelineTree, StageDefinition, StageSandbox
from gitrain.verdicts import Outcome, Verdict, worst

__all__ = ["Execute", "check_lock", "read_lock_at"]

Execute = Literal["sampled", "all", "none"]


def check_lock(
    stage: Stage,
    repository: Repository,
    pipeline: PipelineTree,
    sandbox: StageSandbox,
    *,
    base: str | None,
    execute: Execute = "sampled",
) -> list[Verdict]:
    """Judge dvc.lock, cheapest rule first; a lock that cannot be read gets that verdict alone.

    Data is neither moved nor read, except where a stage is run again, and none is if dvc.lock is the base's.

    Args:
        stage: the surroundings.
        repository: holds the base commit.
        pipeline: dvc.yaml, hashes and storage.
        sandbox: runs a stage again.
        base: the commit that this is to be merged into; None leaves ``lock:execution`` INCONCLUSIVE.
        execute: which of the stages whose entry differs from the base's are run again: one that the commit's hash
            chooses, all, or none.

    Raises:
        UsageError: `base` names no commit.
        PipelineError: dvc.yaml cannot be read.
        IntegrationError: DVC is not installed.
    """
    commit = repository.commit(base) if base is not None else None
    if not stage.workspace.exists(LOCK):
        return [_unreadable(f"there is no {LOCK}: run `dvc repro`, `git add {LOCK}`, `git commit`")]
    text = stage.workspace.read_text(LOCK)
    try:
        lock = Lock.parse(text)
    except PipelineError as error:
        return [_unreadable(f"{error.what}; to mend it: {error.fix}")]
    definitions = pipeline.stages()
    refused = refused_paths(lock, definitions)
    if refused:
        return [
            _unreadable(
                f"{LOCK} names {', '.join(refused[:4])}, which lies outside of the repository: let dvc.yaml name files "
                f"below its own folder, then run `dvc repro`, `git add {LOCK}`, `git commit`"
            )
        ]
    tracked = pipeline.tracked()
    links = link_stages(lock, definitions, tracked, pipeline.listing)
    verdicts = [
        Verdict(
            name=READABLE,
            outcome=Outcome.PASSED,
            reason=f"{LOCK} has {len(lock.stages)} stages and {len(lock.outs)} outputs",
            figures={"stages": len(lock.stages), "outputs": len(lock.outs), "digest": lock.digest},
        ),
        judge_stages(lock, definitions),
        judge_params(lock, definitions),
        judge_inputs(links, definitions, pipeline.md5),
        judge_chain(links, definitions),
        judge_outputs(lock, definitions, pipeline.md5, pipeline.changed_outputs()),
    ]
    in_order = worst(verdict.outcome for verdict in verdicts) in {Outcome.PASSED, Outcome.INCONCLUSIVE}
    verdicts.append(_stored(lock, definitions, pipeline))
    before = read_lock_at(repository, commit)
    if not in_order:
        verdicts.append(_not_executed("no stage was run again: mend what the other checks of the lock found first"))
    elif base is None:
        verdicts.append(_not_executed("no base commit was named: pass --base with the branch that this is merged into"))
    elif before is not None and before.digest == lock.digest:
        verdicts.append(
            Verdict(
                name=EXECUTION,
                outcome=Outcome.PASSED,
                reason=f"{LOCK} is that of the base: there is nothing to run again",
                figures={"stages_changed": 0},
            )
        )
    else:
        verdicts.append(_executed(stage, repository, sandbox, lock, before, definitions, tracked, execute))
    return verdicts


def read_lock_at(repository: Repository, commit: str | None) -> Lock | None:
    """The dvc.lock of a commit; None if it has none that can be read."""
    content = repository.read(commit, LOCK) if commit is not None else None
    try:
        return Lock.parse(content.decode(), source=f"{LOCK} of the base") if content is not None else None
    except (PipelineError, UnicodeDecodeError):
        return None


def _stored(lock: Lock, definitions: Sequence[StageDefinition], pipeline: PipelineTree) -> Verdict:
    outs = {out.name: out for definition in definitions for out in definition.outs if out.cached}
    files = [file for path, file in lock.outs.items() if path in outs]
    paths: dict[str, str] = {}
    for file in files:
        if file.md5 is not None:
            paths |= {md5: f"{file.path}/{name}" for name, md5 in (pipeline.listing(file.md5) or {}).items()}
            paths[file.md5] = file.path
    unpushed = [name for name, out in outs.items() if not out.pushed]
    return judge_stored(pipeline.locate(files, unpushed=unpushed), paths)


def _executed(
    stage: Stage,
    repository: Repository,
    sandbox: StageSandbox,
    lock: Lock,
    before: Lock | None,
    definitions: Sequence[StageDefinition],
    tracked: Mapping[str, str | None],
    execute: Execute,
) -> Verdict:
    head = repository.head()
    if head is None:
        return _not_executed("there is no commit yet whose hash could choose a stage")
    if execute == "none":
        return _not_executed("no stage was run again: it was asked for none")
    chosen = choose_stages(lock, before, definitions, commit=head)
    if not chosen:
        return Verdict(
            name=EXECUTION,
            outcome=Outcome.PASSED,
            reason=f"no stage's entry differs from the base's {LOCK}: there is nothing to run again",
            figures={"stages_changed": 0},
        )
    by_name = {definition.name: definition for definition in definitions}
    verdicts = []
    for name in chosen if execute == "all" else chosen[:1]:
        definition = by_name[name]
        stage.progress(f"lock: running stage {name} again, on inputs from the cache")
        execution = sandbox.execute(definition, lock, tracked=tracked, progress=stage.progress)
        verdict = judge_execution(definition, lock.stages[name], execution, None, machine=_machine())
        if verdict.outcome is not Outcome.PASSED and execution.entry is not None:
            # Once more: outputs that differ from run to run are another defect than a forged entry.
            again = sandbox.execute(definition, lock, tracked=tracked, progress=stage.progress)
            verdict = judge_execution(definition, lock.stages[name], execution, again, machine=_machine())
        verdicts.append(verdict)
    decisive = next(each for each in verdicts if each.outcome is worst(found.outcome for found in verdicts))
    return Verdict(
        name=EXECUTION,
        outcome=decisive.outcome,
        reason=decisive.reason,
        figures={
            **decisive.figures,
            "stages_changed": len(chosen),
            "stages_run": len(verdicts),
            "seconds": round(sum(float(each.figures.get("seconds") or 0) for each in verdicts), 1),
        },
    )


def _machine() -> str:
    version = ".".join(platform.python_version_tuple()[:2])
    return f"{platform.system()} {platform.machine()}, Python {version}"


def _unreadable(reason: str) -> Verdict:
    return Verdict(name=READABLE, outcome=Outcome.FAILED, reason=reason)


def _not_executed(reason: str) -> Verdict:
    return Verdict(name=EXECUTION, outcome=Outcome.INCONCLUSIVE, reason=reason)
