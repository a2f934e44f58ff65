"""What is asked of a release before it may run somewhere, and how it is judged."""

from collections.abc import Mapping, Sequence

import numpy as np

from gitrain.checks.catalogue import CheckDefinition
from gitrain.verdicts import Figure, Outcome, Verdict, worst

__all__ = [
    "CHECKS",
    "CONTRACT",
    "CORRECT",
    "DRAINS",
    "FITS",
    "IDENTITY",
    "LOAD",
    "MEMORY",
    "MODEL_LOADS",
    "STARTS",
    "judge_drain",
    "judge_fits",
    "judge_identity",
    "judge_memory",
    "judge_model_loads",
    "judge_starts",
    "summed_up",
    "without_service",
]

STARTS = "service:starts"
IDENTITY = "service:identity"
FITS = "service:fits"
MODEL_LOADS = "service:model-loads"
CONTRACT = "service:contract"
CORRECT = "service:correct"
LOAD = "service:load"
MEMORY = "service:memory"
DRAINS = "service:drains"

_CATCHES = {
    STARTS: "a release that ends by itself, or is not ready within the environment's limit",
    IDENTITY: "a service that says it is another release, model or commit than the one that was started",
    FITS: "another Python, machine or library than the release was built for",
    MODEL_LOADS: "a model that takes longer to read than the environment allows",
    CONTRACT: "a 5xx, an answer that the service's own description does not have, or bad input that is accepted",
    CORRECT: "a score over HTTP that is not the one which was judged",
    LOAD: "latency, pauses, errors or refusals beyond the environment's limits at its rate",
    MEMORY: "more memory than the environment declares, at rest or under load",
    DRAINS: "a service that loses requests when it is told to stop, or does not stop",
}

CHECKS = tuple(CheckDefinition(name=name, group="service", catches=catches) for name, catches in _CATCHES.items())

_SHOWN = 3
# Figures that mean something beside their own verdict only.
_OF_ONE = ("status_", "limit", "share", "lag_ms")
_MIB = 2**20


def judge_starts(seconds: float | None, limit: float, *, said: str) -> Verdict:
    """Whether the release became ready in time.

    Args:
        seconds: from its start until it was ready; None if it never was.
        limit: seconds.
        said: its last answer, or the end of its log.
    """
    figures: dict[str, Figure] = {"seconds": None if seconds is None else round(seconds, 3), "limit": limit}
    if seconds is None:
        return _verdict(STARTS, Outcome.FAILED, f"it was not ready within {limit:g} s: {said}", figures)
    return _verdict(STARTS, Outcome.PASSED, f"it was ready after {seconds:.1f} s; {limit:g} are allowed", figures)


def judge_identity(facts: Mapping[str, object] | None, expected: Mapping[str, object]) -> Verdict:
    """Whether the service says that it is what was started.

    Args:
        facts: what `GET /release` says; None if it says nothing that can be read.
        expected: what it has to say.
    """
    if facts is None:
        return _verdict(IDENTITY, Outcome.FAILED, "GET /release says nothing that can be read", {})
    wrong = [name for name, value in expected.items() if facts.get(name) != value]
    figures: dict[str, Figure] = {"facts": len(expected), "wrong": len(wrong), "version": _text(facts.get("version"))}
    if wrong:
        said = "; ".join(
            f"{name} is {_text(facts.get(name))!r}, and {_text(expected[name])!r} was started"
            for name in wrong[:_SHOWN]
        )
        return _verdict(IDENTITY, Outcome.FAILED, f"/release says that {said}", figures)
    if not expected:
        return _verdict(IDENTITY, Outcome.INCONCLUSIVE, "nothing is known of what was started", figures)
    return _verdict(IDENTITY, Outcome.PASSED, f"/release says what was started, in {len(expected)} facts", figures)


def judge_fits(
    facts: Mapping[str, object] | None, python: str, machine: str, libraries: Mapping[str, frozenset[str]]
) -> Verdict:
    """Whether the service runs with what it was built for.

    Args:
        facts: what `GET /release` says, with ``python``, ``machine`` and ``libraries``.
        python: the minor version that it was built for.
        machine: the architecture.
        libraries: by name, the versions that its requirements allow.
    """
    said = facts or {}
    loaded = said.get("libraries")
    if not isinstance(said.get("python"), str) or not isinstance(loaded, Mapping):
        return _verdict(FITS, Outcome.INCONCLUSIVE, "GET /release says nothing of its Python and libraries", {})
    wrong = []
    runs = ".".join(str(said["python"]).split(".")[:2])
    if runs != python:
        wrong.append(f"it runs on Python {runs}, and was built for {python}")
    if said.get("machine") != machine:
        wrong.append(f"it runs on {_text(said.get('machine'))}, and was built for {machine}")
    compared = {str(name).lower(): str(version) for name, version in loaded.items() if str(name).lower() in libraries}
    for name, version in sorted(compared.items()):
        if version not in libraries[name]:
            wrong.append(f"{name} is {version[:40]}, and was built with {' or '.join(sorted(libraries[name]))}")
    figures: dict[str, Figure] = {"python": runs, "machine": _text(said.get("machine")), "libraries": len(compared)}
    if wrong:
        return _verdict(FITS, Outcome.FAILED, "; ".join(wrong[:_SHOWN]), figures)
    return _verdict(
        FITS, Outcome.PASSED, f"Python {python} on {machine}, and {len(compared)} libraries as they are locked", figures
    )


