"""Gather what a reviewer of a pull request decides from; whatever cannot be had is said, and stops nothing."""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from gitrain.checks.report import CheckReport
from gitrain.data.validation_report import ValidationReport
from gitrain.documents import Document, parse_json
from gitrain.errors import GitrainError, PipelineError
from gitrain.evaluation.comparison import (
    EvaluationComparison,
    PairedDifference,
    compare_evaluations,
    compare_models,
    paired_differences,
)
from gitrain.evaluation.document import Evaluation
from gitrain.gates.names import CHAMPION
from gitrain.gates.report import GateReport
from gitrain.pipeline.changes import (
    DataChanges,
    ValueChange,
    by_area,
    changed_data,
    changed_parameters,
    changed_pins,
    changed_stages,
)
from gitrain.pipeline.layout import (
    EVALUATION,
    LOCK,
    MODEL_MANIFEST,
    PARAMS,
    REQUIREMENTS,
    TRAINING_CURVE,
    VALIDATION_REPORT,
)
from gitrain.pipeline.lock import Lock
from gitrain.pipeline.repository import Comparison
from gitrain.pipeline.workspace import Workspace
from gitrain.reports.pull_request_document import (
    Commits,
    Curve,
    Gap,
    GapSection,
    PullRequestReport,
    pull_request_outcome,
)
from gitrain.training.manifest import ModelManifest

__all__ = ["report_pull_request"]

# As many points as a chart can show.
_POINTS = 60
_REPRO = "run `dvc repro`, and commit dvc.lock with what it wrote."

T = TypeVar("T")
DocumentT = TypeVar("DocumentT", bound=Document)


def report_pull_request(
    workspace: Workspace,
    repository: Comparison,
    *,
    base: str | None,
    gates: Callable[[], GateReport],
    checks: Mapping[str, Callable[[], CheckReport]],
    durations: Mapping[str, float],
    runner_minutes: float | None = None,
) -> PullRequestReport:
    """The report on this tree against `base`.

    Nothing is trained or scored here, but for what `gates` does. Values of the base come from its commit, not from
    this tree's files; those that are missing or unreadable leave a gap with its reason.

    Args:
        workspace: the files of the tree.
        repository: holds the base commit.
        base: the commit to compare with; None compares nothing.
        gates: gives the report of the gates; an error of any kind becomes the outcome ERROR.
        checks: by source (a file's name), what gives a report of checks; likewise.
        durations: seconds by stage.
        runner_minutes: what continuous integration used so far.

    Raises:
        UsageError: `base` names no commit.
        PipelineError: the files lie in no Git repository.
    """
    commit = repository.commit(base) if base is not None else None
    head = repository.head()
    commits = Commits(
        ref=base,
        base=commit,
        head=head,
        contains_base=repository.contains(commit) if commit is not None and head is not None else None,
        uncommitted=len(repository.changed()),
    )
    sides = _Sides(workspace, repository, commit)
    evaluation = sides.attempt("metrics", lambda: sides.now(Evaluation, EVALUATION))
    manifest = sides.attempt("model", lambda: sides.now(ModelManifest, MODEL_MANIFEST))
    gate_report, gates_problem = _gates(gates, manifest, commit)
    reports, problems = _checks(checks)
    differences = _differences(gate_report) if gate_report is not None and gates_problem is None else {}
    named = [each.project for each in (gate_report, evaluation, manifest, *reports) if each is not None]
    return PullRequestReport(
        schema_version=1,
        project=named[0] if named else "model",
        outcome=pull_request_outcome(gate_report, gates_problem, reports, problems),
        commits=commits,
        gates=gate_report,
        gates_problem=gates_problem,
        checks=reports,
        checks_problems=problems,
        evaluation=_compared(sides, evaluation, differences) if evaluation is not None else None,
        parameters=sides.against_base("parameters", lambda: changed_parameters(*sides.texts(PARAMS))) or (),
        dependencies=sides.against_base("dependencies", lambda: changed_pins(*sides.texts(REQUIREMENTS))) or (),
        stages=sides.against_base("stages", lambda: changed_stages(*sides.locks())) or (),
        data=sides.attempt("data", lambda: _data(sides)),
        model=_model(sides, manifest),
        code=sides.against_base("code", lambda: by_area(repository.differences(commit or ""))) or (),
        curve=sides.attempt("learning curve", lambda: _curve(workspace.read_text(TRAINING_CURVE))),
        calibration=evaluation.calibration if evaluation is not None else (),
        durations=_in_order(durations, workspace),
        runner_minutes=runner_minutes,
        gaps=tuple(sides.gaps),
    )


