"""Watch a canary: look at what both releases do, once a second, and judge it until it fails or its time is over."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from gitrain.deployment.canary import judge_canary, rules_of
from gitrain.deployment.deployer import Stretch
from gitrain.deployment.figures import (
    ProxiedRequest,
    Sample,
    Totals,
    copied_figures,
    parse_numbers,
    proxied_figures,
    served_figures,
)
from gitrain.deployment.replicas import Replica
from gitrain.deployment.sequential import Counted
from gitrain.environments.document import Environment, Strategy
from gitrain.verdicts import Outcome, Verdict, worst

__all__ = ["CanaryWatch", "requests_needed"]

_BETWEEN = 1.0
_TOLD_EVERY = 10.0
# Longer than a look at a busy replica takes, and than a replica is not ready for while its store is away; and longer
# than the proxy takes to write a request down.
_SILENT_SECONDS = 10.0


def requests_needed(strategy: Strategy, percent: int) -> int:
    """How many requests the new release has to have answered by the end of a step, since the canary began.

    The last step asks for all of `judge.requests`; those before it for the part that would have come by then if
    requests came evenly, so that a canary with enough traffic is never prolonged.
    """
    copied = strategy.shadow.percent if strategy.shadow is not None else 0
    parts = [(0, strategy.shadow.seconds)] if strategy.shadow is not None else []
    parts += [(step.percent, step.seconds) for step in strategy.steps]
    seen = [((share + copied * (100 - share) / 100) * seconds, share) for share, seconds in parts]
    total = sum(weight for weight, _ in seen)
    by_then = sum(weight for weight, share in seen if share <= percent)
    return math.ceil(strategy.judge.requests * (by_then / total)) if total else strategy.judge.requests


@dataclass
class CanaryWatch:
    """A `gitrain.deployment.deployer.Watch`: what it has counted goes on from one stretch of a canary to the next.

    Attributes:
        file: the environment's file: what is judged, and how.
        numbers: what a replica says of itself, as Prometheus reads it; None if it does not answer.
        alive: whether a replica's process runs.
        proxied: while its context lasts, gives the requests that the proxy saw since it was last asked.
        seconds: seconds that only grow.
        pause: waits some seconds.
        progress: is told what goes on.
    """

    file: Environment
    numbers: Callable[[Replica], str | None]
    alive: Callable[[Replica], bool]
    proxied: Callable[[], AbstractContextManager[Callable[[], Sequence[ProxiedRequest]]]]
    seconds: Callable[[], float]
    pause: Callable[[float], None]
    progress: Callable[[str], None]
    _counts: "_Counts | None" = field(default=None, init=False)

    def __call__(self, stretch: Stretch) -> Sequence[Verdict]:
        """Watch one stretch.

        Returns:
            Of each rule how it stands: at the first failure, else at the end of the stretch, which is prolonged by
            `judge.wait_seconds` at most while there are too few requests to pass.
        """
        strategy = self.file.strategy
        challenger = frozenset(replica.id for replica in stretch.challenger)
        if self._counts is None or self._counts.challenger != challenger:
            self._counts = _Counts(challenger)
        counts, judge = self._counts, strategy.judge
        needed = requests_needed(strategy, stretch.percent)
        begun = told = self.seconds()
        before, logged = counts.answered, 0
        with self.proxied() as requests:
            while True:
                seen = requests()
                logged += len(seen)
                silent = self._look(counts, stretch, seen)
                verdicts = judge_canary(
                    counts.of_challenger(self.file.slow_seconds),
                    counts.of_champion(self.file.slow_seconds),
                    rules_of(judge.limits),
                    requests=needed,
                    alpha=judge.alpha,
                )
                lasted = self.seconds() - begun
                # Who asks a release of which the proxy saw nothing is judged by what that says of itself alone.
                unseen = bool(stretch.percent and not logged and counts.answered > before)
                if unseen:
                    verdicts = [_unseen(stretch, counts.answered - before), *verdicts]
                outcome = worst(verdict.outcome for verdict in verdicts)
                if silent is not None:
                    return [silent, *verdicts]
                if outcome is Outcome.FAILED or (lasted >= stretch.seconds and outcome is Outcome.PASSED):
                    return verdicts
                # Waiting for more requests would show no more of them.
                if lasted >= stretch.seconds + min(judge.wait_seconds, _SILENT_SECONDS if unseen else math.inf):
                    return verdicts or [_nothing(stretch, lasted)]
                if self.seconds() - told >= _TOLD_EVERY:
                    told = self.seconds()
                    self.progress(_told(stretch, lasted, needed, verdicts))
                self.pause(_BETWEEN)

    def _look(self, counts: "_Counts", stretch: Stretch, requests: Sequence[ProxiedRequest]) -> Verdict | None:
        """Count anew; a verdict if a replica of the new release is gone."""
        ports = {replica.port for replica in stretch.challenger}
        counts.proxied(requests, ports, self.file.slow_seconds)
        now = self.seconds()
        for replica in (*stretch.champion, *stretch.challenger):
            text = self.numbers(replica)
            if text is not None:
                counts.look(replica, parse_numbers(text))
                counts.silent.pop(replica.id, None)
                continue
            since = counts.silent.setdefault(replica.id, now)
            if replica.id not in counts.challenger:
                continue
            if not self.alive(replica):
                return _gone(replica, "ended by itself")
            if now - since >= _SILENT_SECONDS:
                return _gone(replica, f"has not answered for {now - since:.0f} s")
        return None


@dataclass
class _Counts:
    """What was counted since a canary began."""

    challenger: frozenset[str]
    silent: dict[str, float] = field(default_factory=dict)
    _new: Totals = field(default_factory=Totals)
    _old: Totals = field(default_factory=Totals)
    _seen_new: dict[str, Counted] = field(default_factory=dict)
    _seen_old: dict[str, Counted] = field(default_factory=dict)

    @property
    def answered(self) -> int:
        """The requests that the new release says it has answered, copies included."""
        statuses = (count for (name, _), count in self._new.grown.items() if name == "gitrain_requests_total")
        return round(sum(statuses))

    def look(self, replica: Replica, numbers: Mapping[Sample, float]) -> None:
        (self._new if replica.id in self.challenger else self._old).look(replica.id, numbers)

    def proxied(self, requests: Sequence[ProxiedRequest], ports: set[int], slow_seconds: float) -> None:
        for seen, new in ((self._seen_new, True), (self._seen_old, False)):
            mine = [request for request in requests if (request.port in ports) is new]
            for name, counted in proxied_figures(mine, slow_seconds).items():
                seen[name] = seen.get(name, Counted(0, 0)) + counted

    def of_challenger(self, slow_seconds: float) -> dict[str, Counted]:
        # What became of the copies is known to who sent them.
        copies, _ = copied_figures(self._old.grown)
        return served_figures(self._new.grown, slow_seconds) | self._seen_new | copies

    def of_champion(self, slow_seconds: float) -> dict[str, Counted]:
        _, copies = copied_figures(self._old.grown)
        return served_figures(self._old.grown, slow_seconds) | self._seen_old | copies


def _gone(replica: Replica, what: str) -> Verdict:
    return Verdict(
        name="canary:replicas",
        outcome=Outcome.FAILED,
        reason=f"a replica of {replica.release.version} {what}",
        figures={"port": replica.port},
    )


def _nothing(stretch: Stretch, lasted: float) -> Verdict:
    whose = "copies of requests" if stretch.percent == 0 else "requests"
    return Verdict(
        name="canary:requests",
        outcome=Outcome.INCONCLUSIVE,
        reason=f"no {whose} came in {lasted:.0f} s that it could be judged by",
    )


def _unseen(stretch: Stretch, answered: int) -> Verdict:
    name = stretch.environment
    return Verdict(
        name="canary:proxy",
        outcome=Outcome.INCONCLUSIVE,
        reason=f"the proxy wrote down no request, and the new release says that it answered {answered:,}: a proxy of "
        f"an older version does not log; restart it: `gitrain deploy stop {name}`, `gitrain deploy apply {name}`",
        figures={"answered": answered},
    )


def _told(stretch: Stretch, lasted: float, needed: int, verdicts: Sequence[Verdict]) -> str:
    counts = [verdict.figures.get("requests") for verdict in verdicts]
    answered = max((count for count in counts if isinstance(count, int)), default=0)
    late = f", prolonged for want of requests: {needed:,} are needed" if lasted > stretch.seconds else ""
    return (
        f"{stretch.environment}: canary {stretch.percent} % for {lasted:.0f} s: "
        f"{answered:,} requests answered, no rule broken{late}"
    )
