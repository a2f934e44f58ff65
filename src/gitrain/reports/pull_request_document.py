"""The report on a pull request as a file: what `gitrain report pr --json` prints. Part of the public API."""

import json
from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from gitrain.checks.report import CheckReport
from gitrain.documents import Document, Section
from gitrain.evaluation.comparison import EvaluationComparison
from gitrain.evaluation.document import CalibrationBin
from gitrain.gates.report import GateReport
from gitrain.pipeline.changes import AreaChange, DataChanges, StageChange, ValueChange
from gitrain.verdicts import Outcome, worst

__all__ = ["Commits", "Curve", "Gap", "GapSection", "PullRequestReport", "pull_request_outcome"]

_COMMIT = r"^[0-9a-f]{40}([0-9a-f]{24})?$"

GapSection = Literal[
    "metrics", "parameters", "dependencies", "stages", "data", "model", "code", "learning curve", "time"
]


class Gap(Section):
    """Something that the report could not find out, in which section, and why."""

    section: GapSection
    reason: str


class Commits(Section):
    """What is compared with what.

    Attributes:
        ref: the base as it was named; None if none was.
        base: its commit.
        head: the commit that is checked out; None before the first.
        contains_base: whether the base is in the history of `head`; None if nobody knows.
        uncommitted: how many files differ from `head`; the report is about the files.
    """

    ref: str | None = None
    base: str | None = Field(default=None, pattern=_COMMIT)
    head: str | None = Field(default=None, pattern=_COMMIT)
    contains_base: bool | None = None
    uncommitted: int = Field(default=0, ge=0)


class Curve(Section):
    """The training curve, thinned out.

    Attributes:
        x: the name of what stands on the x axis.
        points: its values, ascending.
        series: by name, a value for each point; None where there is none.
        best: by name, the point with the least value of the whole curve, and that value.
        missing: how many cells of the whole curve hold no finite number.
    """

    x: str
    points: tuple[float, ...]
    series: dict[str, tuple[float | None, ...]]
    best: dict[str, tuple[float, float]] = Field(default_factory=dict)
    missing: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _series_are_as_long_as_the_points(self) -> Self:
        for name, values in self.series.items():
            if len(values) != len(self.points):
                raise ValueError(f"{name!r} has {len(values)} values for {len(self.points)} points")
        return self


class PullRequestReport(Document):
    """What a reviewer of a pull request decides from.

    Attributes:
        project: the project's name.
        outcome: the worst of the gates and the checks; without a report of the gates never PASSED.
        commits: what is compared.
        gates: what the gates said.
        gates_problem: why there is no report of the gates, or why it counts for nothing.
        checks: what the checks said, one report a file.
        checks_problems: why a report of checks that was handed over could not be read.
        evaluation: metrics and slices, beside those of the base if they are to be had.
        parameters: that differ from the base's.
        dependencies: pinned packages that differ.
        stages: of the pipeline that ran on something else.
        data: how it differs.
        model: what the model was made with and that differs.
        code: files that differ, by area.
        curve: of the training.
        calibration: the bins of the holdout.
        durations: seconds by stage, of those that ran on the machine that made the report.
        runner_minutes: what the continuous integration used so far, if it was told.
        gaps: what could not be found out.
    """

    project: str
    outcome: Outcome
    commits: Commits
    gates: GateReport | None = None
    gates_problem: str | None = None
    checks: tuple[CheckReport, ...] = ()
    checks_problems: tuple[str, ...] = ()
    evaluation: EvaluationComparison | None = None
    parameters: tuple[ValueChange, ...] = ()
    dependencies: tuple[ValueChange, ...] = ()
    stages: tuple[StageChange, ...] = ()
    data: DataChanges | None = None
    model: tuple[ValueChange, ...] = ()
    code: tuple[AreaChange, ...] = ()
    curve: Curve | None = None
    calibration: tuple[CalibrationBin, ...] = ()
    durations: dict[str, float] = Field(default_factory=dict)
    runner_minutes: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    gaps: tuple[Gap, ...] = ()

    @model_validator(mode="after")
    def _outcome_follows_from_gates_and_checks(self) -> Self:
        expected = pull_request_outcome(self.gates, self.gates_problem, self.checks, self.checks_problems)
        if self.outcome is not expected:
            raise ValueError(f"the outcome is {self.outcome.value}, and gates and checks say {expected.value}")
        return self

    def to_json(self) -> str:
        """The text of the file. A figure that is NaN or infinite is null: JSON has no such numbers."""
        return json.dumps(json.loads(self.model_dump_json()), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def pull_request_outcome(
    gates: GateReport | None, gates_problem: str | None, checks: Sequence[CheckReport], checks_problems: Sequence[str]
) -> Outcome:
    """The outcome of gates and checks together.

    What was handed over and cannot be read, or is about another model, is an ERROR: a step that broke must not look
    like one that passed.
    """
    outcomes = [report.outcome for report in checks]
    if gates_problem is not None or checks_problems:
        outcomes.append(Outcome.ERROR)
    if gates_problem is None:
        outcomes.append(Outcome.INCONCLUSIVE if gates is None else gates.outcome)
    return worst(outcomes)
