"""What a release has to have shown before an environment may desire it: one verdict a rule, all of them at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gitrain.deployment.record import DeploymentRecord, Ending, RunningRelease
from gitrain.environments.document import Environment
from gitrain.environments.order import judge_order
from gitrain.release.record import ReleaseRecord
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = ["PromotionCase", "goes_back", "judge_promotion", "judge_rollback", "previous_release", "soaked"]

_TOLD = 5


@dataclass(frozen=True, kw_only=True)
class PromotionCase:
    """A release that an environment is to desire, and all that is known of it.

    Attributes:
        environment: the environment's name.
        environments: all of them by name, as they are before the change: their rules hold.
        release: what is to run, as the change says it.
        record: of the release of this version; None if there is none, or it cannot be read.
        verified: what was found out about that release; with nothing found out it is not there.
        missing: why there is no release; None if there is one.
        records: of the deployments in all environments.
        now: in UTC.
    """

    environment: str
    environments: Mapping[str, Environment]
    release: RunningRelease
    record: ReleaseRecord | None
    verified: Sequence[Verdict]
    missing: str | None
    records: Sequence[DeploymentRecord]
    now: datetime

    @property
    def rules(self) -> Environment:
        """The file that the change is made to."""
        return self.environments[self.environment]

    def verdict(self, rule: str, outcome: Outcome, reason: str, **figures: Figure) -> Verdict:
        """A verdict of this environment."""
        return Verdict(name=f"{self.environment}:{rule}", outcome=outcome, reason=reason, figures=figures)


def judge_promotion(case: PromotionCase) -> list[Verdict]:
    """Judge a release that goes on to the next environment.

    Rules: the environment is not suspended; it is reached from the one before; the release is there and verifies; its
    digest is that of the build, everywhere; it succeeded in the environment before often enough and ran there long
    enough; its gates passed or were waived.
    """
    return [
        _suspended(case),
        judge_order(case.environment, case.environments),
        _release(case),
        _digest(case),
        _runs(case),
        _soak(case),
        _gates(case),
    ]


def judge_rollback(case: PromotionCase) -> list[Verdict]:
    """Judge a release that an environment goes back to: it succeeded here, is there, verifies, and is the same bytes.

    Neither runs elsewhere nor time are asked for: they were, when it came here first.
    """
    return [_suspended(case), _succeeded_here(case), _release(case), _digest(case)]


def previous_release(records: Sequence[DeploymentRecord], present: RunningRelease | None) -> RunningRelease | None:
    """The release to go back to: of those that succeeded before the present one first did, the last that ran.

    Going back twice goes further back, never to what was just left. Where the present one never succeeded, it is the
    one that has the requests now: the last that succeeded.

    Args:
        records: of one environment.
        present: what it desires; None if nothing.

    Returns:
        None if there is no such release.
    """
    firsts = _first_successes(records)
    if present is None or present.digest not in firsts:
        succeeded = _succeeded(records)
        return succeeded[-1].release if succeeded else None
    before = _succeeded(records)[: firsts[present.digest]]
    return before[-1].release if before else None


def goes_back(records: Sequence[DeploymentRecord], present: RunningRelease | None, target: RunningRelease) -> bool:
    """Whether a release succeeded here before the present one first did, or without that one ever having done so.

    Args:
        records: of one environment.
        present: what it desires; None if nothing.
        target: what it is to desire.
    """
    firsts = _first_successes(records)
    if target.digest not in firsts or (present is not None and present.digest == target.digest):
        return False
    return present is None or present.digest not in firsts or firsts[target.digest] < firsts[present.digest]


def soaked(records: Sequence[DeploymentRecord], digest: str, now: datetime) -> timedelta:
    """For how long a release has run in an environment, all its time together.

    It runs from the moment that a deployment of it succeeded until one of another release does; deployments that
    failed or were aborted left everything as it was.

    Args:
        records: of one environment.
        digest: of the release.
        now: the end of the time that still runs.
    """
    total = timedelta()
    since: datetime | None = None
    for record in sorted(_succeeded(records), key=lambda each: each.ended):
        if record.release.digest == digest:
            since = record.ended if since is None else since
        elif since is not None:
            total += max(min(record.ended, now) - since, timedelta())
            since = None
    if since is not None:
        total += max(now - since, timedelta())
    return total


def _suspended(case: PromotionCase) -> Verdict:
    if case.rules.suspend:
        reason = f"{case.environment} is suspended: `gitrain env resume {case.environment}` comes first"
        return case.verdict("suspended", Outcome.FAILED, reason)
    return case.verdict("suspended", Outcome.PASSED, f"{case.environment} is not suspended")


def _release(case: PromotionCase) -> Verdict:
    version = case.release.version
    if case.missing is not None or not case.verified:
        return case.verdict("release", Outcome.FAILED, case.missing or f"release {version} was not verified")
    wrong = [verdict for verdict in case.verified if verdict.outcome is not Outcome.PASSED]
    if wrong:
        told = "; ".join(f"{verdict.name}: {verdict.reason}" for verdict in wrong[:_TOLD])
        return case.verdict("release", Outcome.FAILED, f"release {version} does not verify: {told}")
    return case.verdict("release", Outcome.PASSED, f"release {version} is there, and every digest is what was released")


def _digest(case: PromotionCase) -> Verdict:
    version, digest = case.release.version, case.release.digest
    if case.record is None:
        return case.verdict("digest", Outcome.FAILED, f"nothing says which digest release {version} was built with")
    if case.record.bundle_digest != digest:
        reason = f"release {version} was built as {case.record.bundle_digest}, and the change names {digest}"
        return case.verdict("digest", Outcome.FAILED, reason)
    others = [
        record for record in case.records if record.release.version == version and record.release.digest != digest
    ]
    if others:
        told = ", ".join(sorted({f"{record.release.digest} ran in {record.environment}" for record in others})[:_TOLD])
        return case.verdict("digest", Outcome.FAILED, f"release {version} is {digest} now, and {told}")
    return case.verdict("digest", Outcome.PASSED, f"{digest}, as built and as everywhere it ran")


def _runs(case: PromotionCase) -> Verdict:
    before, wanted = case.rules.promotes_from, case.rules.gates.successful_runs
    version = case.release.version
    if before is None:
        return case.verdict("runs", Outcome.PASSED, "no environment comes before this one")
    runs = [record for record in _of(case.records, before) if record.release.digest == case.release.digest]
    # Who goes back is in a hurry and asks for the smoke probe alone: that vouches for nothing.
    good = [record for record in _succeeded(runs) if record.kind == "deploy"]
    figures: dict[str, Figure] = {"succeeded": len(good), "wanted": wanted, "all": len(runs)}
    if len(good) < wanted:
        reason = f"release {version} succeeded {_times(len(good))} in {before}, and {_wanted(wanted)}"
        return case.verdict("runs", Outcome.FAILED, reason, **figures)
    if wanted and runs[-1].ending is not Ending.SUCCEEDED:
        reason = f"the last run of release {version} in {before} {runs[-1].ending.value}: {runs[-1].reason}"
        return case.verdict("runs", Outcome.FAILED, reason, **figures)
    reason = f"release {version} succeeded {_times(len(good))} in {before}"
    return case.verdict("runs", Outcome.PASSED, f"{reason}; {_wanted(wanted)}", **figures)


def _soak(case: PromotionCase) -> Verdict:
    before, wanted = case.rules.promotes_from, case.rules.gates.soak_minutes
    if before is None or not wanted:
        return case.verdict("soak", Outcome.PASSED, "no time is asked for")
    minutes = soaked(_of(case.records, before), case.release.digest, case.now.astimezone(UTC)) / timedelta(minutes=1)
    reason = f"release {case.release.version} ran {minutes:,.1f} minutes in {before}; {wanted:,g} are asked for"
    outcome = Outcome.PASSED if minutes >= wanted else Outcome.FAILED
    return case.verdict("soak", outcome, reason, minutes=round(minutes, 1), wanted=wanted)


def _gates(case: PromotionCase) -> Verdict:
    if case.record is None:
        return case.verdict("gates", Outcome.FAILED, f"release {case.release.version} has no record of its gates")
    verdicts = case.record.verdicts
    if not verdicts:
        return case.verdict("gates", Outcome.FAILED, f"no gate judged release {case.release.version}")
    open_gates = [each for each in verdicts if each.outcome != Outcome.PASSED.value and each.waived is None]
    waived = [each for each in verdicts if each.waived is not None]
    figures: dict[str, Figure] = {"gates": len(verdicts), "waived": len(waived)}
    if open_gates:
        told = "; ".join(f"{each.name} {each.outcome}: {each.reason}" for each in open_gates[:_TOLD])
        return case.verdict("gates", Outcome.FAILED, f"neither passed nor waived: {told}", **figures)
    said = f"; waived: {'; '.join(f'{each.name}: {each.waived}' for each in waived[:_TOLD])}" if waived else ""
    return case.verdict("gates", Outcome.PASSED, f"all {len(verdicts)} gates passed or were waived{said}", **figures)


def _succeeded_here(case: PromotionCase) -> Verdict:
    version, present = case.release.version, _present(case.rules)
    here = _of(case.records, case.environment)
    if present is not None and present.digest == case.release.digest:
        return case.verdict("rollback", Outcome.FAILED, f"release {version} is what {case.environment} desires now")
    if goes_back(here, present, case.release):
        last = [record for record in _succeeded(here) if record.release.digest == case.release.digest][-1]
        reason = f"release {version} succeeded here, at last on {last.ended:%Y-%m-%d %H:%M} UTC"
        return case.verdict("rollback", Outcome.PASSED, reason)
    if case.release.digest in _first_successes(here):
        reason = f"release {version} first ran here after the present one: that is no way back, promote it"
        return case.verdict("rollback", Outcome.FAILED, reason)
    return case.verdict("rollback", Outcome.FAILED, f"release {version} with this digest never succeeded here")


def _present(environment: Environment) -> RunningRelease | None:
    if environment.release is None or environment.digest is None:
        return None
    return RunningRelease(version=environment.release, digest=environment.digest)


def _of(records: Sequence[DeploymentRecord], environment: str) -> list[DeploymentRecord]:
    return sorted((each for each in records if each.environment == environment), key=lambda each: each.began)


def _succeeded(records: Sequence[DeploymentRecord]) -> list[DeploymentRecord]:
    good = (record for record in records if record.ending is Ending.SUCCEEDED)
    return sorted(good, key=lambda each: each.began)


def _first_successes(records: Sequence[DeploymentRecord]) -> dict[str, int]:
    """The place at which each digest succeeded for the first time."""
    firsts: dict[str, int] = {}
    for place, record in enumerate(_succeeded(records)):
        firsts.setdefault(record.release.digest, place)
    return firsts


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def _wanted(number: int) -> str:
    return f"{_times(number)} {'is' if number == 1 else 'are'} asked for"
