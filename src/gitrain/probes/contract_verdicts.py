"""Judge what a service answered to made-up and to hostile requests."""

from collections.abc import Mapping, Sequence

from gitrain.probes.fuzzing import Finding, FindingKind, FuzzedRequest, FuzzingRun, curl_of
from gitrain.probes.hostile import HostileReply
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = ["EXAMPLE", "judge_fuzzing", "judge_hostile", "judge_still_there", "judge_variants"]

#: What the figures begin with that are lines for a shell.
EXAMPLE = "example_"

_SHOWN = 3
_SAID = 120
_KINDS: Mapping[FindingKind, tuple[str, str, str]] = {
    "server-error": ("server-errors", "are answered with a 5xx or not at all", "no request is answered with a 5xx"),
    "undescribed": (
        "description",
        "get an answer that the description does not have",
        "statuses, content types and bodies are those that the description has",
    ),
    "accepted": (
        "refusals",
        "break the description and are accepted",
        "what breaks the description is refused",
    ),
}


def judge_fuzzing(run: FuzzingRun) -> list[Verdict]:
    """The verdicts on made-up requests: 5xx, answers that are not described, bad input accepted, good input refused."""
    figures: dict[str, Figure] = {
        "requests": run.requests,
        "seconds": round(run.seconds, 1),
        "rate": round(run.requests / run.seconds, 1) if run.seconds else None,
    }
    figures |= {f"status_{status}" if status else "no_answer": count for status, count in sorted(run.statuses.items())}
    return [*(_of_kind(kind, run, figures) for kind in _KINDS), _accepts(run)]


def _of_kind(kind: FindingKind, run: FuzzingRun, figures: Mapping[str, Figure]) -> Verdict:
    name, wrong, right = _KINDS[kind]
    found = [finding for finding in run.findings if finding.kind == kind]
    if found:
        told = dict(figures)
        for number, finding in enumerate(found[:_SHOWN]):
            told[f"{EXAMPLE}{number + 1}"] = curl_of(finding.request)
        count = sum(finding.count for finding in found)
        return _verdict(
            name, Outcome.FAILED, f"{count:,} of {run.requests:,} made-up requests {wrong}: {_shown(found)}", told
        )
    if not run.requests or not run.finished:
        return _verdict(name, Outcome.INCONCLUSIVE, "the requests did not come to their end", figures)
    return _verdict(name, Outcome.PASSED, f"{right}, in {run.requests:,} made-up requests", figures)


def _shown(found: Sequence[Finding]) -> str:
    texts = [
        f"{finding.operation}: {finding.title}{f' ({finding.details[:_SAID]})' if finding.details else ''}"
        for finding in found[:_SHOWN]
    ]
    rest = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return "; ".join(texts) + rest


def _accepts(run: FuzzingRun) -> Verdict:
    accepted, sent = run.accepted
    figures: dict[str, Figure] = {"sent": sent, "accepted": accepted}
    if not sent:
        return _verdict("acceptance", Outcome.INCONCLUSIVE, "no body was made that keeps the description", figures)
    if not accepted:
        reason = f"none of {sent:,} requests that keep the description was accepted"
        return _verdict("acceptance", Outcome.FAILED, reason, figures)
    return _verdict(
        "acceptance",
        Outcome.PASSED,
        f"{accepted:,} of {sent:,} requests that keep the description were accepted; rules over several fields may "
        "refuse the others",
        figures,
    )


def judge_hostile(replies: Sequence[HostileReply]) -> Verdict:
    """Whether what is no request at all was refused, without an error inside of the service."""
    wrong = [(each, why) for each in replies if (why := _wrong(each))]
    figures: dict[str, Figure] = {"requests": len(replies), "wrong": len(wrong)}
    if wrong:
        shown = "; ".join(f"{each.request.name}: {why}" for each, why in wrong[:_SHOWN])
        rest = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        return _verdict("hostile", Outcome.FAILED, f"{shown}{rest}", figures)
    return _verdict("hostile", Outcome.PASSED, f"{len(replies)} hostile requests were refused or answered", figures)


def _wrong(each: HostileReply) -> str:
    if each.hung:
        return "neither an answer nor the end of the connection"
    if each.reply is None:
        return ""
    # 501 and 505 say that a method or a version is not known: no error inside.
    if each.reply.status >= 500 and each.reply.status not in {501, 505}:
        return f"answered with {each.reply.status}"
    if b"Traceback (most recent call last)" in each.reply.body:
        return "the answer shows a traceback"
    if each.request.refused and each.reply.status < 400:
        return f"accepted with {each.reply.status}"
    return ""


def judge_variants(statuses: Mapping[int, int], failing: Sequence[FuzzedRequest]) -> Verdict:
    """Whether known rows with changes are predicted or refused, and never end in an error.

    Args:
        statuses: how many answers there were of each status; 0 stands for no answer.
        failing: requests that were answered with a 5xx or not at all, or with a prediction that is none.
    """
    count, accepted = sum(statuses.values()), statuses.get(200, 0)
    figures: dict[str, Figure] = {"requests": count, "accepted": accepted, "wrong": len(failing)}
    if failing:
        smallest = min(failing, key=lambda request: len(request.body or b""))
        figures[f"{EXAMPLE}1"] = curl_of(smallest)
        reason = f"{len(failing):,} of {count:,} changed known rows end in an error"
        return _verdict("variants", Outcome.FAILED, reason, figures)
    if not accepted:
        reason = f"none of {count:,} changed known rows was accepted: what predicts was not tried"
        return _verdict("variants", Outcome.INCONCLUSIVE, reason, figures)
    reason = f"of {count:,} changed known rows {accepted:,} were predicted, and the others refused"
    return _verdict("variants", Outcome.PASSED, reason, figures)


def judge_still_there(problem: str, *, asked: str) -> Verdict:
    """Whether the service answers a good request.

    Args:
        problem: why not; empty if it does.
        asked: when it was asked, e.g. ``after all of them``.
    """
    if problem:
        return _verdict("still-there", Outcome.FAILED, f"a good request is not answered {asked}: {problem}", {})
    return _verdict("still-there", Outcome.PASSED, f"a good request is answered {asked}", {})


def _verdict(name: str, outcome: Outcome, reason: str, figures: Mapping[str, Figure]) -> Verdict:
    return Verdict(name=f"contract:{name}", outcome=outcome, reason=reason, figures=figures)
