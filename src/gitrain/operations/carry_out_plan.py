"""Carry out the plan of a deployment, step by step; what goes wrong is taken back."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from gitrain.deployment.deployer import Bundle, Deployer, Probe, Stretch, Watch
from gitrain.deployment.plan import plan_undo
from gitrain.deployment.record import DeploymentRecord, DeploymentRecords, Ending, RecordedStep, RunningRelease
from gitrain.deployment.replicas import Desired, Observed, Replica, UnderWay
from gitrain.deployment.routing import Share, backends_of
from gitrain.deployment.steps import (
    AwaitStep,
    CanaryStretch,
    FetchStep,
    Plan,
    ProbeStep,
    RecordStep,
    RouteStep,
    StartStep,
    Step,
    StopStep,
)
from gitrain.errors import GitrainError, UsageError
from gitrain.operations.await_replicas import Waiting
from gitrain.release.record import RecordedVerdict
from gitrain.verdicts import Outcome, Verdict, worst

__all__ = ["Applied", "DeploymentTools", "carry_out"]

_LONGEST_REASON = 2000


@dataclass(frozen=True, kw_only=True)
class DeploymentTools:
    """What a deployment is given.

    Attributes:
        desired: what the environment's file says.
        deployer: of the environment.
        records: of deployments.
        fetch: verifies a release and unpacks it: verdicts, and the bundle if all of them passed.
        probe: asks a replica.
        watch: judges a canary; None where nobody can: then one is refused.
        actor: who started it, as the forge or Git knows them.
        approved_by: who approved it; None where nobody had to.
        clock: the time.
        seconds: seconds that only grow.
        pause: waits some seconds.
        progress: is told what goes on.
    """

    desired: Desired
    deployer: Deployer
    records: DeploymentRecords
    fetch: Callable[[RunningRelease], tuple[Sequence[Verdict], Bundle | None]]
    probe: Probe
    watch: Watch | None
    actor: str
    approved_by: str | None
    clock: Callable[[], datetime]
    seconds: Callable[[], float]
    pause: Callable[[float], None]
    progress: Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What a pass did.

    Attributes:
        plan: what it carried out; without steps where there was nothing to do.
        outcome: PASSED: what runs is what is desired.
        reason: one sentence.
        record: what was recorded, if anything was.
    """

    plan: Plan
    outcome: Outcome
    reason: str
    record: DeploymentRecord | None = None

    def to_json(self) -> dict[str, object]:
        """JSON-serialisable values: what `gitrain deploy apply --json` prints."""
        return {
            "environment": self.plan.environment,
            "kind": self.plan.kind,
            "outcome": self.outcome.value,
            "reason": self.reason,
            "release": None if self.plan.release is None else self.plan.release.model_dump(),
            "record": None if self.record is None else self.record.model_dump(mode="json"),
        }


def carry_out(tools: DeploymentTools, plan: Plan, observed: Observed) -> Applied:
    """Do what a plan says, while the environment is held. Raises as `apply_deployment`."""
    return _Run(tools, plan, observed).carry_out()


@dataclass(kw_only=True)
class _Failure:
    ending: Ending
    outcome: Outcome
    reason: str


