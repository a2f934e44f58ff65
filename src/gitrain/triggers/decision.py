"""Whether to train again: a pure function of what is known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from gitrain.pipeline.retraining_params import RetrainingParams
from gitrain.triggers.facts import RetrainingFacts
from gitrain.triggers.forge import OpenProposal
from gitrain.triggers.record import CONCLUDED, RetrainingEnding, RetrainingRecord
from gitrain.verdicts import Outcome

__all__ = ["PREFIX", "Decision", "Evidence", "Hindrance", "Reason", "RetrainingPlan", "decide", "is_running"]

#: What the branches of retrainings begin with.
PREFIX = "retrain/"

_SCHEMA_VERSION = 1
_WEEK = timedelta(days=7)
_SHOWN = 5


class Decision(Enum):
    """RETRAIN. WAIT: something asks for it, and something holds it back. NOTHING: nothing asks for it."""

    RETRAIN = "RETRAIN"
    WAIT = "WAIT"
    NOTHING = "NOTHING"


class Reason(Enum):
    """What asks for a retraining."""

    REQUEST = "request"
    NEW_DATA = "new-data"
    PERFORMANCE = "performance"
    DATA_DRIFT = "data-drift"
    SCHEDULE = "schedule"
    AGE = "champion-age"


class Hindrance(Enum):
    """What holds a retraining back.

    SAME_INPUTS: there is nothing that the model has not seen. RUNNING: another one has begun. OPEN: a pull request of
    these inputs waits for review. TRIED: it is known how these inputs ended. COOLDOWN, BUDGET: policy.
    """

    SAME_INPUTS = "same-inputs"
    RUNNING = "running"
    OPEN = "open"
    TRIED = "tried"
    COOLDOWN = "cooldown"
    BUDGET = "budget"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Something that asks for a retraining.

    Attributes:
        reason: what kind of thing.
        sentence: what a reviewer can decide from.
    """

    reason: Reason
    sentence: str


@dataclass(frozen=True, kw_only=True)
class RetrainingPlan:
    """Whether to train again, and why.

    Attributes:
        decision: RETRAIN, WAIT or NOTHING.
        sentence: the decision in words.
        evidence: what asks for it, the strongest first.
        hindrance: what holds it back; None unless it waits.
        until: when that is over, as far as a clock decides it.
        branch: where the candidate is, or would be, proposed.
        digest: of everything that it stands on.
        inputs: the same without the kind of reason.
        base: the commit to begin from.
        former: `data.through` there.
        through: what it is to be.
        batches: those that are new.
        unreadable: how a source failed on the last of them: no model can be made; None where none did.
        superseded: pull requests that this one would take the place of.
        waiting: the pull request that waits for review, where that is what it waits for.
        tried: how the same inputs ended, where that is what it waits for.
        notes: what was not there or could not be asked.
    """

    decision: Decision
    sentence: str
    evidence: tuple[Evidence, ...]
    branch: str
    digest: str
    inputs: str
    base: str
    former: str
    through: str
    batches: tuple[str, ...]
    unreadable: str | None = None
    hindrance: Hindrance | None = None
    until: datetime | None = None
    superseded: tuple[OpenProposal, ...] = ()
    waiting: OpenProposal | None = None
    tried: RetrainingRecord | None = None
    notes: tuple[str, ...] = field(default=())

    def begin(self, *, identifier: str, project: str, holder: str, now: datetime) -> RetrainingRecord:
        """The record of its beginning.

        Args:
            identifier: 16 hexadecimal digits, unlike any other's.
            project: the project's name.
            holder: the clone that it runs in.
            now: in UTC.
        """
        return RetrainingRecord(
            schema_version=1,
            id=identifier,
            project=project,
            digest=self.digest,
            inputs=self.inputs,
            base=self.base,
            through=self.through,
            batches=self.batches,
            reasons=tuple(each.reason.value for each in self.evidence),
            evidence=tuple(each.sentence for each in self.evidence),
            holder=holder,
            began=now,
            branch=self.branch,
        )

    def to_json(self) -> dict[str, object]:
        """JSON-serialisable values: what `gitrain retrain plan --json` prints."""
        return {
            "schema_version": _SCHEMA_VERSION,
            "decision": self.decision.value,
            "sentence": self.sentence,
            "evidence": [{"reason": each.reason.value, "sentence": each.sentence} for each in self.evidence],
            "hindrance": self.hindrance.value if self.hindrance else None,
            "until": self.until.isoformat() if self.until else None,
            "branch": self.branch,
            "digest": self.digest,
            "inputs": self.inputs,
            "base": self.base,
            "data": {
                "former": self.former,
                "through": self.through,
                "batches": list(self.batches),
                "unreadable": self.unreadable,
            },
            "superseded": [_shown(each) for each in self.superseded],
            "waiting": _shown(self.waiting) if self.waiting else None,
            "notes": list(self.notes),
        }


