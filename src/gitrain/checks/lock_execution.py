"""Whether the content that a lock names can be had, and whether a stage that is run again gives it."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from gitrain.checks.lock import EXECUTION, STORED
from gitrain.checks.lock_links import listed
from gitrain.pipeline.layout import LOCK
from gitrain.pipeline.lock import Lock, LockedFile, LockedStage
from gitrain.pipeline.stages import Execution, StageDefinition, Storage
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = ["choose_stages", "judge_execution", "judge_stored"]


def judge_stored(storage: Storage, paths: Mapping[str, str]) -> Verdict:
    """Everything that the lock names can be had.

    Args:
        storage: what asking the cache and the remotes gave.
        paths: MD5 to the output that it belongs to, for messages.
    """
    figures = {
        "objects": storage.objects,
        "missing": len(storage.missing),
        "damaged": len(storage.damaged),
        "remotes": len(storage.remotes),
        "folders_by_listing_alone": len(storage.unlisted),
    }
    of = listed(sorted({paths.get(md5, md5) for md5 in storage.missing}))
    remotes = ", ".join(storage.remotes)
    if storage.damaged:
        return _failed(
            STORED, f"{listed(storage.damaged)}: delete it from the cache, then run `dvc pull` or `dvc repro`", figures
        )
    if storage.missing and storage.problems:
        return Verdict(
            name=STORED,
            outcome=Outcome.ERROR,
            reason=f"{len(storage.missing)} of {storage.objects} objects ({of}) are not in the cache, and a remote "
            f"could not be asked ({listed(storage.problems)}): check `dvc remote list` and its credentials",
            figures=figures,
        )
    if storage.missing and storage.remotes:
        return _failed(
            STORED,
            f"{len(storage.missing)} of {storage.objects} objects ({of}) are in neither the cache nor the remote "
            f"{remotes}: run `dvc push` where the pipeline was run",
            figures,
        )
    if storage.missing:
        return Verdict(
            name=STORED,
            outcome=Outcome.INCONCLUSIVE,
            reason=f"{len(storage.missing)} of {storage.objects} objects ({of}) are not in the cache, and no remote is "
            "configured: run `dvc repro` to make them again, and see that it ends in the same dvc.lock",
            figures=figures,
        )
    where = f"the cache or the remote {remotes}" if storage.remotes else "the cache"
    partial = (
        f"; of {len(storage.unlisted)} folders only the listing was asked for, which is pushed last"
        if storage.unlisted
        else ""
    )
    return Verdict(
        name=STORED,
        outcome=Outcome.PASSED,
        reason=f"all {storage.objects} objects that {LOCK} names are in {where}{partial}",
        figures=figures,
    )


def choose_stages(lock: Lock, base: Lock | None, definitions: Sequence[StageDefinition], *, commit: str) -> list[str]:
    """The stages to run again, in an order that the commit's hash decides; the first one is the sample.

    Only stages whose entry differs from the base's are worth it: the others were looked at when the base was merged.

    Args:
        lock: the lock of this tree.
        base: that of the base commit; None if it has none that can be read.
        definitions: the stages of dvc.yaml.
        commit: the full hash of the commit that is judged.
    """
    names = [
        definition.name
        for definition in definitions
        if not definition.frozen
        and definition.name in lock.stages
        and (base is None or base.stages.get(definition.name) != lock.stages[definition.name])
    ]
    return sorted(names, key=lambda name: hashlib.sha256(f"{commit}\n{lock.digest}\n{name}".encode()).digest())


def judge_execution(
    definition: StageDefinition, entry: LockedStage, execution: Execution, again: Execution | None, *, machine: str
) -> Verdict:
    """Running a stage on the inputs that the lock names gives the outputs that the lock names.

    Args:
        definition: the stage.
        entry: what the lock has of it.
        execution: what running it gave.
        again: what a second run gave, made where the first one differs from the lock.
        machine: the platform of this machine, for messages.
    """
    name = definition.name
    figures: dict[str, Figure] = {"stage": name, "seconds": round(execution.seconds, 1)}
    if execution.unavailable is not None:
        return Verdict(
            name=EXECUTION,
            outcome=Outcome.INCONCLUSIVE,
            reason=f"stage {name!r} could not be run again: {execution.unavailable}",
            figures=figures,
        )
    if execution.entry is None:
        return _failed(EXECUTION, f"stage {name!r} fails when it is run again: {execution.failure}", figures)
    differing = _differing(entry.outs, execution.entry.outs)
    written = _differing(entry.deps, execution.entry.deps)
    figures |= {"outputs": len(entry.outs), "differing": len(differing)}
    if written:
        return _failed(
            EXECUTION,
            f"stage {name!r} does not leave its inputs as they were ({listed(written)}): let it write its outputs "
            f"alone, then run `dvc repro`, `git add {LOCK}`, `git commit`",
            figures,
        )
    if not differing:
        return Verdict(
            name=EXECUTION,
            outcome=Outcome.PASSED,
            reason=f"stage {name!r}, chosen by the commit's hash and run again in {execution.seconds:.1f} s, gives the "
            f"{len(entry.outs)} outputs that {LOCK} names",
            figures=figures,
        )
    if again is not None and again.entry is not None and _differing(execution.entry.outs, again.entry.outs):
        return _failed(
            EXECUTION,
            f"stage {name!r} gives other bytes on every run ({listed(differing)}): seed its randomness, keep times and "
            f"paths out of its outputs, then run `dvc repro --force --single-item {name}` and `dvc repro`",
            figures,
        )
    if definition.platform_dependent is not None:
        return Verdict(
            name=EXECUTION,
            outcome=Outcome.INCONCLUSIVE,
            reason=f"stage {name!r} gives another {listed(differing)} on this machine ({machine}), and dvc.yaml says "
            f"that it depends on the platform: {definition.platform_dependent}",
            figures=figures,
        )
    return _failed(
        EXECUTION,
        f"stage {name!r} run again gives another {listed(differing)} than {LOCK} has: its entry is forged or stale, or "
        f"the output depends on the platform (here {machine}; then say so in dvc.yaml under meta.gitrain."
        f"platform_dependent); to mend it: `dvc repro --force --single-item {name}`, `dvc repro`, `git add {LOCK}`, "
        "`git commit`",
        figures,
    )


def _failed(name: str, reason: str, figures: Mapping[str, Figure]) -> Verdict:
    return Verdict(name=name, outcome=Outcome.FAILED, reason=reason, figures=dict(figures))


def _differing(expected: Iterable[LockedFile], found: Iterable[LockedFile]) -> list[str]:
    before, after = ({file.path: file.md5 for file in files} for files in (expected, found))
    return [path for path in sorted({*before, *after}) if before.get(path) != after.get(path)]
