"""Carry out a retraining: begin it once, make the candidate, and end in one pull request, one issue, or nothing."""

import contextlib
import errno
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypedDict, Unpack

from gitrain.environments.forge import ProposalState
from gitrain.errors import GitrainError, IntegrationError, UsageError
from gitrain.monitoring.report import MonitoringReport
from gitrain.operations.make_candidate import PASSED, Candidate, make_candidate
from gitrain.operations.plan_retraining import RetrainingTools, gather_facts
from gitrain.pipeline.candidate import CandidateClone
from gitrain.pipeline.params import Params
from gitrain.reports.markdown import escape
from gitrain.reports.retraining_markdown import render_bad_data, render_failure, render_proposal, render_unreadable
from gitrain.triggers.decision import Decision, Hindrance, Reason, RetrainingPlan, decide
from gitrain.triggers.facts import RetrainingFacts
from gitrain.triggers.forge import BranchProposal, Issue
from gitrain.triggers.record import RetrainingEnding, RetrainingRecord, last_words
from gitrain.verdicts import Outcome

__all__ = ["ISSUE", "RetrainingResult", "open_retraining"]

#: The key of the issue that is kept while retraining cannot go on.
ISSUE = "retraining"

_SCHEMA_VERSION = 1
_FAILED = (RetrainingEnding.REFUSED, RetrainingEnding.BAD_DATA)
# What leaves an issue behind.
_TOLD_OF_DATA = (RetrainingEnding.BAD_DATA, RetrainingEnding.ERROR)
# With these it is known how the inputs ended.
_KNOWN = (Hindrance.OPEN, Hindrance.TRIED)


class _Found(TypedDict, total=False):
    """Where a retraining ended, as its record has it."""

    branch: str
    commit: str
    number: int | None
    url: str | None


@dataclass(frozen=True, kw_only=True)
class RetrainingResult:
    """What became of it.

    Attributes:
        plan: the decision.
        record: of the retraining; None where none was begun.
        closed: pull requests whose place it took.
    """

    plan: RetrainingPlan
    record: RetrainingRecord | None = None
    closed: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """1 where a candidate was refused or data could not be used: a verdict. 3: another run took over. Else 0."""
        ending = self.record.ending if self.record is not None else None
        if ending is RetrainingEnding.LOST:
            return Outcome.ERROR.exit_code
        return Outcome.FAILED.exit_code if ending in _FAILED else 0

    def to_json(self) -> dict[str, object]:
        """JSON-serialisable values: what `gitrain retrain open --json` prints."""
        return {
            "schema_version": _SCHEMA_VERSION,
            "plan": self.plan.to_json(),
            "record": self.record.model_dump(mode="json") if self.record is not None else None,
            "closed": list(self.closed),
        }


def open_retraining(
    tools: RetrainingTools,
    *,
    request: str | None = None,
    monitoring: MonitoringReport | None = None,
    progress: Callable[[str], None],
) -> RetrainingResult:
    """Train again if the plan says so: once, however often and wherever it is called, and wherever it was cut short.

    Args:
        tools: what it is done with.
        request: why a person asks for it.
        monitoring: the newest monitoring report.
        progress: takes a line at a time.

    Raises:
        PipelineError: a command failed on the way, other than by a verdict; the record says so, and an issue.
        DeploymentError: the branch of the candidate holds something else.
        UsageError, SettingsError, IntegrationError: as `plan_retraining`.
    """
    with tools.clones.alone() as alone:
        facts, params = gather_facts(tools, request=request, monitoring=monitoring, busy=not alone)
        plan = decide(facts, params.retraining)
        if plan.decision is not Decision.RETRAIN:
            _keep_issue(tools, facts, plan)
            return _merge_waiting(tools, plan, params, facts)
        plan, begun = _begin(tools, facts, params, plan)
        if begun is None:
            return RetrainingResult(plan=plan)
        progress(f"retraining {begun.id}: {plan.sentence}")
        try:
            return _carry_out(tools, params, plan, begun, progress)
        except GitrainError as error:
            _tell(tools, plan, begun, error, progress)
            raise
        except OSError as error:
            what = f"{error.filename or 'a file'} cannot be read or written: {error.strerror or error}"
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            fix = "make room" if full else "see that this user can read and write there"
            broken = IntegrationError(what, fix=f"{fix}; the next run begins anew.")
            _tell(tools, plan, begun, broken, progress)
            raise broken from error


def _begin(
    tools: RetrainingTools, facts: RetrainingFacts, params: Params, plan: RetrainingPlan
) -> tuple[RetrainingPlan, RetrainingRecord | None]:
    """Record the beginning on exactly the records that the plan stands on; None where others were quicker."""
    newest = [plan]
    identifier = secrets.token_hex(8)

    def judge(records: Sequence[RetrainingRecord]) -> Sequence[RetrainingRecord]:
        former = last_words(records)
        now = tools.clock()
        newest[0] = decide(replace(facts, records=tuple(former), now=now), params.retraining)
        if newest[0].decision is not Decision.RETRAIN:
            return []
        longest = timedelta(minutes=params.retraining.longest_minutes)
        dead = [
            record.concluded(min(now, record.began + longest), RetrainingEnding.LOST, "it never said how it ended")
            for record in former
            if record.ending is None
        ]
        begun = plan.begin(identifier=identifier, project=tools.project.name, holder=facts.holder, now=now)
        return [*dead, begun]

    added = tools.records.add(judge)
    return newest[0], added[-1] if added else None


