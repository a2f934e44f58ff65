"""Checks of the pipeline as a whole: how its stages fit together, and whether serving agrees with it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gitrain.checks.catalogue import CheckDefinition
from gitrain.errors import PipelineError
from gitrain.pipeline.stages import StageDefinition
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = [
    "CHECKS",
    "MISSING_COLUMN",
    "OUTPUTS",
    "REPEATABLE",
    "SERVED_EQUALS_OFFLINE",
    "STAGES",
    "WRITES_ONLY_OUTPUTS",
    "ColumnTrial",
    "ServedRow",
    "StageRun",
    "in_order",
    "judge_columns",
    "judge_outputs",
    "judge_repeats",
    "judge_served",
    "judge_stages",
    "judge_writes",
]

STAGES = "integration:stages"
WRITES_ONLY_OUTPUTS = "integration:writes-only-outputs"
REPEATABLE = "integration:repeatable"
OUTPUTS = "integration:outputs"
MISSING_COLUMN = "integration:missing-column"
SERVED_EQUALS_OFFLINE = "integration:served-equals-offline"

_GROUP = "integration"
CHECKS = tuple(
    CheckDefinition(name=name, group=_GROUP, catches=catches)
    for name, catches in (
        (STAGES, "stages that do not fit together: one fails on what the one before wrote, or lacks an output"),
        (WRITES_ONLY_OUTPUTS, "a stage that writes to its inputs, or to files that dvc.yaml does not know of"),
        (REPEATABLE, "a stage that gives something else when it is run a second time on the same inputs"),
        (OUTPUTS, "an output that breaks its contract although the stage that wrote it ended well"),
        (MISSING_COLUMN, "a stage that goes on without a column that it needs, or fails without naming it"),
        (SERVED_EQUALS_OFFLINE, "training-serving skew: a row served by itself gets another score than offline"),
    )
)

_SHOWN = 3
_LONGEST = 300


@dataclass(frozen=True, kw_only=True)
class StageRun:
    """What a stage did on the sample.

    Attributes:
        stage: its name.
        exit_code: of its command; of the first that failed, if it has several.
        said: what it printed, stdout and stderr together.
        missing: declared outputs that were not there afterwards.
        strayed: files outside of its outputs that it changed, made or removed.
        repeat_exit_code: of the second run; None if there was none.
        changed: files of its outputs that were otherwise after the second run.
        seconds: the first run took.
    """

    stage: str
    exit_code: int
    said: str
    missing: tuple[str, ...] = ()
    strayed: tuple[str, ...] = ()
    repeat_exit_code: int | None = None
    changed: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def done(self) -> bool:
        """Whether the stage ended well and wrote all that it declares."""
        return self.exit_code == 0 and not self.missing

    @property
    def sound(self) -> bool:
        """Whether it also left everybody else's files as they were."""
        return self.done and not self.strayed


@dataclass(frozen=True, kw_only=True)
class ColumnTrial:
    """A stage that was given tables without a column.

    Attributes:
        stage: its name.
        folder: whose tables lacked the column.
        column: the column.
        exit_code: of its command.
        said: what it printed.
    """

    stage: str
    folder: str
    column: str
    exit_code: int
    said: str

    @property
    def named(self) -> bool:
        """Whether the stage failed and said which column it was."""
        return self.exit_code != 0 and self.column in self.said


@dataclass(frozen=True, kw_only=True)
class ServedRow:
    """One row of the holdout: the score it has offline and the one it got by itself.

    Attributes:
        key: what identifies it, as text.
        offline: the score in the predictions of the holdout.
        served: the score that the serving path gave.
    """

    key: str
    offline: float
    served: float

    @property
    def difference(self) -> float:
        """How far the scores are apart; infinite where the served one is not a number."""
        apart = abs(self.served - self.offline)
        return math.inf if math.isnan(apart) else apart


