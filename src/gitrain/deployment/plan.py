"""From what is desired and what runs to what is to be done: pure."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Literal

from gitrain.deployment.promotion import goes_back
from gitrain.deployment.record import DeploymentRecord, Ending, RunningRelease
from gitrain.deployment.replicas import Desired, Observed, Replica, UnderWay
from gitrain.deployment.steps import (
    AwaitStep,
    CanaryStretch,
    FetchStep,
    Kind,
    Plan,
    ProbeStep,
    RecordStep,
    RouteStep,
    StartStep,
    Step,
    StopStep,
    replicas_in_words,
)
from gitrain.verdicts import Outcome

__all__ = ["plan_deployment", "plan_stop", "plan_undo"]


def plan_deployment(
    desired: Desired,
    observed: Observed,
    records: Sequence[DeploymentRecord] = (),
    *,
    again: bool = False,
    lost: str = "",
) -> Plan:
    """What makes an environment run what is desired.

    Args:
        desired: what its file says.
        observed: what runs.
        records: of this environment; they are needed only where another release is to run, or has a share.
        again: probe what runs already, and record that, if there is nothing else to do.
        lost: why the release that ran cannot be put back, where that was tried: only then there is no canary.
    """

    def idle(reason: str, kind: Kind = "none", outcome: Outcome = Outcome.PASSED) -> Plan:
        running = observed.running
        return Plan(
            environment=desired.name, kind=kind, reason=reason, release=running, former=running, outcome=outcome
        )

    if desired.file.suspend:
        same = list(observed.shares) == ([desired.release] if desired.release is not None else [])
        reason = "the environment is suspended: nothing is changed until it is resumed"
        return idle(reason, "refused", Outcome.PASSED if same else Outcome.INCONCLUSIVE)
    under_way = observed.under_way
    if under_way is not None and under_way.ending is not None:
        return plan_undo(desired, observed)
    release = desired.release
    if release is None:
        where = f"{desired.file.follows} has no release yet" if desired.file.follows else "the file names no release"
        return idle(f"{where}: what runs is left alone")
    if under_way is not None and under_way.release != release:
        return _abandon(desired, observed, under_way)
    last = max(
        (each for each in records if each.environment == desired.name), key=lambda each: each.began, default=None
    )
    failed = last is not None and last.release == release and last.ending is not Ending.SUCCEEDED
    if under_way is None and release in observed.shares and not (failed and len(observed.shares) > 1):
        return _heal(desired, observed, release, desired.file.runtime.listen, again=again)
    if under_way is not None and list(observed.shares) == [release]:
        return _finish(desired, observed, release, under_way)
    # What an order began goes on without another one.
    if (
        last is not None
        and last.ending is Ending.ABORTED
        and last.release == release
        and last.desired_by == desired.commit
        and under_way is None
        and not again
    ):
        reason = (
            f"release {release.version} was aborted here: {last.reason} It is tried again once the file has changed, "
            "or with --again"
        )
        serves = next((each for each in observed.shares if each != release), last.former)
        if serves is None:
            return idle(reason, "refused", Outcome.FAILED)
        # It stays where users have reached it so far: what else the file asks for was not found well either.
        listen = observed.listen or desired.file.runtime.listen
        healed = _heal(desired, observed, serves, listen, standby=_standby(desired, observed, serves, release))
        return replace(healed, kind="refused", reason=reason, outcome=Outcome.FAILED)
    return _deploy(desired, observed, release, records, lost)


def plan_undo(desired: Desired, observed: Observed) -> Plan:
    """What takes a deployment back that is under way and ends badly: the former release gets all requests again."""
    under_way = observed.under_way
    if under_way is None or under_way.ending is None:
        raise ValueError("no deployment ends badly")
    steps, retired = _taken_back(desired, observed, under_way)
    return Plan(
        environment=desired.name,
        kind="undo",
        reason=under_way.reason,
        release=under_way.former,
        former=under_way.former,
        steps=(*steps, RecordStep(ending=under_way.ending)),
        retired=_ids(retired),
    )


def plan_stop(desired: Desired, observed: Observed) -> Plan:
    """What ends everything in an environment; the proxy is ended too."""
    steps: list[Step] = []
    if observed.replicas:
        steps.append(StopStep(replicas=observed.replicas, patience=desired.file.runtime.stop_seconds))
    return Plan(
        environment=desired.name,
        kind="stop",
        reason="nothing is to run here",
        former=observed.running,
        steps=tuple(steps),
        retired=_ids(observed.replicas),
    )


def _deploy(
    desired: Desired, observed: Observed, release: RunningRelease, records: Sequence[DeploymentRecord], lost: str
) -> Plan:
    file, runtime = desired.file, desired.file.runtime
    under_way = observed.under_way
    # The release itself has a share where it failed and could not be taken back.
    running = next((each for each in observed.shares if each != release), None)
    former = under_way.former if under_way is not None else running
    here = [each for each in records if each.environment == desired.name]
    kind: Literal["deploy", "rollback"] = (
        "rollback" if former is not None and goes_back(here, former, release) else "deploy"
    )
    parts = [] if kind == "rollback" or former is None else _parts(desired)
    serving = [each for each in observed.of(former) if each.usable and observed.routed(each)]
    if former is not None and parts and not serving and not lost:
        return _beside(desired, observed, release, former)
    kept, useless = _chosen(observed, release, runtime.replicas)
    aside = tuple(each for each in observed.replicas if each.release not in (release, former))
    ended = (*aside, *useless)
    # Whoever answers users does so until others have all requests.
    asked = tuple(each for each in ended if each.alive and observed.routed(each))
    steps = [*_ended(desired, tuple(each for each in ended if each not in asked))]
    steps += _started(desired, release, runtime.replicas - len(kept))
    # Who goes back to what has worked before has no time for more than a look.
    probes = file.probes.required if kind == "deploy" else ("smoke",)
    steps += [ProbeStep(release=release, probe=probe) for probe in probes]
    if former is not None and serving:
        steps += [
            CanaryStretch(release=release, champion=former, percent=percent, seconds=seconds)
            for percent, seconds in parts
        ]
    steps.append(RouteStep(release=release, listen=runtime.listen))
    # A former release that died is remembered until then: nobody else knows what to go back to.
    left = tuple(each for each in observed.of(former) if not (each.alive and file.strategy.standby))
    steps += _ended(desired, (*asked, *left))
    steps.append(RecordStep(ending=Ending.SUCCEEDED))
    was = f"{former.version} runs" if former is not None else "nothing runs yet"
    if former is not None and parts and not serving:
        was = f"without a canary, as {former.version} ran and cannot be put back ({lost})"
    goes = "release {0} is to run again" if kind == "rollback" else "release {0} is to run"
    resumed = ", and a run that began it was interrupted" if under_way is not None else ""
    return Plan(
        environment=desired.name,
        kind=kind,
        reason=f"{goes.format(release.version)}, {was}{resumed}",
        release=release,
        former=former,
        steps=tuple(steps),
        retired=_ids(ended),
    )


def _parts(desired: Desired) -> list[tuple[int, float]]:
    """The percents and seconds of a canary; 0 %: copies alone."""
    strategy = desired.file.strategy
    shadow = strategy.shadow
    parts = [(0, shadow.seconds)] if shadow is not None and shadow.seconds else []
    return [*parts, *((each.percent, each.seconds) for each in strategy.steps if each.percent < 100)]


def _beside(desired: Desired, observed: Observed, release: RunningRelease, former: RunningRelease) -> Plan:
    """A canary needs somebody to be judged beside: who ran is put back, and the deployment is planned anew then."""
    gone = tuple(each for each in observed.of(former) if not each.alive)
    return Plan(
        environment=desired.name,
        kind="heal",
        reason=f"release {release.version} is to run, and {former.version}, which its canary is judged beside, answers "
        "nobody: that is put back first",
        release=former,
        former=former,
        steps=(*_put_back(desired, observed, former), *_ended(desired, gone)),
        retired=_ids(gone),
        outcome=Outcome.INCONCLUSIVE,
    )


def _heal(
    desired: Desired,
    observed: Observed,
    release: RunningRelease,
    listen: str,
    *,
    again: bool = False,
    standby: Collection[Replica] | None = None,
) -> Plan:
    runtime = desired.file.runtime
    kept, useless = _chosen(observed, release, runtime.replicas)
    if standby is None:
        standby = _standby(desired, observed, release)
    others = tuple(each for each in observed.replicas if each.release != release and each not in standby)
    missing = runtime.replicas - len(kept)
    ports = {backend.port for backend in observed.backends}
    astray = ports != {each.port for each in kept} or not observed.proxied or observed.listen != listen
    steps: list[Step] = []
    reasons = []
    if missing > 0:
        steps += _started(desired, release, missing)
        steps.append(ProbeStep(release=release, probe="smoke"))
        reasons.append(f"{len(kept)} of {replicas_in_words(runtime.replicas)} can be used")
    if astray or missing > 0:
        steps.append(RouteStep(release=release, listen=listen))
        if not observed.proxied:
            reasons.append("the proxy does not run")
        elif observed.listen != listen:
            reasons.append(f"users are to reach it at {listen}")
        elif not missing > 0:
            reasons.append("requests go elsewhere")
    ended = (*useless, *others)
    if ended:
        steps.append(StopStep(replicas=ended, patience=runtime.stop_seconds))
        reasons.append(f"{replicas_in_words(len(ended))} {'is' if len(ended) == 1 else 'are'} of no use")
    if steps:
        kind: Kind = "heal"
        reason = f"release {release.version} runs, but {' and '.join(reasons)}"
    elif again:
        kind, reason = "probe", f"release {release.version} runs, and is probed again"
        steps = [FetchStep(release=release)]
        steps += [ProbeStep(release=release, probe=probe) for probe in desired.file.probes.required]
        steps.append(RecordStep(ending=Ending.SUCCEEDED))
    else:
        kind, reason = "none", f"release {release.version} runs as desired"
    return Plan(
        environment=desired.name,
        kind=kind,
        reason=reason,
        release=release,
        former=release,
        steps=tuple(steps),
        retired=_ids(ended),
    )


def _finish(desired: Desired, observed: Observed, release: RunningRelease, under_way: UnderWay) -> Plan:
    """A run was killed when the release had all requests already, or while it probed what runs."""
    runtime = desired.file.runtime
    kept, useless = _chosen(observed, release, runtime.replicas)
    standby = _standby(desired, observed, release)
    others = tuple(each for each in observed.replicas if each.release != release and each not in standby)
    steps: list[Step] = []
    if len(kept) < runtime.replicas:
        steps += _started(desired, release, runtime.replicas - len(kept))
        steps.append(ProbeStep(release=release, probe="smoke"))
    elif under_way.kind == "probe":
        steps.append(FetchStep(release=release))
        steps += [ProbeStep(release=release, probe=probe) for probe in desired.file.probes.required]
    steps.append(RouteStep(release=release, listen=runtime.listen))
    ended = (*useless, *others)
    steps += _ended(desired, ended)
    steps.append(RecordStep(ending=Ending.SUCCEEDED))
    return Plan(
        environment=desired.name,
        kind=under_way.kind,
        reason=f"release {release.version} runs, and the run that began it was interrupted before it was recorded",
        release=release,
        former=under_way.former,
        steps=tuple(steps),
        retired=_ids(ended),
    )


def _abandon(desired: Desired, observed: Observed, under_way: UnderWay) -> Plan:
    """A deployment was interrupted, and another release is desired since: it is recorded, and planned anew then."""
    done = list(observed.shares) == [under_way.release] and under_way.kind != "probe"
    # It has not shown yet that it can be relied on: none of it is kept, nor sent requests while the next one comes.
    steps, retired = ([], ()) if done else _taken_back(desired, observed, under_way)
    return Plan(
        environment=desired.name,
        kind="undo",
        reason=f"the deployment of {under_way.release.version} was interrupted, and another release is desired since",
        release=observed.running if done else under_way.former,
        former=under_way.former,
        steps=(*steps, RecordStep(ending=Ending.SUCCEEDED if done else Ending.FAILED)),
        retired=_ids(retired),
    )


def _taken_back(desired: Desired, observed: Observed, under_way: UnderWay) -> tuple[list[Step], tuple[Replica, ...]]:
    """What gives the former release all requests again and ends the other one, and whom it ends."""
    former, failed = under_way.former, under_way.release
    if under_way.kind == "probe" or (former is None and failed in observed.shares):
        # Nothing else could answer: a release that failed is better than none.
        return [], ()
    retired = observed.of(failed)
    if former is None:
        return _ended(desired, retired), retired
    gone = tuple(each for each in observed.of(former) if not each.alive)
    if failed in observed.shares:
        retired = (*retired, *gone)
        return [*_put_back(desired, observed, former), *_ended(desired, retired)], retired
    alone = list(observed.shares) == [former] and observed.proxied
    if alone and any(each.alive and observed.routed(each) for each in observed.of(former)):
        return _ended(desired, retired), retired
    # Nobody answers users: the former release, or the proxy, had died before the other one came, or since.
    steps = [*_ended(desired, retired), *_put_back(desired, observed, former), *_ended(desired, gone)]
    return steps, (*retired, *gone)


def _put_back(desired: Desired, observed: Observed, former: RunningRelease) -> list[Step]:
    """What sends all requests to the former release again, which is waited for or started where need be."""
    runtime = desired.file.runtime
    steps: list[Step] = []
    there = [each for each in observed.of(former) if each.alive]
    if not there:
        steps += _started(desired, former, runtime.replicas)
    elif not any(each.usable for each in there):
        # It may have missed one look alone.
        steps.append(AwaitStep(release=former, seconds=runtime.start_seconds))
    return [*steps, RouteStep(release=former, listen=observed.listen or runtime.listen)]


def _ended(desired: Desired, replicas: tuple[Replica, ...]) -> list[Step]:
    return [StopStep(replicas=replicas, patience=desired.file.runtime.stop_seconds)] if replicas else []


def _started(desired: Desired, release: RunningRelease, missing: int) -> list[Step]:
    """Verified in any case; started and waited for where there are too few."""
    steps: list[Step] = [FetchStep(release=release)]
    if missing > 0:
        steps += [
            StartStep(release=release, number=missing),
            AwaitStep(release=release, seconds=desired.file.runtime.start_seconds),
        ]
    return steps


def _chosen(
    observed: Observed, release: RunningRelease, number: int
) -> tuple[tuple[Replica, ...], tuple[Replica, ...]]:
    """The replicas of a release that go on, those with requests first, and the others."""
    usable = sorted((each for each in observed.of(release) if each.usable), key=lambda each: not observed.routed(each))
    kept = tuple(usable[:number])
    return kept, tuple(each for each in observed.of(release) if each not in kept)


def _standby(desired: Desired, observed: Observed, *releases: RunningRelease) -> Collection[Replica]:
    """What is kept warm beside releases: the ready replicas of the one that was started last of all others."""
    if not desired.file.strategy.standby:
        return ()
    others = [each for each in observed.replicas if each.release not in releases and each.usable]
    if not others:
        return ()
    newest = max(others, key=lambda each: each.began).release
    return [each for each in others if each.release == newest]


def _ids(replicas: Sequence[Replica]) -> frozenset[str]:
    return frozenset(replica.id for replica in replicas)
