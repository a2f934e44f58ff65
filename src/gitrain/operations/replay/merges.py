"""The default branch of a replay: what was merged, which batches wait, and what every retraining came to."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from gitrain.gates.names import CHAMPION
from gitrain.lineage import digest_of_value
from gitrain.monitoring.report import LabelCounts, MonitoringReport, Window
from gitrain.operations.replay.candidates import Candidate, Trials, judge
from gitrain.operations.replay.looks import PERFORMANCE
from gitrain.operations.replay.past import MergedModel
from gitrain.pipeline.layout import FEATURES, partition
from gitrain.pipeline.replay import Decision, ReplayedVerdict
from gitrain.release.record import RecordedVerdict
from gitrain.triggers.decision import Decision as Plan
from gitrain.triggers.decision import RetrainingPlan, decide
from gitrain.triggers.facts import RetrainingFacts
from gitrain.triggers.record import RetrainingEnding, RetrainingRecord
from gitrain.verdicts import Outcome

__all__ = ["Alarm", "Main", "Retrained"]

_HOLDER = "0" * 16
_ENDINGS: dict[Decision, RetrainingEnding] = {
    "promoted": RetrainingEnding.MERGED,
    "same": RetrainingEnding.UNCHANGED,
    "refused": RetrainingEnding.REFUSED,
}


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """A release whose performance was found worse.

    Attributes:
        release: its name.
        day: the unit at which it was.
        since: the first unit that it answered.
        began: when that began, UTC.
        days: how many there were up to `day`.
        reason: one sentence.
    """

    release: str
    day: str
    since: str
    began: datetime
    days: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Retrained:
    """What a retraining came to.

    Attributes:
        batch: the newest batch, which the candidate was judged on.
        candidate: the model.
        decision: what became of it.
        sentence: the same in words.
        evidence: what asked for it.
        verdicts: the gates that did not pass.
        champion_reason: what the comparison with the champion said.
        seconds: what judging took.
        reused: whether an earlier run judged.
    """

    batch: str
    candidate: Candidate
    decision: Decision
    sentence: str
    evidence: tuple[str, ...]
    verdicts: tuple[ReplayedVerdict, ...]
    champion_reason: str | None
    seconds: float
    reused: bool


class Main:
    """The default branch.

    Args:
        trials: makes candidates.
        rules: the text of params.yaml.
        through: the newest batch that was merged.
        champion: the model that was.
        stopwatch: seconds that pass.
    """

    def __init__(
        self,
        trials: Trials,
        *,
        rules: str,
        through: str,
        champion: Candidate,
        stopwatch: Callable[[], float],
    ) -> None:
        self._trials = trials
        self._rules = rules
        self._through = through
        self._champion = champion
        self._since: datetime | None = None
        self._stopwatch = stopwatch
        self._over: list[tuple[str, datetime]] = []
        self._records: list[RetrainingRecord] = []
        self._decided: set[str] = set()
        self._digests: dict[str, str] = {}

    @property
    def waiting(self) -> tuple[str, ...]:
        """The batches that are over and were not decided on."""
        return tuple(batch for batch, _ in self._over if batch not in self._decided)

    def arrive(self, batch: str, *, last: datetime, known: datetime) -> None:
        """A batch is over: `last` was its last decision, and `known` is when its last label is known, both UTC."""
        settled = timedelta(hours=self._trials.stage.params.retraining.settle_hours)
        self._over.append((batch, max(last + settled, known)))

    def decide(self, now: datetime, alarm: Alarm | None) -> Retrained | None:
        """Train, judge and merge if what is known at `now` asks for it; None if not."""
        plan = decide(self._facts(now, alarm), self._trials.stage.params.retraining)
        if plan.decision is not Plan.RETRAIN or not plan.batches:
            return None
        candidate = self._trials.candidate(plan.through)
        merged = MergedModel(self._rules, self._champion)
        report, seconds, reused = judge(
            candidate,
            self._trials.model_format,
            merged,
            merged,
            today=now.date(),
            stopwatch=self._stopwatch,
        )
        decision: Decision = "refused"
        if candidate.digest == self._champion.digest:
            decision = "same"
        elif report.outcome is Outcome.PASSED:
            decision = "promoted"
        against = [each for each in report.verdicts if each.outcome is not Outcome.PASSED]
        champion = next((each.reason for each in report.verdicts if each.name == CHAMPION), None)
        sentence = {
            "promoted": "every gate passed",
            "same": "the candidate is the model that is deployed",
        }.get(decision, f"{against[0].name}: {against[0].reason}" if against else "")
        self._records.append(self._record(plan, now, candidate.seconds + seconds, decision, sentence))
        self._decided.update(plan.batches)
        if decision != "refused":
            self._through = plan.through
        if decision == "promoted":
            self._champion, self._since = candidate, now
        return Retrained(
            batch=plan.through,
            candidate=candidate,
            decision=decision,
            sentence=sentence,
            evidence=tuple(each.sentence for each in plan.evidence),
            verdicts=tuple(
                ReplayedVerdict(name=each.name, outcome=each.outcome, reason=each.reason) for each in against
            ),
            champion_reason=champion,
            seconds=seconds,
            reused=reused,
        )

    def _facts(self, now: datetime, alarm: Alarm | None) -> RetrainingFacts:
        stage = self._trials.stage
        new = tuple(batch for batch, whole in self._over if batch > self._through and whole <= now)
        read = [each for each in stage.batches if each <= (new[-1] if new else self._through)]
        data = [[each, self._digest(each)] for each in read]
        return RetrainingFacts(
            now=now,
            base=MergedModel(self._rules, self._champion).commit("main"),
            branch="main",
            through=self._through,
            batches=new,
            pipeline=digest_of_value({"code": stage.code, "rules": self._rules}),
            data=digest_of_value({"features": data}),
            champion_since=self._since,
            monitoring=_report(stage.project.name, stage.project.target.name, now, alarm) if alarm else None,
            records=tuple(self._records),
            holder=_HOLDER,
        )

    def _digest(self, batch: str) -> str:
        """The digest of a batch's features: these files do not change while a replay runs."""
        if batch not in self._digests:
            self._digests[batch] = self._trials.stage.workspace.digest(partition(FEATURES, None, batch))
        return self._digests[batch]

    def _record(
        self, plan: RetrainingPlan, now: datetime, seconds: float, decision: Decision, sentence: str
    ) -> RetrainingRecord:
        begun = plan.begin(
            identifier=digest_of_value({"digest": plan.digest, "now": now.isoformat()}).removeprefix("sha256:")[:16],
            project=self._trials.stage.project.name,
            holder=_HOLDER,
            now=now,
        )
        return begun.concluded(now + timedelta(seconds=seconds), _ENDINGS[decision], sentence)


def _report(project: str, target: str, now: datetime, alarm: Alarm) -> MonitoringReport:
    """An alarm as the report that `gitrain retrain plan` reads."""
    verdict = RecordedVerdict(name=PERFORMANCE, outcome=Outcome.FAILED.value, reason=alarm.reason)
    return MonitoringReport(
        schema_version=1,
        project=project,
        target=target,
        unit="day",
        environment="replay",
        generated=now,
        window=Window(since=alarm.began, through=now, days=alarm.days),
        outcome=Outcome.FAILED,
        decides=("performance",),
        verdicts=(verdict,),
        labels=LabelCounts(),
    )
