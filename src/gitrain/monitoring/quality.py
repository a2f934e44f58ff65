"""The quality of the service, from what it logged and from the figures of its replicas."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from gitrain.block_statistics import Floats
from gitrain.monitoring.logged import DAY, LoggedPredictions, MonitoredRows
from gitrain.monitoring.recent import WorstDay, rows_by_day, worst_day
from gitrain.monitoring.report import FeatureDrift
from gitrain.pipeline.monitoring_params import ServiceParams
from gitrain.serving.log_records import SCHEMA_VERSION
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = ["ServiceFigures", "judge_log", "judge_missing", "judge_service", "judge_stale", "service_figures"]

_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)(?:\s+-?\d+)?\s*$")
_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')
# Of counts by day: names that no feature has, since theirs begin with the other one.
_ROWS, _OF = "rows", "of:"
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


def judge_missing(features: Sequence[FeatureDrift], columns: pl.DataFrame, day: pl.Series, tolerated: float) -> Verdict:
    """Whether more feature values are not known than in training, in all or on a single day.

    What is compared with is the largest share that was usual in training: seasons leave instruments without a value for
    weeks.

    Args:
        features: what `feature_drift` found of them.
        columns: their values.
        day: of each row, as `MonitoredRows` has it.
        tolerated: how much more of any may not be known.
    """
    name = "service:missing"
    if not features:
        return Verdict(name=name, outcome=Outcome.INCONCLUSIVE, reason="there are no predictions")
    usual = {each.name: _known(each.usual_missing, each.reference_missing) for each in features}
    more = {each.name: each.missing - usual[each.name] for each in features}
    worst = max(features, key=lambda each: (more[each.name], each.name))
    over = sorted((each for each, share in more.items() if share > tolerated), key=lambda each: -more[each])
    days = _unknown_by_day(features, columns, day)
    limits = {each.name: tolerated + max(usual[each.name], each.usual_missing_day or 0.0) for each in features}
    single = {each.name: worst_day(*days[each.name], limits[each.name]) for each in features if each.name in days}
    figures: dict[str, Figure] = {
        "share": sum(each.missing for each in features) / len(features),
        "feature": worst.name,
        "feature_share": worst.missing,
        "reference_share": usual[worst.name],
        "features": len(over),
    }
    if over:
        found = single.get(worst.name)
        figures |= _figures_of(found)
        reason = (
            f"{worst.name}{_rest(over)}: not known for {worst.missing:.1%} of predictions, and at most"
            f" {usual[worst.name]:.1%} in as many days of training{_most(found, worst.missing)}"
        )
        return Verdict(name=name, outcome=Outcome.FAILED, reason=reason, figures=figures)
    bad = {each: found for each, found in single.items() if found is not None and found.beyond}
    if bad:
        first = max(bad, key=lambda each: (bad[each].share - limits[each], each))
        found = bad[first]
        figures |= {"feature": first, "features": len(bad), **_figures_of(found)}
        reason = (
            f"{first}{_rest(list(bad))}: not known for {found.share:.1%} of the predictions of {found.day}, and at most"
            f" {limits[first] - tolerated:.1%} on any day of training"
        )
        return Verdict(name=name, outcome=Outcome.FAILED, reason=reason, figures=figures)
    reason = f"{figures['share']:.2%} of feature values are not known, as in training"
    return Verdict(name=name, outcome=Outcome.PASSED, reason=reason, figures=figures)


def judge_stale(rows: MonitoredRows, limit: float) -> Verdict:
    """Whether too many predictions were made from stale features, of all or of a single day."""
    total = rows.frame.height
    if not total:
        return Verdict(name="service:stale", outcome=Outcome.INCONCLUSIVE, reason="there are no predictions")
    behind = rows.frame["stale"].list.len() > 0
    stale = rows.frame.filter(behind)
    share = stale.height / total
    names = stale["stale"].explode().drop_nulls().unique().sort().to_list()[:5]
    found = worst_day(rows.days, rows_by_day(rows.frame[DAY]), rows_by_day(stale[DAY]), limit)
    figures: dict[str, Figure] = {"stale": stale.height, "share": share, "limit": limit, **_figures_of(found)}
    which = f" (behind: {', '.join(str(name)[:80] for name in names)})" if names else ""
    alone = found is not None and found.beyond
    return Verdict(
        name="service:stale",
        outcome=Outcome.FAILED if share > limit or alone else Outcome.PASSED,
        reason=f"{share:.2%} of predictions were made from stale features{which}{_most(found, share)}, and {limit:.2%}"
        " may be",
        figures=figures,
    )


def _unknown_by_day(
    features: Sequence[FeatureDrift], columns: pl.DataFrame, day: pl.Series
) -> dict[str, tuple[list[str], Floats, Floats]]:
    """By feature the days, the rows of each, and how many of these are not known."""
    names = [each.name for each in features if each.name in columns.columns]
    counted = (
        columns.select(pl.col(names).is_null().name.prefix(_OF))
        .with_columns(day.alias(DAY))
        .group_by(DAY)
        .agg(pl.len().alias(_ROWS), pl.exclude(DAY).sum())
        .sort(DAY)
    )
    days, rows = counted[DAY].cast(pl.String).to_list(), counted[_ROWS].cast(pl.Float64).to_numpy()
    return {name: (days, rows, counted[f"{_OF}{name}"].cast(pl.Float64).to_numpy()) for name in names}


def _known(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _rest(names: Sequence[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _most(found: WorstDay | None, share: float) -> str:
    """The worst day in words, where it is much worse than all together."""
    if found is None or found.share <= 1.5 * share:
        return ""
    return f", most on {found.day} ({found.share:.1%} of {found.rows:,})"


def _figures_of(found: WorstDay | None) -> dict[str, Figure]:
    if found is None or not found.share:
        return {}
    return {"worst_day": found.day, "worst_day_share": found.share}


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
