"""The quality of the service, from what it logged and from the figures of its replicas."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gitrain.monitoring.logged import LoggedPredictions, MonitoredRows
from gitrain.pipeline.monitoring_params import ServiceParams
from gitrain.serving.log_records import SCHEMA_VERSION
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = ["ServiceFigures", "judge_log", "judge_missing", "judge_service", "judge_stale", "service_figures"]

_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)(?:\s+-?\d+)?\s*$")
_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')
_REQUESTS, _SECONDS = "gitrain_requests_total", "gitrain_request_seconds_bucket"


@dataclass(frozen=True, kw_only=True)
class ServiceFigures:
    """What replicas counted since they started, added up.

    Attributes:
        replicas: how many answered.
        silent: how many did not.
        requests: answered requests, by status.
        seconds: requests that were answered within so many seconds, by the bound; the last bound is infinite.
    """

    replicas: int
    silent: int
    requests: Mapping[int, float]
    seconds: Mapping[float, float]

    @property
    def total(self) -> float:
        """All requests."""
        return sum(self.requests.values())

    @property
    def failed(self) -> float:
        """Requests that were answered with a 5xx."""
        return sum(count for status, count in self.requests.items() if status >= 500)

    def quantile(self, share: float) -> float | None:
        """The bound, in seconds, within which that share of requests was answered; None without any."""
        total = self.seconds.get(math.inf, 0.0)
        reached = [bound for bound, count in sorted(self.seconds.items()) if total and count >= share * total]
        return reached[0] if reached else None


def service_figures(texts: Iterable[str], *, silent: int = 0) -> ServiceFigures:
    """What some replicas say of themselves in Prometheus' text format. Lines that are none are passed over.

    Args:
        texts: one a replica.
        silent: replicas that should have answered and did not.
    """
    requests: dict[int, float] = defaultdict(float)
    seconds: dict[float, float] = defaultdict(float)
    replicas = 0
    for text in texts:
        replicas += 1
        for line in text.splitlines():
            found = _SAMPLE.match(line)
            if found is None or found["name"] not in (_REQUESTS, _SECONDS):
                continue
            labels = dict(_LABEL.findall(found["labels"] or ""))
            value, bound = _number(found["value"]), _number(labels.get("le", ""))
            if value is None or value < 0 or math.isinf(value):
                continue
            if found["name"] == _SECONDS and bound is not None:
                seconds[bound] += value
            elif found["name"] == _REQUESTS and labels.get("status", "").isdecimal():
                requests[int(labels["status"])] += value
    return ServiceFigures(replicas=replicas, silent=silent, requests=dict(requests), seconds=dict(seconds))


def judge_service(figures: ServiceFigures, params: ServiceParams) -> list[Verdict]:
    """Errors and latency. Without a request, or with a silent replica and no failure, nothing is decided.

    Where replicas should answer and none does, users get no answer either.
    """
    total, failed = figures.total, figures.failed
    share = failed / total if total else None
    counted: dict[str, Figure] = {
        "requests": total,
        "failed": failed,
        "share": share,
        "limit": params.errors,
        "replicas": figures.replicas,
        "silent": figures.silent,
    }
    silent = f"; {figures.silent} of {figures.replicas + figures.silent} replicas did not answer"
    said = silent if figures.silent else ""
    if figures.silent and not figures.replicas:
        errors = Outcome.FAILED, f"none of {figures.silent} replicas answered"
    elif share is not None and share > params.errors:
        errors = Outcome.FAILED, f"{share:.2%} of {total:,.0f} requests failed, and {params.errors:.2%} may{said}"
    elif share is None or figures.silent:
        errors = Outcome.INCONCLUSIVE, f"{failed:,.0f} of {total:,.0f} requests failed{said}"
    else:
        errors = Outcome.PASSED, f"{failed:,.0f} of {total:,.0f} requests failed"
    verdicts = [Verdict(name="service:errors", outcome=errors[0], reason=errors[1], figures=counted)]
    p50, p99 = (None if found is None else 1000 * found for found in (figures.quantile(0.5), figures.quantile(0.99)))
    latency: dict[str, Figure] = {"p50_ms": p50, "p99_ms": p99, "limit": params.p99_ms}
    if p99 is None:
        outcome, reason = Outcome.INCONCLUSIVE, f"no latency is known{said}"
    else:
        within = "beyond the longest that is counted" if math.isinf(p99) else f"within {p99:g} ms"
        reason = f"99 % of requests were answered {within}{said}"
        if params.p99_ms is None:
            outcome = Outcome.PASSED
        else:
            outcome = Outcome.PASSED if p99 <= params.p99_ms else Outcome.FAILED
            reason += f", and {params.p99_ms:g} ms may pass"
    return [*verdicts, Verdict(name="service:latency", outcome=outcome, reason=reason, figures=latency)]


def judge_log(logged: LoggedPredictions, rows: MonitoredRows, limit: float) -> list[Verdict]:
    """Whether the log of the window can be read, and whether its clock is ours.

    Args:
        logged: what the log holds.
        rows: those of the window.
        limit: the share of its lines that may be no records.
    """
    unreadable, total = rows.unreadable + rows.impossible, rows.lines
    figures: dict[str, Figure] = {
        "files": logged.files,
        "records": total,
        "torn": logged.torn,
        "unreadable": unreadable,
        "limit": limit,
        "other_version": rows.foreign,
        "repeated": rows.repeated,
    }
    notes = []
    if unreadable:
        notes.append(f"{unreadable:,} of {total:,} lines are no records of predictions, and {limit:.2%} may be")
    if rows.foreign:
        notes.append(f"{rows.foreign:,} records are of another version of the log than {SCHEMA_VERSION}")
    if logged.torn:
        notes.append(f"the last line of {logged.torn} files was cut short")
    if rows.repeated:
        notes.append(f"{rows.repeated:,} records stand twice")
    said = "".join(f"; {note}" for note in notes)
    if unreadable > limit * total:
        outcome, reason = Outcome.FAILED, "; ".join(notes)
    elif not rows.frame.height:
        outcome, reason = Outcome.INCONCLUSIVE, f"{total:,} records, and no prediction of the window among them{said}"
    elif rows.foreign > limit * total:
        outcome, reason = Outcome.INCONCLUSIVE, f"{said.removeprefix('; ')}: judge it on the commit of its release"
    else:
        outcome, reason = Outcome.PASSED, f"{rows.frame.height:,} predictions in {logged.files} files{said}"
    verdicts = [Verdict(name="service:log", outcome=outcome, reason=reason, figures=figures)]
    if rows.ahead and rows.farthest is not None:
        seconds = rows.farthest.total_seconds()
        verdicts.append(
            Verdict(
                name="service:clock",
                outcome=Outcome.FAILED,
                reason=f"{rows.ahead:,} predictions lie in the future, by {_length(seconds)} at most: a clock is wrong,"
                " of the service or here; they are left out",
                figures={"ahead": rows.ahead, "farthest_seconds": round(seconds, 3)},
            )
        )
    return verdicts


def judge_missing(current: Mapping[str, float], reference: Mapping[str, float], tolerated: float) -> Verdict:
    """Whether more feature values are not known than in training.

    Args:
        current: by feature, the share of values that are not known.
        reference: the largest that was usual in training: seasons leave instruments without a value for weeks.
        tolerated: how much more any may be.
    """
    if not current:
        return Verdict(name="service:missing", outcome=Outcome.INCONCLUSIVE, reason="there are no predictions")
    more = {name: share - reference.get(name, 0.0) for name, share in current.items()}
    worst = max(more, key=lambda name: (more[name], name))
    over = sorted((name for name, share in more.items() if share > tolerated), key=lambda name: -more[name])
    figures: dict[str, Figure] = {
        "share": sum(current.values()) / len(current),
        "feature": worst,
        "feature_share": current[worst],
        "reference_share": reference.get(worst, 0.0),
        "features": len(over),
    }
    if not over:
        reason = f"{figures['share']:.2%} of feature values are not known, as in training"
        return Verdict(name="service:missing", outcome=Outcome.PASSED, reason=reason, figures=figures)
    rest = f" and {len(over) - 1} more" if len(over) > 1 else ""
    reason = (
        f"{worst}{rest}: not known for {current[worst]:.1%} of predictions, and at most"
        f" {reference.get(worst, 0.0):.1%} in as many days of training"
    )
    return Verdict(name="service:missing", outcome=Outcome.FAILED, reason=reason, figures=figures)


def judge_stale(rows: MonitoredRows, limit: float) -> Verdict:
    """Whether too many predictions were made from stale features."""
    total = rows.frame.height
    if not total:
        return Verdict(name="service:stale", outcome=Outcome.INCONCLUSIVE, reason="there are no predictions")
    named = rows.frame["stale"]
    stale = named.filter(named.list.len() > 0)
    share = stale.len() / total
    names = stale.explode().drop_nulls().unique().sort().to_list()[:5]
    figures: dict[str, Figure] = {"stale": stale.len(), "share": share, "limit": limit}
    behind = f" (behind: {', '.join(str(name)[:80] for name in names)})" if names else ""
    return Verdict(
        name="service:stale",
        outcome=Outcome.FAILED if share > limit else Outcome.PASSED,
        reason=f"{share:.2%} of predictions were made from stale features{behind}, and {limit:.2%} may be",
        figures=figures,
    )


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return None if math.isnan(found) else found


def _length(seconds: float) -> str:
    for size, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds:.0f} seconds"
