"""Judge what a service says of itself and of rows whose answers are known."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gitrain.probes.client import Reply
from gitrain.probes.payloads import missing_in, predictions_in
from gitrain.serving.manifest import KnownAnswer, KnownAnswers
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = ["KnownReply", "judge_known", "judge_ready", "judge_release", "read_known"]

_SHOWN = 160


@dataclass(frozen=True, kw_only=True)
class KnownReply:
    """What a service answered to a row whose answer is known.

    Attributes:
        number: of the row.
        known: the row.
        score: the probability that was answered; None if there was none.
        problem: why there was none, or why it cannot be compared.
        comparable: whether the service knew the features that the pipeline knew.
    """

    number: int
    known: KnownAnswer
    score: float | None
    problem: str = ""
    comparable: bool = True

    @property
    def difference(self) -> float:
        """How far the two scores are apart; infinite where there is none."""
        return abs(self.score - self.known.score) if self.score is not None else math.inf


def read_known(number: int, known: KnownAnswer, reply: Reply) -> KnownReply:
    """Read the answer to a known row."""
    predictions = predictions_in(reply.body)
    if reply.status != 200 or predictions is None or len(predictions) != 1:
        said = reply.body[:_SHOWN].decode(errors="replace")
        return KnownReply(number=number, known=known, score=None, problem=f"answered with {reply.status}: {said}")
    score = predictions[0].get("probability")
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        return KnownReply(number=number, known=known, score=None, problem=f"the probability is {str(score)[:40]}")
    lost = sorted(set(map(str, _list(predictions[0], "missing"))) - missing_in(known))
    stale = sorted(map(str, _list(predictions[0], "stale")))
    problem = "; ".join(
        text
        for text in (
            f"missing: {', '.join(lost[:5])}" if lost else "",
            f"stale: {', '.join(stale[:5])}" if stale else "",
        )
        if text
    )
    return KnownReply(number=number, known=known, score=float(score), problem=problem, comparable=not problem)


def _list(prediction: Mapping[str, Any], name: str) -> list[Any]:
    value = prediction.get(name)
    return value if isinstance(value, list) else []


def judge_ready(seconds: float | None, limit: float, *, said: str) -> Verdict:
    """Whether the service became ready in time.

    Args:
        seconds: until it was ready; None if it never was.
        limit: seconds.
        said: its last answer, or why there was none.
    """
    figures: dict[str, Figure] = {"seconds": None if seconds is None else round(seconds, 3), "limit": limit}
    if seconds is None:
        reason = f"the service was not ready within {limit:g} s: {said}"
        return Verdict(name="smoke:ready", outcome=Outcome.FAILED, reason=reason, figures=figures)
    reason = f"the service was ready after {seconds:.1f} s"
    return Verdict(name="smoke:ready", outcome=Outcome.PASSED, reason=reason, figures=figures)


def judge_release(reply: Reply, facts: Mapping[str, object] | None, expected: Mapping[str, object]) -> Verdict:
    """Whether the service says that it is the release which is expected.

    Args:
        reply: what `GET /release` answered.
        facts: the same, read; None if it is no JSON object.
        expected: facts that have to be there, such as ``version``; with none any will do.
    """

    def verdict(outcome: Outcome, reason: str) -> Verdict:
        figures: dict[str, Figure] = {name: _figure((facts or {}).get(name)) for name in ("version", "commit")}
        return Verdict(name="smoke:release", outcome=outcome, reason=reason, figures=figures)

    if reply.status != 200 or facts is None:
        said = reply.body[:_SHOWN].decode(errors="replace")
        return verdict(Outcome.FAILED, f"GET /release answered with {reply.status}: {said}")
    for name, value in expected.items():
        if facts.get(name) != value:
            return verdict(
                Outcome.FAILED, f"/release says that {name} is {str(facts.get(name))[:80]!r}, and {value!r} is expected"
            )
    version = str(facts.get("version"))[:40]
    if not expected:
        return verdict(
            Outcome.PASSED, f"the service says that it is {version}; no release was named to compare it with"
        )
    return verdict(Outcome.PASSED, f"the service says that it is {version}, as expected")


def _figure(value: object) -> Figure:
    return value if isinstance(value, str | int | float) else None


def judge_known(replies: Sequence[KnownReply], known: KnownAnswers) -> Verdict:
    """Whether the rows got the answers that are known.

    Args:
        replies: one a row.
        known: the rows, and the largest difference that counts as equal.
    """
    wrong = [
        each for each in replies if each.score is None or (each.comparable and not each.difference <= known.tolerance)
    ]
    compared = [each for each in replies if each.score is not None and each.comparable]
    figures: dict[str, Figure] = {
        "rows": len(replies),
        "compared": len(compared),
        "wrong": len(wrong),
        "largest_difference": max((each.difference for each in compared), default=None),
        "tolerance": known.tolerance,
    }

    def verdict(outcome: Outcome, reason: str) -> Verdict:
        return Verdict(name="smoke:known-answers", outcome=outcome, reason=reason, figures=figures)

    if wrong:
        first = max(wrong, key=lambda each: each.difference)
        said = first.problem if first.score is None else f"{first.score:.9g}, and {first.known.score:.9g} is known"
        return verdict(
            Outcome.FAILED,
            f"{len(wrong)} of {len(replies)} known rows get a wrong answer: row {first.number} "
            f"({_row(first.known.inputs)}): {said}",
        )
    if not compared:
        first = replies[0]
        return verdict(
            Outcome.INCONCLUSIVE,
            f"no known row can be compared: the service lacks features that the pipeline had ({first.problem}): "
            "run `gitrain features materialize` on its store",
        )
    others = len(replies) - len(compared)
    rest = f"; {others} could not be compared, as the service lacks features of theirs" if others else ""
    return verdict(Outcome.PASSED, f"{len(compared)} known rows get their answers{rest}")


def _row(inputs: Mapping[str, Any]) -> str:
    text = ", ".join(f"{name}={value}" for name, value in inputs.items())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