@dataclass
class _Run:
    """A plan while it is carried out."""

    tools: DeploymentTools
    plan: Plan
    observed: Observed
    bundle: Bundle | None = None
    started: list[Replica] = field(default_factory=list)
    under_way: UnderWay | None = None
    record: DeploymentRecord | None = None

    @property
    def _waiting(self) -> Waiting:
        return Waiting(deployer=self.tools.deployer, seconds=self.tools.seconds, pause=self.tools.pause)

    def carry_out(self) -> Applied:
        plan = self.plan
        if plan.recorded:
            self.under_way = self._begun()
            self.tools.deployer.note(self.under_way)
        if plan.kind == "undo":
            problem = self._undo()
            if problem is not None:
                return self._left(plan.reason, problem)
        else:
            for step in plan.steps:
                failure = self._step(step)
                if failure is not None:
                    return self._take_back(failure)
        outcome, reason = plan.outcome, plan.reason
        if self.record is not None and self.record.ending is not Ending.SUCCEEDED:
            outcome, reason = Outcome.FAILED, self.record.reason
        return Applied(plan=plan, outcome=outcome, reason=reason, record=self.record)

    def _begun(self) -> UnderWay:
        if self.observed.under_way is not None:
            return self.observed.under_way
        plan, tools = self.plan, self.tools
        if plan.release is None or plan.kind not in ("deploy", "rollback", "probe"):
            raise ValueError(f"a plan to {plan.kind} leaves no record")
        return UnderWay(
            schema_version=1,
            id=secrets.token_hex(8),
            project=tools.desired.project,
            kind=plan.kind,
            release=plan.release,
            former=plan.former if plan.kind != "probe" else None,
            desired_by=tools.desired.commit,
            actor=tools.actor,
            approved_by=tools.approved_by,
            began=tools.clock(),
        )

    def _step(self, step: Step) -> _Failure | None:
        tools = self.tools
        if isinstance(step, RecordStep):
            self._record(step)
            return None
        tools.progress(f"{self.plan.environment}: {step.text}")
        begun = tools.seconds()
        verdicts: Sequence[Verdict] = ()
        failure = None
        try:
            verdicts = self._do(step)
            outcome = worst(verdict.outcome for verdict in verdicts) if verdicts else Outcome.PASSED
            if outcome is not Outcome.PASSED:
                first = next(verdict for verdict in verdicts if verdict.outcome is outcome)
                ending = Ending.ABORTED if isinstance(step, CanaryStretch) else Ending.FAILED
                failure = _Failure(ending=ending, outcome=outcome, reason=f"{first.name}: {first.reason}")
        except GitrainError as error:
            outcome = Outcome.ERROR
            ending = Ending.ABORTED if isinstance(step, CanaryStretch) else Ending.FAILED
            failure = _Failure(ending=ending, outcome=outcome, reason=f"{step.name}: {error.what}")
        self._note(
            RecordedStep.model_validate(
                {
                    "name": step.name,
                    "outcome": outcome.value,
                    "seconds": round(max(0.0, tools.seconds() - begun), 3),
                    "verdicts": tuple(RecordedVerdict.of(verdict) for verdict in verdicts),
                }
            )
        )
        return failure

    def _do(self, step: Step) -> Sequence[Verdict]:
        tools = self.tools
        match step:
            case FetchStep():
                verdicts, self.bundle = tools.fetch(step.release)
                if self.bundle is not None:
                    tools.deployer.prepare(self.bundle)
                return verdicts
            case StartStep():
                runtime = tools.desired.file.runtime
                for _ in range(step.number):
                    self.started.append(tools.deployer.start(self._bundle(), runtime))
            case AwaitStep():
                return [self._await(step)]
            case ProbeStep():
                return self._probe(step)
            case CanaryStretch():
                return self._watch(step)
            case RouteStep():
                tools.deployer.copy_requests(None)
                self._route(step.listen, {step.release: 100})
            case StopStep():
                # Of what ends, somebody may be sent copies.
                tools.deployer.copy_requests(None)
                routed = [each for each in step.replicas if each.alive and self.observed.routed(each)]
                self._waiting.until_drained(routed, step.patience)
                tools.deployer.stop(step.replicas, patience=step.patience)
            case RecordStep():
                raise ValueError("a record is no effect on what runs")
        return ()

    def _await(self, step: AwaitStep) -> Verdict:
        if self.started:
            self.started, verdict = self._waiting.until_ready(step, self.started)
            return verdict
        seen, verdict = self._waiting.until_one_is_ready(step, self.observed.of(step.release))
        others = (each for each in self.observed.replicas if each.release != step.release)
        self.observed = replace(self.observed, replicas=(*others, *seen))
        return verdict

    def _probe(self, step: ProbeStep) -> Sequence[Verdict]:
        """Every replica that was started is asked for known rows; one of them stands for all in what takes longer."""
        replicas = self.started or list(self._serving(step.release))
        if not replicas:
            return [_nobody(step.release)]
        asked = replicas if step.probe == "smoke" else replicas[:1]
        verdicts: list[Verdict] = []
        for replica in asked:
            verdicts += self.tools.probe(step.probe, replica.url, self._bundle())
        return verdicts

    def _watch(self, step: CanaryStretch) -> Sequence[Verdict]:
        tools = self.tools
        if tools.watch is None:
            raise ValueError("nobody watches")
        percents = {step.release: step.percent, step.champion: 100 - step.percent}
        self._route(
            self.observed.listen or tools.desired.file.runtime.listen,
            {release: percent for release, percent in percents.items() if percent},
        )
        challenger, shadow = self._serving(step.release), tools.desired.file.strategy.shadow
        if shadow is not None and challenger:
            tools.deployer.copy_requests(challenger[0], shadow.percent)
        stretch = Stretch(
            environment=self.plan.environment,
            url=tools.deployer.url,
            folder=tools.deployer.folder,
            percent=step.percent,
            seconds=step.seconds,
            challenger=challenger,
            champion=self._serving(step.champion),
        )
        verdicts = tools.watch(stretch)
        if verdicts:
            return verdicts
        reason = "nothing was counted that it could be judged by"
        return [Verdict(name="canary", outcome=Outcome.INCONCLUSIVE, reason=reason)]

    def _route(self, listen: str, percents: Mapping[RunningRelease, int]) -> None:
        shares = []
        for release, percent in percents.items():
            ports = tuple(replica.port for replica in self._serving(release))
            if not ports:
                raise UsageError(
                    f"no replica of {release.version} can take requests", fix="look at the logs, and apply again."
                )
            shares.append(Share(percent=percent, ports=ports))
        self.tools.deployer.route(listen, backends_of(shares))

    def _serving(self, release: RunningRelease) -> tuple[Replica, ...]:
        """The replicas of a release that take requests from now on."""
        found = [each for each in self.observed.of(release) if each.usable and each.id not in self.plan.retired]
        if release != self.plan.release:
            # The champion: what has its requests now, not what else of it is warm.
            found = [each for each in found if self.observed.routed(each)] or found
        return (*found, *(each for each in self.started if each.release == release))

    def _bundle(self) -> Bundle:
        if self.bundle is None:
            raise ValueError("the plan starts or probes what it has not fetched")
        return self.bundle

    def _note(self, step: RecordedStep) -> None:
        if self.under_way is not None:
            self.under_way = self.under_way.model_copy(update={"steps": (*self.under_way.steps, step)})
            self.tools.deployer.note(self.under_way)

    def _take_back(self, failure: _Failure) -> Applied:
        """The former release gets all requests again, and what was started ends."""
        tools = self.tools
        tools.progress(f"{self.plan.environment}: {failure.ending.value}: {failure.reason}")
        if self.under_way is None:
            # A release that stays lost replicas, and new ones could not be had.
            observed = tools.deployer.observe()
            ids = {replica.id for replica in self.observed.replicas}
            new = [each for each in observed.replicas if each.id not in ids and not observed.routed(each)]
            tools.deployer.stop(new, patience=tools.desired.file.runtime.stop_seconds)
            reason = failure.reason
            if self.plan.kind == "refused":
                reason = f"{self.plan.reason}; meanwhile what runs could not be mended: {failure.reason}"
            return Applied(plan=self.plan, outcome=worst((self.plan.outcome, failure.outcome)), reason=reason)
        # Whoever is killed from here on leaves word that nothing but this is left to do.
        self.under_way = self.under_way.model_copy(
            update={"ending": failure.ending, "reason": failure.reason[:_LONGEST_REASON]}
        )
        tools.deployer.note(self.under_way)
        observed = tools.deployer.observe()
        run = _Run(tools, plan_undo(tools.desired, observed), observed, under_way=self.under_way)
        problem = run._undo()
        if problem is not None:
            return self._left(failure.reason, problem)
        return Applied(plan=self.plan, outcome=failure.outcome, reason=failure.reason, record=run.record)

    def _undo(self) -> _Failure | None:
        """Take back as planned; what keeps it from that, if anything does.

        Whatever comes after a step that failed builds on it: a release must not end while requests are sent to it, nor
        be recorded as taken back. What is noted as under way stays, and the next pass goes on. But where the former
        release was found bad itself, that is the end of it: one that failed keeps the requests that it gets. So it is
        where something broke, and the file asks for another release since: else nobody could deploy any more.
        """
        had, noted = True, self.under_way
        since = noted is not None and noted.ending is not None and noted.release != self.tools.desired.release
        for step in self.plan.steps:
            if not had and not isinstance(step, RecordStep):
                continue
            problem = self._step(step)
            if problem is None:
                continue
            if isinstance(step, RouteStep | StopStep) or not (since or problem.outcome is Outcome.FAILED):
                return problem
            had = False
            self.tools.progress(f"{self.plan.environment}: the former release cannot be had: {problem.reason}")
        return None

    def _left(self, reason: str, problem: _Failure) -> Applied:
        """Neither taken back nor recorded: something here is broken."""
        said = f"{reason}; it could not be taken back, which the next pass tries again: {problem.reason}"
        self.tools.progress(f"{self.plan.environment}: could not be taken back: {problem.reason}")
        return Applied(plan=self.plan, outcome=Outcome.ERROR, reason=said)

    def _record(self, step: RecordStep) -> None:
        under_way, tools = self.under_way, self.tools
        if under_way is None:
            raise ValueError("nothing is under way that could be recorded")
        reason = under_way.reason or self.plan.reason
        record = DeploymentRecord(
            schema_version=1,
            id=under_way.id,
            project=under_way.project,
            environment=self.plan.environment,
            kind="rollback" if under_way.kind == "rollback" else "deploy",
            release=under_way.release,
            former=under_way.former,
            desired_by=under_way.desired_by,
            actor=under_way.actor,
            approved_by=under_way.approved_by,
            reason=reason[:_LONGEST_REASON],
            began=under_way.began,
            ended=max(under_way.began, tools.clock()),
            steps=under_way.steps,
            ending=step.ending,
        )
        resumed = self.observed.under_way is not None and self.observed.under_way.id == under_way.id
        there = None
        if resumed:
            # A run was killed when it had recorded this, and before it knew.
            there = next((each for each in tools.records.list(record.environment) if each.id == record.id), None)
        if there is None:
            tools.records.add(record)
        # A run that was killed while copies were sent may have left word of them.
        tools.deployer.copy_requests(None)
        tools.deployer.note(None)
        self.record = there or record
        tools.progress(f"{self.plan.environment}: recorded as {self.record.ending.value}")


def _nobody(release: RunningRelease) -> Verdict:
    return Verdict(
        name="deploy:replicas",
        outcome=Outcome.FAILED,
        reason=f"no replica of {release.version} is there to be asked",
    )