def _in_order(durations: Mapping[str, float], workspace: Workspace) -> dict[str, float]:
    """The seconds in the order in which the stages run, as far as dvc.lock tells."""
    try:
        order = list(Lock.parse(workspace.read_text(LOCK)).stages)
    except GitrainError:
        order = []
    names = sorted(durations, key=lambda name: (order.index(name) if name in order else len(order), name))
    return {name: durations[name] for name in names if math.isfinite(durations[name])}


class _Sides:
    """The files of the tree and those of the base commit, and what could not be had of either."""

    def __init__(self, workspace: Workspace, repository: Comparison, commit: str | None) -> None:
        self.workspace = workspace
        self.repository = repository
        self.commit = commit
        self.gaps: list[Gap] = []

    def attempt(self, section: GapSection, read: Callable[[], T]) -> T | None:
        """What `read` gives; an error of ours is a gap."""
        try:
            return read()
        except GitrainError as error:
            self.gaps.append(Gap(section=section, reason=error.what))
        return None

    def against_base(self, section: GapSection, read: Callable[[], T]) -> T | None:
        """Likewise, if there is a base at all."""
        return self.attempt(section, read) if self.commit is not None else None

    def before(self, path: str) -> str:
        """The text of a file of the base. PipelineError if it has none."""
        commit = self.commit or ""
        content = self.repository.read(commit, path)
        if content is None:
            raise PipelineError(f"the base commit {commit[:12]} has no {path}", fix="name a base that has it.")
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise PipelineError(f"{path} of the base is not UTF-8 text: {error}", fix="name another base.") from error

    def texts(self, path: str) -> tuple[str, str]:
        """The text of a file on both sides."""
        return self.before(path), self.workspace.read_text(path)

    def locks(self) -> tuple[Lock, Lock]:
        """dvc.lock on both sides."""
        before, after = self.texts(LOCK)
        return Lock.parse(before, f"{LOCK} of the base"), Lock.parse(after)

    def now(self, model: type[DocumentT], path: str) -> DocumentT:
        """A file of the tree."""
        return parse_json(model, self.workspace.read_text(path), source=path)

    def then(self, model: type[DocumentT], path: str) -> DocumentT:
        """A file of the base."""
        return parse_json(model, self.before(path), source=f"{path} of the base")


def _gates(
    judge: Callable[[], GateReport], manifest: ModelManifest | None, commit: str | None
) -> tuple[GateReport | None, str | None]:
    """The report of the gates, and what keeps it from being counted."""
    report, problem = _told(judge)
    if report is None:
        return None, problem
    if manifest is not None and report.model_digest != manifest.model_digest:
        return report, (
            f"they judged the model {report.model_digest[:19]}, and {MODEL_MANIFEST} describes "
            f"{manifest.model_digest[:19]}: run `gitrain gate check` again"
        )
    if commit is not None and report.base is not None and report.base != commit:
        return report, (
            f"they compared with the base {report.base[:12]}, and this report with {commit[:12]}: "
            "run `gitrain gate check` again"
        )
    return report, None


def _checks(checks: Mapping[str, Callable[[], CheckReport]]) -> tuple[tuple[CheckReport, ...], tuple[str, ...]]:
    reports, problems = [], []
    for source, read in checks.items():
        report, problem = _told(read)
        if report is not None:
            reports.append(report)
        else:
            problems.append(f"{source}: {problem}")
    return tuple(reports), tuple(problems)