def _carry_out(
    tools: RetrainingTools,
    params: Params,
    plan: RetrainingPlan,
    begun: RetrainingRecord,
    progress: Callable[[str], None],
) -> RetrainingResult:
    title = _title(plan)
    mark = f"Gitrain-Retraining: {plan.digest}"
    evidence = "\n".join(f"* {each.reason.value}: {each.sentence}" for each in plan.evidence)
    if plan.unreadable is not None:
        issue = _keep_unreadable(tools, plan)
        found: _Found = {"number": issue.number, "url": issue.url}
        return _end(tools, plan, begun, RetrainingEnding.BAD_DATA, plan.unreadable, **found)
    with tools.clones.make(plan.base) as clone:
        message = f"{title}\n\n{evidence}\n\n{mark}\n"
        candidate = make_candidate(clone, tools.project, params, plan, message, progress=progress)
        lost = _lost(tools, plan, begun, progress)
        if lost is not None:
            return lost
        if candidate.ending is RetrainingEnding.BAD_DATA:
            issue = _keep_unusable(tools, plan, candidate.report)
            return _end(tools, plan, begun, candidate.ending, candidate.sentence, number=issue.number, url=issue.url)
        tools.issues.close(ISSUE, f"Data through {escape(plan.through)} was ingested, validated and trained on.")
        if candidate.commit is None:
            return _end(tools, plan, begun, candidate.ending, candidate.sentence)
        return _propose(tools, params, plan, begun, candidate, clone, title, mark, progress)


def _propose(
    tools: RetrainingTools,
    params: Params,
    plan: RetrainingPlan,
    begun: RetrainingRecord,
    candidate: Candidate,
    clone: CandidateClone,
    title: str,
    mark: str,
    progress: Callable[[str], None],
) -> RetrainingResult:
    # Data goes first: whoever sees the branch can have what its lock names.
    if clone.push_data(progress=progress):
        progress("the data is in the DVC remote")
    # That may have taken long.
    lost = _lost(tools, plan, begun, progress)
    if lost is not None:
        return lost
    refused = candidate.ending is RetrainingEnding.REFUSED
    proposal = tools.proposals.propose(
        BranchProposal(
            branch=plan.branch,
            commit=candidate.commit or "",
            head=tools.proposals.head(),
            mark=mark,
            title=f"{title}: refused" if refused else title,
            body=render_proposal(plan, candidate.sentence, candidate.report, refused=refused),
        )
    )
    found: _Found = {"branch": plan.branch, "commit": proposal.commit, "number": proposal.number, "url": proposal.url}
    if proposal.state is ProposalState.MERGED:
        return _end(tools, plan, begun, RetrainingEnding.MERGED, "it was merged before", **found)
    if refused:
        comment = f"Refused: {escape(candidate.sentence, longest=600)}. What is in production stays as it is."
        tools.proposals.close(plan.branch, comment)
        return _end(tools, plan, begun, RetrainingEnding.REFUSED, candidate.sentence, **found)
    if proposal.state is ProposalState.DECLINED:
        reason = "its pull request was closed without being merged"
        return _end(tools, plan, begun, RetrainingEnding.REFUSED, reason, **found)
    shown = f"#{proposal.number}" if proposal.number is not None else f"the branch {plan.branch}"
    for other in plan.superseded:
        tools.proposals.close(other.branch, f"Superseded by {shown}, on data through {escape(plan.through)}.")
        progress(f"{other.shown} is closed: {shown} takes its place")
    closed = tuple(each.branch for each in plan.superseded)
    if params.retraining.merge == "gates-passed" and candidate.passed:
        proposal = tools.proposals.merge(proposal, title)
        if proposal.state is ProposalState.MERGED:
            return _end(tools, plan, begun, RetrainingEnding.MERGED, candidate.sentence, closed=closed, **found)
        progress(f"{shown} cannot be merged yet")
    return _end(tools, plan, begun, RetrainingEnding.PROPOSED, candidate.sentence, closed=closed, **found)


def _merge_waiting(
    tools: RetrainingTools, plan: RetrainingPlan, params: Params, facts: RetrainingFacts
) -> RetrainingResult:
    """Nothing is trained; what waits for no more than its checks on the forge is merged, where policy has it."""
    result = RetrainingResult(plan=plan)
    if plan.hindrance is not Hindrance.OPEN or plan.waiting is None or params.retraining.merge != "gates-passed":
        return result
    record = next((each for each in reversed(facts.records) if each.branch == plan.waiting.branch), None)
    # Of a candidate that was not wholly passed a person decides.
    if record is None or record.reason != PASSED or record.commit != plan.waiting.commit:
        return result
    proposal = tools.proposals.find(plan.waiting.branch)
    if proposal is not None and proposal.state is ProposalState.OPEN:
        with contextlib.suppress(UsageError):
            tools.proposals.merge(proposal, f"Retrain on data through {record.through}")
    return result


