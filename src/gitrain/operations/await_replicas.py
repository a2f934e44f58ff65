"""Wait for replicas: until they are ready, and until they have taken up what they were sent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gitrain.deployment.deployer import Deployer
from gitrain.deployment.replicas import Replica
from gitrain.deployment.steps import AwaitStep, replicas_in_words
from gitrain.verdicts import Outcome, Verdict

__all__ = ["Waiting"]

_BETWEEN = 0.1
# A request that the proxy has chosen a replica for has reached it by then.
_DRAINING = 0.5


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Looks at replicas again and again.

    Attributes:
        deployer: looks at them.
        seconds: seconds that only grow.
        pause: waits some seconds.
    """

    deployer: Deployer
    seconds: Callable[[], float]
    pause: Callable[[float], None]

    def until_ready(self, step: AwaitStep, replicas: Sequence[Replica]) -> tuple[list[Replica], Verdict]:
        """Wait until every replica is ready.

        Args:
            step: which release they serve, and for how long they are waited for.
            replicas: those that were started.

        Returns:
            The replicas as they were seen last, in the same order, and the verdict ``deploy:ready``: FAILED as soon as
            one of them has ended, or the time is over.
        """
        name, begun = "deploy:ready", self.seconds()
        found, left = list(replicas), list(replicas)
        while left:
            seen = [self.deployer.look(replica) for replica in left]
            gone = next((replica for replica in seen if not replica.alive), None)
            late = self.seconds() - begun > step.seconds
            left = [replica for replica in seen if not replica.ready]
            found = [next((s for s in seen if s.id == each.id), each) for each in found]
            if gone is not None or (late and left):
                bad = gone or left[0]
                what = "ended by itself" if gone is not None else f"was not ready within {step.seconds:g} s"
                log = self.deployer.log(bad)
                said = f"; its log ends with: {log}" if log else ""
                reason = f"a replica of {step.release.version} {what}{said}"
                return found, Verdict(name=name, outcome=Outcome.FAILED, reason=reason, figures={"port": bad.port})
            if left:
                self.pause(_BETWEEN)
        seconds = round(self.seconds() - begun, 2)
        reason = f"all that was started is ready after {seconds:g} s"
        figures = {"seconds": seconds, "limit": step.seconds, "replicas": len(found)}
        return found, Verdict(name=name, outcome=Outcome.PASSED, reason=reason, figures=figures)

    def until_one_is_ready(self, step: AwaitStep, replicas: Sequence[Replica]) -> tuple[list[Replica], Verdict]:
        """Wait until any of the replicas is ready: those that are there, and were not a moment ago.

        Args:
            step: which release they serve, and for how long they are waited for.
            replicas: of that release.

        Returns:
            The replicas as they were seen last, in the same order, and the verdict ``deploy:ready``: FAILED as soon as
            none of them lives, or the time is over.
        """
        name, begun = "deploy:ready", self.seconds()
        while True:
            seen = [self.deployer.look(replica) for replica in replicas]
            waited = self.seconds() - begun
            usable = [replica for replica in seen if replica.usable]
            if usable:
                reason = f"{replicas_in_words(len(usable))} of {step.release.version} can be used after {waited:.2f} s"
                return seen, Verdict(name=name, outcome=Outcome.PASSED, reason=reason)
            if waited > step.seconds or not any(replica.alive for replica in seen):
                reason = f"no replica of {step.release.version} could be used within {waited:.2f} s"
                return seen, Verdict(name=name, outcome=Outcome.FAILED, reason=reason)
            self.pause(_BETWEEN)

    def until_drained(self, replicas: Sequence[Replica], patience: float) -> None:
        """Let replicas that had requests until now take up what the proxy has sent them.

        A service that is told to end closes connections on which it has read nothing yet. If it is slow, many requests
        wait there; whoever is answered after them knows that none does any more.
        """
        left, begun = list(replicas), self.seconds()
        if left:
            self.pause(_DRAINING)
        while left and self.seconds() - begun < patience:
            seen = [self.deployer.look(replica) for replica in left]
            left = [replica for replica in seen if replica.alive and not replica.ready]
            if left:
                self.pause(_BETWEEN)