def _told(read: Callable[[], T]) -> tuple[T | None, str | None]:
    try:
        return read(), None
    except GitrainError as error:
        return None, error.what
    except Exception as error:
        # A project's own code runs here, of a pull request: whatever it raises, the report comes and says so.
        return None, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _differences(gates: GateReport) -> dict[str, PairedDifference]:
    champion = next((verdict for verdict in gates.verdicts if verdict.name == CHAMPION), None)
    return paired_differences(champion.figures) if champion is not None else {}


def _compared(sides: _Sides, after: Evaluation, differences: Mapping[str, PairedDifference]) -> EvaluationComparison:
    compared = sides.against_base(
        "metrics", lambda: compare_evaluations(sides.then(Evaluation, EVALUATION), after, differences)
    )
    return compared or compare_evaluations(None, after, differences)


def _model(sides: _Sides, manifest: ModelManifest | None) -> tuple[ValueChange, ...]:
    if manifest is None:
        return ()
    return (
        sides.against_base("model", lambda: compare_models(sides.then(ModelManifest, MODEL_MANIFEST), manifest)) or ()
    )


def _data(sides: _Sides) -> DataChanges:
    after = sides.now(ValidationReport, VALIDATION_REPORT)
    before = sides.against_base("data", lambda: sides.then(ValidationReport, VALIDATION_REPORT))
    # What is wrong with the locks is said of the stages.
    try:
        locks: tuple[Lock | None, Lock | None] = sides.locks() if sides.commit is not None else (None, None)
    except GitrainError:
        locks = (None, None)
    return changed_data(before, after, locks=locks)


def _curve(text: str) -> Curve:
    """The training curve; its first column is the x axis, an empty cell is no point."""
    rows = list(csv.reader(io.StringIO(text)))
    if len(rows) < 2 or len(rows[0]) < 2:
        raise PipelineError(f"{TRAINING_CURVE} holds no curve", fix=_REPRO)
    header, missing = rows[0], 0
    cells: list[tuple[float, list[float | None]]] = []
    for row in rows[1:]:
        x = _finite(row[0]) if row else None
        if x is None or len(row) != len(header):
            missing += 1
            continue
        values = [_finite(cell) for cell in row[1:]]
        missing += sum(value is None and bool(cell) for value, cell in zip(values, row[1:], strict=True))
        cells.append((x, values))
    if not cells:
        raise PipelineError(f"{TRAINING_CURVE} holds no numbers", fix=_REPRO)
    cells.sort(key=lambda cell: cell[0])
    best: dict[str, tuple[float, float]] = {}
    for column, name in enumerate(header[1:]):
        known = [(value, x) for x, values in cells for value in [values[column]] if value is not None]
        if known:
            value, x = min(known)
            best[name] = (x, value)
    whole = [cell for cell in cells if None not in cell[1]]
    shown = _thinned(whole if len(whole) > 1 else cells)
    return Curve(
        x=header[0],
        points=tuple(x for x, _ in shown),
        series={name: tuple(values[column] for _, values in shown) for column, name in enumerate(header[1:])},
        best=best,
        missing=missing,
    )


def _thinned(cells: Sequence[tuple[float, list[float | None]]]) -> list[tuple[float, list[float | None]]]:
    """Evenly spread over the x axis, since a chart draws them so; the ends are always there."""
    if len(cells) <= 2:
        return list(cells)
    first, last = cells[0][0], cells[-1][0]
    count = min(len(cells), _POINTS)
    wanted = [first + (last - first) * step / (count - 1) for step in range(count)]
    places, place = [], 0
    for x in wanted:
        while place + 1 < len(cells) and abs(cells[place + 1][0] - x) <= abs(cells[place][0] - x):
            place += 1
        places.append(place)
    return [cells[place] for place in places]


def _finite(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