def _end(
    tools: RetrainingTools,
    plan: RetrainingPlan,
    begun: RetrainingRecord,
    ending: RetrainingEnding,
    reason: str,
    *,
    closed: tuple[str, ...] = (),
    **found: Unpack[_Found],
) -> RetrainingResult:
    record = begun.concluded(tools.clock(), ending, reason, **found)
    told = [record]

    def judge(records: Sequence[RetrainingRecord]) -> Sequence[RetrainingRecord]:
        # Whoever took this one for dead has told its end already, and a record is never changed.
        told[0] = next((each for each in records if each.path == record.path), record)
        return [record] if told[0] is record else []

    tools.records.add(judge)
    return RetrainingResult(plan=plan, record=told[0], closed=closed)


def _lost(
    tools: RetrainingTools, plan: RetrainingPlan, begun: RetrainingRecord, progress: Callable[[str], None]
) -> RetrainingResult | None:
    """What this run is to end with where another one has declared it dead, and is at work in its place; else None."""
    own = next((each for each in last_words(tools.records.list()) if each.id == begun.id), None)
    if own is None or own.ending is None:
        return None
    progress(_taken_over(own))
    return RetrainingResult(plan=plan, record=own)


def _taken_over(own: RetrainingRecord) -> str:
    return (
        f"retraining {own.id} took so long that another run declared it LOST and took over: nothing is proposed; raise "
        "retraining.longest_minutes"
    )


def _keep_issue(tools: RetrainingTools, facts: RetrainingFacts, plan: RetrainingPlan) -> None:
    """Let the issue say what is so where nothing is trained, which no other run would: open it again, or close it.

    Who may write no issues is none the worse for it.
    """
    # Of those that told anybody anything, the last: what is open is its issue.
    silent = (None, RetrainingEnding.LOST)
    last = next((record for record in reversed(facts.records) if record.ending not in silent), None)
    with contextlib.suppress(UsageError):
        if plan.tried is not None and plan.tried.ending is RetrainingEnding.BAD_DATA:
            _tell_again(tools, plan, plan.tried, last)
        elif last is None or last.ending not in _TOLD_OF_DATA:
            return
        elif last.batches and not facts.batches:
            tools.issues.close(ISSUE, f"The sources have nothing after {escape(facts.through)} any more.")
        elif plan.hindrance in _KNOWN and last.inputs != plan.inputs:
            what = f"This is over; of data through {escape(plan.through)} it is known how it ended"
            tools.issues.close(ISSUE, f"{what}: {escape(plan.sentence, longest=600)}.")


def _tell_again(
    tools: RetrainingTools, plan: RetrainingPlan, tried: RetrainingRecord, last: RetrainingRecord | None
) -> None:
    """Have an issue of data that was bad before: it was closed while that was away, perhaps, or tells of other data."""
    if plan.unreadable is not None:
        _keep_unreadable(tools, plan)
        return
    # What the run wrote that found it is more than what is known here.
    theirs = last is not None and last.ending is RetrainingEnding.BAD_DATA and last.inputs == plan.inputs
    if not theirs or tools.issues.find(ISSUE) is None:
        _keep_unusable(tools, plan, render_bad_data(plan, tried.reason, None))


def _keep_unreadable(tools: RetrainingTools, plan: RetrainingPlan) -> Issue:
    return tools.issues.keep(ISSUE, f"Data through {plan.through} cannot be read", render_unreadable(plan))


def _keep_unusable(tools: RetrainingTools, plan: RetrainingPlan, report: str) -> Issue:
    return tools.issues.keep(ISSUE, f"Data through {plan.through} cannot be used", report)


def _tell(
    tools: RetrainingTools,
    plan: RetrainingPlan,
    begun: RetrainingRecord,
    error: GitrainError,
    progress: Callable[[str], None],
) -> None:
    """Record what broke and let people know, as far as that can be done: the error itself goes on in any case."""
    try:
        own = _end(tools, plan, begun, RetrainingEnding.ERROR, " ".join(error.what.split())).record
        # Who took its place keeps the issue: one of this run nobody would close.
        if own is not None and own.ending is RetrainingEnding.LOST:
            progress(_taken_over(own))
            return
    except GitrainError as other:
        progress(f"this could not be recorded: {other.what}")
    try:
        tools.issues.keep(
            ISSUE, f"Retraining on data through {plan.through} broke off", render_failure(plan, error.what)
        )
    except GitrainError as other:
        progress(f"no issue could be opened: {other.what}")


def _title(plan: RetrainingPlan) -> str:
    if plan.batches:
        return f"Retrain on data through {plan.through}"
    asked = next((each.reason for each in plan.evidence), Reason.REQUEST)
    return f"Retrain ({asked.value})"