def decide(facts: RetrainingFacts, policy: RetrainingParams) -> RetrainingPlan:
    """Whether to train again.

    A person's request waits for no cooldown; the budget, and what was tried on the same request, hold it back too.
    """
    evidence = tuple(_evidence(facts, policy))
    branch = f"{PREFIX}{facts.digest.removeprefix('sha256:')[:12]}"
    same = _same_inputs(facts, branch)
    decision, sentence = Decision.NOTHING, "nothing asks for it"
    hindrance: Hindrance | None = None
    until: datetime | None = None
    if evidence:
        found = next(_hindrances(facts, policy, same), None)
        if found is None:
            decision = Decision.RETRAIN
            sentence = "; ".join(each.sentence for each in evidence[:_SHOWN])
        else:
            decision = Decision.WAIT
            hindrance, sentence, until = found
    return RetrainingPlan(
        decision=decision,
        sentence=sentence,
        evidence=evidence,
        hindrance=hindrance,
        until=until,
        branch=branch,
        digest=facts.digest,
        inputs=facts.inputs,
        base=facts.base,
        former=facts.through,
        through=facts.target,
        batches=facts.batches,
        unreadable=facts.unreadable,
        superseded=tuple(each for each in facts.proposals if each not in same),
        waiting=same[0] if hindrance is Hindrance.OPEN else None,
        tried=_tried(facts) if hindrance is Hindrance.TRIED else None,
        notes=facts.notes,
    )


def is_running(record: RetrainingRecord, now: datetime, policy: RetrainingParams, *, holder: str) -> bool:
    """Whether a retraining is at work: it has not ended, is not this clone's own, and not longer at it than allowed.

    This clone's own has ended, whatever it says: it is asked by who holds the lock that lets one at a time.
    """
    return (
        record.ending is None
        and record.holder != holder
        and now < record.began + timedelta(minutes=policy.longest_minutes)
    )


def _evidence(facts: RetrainingFacts, policy: RetrainingParams) -> Iterator[Evidence]:
    if facts.request is not None:
        yield Evidence(reason=Reason.REQUEST, sentence=f"a person asks for it: {' '.join(facts.request.split())}")
    if policy.new_data and facts.batches:
        yield Evidence(reason=Reason.NEW_DATA, sentence=f"{_arrived(facts)}, and the model knows {facts.through}")
    yield from _monitored(facts, policy)
    if policy.every_days is not None:
        last = _newest(facts, CONCLUDED - {RetrainingEnding.BAD_DATA})
        since = last.began if last is not None else facts.champion_since
        if since is None or facts.now - since >= timedelta(days=policy.every_days):
            ago = "there was none yet" if since is None else f"the last one is of {since:%Y-%m-%d}"
            sentence = f"every {policy.every_days} days there is one, and {ago}"
            yield Evidence(reason=Reason.SCHEDULE, sentence=sentence)
    born = facts.champion_since
    if policy.champion_age_days is not None and born is not None:
        days = (facts.now - born).days
        if days >= policy.champion_age_days:
            sentence = f"the model is {days} days old, and {policy.champion_age_days} are its age"
            yield Evidence(reason=Reason.AGE, sentence=sentence)


def _arrived(facts: RetrainingFacts) -> str:
    there = facts.batches if facts.unreadable is None else facts.batches[:-1]
    said = [facts.unreadable] if facts.unreadable is not None else []
    if there:
        named = ", ".join(there[:_SHOWN]) + (" and more" if len(there) > _SHOWN else "")
        said.insert(0, f"{named} {'is' if len(there) == 1 else 'are'} there")
    return ", ".join(said)