def in_order(definitions: Sequence[StageDefinition]) -> list[StageDefinition]:
    """The stages, each after those whose outputs it reads; else as dvc.yaml has them.

    Raises:
        PipelineError: stages that wait for each other.
    """
    waiting, ordered = list(definitions), []
    while waiting:
        unwritten = [out.name for stage in waiting for out in stage.outs]
        ready = next(
            (stage for stage in waiting if not any(_overlap(dep, out) for dep in stage.deps for out in unwritten)),
            None,
        )
        if ready is None:
            names = ", ".join(stage.name for stage in waiting)
            raise PipelineError(
                f"the stages {names} wait for each other's outputs",
                fix="break the circle of deps and outs in dvc.yaml.",
            )
        waiting.remove(ready)
        ordered.append(ready)
    return ordered


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def judge_stages(runs: Sequence[StageRun], planned: Sequence[str], figures: Mapping[str, Figure]) -> Verdict:
    """Whether every planned stage ran on what those before it wrote, and wrote all that it declares."""
    measured: dict[str, Figure] = {
        **figures,
        "stages": len(planned),
        "run": sum(run.done for run in runs),
        "seconds": round(sum(run.seconds for run in runs), 1),
    }
    if not planned:
        return _verdict(STAGES, Outcome.INCONCLUSIVE, "dvc.yaml has no stages", measured)
    failed = next((run for run in runs if not run.done), None)
    if failed is None:
        order = ", ".join(planned)
        return _verdict(STAGES, Outcome.PASSED, f"every stage ran on what the one before it wrote: {order}", measured)
    if failed.exit_code:
        reason = f"the stage {failed.stage!r} failed with exit code {failed.exit_code}: {_message(failed.said)}"
    else:
        reason = f"the stage {failed.stage!r} ended well and did not write {_list(failed.missing)}"
    return _verdict(STAGES, Outcome.FAILED, reason, measured)


def judge_writes(runs: Sequence[StageRun]) -> Verdict:
    """Whether the stages wrote to their outputs alone."""
    strayed = {run.stage: run.strayed for run in runs if run.strayed}
    figures: dict[str, Figure] = {"stages": len(runs), "files": sum(map(len, strayed.values()))}
    if strayed:
        stage, files = next(iter(strayed.items()))
        rest = f"; so do {len(strayed) - 1} more stages" if len(strayed) > 1 else ""
        reason = f"the stage {stage!r} writes to {_list(files)}, which is not among its outputs{rest}"
        return _verdict(WRITES_ONLY_OUTPUTS, Outcome.FAILED, reason, figures)
    if not runs or not all(run.done for run in runs):
        return _verdict(WRITES_ONLY_OUTPUTS, Outcome.INCONCLUSIVE, _stopped(runs), figures)
    return _verdict(
        WRITES_ONLY_OUTPUTS, Outcome.PASSED, "no stage changed a file that is not an output of its own", figures
    )


def judge_repeats(runs: Sequence[StageRun]) -> Verdict:
    """Whether a second run of each stage, with nothing remembered of the first, left every file as it was."""
    repeated = [run for run in runs if run.repeat_exit_code is not None]
    figures: dict[str, Figure] = {"stages": len(repeated), "files": sum(len(run.changed) for run in repeated)}
    for run in repeated:
        if run.repeat_exit_code:
            reason = f"the stage {run.stage!r} failed when it was run a second time, with exit code"
            return _verdict(REPEATABLE, Outcome.FAILED, f"{reason} {run.repeat_exit_code}", figures)
        if run.changed:
            reason = f"run a second time on the same inputs, the stage {run.stage!r} gives another {_list(run.changed)}"
            return _verdict(REPEATABLE, Outcome.FAILED, reason, figures)
    if not repeated or len(repeated) < len(runs):
        return _verdict(REPEATABLE, Outcome.INCONCLUSIVE, _stopped(runs), figures)
    return _verdict(REPEATABLE, Outcome.PASSED, "a second run of every stage gives the same bytes", figures)