def judge_model_loads(facts: Mapping[str, object] | None, limit: float) -> Verdict:
    """Whether the model is read in time.

    Args:
        facts: what `GET /release` says, with ``model_load_seconds``.
        limit: seconds.
    """
    seconds = (facts or {}).get("model_load_seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return _verdict(MODEL_LOADS, Outcome.INCONCLUSIVE, "GET /release does not say how long it took", {})
    figures: dict[str, Figure] = {"seconds": seconds, "limit": limit}
    outcome = Outcome.PASSED if seconds <= limit else Outcome.FAILED
    return _verdict(MODEL_LOADS, outcome, f"the model was read in {seconds:g} s; {limit:g} are allowed", figures)


def judge_memory(total: int | None, limit: int, *, processes: int = 0) -> Verdict:
    """Whether the service kept to its memory.

    Args:
        total: the most that all of its processes took, in bytes; None where that is not known.
        limit: bytes.
        processes: how many there were.
    """
    if total is None:
        reason = "this machine does not say how much memory a process takes: run it on Linux"
        return _verdict(MEMORY, Outcome.INCONCLUSIVE, reason, {"limit_mib": round(limit / _MIB, 1)})
    figures: dict[str, Figure] = {
        "mib": round(total / _MIB, 1),
        "limit_mib": round(limit / _MIB, 1),
        "processes": processes,
    }
    outcome = Outcome.PASSED if total <= limit else Outcome.FAILED
    reason = f"{processes} processes took {total / _MIB:,.0f} MiB at most; {limit / _MIB:,.0f} are declared"
    return _verdict(MEMORY, outcome, reason, figures)


def judge_drain(
    statuses: "np.ndarray[tuple[int], np.dtype[np.int16]]",
    slow_answered: bool,
    *,
    exit_code: int,
    seconds: float,
    limit: float,
    forced: bool,
    under_load: bool = True,
) -> Verdict:
    """Whether the service stopped without losing what it had begun.

    Args:
        statuses: of the requests that were sent before it was told to stop, shape (requests,); 0: no answer.
        slow_answered: whether a request whose body was still on its way then was answered.
        exit_code: of the service.
        seconds: it took to stop.
        limit: seconds.
        forced: whether it had to be killed.
        under_load: whether more requests were due when it was told to stop.
    """
    # A refusal is an answer too: nobody waits in vain, and load is judged elsewhere.
    lost = int((~np.isin(statuses, (200, 429))).sum())
    figures: dict[str, Figure] = {
        "requests": len(statuses),
        "lost": lost + (not slow_answered),
        "seconds": round(seconds, 3),
        "limit": limit,
        "exit_code": exit_code,
    }
    wrong = []
    if forced:
        wrong.append(f"it did not stop within {limit:g} s and had to be killed")
    elif exit_code != 0:
        wrong.append(f"it ended with {exit_code}")
    if lost:
        wrong.append(f"{lost:,} of {len(statuses):,} requests that were sent before got no answer, or an error")
    if not slow_answered:
        wrong.append("a request whose body was on its way got no answer")
    if wrong:
        told = f"told to stop{' under load' if under_load else ''}"
        return _verdict(DRAINS, Outcome.FAILED, f"{told}: {'; '.join(wrong)}", figures)
    if not len(statuses):
        return _verdict(DRAINS, Outcome.INCONCLUSIVE, "no request was under way when it was told to stop", figures)
    if not under_load:
        reason = "no more requests were due when it was told to stop: look at what kept it, or this machine, so long"
        return _verdict(DRAINS, Outcome.INCONCLUSIVE, reason, figures)
    reason = f"told to stop under load, it answered all {len(statuses):,} requests and ended after {seconds:.1f} s"
    return _verdict(DRAINS, Outcome.PASSED, reason, figures)


def summed_up(name: str, verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict of several: the worst outcome, with the reasons of those that did not pass, and all figures."""
    outcome = worst(verdict.outcome for verdict in verdicts)
    told = [verdict for verdict in verdicts if verdict.outcome is not Outcome.PASSED] or list(verdicts)
    ordered = sorted(told, key=lambda verdict: verdict.outcome is not outcome)
    rest = f"; and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    figures: dict[str, Figure] = {}
    for verdict in verdicts:
        # What several count, the first has counted; limits without the name of what they bound say nothing.
        for key, value in verdict.figures.items():
            if not key.startswith(_OF_ONE):
                figures.setdefault(key, value)
    return Verdict(
        name=name,
        outcome=outcome,
        reason="; ".join(verdict.reason for verdict in ordered[:_SHOWN]) + rest,
        figures=figures,
    )


def without_service(names: Sequence[str], reason: str) -> list[Verdict]:
    """The verdicts on what could not be asked, since there was no service to ask."""
    return [_verdict(name, Outcome.INCONCLUSIVE, reason, {}) for name in names]


def _text(value: object) -> str | None:
    return None if value is None else str(value)[:80]


def _verdict(name: str, outcome: Outcome, reason: str, figures: Mapping[str, Figure]) -> Verdict:
    return Verdict(name=name, outcome=outcome, reason=reason, figures=figures)
