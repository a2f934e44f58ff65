"""Judge the figures of a load by an environment's limits."""

from collections.abc import Mapping

from gitrain.environments.document import LoadLimits
from gitrain.probes.load import QUANTILES, LoadFigures
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = ["judge_load"]

# A generator that sent fewer requests than this share of those due has not made the load that was asked for.
_KEPT = 0.98
_WORDS = {"p50": "half", "p90": "90 %", "p99": "99 %", "p999": "99.9 %", "max": "all"}


def judge_load(figures: LoadFigures, limits: LoadLimits) -> list[Verdict]:
    """The verdicts on a load: the schedule, errors, refusals, then each limit that is set.

    A limit that is exceeded by no more than twice the generator's own lag says nothing of the service: the generator
    may have been late to send and late to read. That is INCONCLUSIVE.

    Args:
        figures: of the load.
        limits: what users may see.
    """
    verdicts = [_schedule(figures), _share("errors", figures.errors, figures, limits.errors, _statuses(figures))]
    verdicts.append(_share("refused", figures.refused, figures, limits.refused, "answered with 429"))
    for name in QUANTILES:
        limit = getattr(limits, f"{name}_ms")
        if limit is not None:
            verdicts.append(_latency(name, limit, figures))
    if limits.longest_pause_ms is not None:
        verdicts.append(_pause(limits.longest_pause_ms, figures))
    for name, count, limit, words in (
        ("missing", figures.missing, limits.missing, "lack a feature that is known to be there"),
        ("stale", figures.stale, limits.stale, "were made from stale features"),
    ):
        if limit is not None:
            verdicts.append(_predictions(name, count, figures.predictions, limit, words))
    return verdicts


def _schedule(figures: LoadFigures) -> Verdict:
    told: dict[str, Figure] = {
        "requests": figures.requests,
        "wanted_rate": round(figures.wanted_rate, 2),
        "offered_rate": round(figures.offered_rate, 2),
        "achieved_rate": round(figures.achieved_rate, 2),
        "lag_p99_ms": figures.lag["p99"],
        "lag_max_ms": figures.lag["max"],
    }
    if not figures.requests:
        return _verdict("schedule", Outcome.INCONCLUSIVE, "no request was due: raise rate or seconds", told)
    if figures.offered_rate < _KEPT * figures.wanted_rate:
        # What waits for the service's answers is the service's doing; what was sent late is the generator's.
        reason = (
            f"{figures.offered_rate:.4g} requests a second were sent of {figures.wanted_rate:.4g} that were due, by "
            f"their number and by how late the last ones were: the generator could not keep the schedule, or the "
            f"service left too many requests without an answer"
        )
        return _verdict("schedule", Outcome.INCONCLUSIVE, reason, told)
    reason = f"{figures.requests:,} requests were sent when they were due, {figures.offered_rate:.4g} a second"
    return _verdict("schedule", Outcome.PASSED, reason, told)


def _share(name: str, count: int, figures: LoadFigures, limit: float, words: str) -> Verdict:
    told: dict[str, Figure] = {name: count, "requests": figures.requests, "limit": limit}
    if not figures.requests:
        return _verdict(name, Outcome.INCONCLUSIVE, "no request was due", told)
    share = count / figures.requests
    told["share"] = round(share, 6)
    if share > limit:
        reason = f"{count:,} of {figures.requests:,} requests ({words}), more than {limit:.4g} of them"
        return _verdict(name, Outcome.FAILED, reason, told)
    ended = "were refused" if name == "refused" else "ended in an error"
    return _verdict(name, Outcome.PASSED, f"{count:,} of {figures.requests:,} requests {ended}", told)


def _statuses(figures: LoadFigures) -> str:
    others = {status: count for status, count in figures.statuses.items() if status not in {200, 429}}
    reasons = ", ".join(f"{count:,} {why}" for why, count in figures.lost.items())
    lost = f"without an answer: {reasons}" if reasons else "without an answer"
    return "; ".join(
        f"{count:,} {lost if status == 0 else f'answered with {status}'}" for status, count in others.items()
    )


def _latency(name: str, limit: float, figures: LoadFigures) -> Verdict:
    value, lag = figures.latency[name], figures.lag[name]
    told: dict[str, Figure] = {f"{name}_ms": value, "limit_ms": limit, "lag_ms": lag}
    rare = 1 - QUANTILES[name]
    taken = figures.requests - figures.refused
    if value is None:
        return _verdict(name, Outcome.INCONCLUSIVE, "no request was answered", told)
    if rare and taken < round(1 / rare):
        reason = f"{taken:,} requests are too few for the slowest {rare:.2%}: raise rate or seconds"
        return _verdict(name, Outcome.INCONCLUSIVE, reason, told)
    return _within(name, f"{_WORDS[name]} of the requests were answered within", value, limit, lag, told)


def _pause(limit: float, figures: LoadFigures) -> Verdict:
    value, lag = figures.longest_pause, figures.lag["max"]
    told: dict[str, Figure] = {"longest_pause_ms": value, "limit_ms": limit, "lag_ms": lag}
    if value is None:
        return _verdict("pause", Outcome.INCONCLUSIVE, "no request was due", told)
    return _within(
        "pause", "the longest time in which requests waited and none was answered is", value, limit, lag, told
    )


def _within(
    name: str, words: str, value: float, limit: float, lag: float | None, told: Mapping[str, Figure]
) -> Verdict:
    if value <= limit:
        return _verdict(name, Outcome.PASSED, f"{words} {value:.4g} ms; {limit:g} are allowed", told)
    if lag is None or value - 2 * lag <= limit:
        reason = (
            f"{words} {value:.4g} ms, and {limit:g} are allowed; the generator itself was late by {lag or 0:.4g} ms"
        )
        return _verdict(name, Outcome.INCONCLUSIVE, reason, told)
    return _verdict(name, Outcome.FAILED, f"{words} {value:.4g} ms, and {limit:g} are allowed", told)


def _predictions(name: str, count: int, predictions: int, limit: float, words: str) -> Verdict:
    told: dict[str, Figure] = {name: count, "predictions": predictions, "limit": limit}
    if not predictions:
        return _verdict(name, Outcome.INCONCLUSIVE, "no prediction was made", told)
    told["share"] = round(count / predictions, 6)
    outcome = Outcome.FAILED if count / predictions > limit else Outcome.PASSED
    return _verdict(name, outcome, f"{count:,} of {predictions:,} predictions {words}; {limit:g} may", told)


def _verdict(name: str, outcome: Outcome, reason: str, figures: Mapping[str, Figure]) -> Verdict:
    return Verdict(name=f"load:{name}", outcome=outcome, reason=reason, figures=figures)
