"""Judge the data of this tree: by its contract, and whether batches that the base has are what they were."""

import polars as pl

from gitrain.checks.data_difference import CONTRACT, EARLIER_BATCHES, causes_of_change, changed_members
from gitrain.data.tables import Table
from gitrain.data.validation import validate
from gitrain.data.validation_report import BatchValidation, ValidationReport
from gitrain.errors import DataError, GitrainError
from gitrain.operations.compare_data import Files, locks_of, read_members
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import FEATURES, RAW, VALIDATED, VALIDATION_REPORT, partition
from gitrain.pipeline.lock import Lock
from gitrain.pipeline.repository import ArtifactCache, Repository
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = ["check_data"]

# They say which batches there are, and have no say in what a batch holds.
_HARMLESS = ("data.from", "data.through")
_SHOWN = 4


def check_data(stage: Stage, repository: Repository, cache: ArtifactCache, *, base: str | None) -> list[Verdict]:
    """Two verdicts; how the data differs from the base's otherwise is `compare_data`'s to say.

    ``data:contract`` reads the report that the stage `validate` wrote. Batches that the base has not, or has otherwise,
    are judged again where their rows are at hand, and have to give what the report says of them.

    ``data:earlier-batches`` fails if a batch that the base has too holds something else now, and no code, parameter or
    contract that it is made with was changed.

    Args:
        stage: the surroundings.
        repository: holds the base commit.
        cache: gives files by their hash.
        base: the commit to compare with; without one all batches are judged again.

    Raises:
        UsageError: `base` names no commit.
        PipelineError: this tree has no dvc.lock, or the cache is damaged.
    """
    commit = repository.commit(base) if base is not None else None
    here, before = locks_of(stage, repository, commit)
    return [_contract(stage, cache, here, before), _earlier_batches(cache, here, before, base)]


def _contract(stage: Stage, cache: ArtifactCache, here: Lock, before: Lock | None) -> Verdict:
    try:
        report = ValidationReport.from_json(stage.workspace.read_text(VALIDATION_REPORT), source=VALIDATION_REPORT)
    except GitrainError as error:
        return _verdict(CONTRACT, Outcome.FAILED, f"{error.what}; to mend it: {error.fix}", {})
    figures: dict[str, Figure] = {
        "batches": len(report.batches),
        "rows": sum(each.rows for each in report.batches),
        "quarantined": sum(each.quarantined for each in report.batches),
        "warnings": sum(finding.severity == "warn" for each in report.batches for finding in each.findings),
    }
    wanted = {
        (table.name, batch): table
        for table in stage.project.tables
        for batch in (stage.batches if table.batched else [None])
    }
    reported = {(each.table, each.batch): each for each in report.batches}
    if wanted.keys() != reported.keys():
        names = sorted(f"{table} {batch or ''}".rstrip() for table, batch in wanted.keys() ^ reported.keys())
        return _verdict(
            CONTRACT,
            Outcome.FAILED,
            f"{VALIDATION_REPORT} and the batches of params.yaml differ in {_list(names)}: run `dvc repro`, commit it",
            figures,
        )
    failed = [each for each in report.batches if each.outcome is not Outcome.PASSED]
    if failed:
        said = [f"{each.name}: {_first(each)}" for each in failed]
        return _verdict(CONTRACT, Outcome.FAILED, _list(said), {**figures, "failed": len(failed)})
    again, absent, wrong = 0, 0, []
    for key, table in wanted.items():
        frame = _new_rows(stage, cache, here, before, table, key[1])
        if isinstance(frame, bool):
            absent += frame
            continue
        again += 1
        problem = _judged_again(stage, table, reported[key], frame)
        if problem is not None:
            wrong.append(problem)
    figures |= {"judged_again": again, "not_at_hand": absent}
    if wrong:
        return _verdict(
            CONTRACT, Outcome.FAILED, f"{_list(wrong)}: run `dvc repro`, and commit what it writes", figures
        )
    reason = (
        f"{figures['batches']} batches with {figures['rows']:,} rows keep the contract, {figures['quarantined']:,} "
        f"rows are in quarantine; {again} new or changed batches were judged again"
    )
    if absent:
        reason += f", the rows of {absent} are not at hand"
    return _verdict(CONTRACT, Outcome.PASSED, reason, figures)


def _new_rows(
    stage: Stage, cache: ArtifactCache, here: Lock, before: Lock | None, table: Table, batch: str | None
) -> pl.DataFrame | DataError | bool:
    """The raw rows of a batch that the base has not, or why they cannot be read; False if it has, True if absent."""
    path = partition(RAW, table.name, batch)
    name = path.removeprefix(f"{RAW}/")
    ours, theirs = (_members(cache, lock) for lock in (here, before))
    if (
        ours is not None
        and theirs is not None
        and ours.get(name) == theirs.get(name)
        and not _code_changed(here, before)
    ):
        return False
    try:
        if stage.workspace.exists(path):
            return stage.workspace.read_table(path)
        found = cache.find(ours[name]) if ours is not None and name in ours else None
        return stage.workspace.read_table(str(found)) if found is not None else True
    except DataError as error:
        return error