def _monitored(facts: RetrainingFacts, policy: RetrainingParams) -> Iterator[Evidence]:
    report = facts.monitoring
    if report is None or facts.now - report.generated > timedelta(days=policy.monitoring_days):
        return
    if policy.performance:
        failed = [each for each in report.family("performance") if each.outcome == Outcome.FAILED.value]
        if failed:
            more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
            sentence = f"{failed[0].name} of {report.environment} failed{more}: {failed[0].reason}"
            yield Evidence(reason=Reason.PERFORMANCE, sentence=sentence)
    if policy.data_drift:
        names = [each.name for each in report.family("drift") if each.outcome == Outcome.FAILED.value]
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            sentence = f"data of {report.environment} has moved: {', '.join(names[:_SHOWN])}{more}"
            yield Evidence(reason=Reason.DATA_DRIFT, sentence=sentence)


def _hindrances(
    facts: RetrainingFacts, policy: RetrainingParams, same: Sequence[OpenProposal]
) -> Iterator[tuple[Hindrance, str, datetime | None]]:
    asked = facts.request is not None
    if not facts.batches and not asked:
        sentence = f"the sources have nothing after {facts.through}: the same inputs would give the same model"
        yield Hindrance.SAME_INPUTS, sentence, None
    if facts.busy:
        yield Hindrance.RUNNING, "another process of this repository is at one", None
    for record in facts.records:
        if is_running(record, facts.now, policy, holder=facts.holder):
            until = record.began + timedelta(minutes=policy.longest_minutes)
            yield Hindrance.RUNNING, f"one has been at work since {record.began:%Y-%m-%d %H:%M} UTC", until
    # Of a run that was cut short the next one makes an end, also where it had opened its pull request already.
    tried = _tried(facts)
    cut = tried is None and any(record.digest == facts.digest for record in facts.records)
    if same and not cut:
        yield Hindrance.OPEN, f"{same[0].shown} was made from the same inputs and waits for review", None
    if tried is not None:
        sentence = f"the same inputs were tried on {tried.began:%Y-%m-%d %H:%M} UTC: {_told(tried)}"
        if asked:
            sentence += "; give another reason to try them again"
        yield Hindrance.TRIED, sentence, None
    last = _newest(facts, CONCLUDED - {RetrainingEnding.BAD_DATA})
    if last is not None and not asked:
        until = last.began + timedelta(hours=policy.cooldown_hours)
        if facts.now < until:
            sentence = (
                f"the last one began at {last.began:%Y-%m-%d %H:%M} UTC, and {policy.cooldown_hours:g} h lie between"
            )
            yield Hindrance.COOLDOWN, sentence, until
    yield from _budget(facts, policy)


def _budget(facts: RetrainingFacts, policy: RetrainingParams) -> Iterator[tuple[Hindrance, str, datetime | None]]:
    week = [record for record in facts.records if facts.now - record.began < _WEEK]
    if not week:
        return
    until = week[0].began + _WEEK
    if len(week) >= policy.runs_a_week:
        sentence = f"{len(week)} have begun within a week, and {policy.runs_a_week} may"
        yield Hindrance.BUDGET, sentence, until
    minutes = sum(record.minutes for record in week)
    if minutes >= policy.minutes_a_week:
        sentence = f"those of a week took {minutes:.0f} minutes, and {policy.minutes_a_week:g} may be taken"
        yield Hindrance.BUDGET, sentence, until


def _tried(facts: RetrainingFacts) -> RetrainingRecord | None:
    """How the same inputs ended, for the same kind of reason."""
    same = (record for record in reversed(facts.records) if record.digest == facts.digest)
    return next((record for record in same if record.ending in CONCLUDED), None)


def _same_inputs(facts: RetrainingFacts, branch: str) -> list[OpenProposal]:
    """The open proposals that were made from what this one would be made from."""
    made = {record.branch for record in facts.records if record.inputs == facts.inputs}
    return [each for each in facts.proposals if each.branch == branch or each.branch in made]


def _newest(facts: RetrainingFacts, endings: frozenset[RetrainingEnding]) -> RetrainingRecord | None:
    return next((record for record in reversed(facts.records) if record.ending in endings), None)


def _told(record: RetrainingRecord) -> str:
    ending = record.ending.value if record.ending is not None else "it runs"
    return f"{ending}, {record.reason}" if record.reason else ending


def _shown(proposal: OpenProposal) -> dict[str, object]:
    return {"branch": proposal.branch, "number": proposal.number, "url": proposal.url}