def judge_outputs(artifacts: Sequence[Verdict] | None, runs: Sequence[StageRun]) -> Verdict:
    """Whether what the stages wrote keeps its contracts.

    Args:
        artifacts: the verdicts on the outputs, of `gitrain.operations.check_artifacts`; None if the stages did not all
            run.
        runs: the stages.
    """
    if not artifacts:
        reason = _stopped(runs) if artifacts is None else "no stage declares an output"
        return _verdict(OUTPUTS, Outcome.INCONCLUSIVE, reason, {})
    broken = [verdict for verdict in artifacts if verdict.outcome is not Outcome.PASSED]
    figures: dict[str, Figure] = {"outputs": len(artifacts), "broken": len(broken)}
    if broken:
        rest = f"; and {len(broken) - 1} more outputs" if len(broken) > 1 else ""
        return _verdict(OUTPUTS, Outcome.FAILED, f"{broken[0].reason}{rest}", figures)
    return _verdict(OUTPUTS, Outcome.PASSED, f"all {len(artifacts)} outputs keep their contracts", figures)


def judge_columns(trials: Sequence[ColumnTrial], runs: Sequence[StageRun]) -> Verdict:
    """Whether each stage that lacked a column failed and named it."""
    figures: dict[str, Figure] = {"trials": len(trials), "named": sum(trial.named for trial in trials)}
    for trial in trials:
        tried = f"without the column {trial.column!r} in {trial.folder} the stage {trial.stage!r}"
        if trial.exit_code == 0:
            reason = f"{tried} goes on as if nothing were missing"
            return _verdict(MISSING_COLUMN, Outcome.FAILED, reason, figures)
        if not trial.named:
            reason = f"{tried} fails without naming it: {_message(trial.said)}"
            return _verdict(MISSING_COLUMN, Outcome.FAILED, reason, figures)
    if not trials:
        reason = _stopped(runs) if not all(run.sound for run in runs) else "no stage reads a table that Gitrain knows"
        return _verdict(MISSING_COLUMN, Outcome.INCONCLUSIVE, reason, figures)
    tried = ", ".join(f"{trial.stage} without {trial.column}" for trial in trials)
    return _verdict(MISSING_COLUMN, Outcome.PASSED, f"each fails and names the column: {tried}", figures)


def judge_served(rows: Sequence[ServedRow], *, tolerance: float, hint: str | None = None) -> Verdict:
    """Whether rows served one at a time get the scores that they have offline.

    Args:
        rows: what was compared.
        tolerance: the largest difference that counts as equal.
        hint: where the difference comes from, if that is known.
    """
    apart = [row for row in rows if not row.difference <= tolerance]
    worst = max(rows, key=lambda row: row.difference, default=None)
    figures: dict[str, Figure] = {
        "rows": len(rows),
        "differ": len(apart),
        "largest_difference": worst.difference if worst is not None else None,
        "tolerance": tolerance,
    }
    if worst is None:
        return _verdict(SERVED_EQUALS_OFFLINE, Outcome.INCONCLUSIVE, "the holdout has no predictions", figures)
    if apart:
        reason = (
            f"{len(apart)} of {len(rows)} rows get another score when they are served one at a time: {worst.key} gets "
            f"{worst.served:.6g}, and has {worst.offline:.6g} offline{f'; {hint}' if hint else ''}"
        )
        return _verdict(SERVED_EQUALS_OFFLINE, Outcome.FAILED, reason, figures)
    exactly = "exactly" if worst.difference == 0 else f"within {worst.difference:.2g}"
    reason = f"{len(rows)} rows of the holdout, served one at a time, get their offline score {exactly}"
    return _verdict(SERVED_EQUALS_OFFLINE, Outcome.PASSED, reason, figures)


def _verdict(name: str, outcome: Outcome, reason: str, figures: Mapping[str, Figure]) -> Verdict:
    return Verdict(name=name, outcome=outcome, reason=reason, figures=figures)


def _stopped(runs: Sequence[StageRun]) -> str:
    failed = next((run.stage for run in runs if not run.done), None)
    if failed is not None:
        return f"the pipeline stopped at the stage {failed!r}"
    strayed = next((run.stage for run in runs if run.strayed), None)
    return f"the stage {strayed!r} changed files of others" if strayed is not None else "no stage was run"


def _list(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{rest}"


def _message(said: str) -> str:
    """The line that explains a failure: Gitrain's own error if there is one, else the last."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    own = [line.removeprefix("gitrain: ") for line in lines if line.startswith("gitrain: ")]
    message = (own or lines or ["it said nothing"])[-1]
    return message if len(message) <= _LONGEST else f"{message[: _LONGEST - 3]}..."
