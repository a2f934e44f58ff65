"""Make a candidate in a clean clone: new data judged, the pipeline run, checks and gates asked, all of it reported.

The commands are the very ones that a person would type.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gitrain.checks.report import CheckReport, CheckVerdict
from gitrain.data.validation_report import ValidationReport
from gitrain.documents import parse_json
from gitrain.errors import PipelineError
from gitrain.gates.report import GateReport, GateVerdict
from gitrain.pipeline.candidate import CandidateClone, Finished
from gitrain.pipeline.layout import RETRAINING
from gitrain.pipeline.params import Params
from gitrain.project import Project
from gitrain.reports.retraining_markdown import render_bad_data
from gitrain.triggers.decision import RetrainingPlan
from gitrain.triggers.record import RetrainingEnding
from gitrain.verdicts import Outcome

__all__ = ["PASSED", "Candidate", "make_candidate"]

#: What is said of a candidate that nothing speaks against.
PASSED = "checks and gates passed"

# Passed, failed and inconclusive are answers; whatever else a command says, it says of itself.
_ANSWERS = (0, 1, 4)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What came of it.

    Attributes:
        ending: PROPOSED: it may be proposed. REFUSED, BAD_DATA, UNCHANGED: see there.
        sentence: why, in one sentence.
        report: Markdown: of the pull request, or of what is wrong with the data.
        commit: on top of the plan's base, in the user's repository; None where there is nothing to commit.
        passed: whether every check and gate passed.
    """

    ending: RetrainingEnding
    sentence: str
    report: str = ""
    commit: str | None = None
    passed: bool = False


def make_candidate(
    clone: CandidateClone,
    project: Project,
    params: Params,
    plan: RetrainingPlan,
    message: str,
    *,
    progress: Callable[[str], None],
) -> Candidate:
    """Make it.

    Args:
        clone: of the plan's base.
        project: whose tables must not be empty.
        params: of the plan's base.
        plan: what is to be done.
        message: of the commit.
        progress: takes what the commands say.

    Raises:
        PipelineError: a command failed, other than by a verdict.
        IntegrationError: a program is not there.
    """
    if plan.through != plan.former:
        _do(clone, ("gitrain", "data", "advance", "--to", plan.through), progress)
    _do(clone, ("gitrain", "data", "ingest"), progress)
    problem = _judge_data(clone, project, plan, progress)
    if problem is not None:
        return problem
    _do(clone, ("dvc", "repro"), progress)
    checks = [_check(clone, group, plan.base, progress) for group in params.retraining.checks]
    asked = ("gitrain", "gate", "check", "--base", plan.base, "--json")
    gates = parse_json(GateReport, _ask(clone, asked, progress), source="gitrain gate check --json")
    report = _report(clone, plan.base, gates, dict(zip(params.retraining.checks, checks, strict=True)), progress)
    commit = clone.commit(message)
    if commit is None:
        sentence = f"the pipeline gives what {plan.base[:12]} has already: the same inputs, the same model"
        return Candidate(ending=RetrainingEnding.UNCHANGED, sentence=sentence)
    outcomes = [gates.outcome, *(check.outcome for check in checks)]
    against: list[GateVerdict | CheckVerdict] = [*gates.verdicts, *(v for check in checks for v in check.verdicts)]
    bad = [each for each in against if each.outcome in (Outcome.FAILED, Outcome.ERROR)]
    if bad:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        sentence = f"{bad[0].name} {bad[0].outcome.value}{more}: {bad[0].reason}"
        return Candidate(ending=RetrainingEnding.REFUSED, sentence=sentence, report=report, commit=commit)
    passed = all(outcome is Outcome.PASSED for outcome in outcomes)
    open_ = next((each for each in against if each.outcome is Outcome.INCONCLUSIVE), None)
    sentence = PASSED if open_ is None else f"{open_.name} is INCONCLUSIVE: {open_.reason}"
    return Candidate(ending=RetrainingEnding.PROPOSED, sentence=sentence, report=report, commit=commit, passed=passed)


def _judge_data(
    clone: CandidateClone, project: Project, plan: RetrainingPlan, progress: Callable[[str], None]
) -> Candidate | None:
    """What is wrong with the data; None if nothing is."""
    said = _ask(clone, ("gitrain", "data", "validate", "--json"), progress)
    report = ValidationReport.from_json(said, source="gitrain data validate --json")
    failed = [each for each in report.batches if each.outcome is not Outcome.PASSED]
    batched = {table.name for table in project.tables if table.batched}
    empty = [each for each in report.batches if each.rows == 0 and each.table in batched and each not in failed]
    if not failed and not empty:
        return None
    if failed:
        message = next(finding.message for finding in failed[0].findings if finding.severity == "fail")
        others = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        sentence = f"{failed[0].name} breaks its contract{others}: {message}"
    else:
        sentence = f"{empty[0].name} has no rows"
    return Candidate(
        ending=RetrainingEnding.BAD_DATA, sentence=sentence, report=render_bad_data(plan, sentence, report)
    )


def _check(clone: CandidateClone, group: str, base: str, progress: Callable[[str], None]) -> CheckReport:
    said = _ask(clone, ("gitrain", "check", group, "--base", base, "--json"), progress)
    return parse_json(CheckReport, said, source=f"gitrain check {group} --json")


def _report(
    clone: CandidateClone,
    base: str,
    gates: GateReport,
    checks: dict[str, CheckReport],
    progress: Callable[[str], None],
) -> str:
    """The report that any pull request has."""
    files = {f"{RETRAINING}/check-{group}.json": check.to_json() for group, check in checks.items()}
    judged = f"{RETRAINING}/gates.json"
    for path, text in {judged: gates.to_json(), **files}.items():
        clone.workspace.write_text(path, text)
    named = [part for path in files for part in ("--checks", path)]
    return _do(clone, ("gitrain", "report", "pr", "--base", base, "--gates", judged, *named), progress).stdout


def _do(clone: CandidateClone, command: Sequence[str], progress: Callable[[str], None]) -> Finished:
    progress("$ " + " ".join(command))
    done = clone.run(command, progress=progress)
    if done.exit_code != 0:
        raise _failure(command, done)
    return done


def _ask(clone: CandidateClone, command: Sequence[str], progress: Callable[[str], None]) -> str:
    """The JSON of a command whose exit code is a verdict. A crash of Python ends with 1 too, and prints none."""
    progress("$ " + " ".join(command))
    done = clone.run(command, progress=progress)
    answered = done.stdout.lstrip().startswith("{")
    if done.exit_code not in _ANSWERS and not (done.exit_code == Outcome.ERROR.exit_code and answered):
        raise _failure(command, done)
    if not answered:
        raise _failure(command, done)
    return done.stdout


def _failure(command: Sequence[str], done: Finished) -> PipelineError:
    said = "\n".join(f"    {line}" for line in done.said.splitlines()) or "    nothing"
    how = f"exit code {done.exit_code}" if done.exit_code >= 0 else f"signal {-done.exit_code}"
    return PipelineError(
        f"`{' '.join(command)}` ended with {how}; the last that it said:\n{said}",
        fix="mend what it says; the next run begins anew, and what was finished is in the cache.",
    )