def _members(cache: ArtifactCache, lock: Lock | None) -> dict[str, str] | None:
    members = read_members(cache, lock, RAW).members if lock is not None else None
    return dict(members) if members is not None else None


def _code_changed(here: Lock, before: Lock | None) -> bool:
    return before is None or bool(causes_of_change(before, here, VALIDATED, harmless=_HARMLESS))


def _judged_again(stage: Stage, table: Table, said: BatchValidation, frame: pl.DataFrame | DataError) -> str | None:
    if isinstance(frame, DataError):
        return frame.what
    summary = validate(
        frame,
        table.contract,
        table=table.name,
        batch=said.batch,
        scheme=stage.project.batches,
        batch_of=table.batch_of,
    ).summary
    if summary.outcome is not Outcome.PASSED:
        return f"{summary.name}: {_first(summary)}"
    if (summary.rows, summary.quarantined) != (said.rows, said.quarantined) or summary.findings != said.findings:
        return (
            f"{summary.name} has {summary.rows:,} rows, {summary.quarantined:,} in quarantine and "
            f"{len(summary.findings)} findings, and {VALIDATION_REPORT} says {said.rows:,}, {said.quarantined:,} and "
            f"{len(said.findings)}"
        )
    return None


def _earlier_batches(cache: ArtifactCache, here: Lock, before: Lock | None, base: str | None) -> Verdict:
    if base is None:
        return _verdict(
            EARLIER_BATCHES,
            Outcome.INCONCLUSIVE,
            "no base commit was named: pass --base with the branch that this is to be merged into",
            {},
        )
    if before is None:
        return _verdict(EARLIER_BATCHES, Outcome.PASSED, "the base has no data yet that could have changed", {})
    silent: list[str] = []
    explained: dict[str, list[str]] = {}
    unknown = []
    figures: dict[str, Figure] = {"added": 0, "removed": 0, "changed": 0}
    upstream: list[str] = []
    for folder in (RAW, VALIDATED, FEATURES):
        files = _both(cache, here, before, folder)
        if files is None:
            unknown.append(folder)
            continue
        old, new = files
        found = changed_members(old.members or {}, new.members or {})
        changed = [name for name, status in found.items() if status == "changed"]
        if folder == RAW:
            figures |= {
                status: sum(each == status for each in found.values()) for status in ("added", "removed", "changed")
            }
        causes = causes_of_change(before, here, folder, harmless=_HARMLESS) + upstream
        if changed and causes:
            explained[folder] = causes
        elif changed:
            silent += [f"{folder}/{name}" for name in changed]
        if changed:
            # What is made of it changes with it.
            upstream = [*upstream, folder]
    if silent:
        return _verdict(
            EARLIER_BATCHES,
            Outcome.FAILED,
            f"{_list(silent)} changed, and no code, parameter or contract that it is made with did: the source was "
            "altered; find out why, and say so in a change of the source or the contract",
            {**figures, "silent": len(silent)},
        )
    if unknown:
        return _verdict(
            EARLIER_BATCHES,
            Outcome.INCONCLUSIVE,
            f"the listings of {_list(unknown)} are in neither the cache nor a remote: run `dvc pull`, or `dvc repro`",
            figures,
        )
    if explained:
        told = [f"{folder} with {_list(causes)}" for folder, causes in explained.items()]
        return _verdict(
            EARLIER_BATCHES,
            Outcome.PASSED,
            f"earlier batches changed, and so did what they are made with: {_list(told)}",
            figures,
        )
    return _verdict(
        EARLIER_BATCHES,
        Outcome.PASSED,
        f"no batch that the base has was changed; {figures['added']} files of raw batches were added, "
        f"{figures['removed']} removed",
        figures,
    )


def _both(cache: ArtifactCache, here: Lock, before: Lock, folder: str) -> tuple[Files, Files] | None:
    """The files of a folder in both; equal hashes need no listing."""
    ours, theirs = here.outs.get(folder), before.outs.get(folder)
    if ours is not None and theirs is not None and ours.md5 == theirs.md5:
        empty = Files(folder=folder, members={})
        return empty, empty
    old, new = read_members(cache, before, folder), read_members(cache, here, folder)
    return None if old.members is None or new.members is None else (old, new)


def _first(batch: BatchValidation) -> str:
    return next((finding.message for finding in batch.findings if finding.severity == "fail"), "it failed")


def _verdict(name: str, outcome: Outcome, reason: str, figures: dict[str, Figure]) -> Verdict:
    return Verdict(name=name, outcome=outcome, reason=reason, figures=figures)


def _list(sentences: list[str]) -> str:
    rest = f" and {len(sentences) - _SHOWN} more" if len(sentences) > _SHOWN else ""
    return "; ".join(sentences[:_SHOWN]) + rest
