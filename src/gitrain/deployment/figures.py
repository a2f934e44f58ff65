"""What replicas and their proxy were counted to do, from their own numbers: pure.

A canary counts requests, as they come from users who do not know of each other; the rows of one request may be alike.
So what services count by rows is told as a share of requests: the limits of `gitrain.deployment.sequential` hold for
means of any values between 0 and 1, of which a request's share of rows is one (the likelihood ratio is convex in the
value, and so no greater on average than that of a coin with the same mean).
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gitrain.deployment.sequential import Counted

__all__ = [
    "ProxiedRequest",
    "Sample",
    "Totals",
    "copied_figures",
    "parse_numbers",
    "proxied_figures",
    "served_figures",
]

#: A number of Prometheus: its name and its labels, sorted.
Sample = tuple[str, tuple[tuple[str, str], ...]]

_LINE = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)(?:\s+-?\d+)?")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*,?')
_COUNTED = ("_total", "_bucket", "_count")
# Where something was counted.
_OWN, _PROXIED, _COPIED = "own", "proxied", "copied"
_GAVE_UP = 499


def parse_numbers(text: str) -> dict[Sample, float]:
    """The counters of a text in Prometheus' format; lines that are none, and what is no counter, are passed over."""
    found: dict[Sample, float] = {}
    for line in text.splitlines():
        parts = _LINE.fullmatch(line.strip())
        if parts is None or not parts["name"].endswith(_COUNTED):
            continue
        try:
            value = float(parts["value"])
        except ValueError:
            continue
        if math.isfinite(value) and value >= 0:
            labels = tuple(sorted((name, value) for name, value in _LABEL.findall(parts["labels"] or "")))
            found[parts["name"], labels] = value
    return found


@dataclass
class Totals:
    """What counters have grown by since the first look, over several processes and their restarts."""

    _last: dict[str, dict[Sample, float]] = field(default_factory=dict)
    _grown: dict[Sample, float] = field(default_factory=dict)

    def look(self, process: str, numbers: Mapping[Sample, float]) -> None:
        """Add what a process counts now.

        Args:
            process: its name; what it counted before its first look is not added.
            numbers: its counters. One that is smaller than before began anew at zero.
        """
        last = self._last.get(process)
        if last is not None:
            for sample, value in numbers.items():
                before = last.get(sample, 0.0)
                grown = value - before if value >= before else value
                self._grown[sample] = self._grown.get(sample, 0.0) + grown
        self._last[process] = dict(numbers)

    @property
    def grown(self) -> Mapping[Sample, float]:
        """By how much each counter has grown, over all processes."""
        return self._grown


@dataclass(frozen=True, kw_only=True)
class ProxiedRequest:
    """A request of a user, as the proxy saw it.

    Attributes:
        port: of the replica that it was sent to; the last one, where it was offered to several.
        status: what the user was answered; 499 if the user had gone by then.
        seconds: from its arrival to the end of its answer.
    """

    port: int
    status: int
    seconds: float


def proxied_figures(requests: Iterable[ProxiedRequest], slow_seconds: float) -> dict[str, Counted]:
    """Errors, refusals and slow answers, as users saw them; empty where there were no requests.

    A user who left before the answer had none: that is an error, of both releases alike if users are impatient.
    """
    total = errors = refused = slow = 0
    for request in requests:
        total += 1
        error = request.status >= 500 or request.status in (0, _GAVE_UP)
        errors += error
        refused += not error and request.status >= 400
        slow += request.seconds > slow_seconds
    if not total:
        return {}
    return {
        f"errors:{_PROXIED}": Counted(errors, total),
        f"refused:{_PROXIED}": Counted(refused, total),
        f"slow:{_PROXIED}": Counted(slow, total),
    }


def served_figures(grown: Mapping[Sample, float], slow_seconds: float) -> dict[str, Counted]:
    """What services say of themselves, by the name of a canary's rule, copies included.

    Args:
        grown: by how much their counters have grown.
        slow_seconds: longer answers are slow. Services count answers in classes of duration: the limit is taken at the
            end of the class that it lies in, or of the last one that has an end.

    Returns:
        Counts of requests; empty where there were none.
    """
    statuses = _by_label(grown, "gitrain_requests_total", "status")
    total = round(sum(statuses.values()))
    found: dict[str, Counted] = {}
    if total:
        errors = sum(count for status, count in statuses.items() if status.startswith("5"))
        refused = sum(count for status, count in statuses.items() if status.startswith("4"))
        found[f"errors:{_OWN}"] = _counted(errors, total)
        found[f"refused:{_OWN}"] = _counted(refused, total)
    answers = round(sum(_by_label(grown, "gitrain_request_seconds_count", "le").values()))
    bounds = {float(bound): count for bound, count in _by_label(grown, "gitrain_request_seconds_bucket", "le").items()}
    ends = sorted(bound for bound in bounds if math.isfinite(bound))
    if answers and ends:
        end = next((bound for bound in ends if bound >= slow_seconds), ends[-1])
        found[f"slow:{_OWN}"] = _counted(answers - bounds[end], answers)
    decisions = _by_label(grown, "gitrain_decisions_total", "decision")
    rows = sum(decisions.values())
    answered = round(statuses.get("200", 0.0))
    if rows and answered:
        found["positive"] = _counted(decisions.get("true", 0.0) / rows * answered, answered)
        for rule, metric, label in (
            ("missing", "gitrain_missing_features_total", "feature"),
            ("stale", "gitrain_stale_histories_total", "history"),
        ):
            parts = _by_label(grown, metric, label)
            found |= {f"{rule}:{part}": _counted(count / rows * answered, answered) for part, count in parts.items()}
    return found


def copied_figures(grown: Mapping[Sample, float]) -> tuple[dict[str, Counted], dict[str, Counted]]:
    """What the services that sent copies say became of them.

    Args:
        grown: by how much the senders' counters have grown.

    Returns:
        What the release that got the copies did, by the name of a canary's rule; and the same of the senders, which had
        answered every request that they copied. Both are empty where there were none.
    """
    copies = _by_label(grown, "gitrain_shadow_copies_total", "outcome")
    differences = _by_label(grown, "gitrain_shadow_differences_total", "kind")
    rows = sum(_by_label(grown, "gitrain_shadow_rows_total", "").values())
    compared = round(copies.get("compared", 0.0))
    sent = round(sum(copies.get(outcome, 0.0) for outcome in ("compared", "failed", "refused")))
    if not sent:
        return {}, {}
    found = {
        f"errors:{_COPIED}": _counted(copies.get("failed", 0.0), sent),
        f"refused:{_COPIED}": _counted(copies.get("refused", 0.0), sent),
    }
    senders = dict.fromkeys(found, Counted(0, sent))
    if rows and compared:
        for rule, kind in (("disagreement", "decision"), ("distance", "probability")):
            found[rule] = _counted(differences.get(kind, 0.0) / rows * compared, compared)
    return found, senders


def _by_label(grown: Mapping[Sample, float], name: str, label: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for (metric, labels), value in grown.items():
        if metric == name:
            part = dict(labels).get(label, "")
            found[part] = found.get(part, 0.0) + value
    return found


def _counted(events: float, total: int) -> Counted:
    return Counted(min(total, max(0, round(events))), total)
