"""What a load of requests shows: percentiles, errors, pauses, and whether the schedule was kept."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["QUANTILES", "LoadFigures", "LoadSamples", "longest_pause", "percentile"]

_OK, _REFUSED, _NO_ANSWER = 200, 429, 0
# Whether a generator is behind is seen in its last requests: so many at least, and those of so many seconds.
_LAST, _LAST_SECONDS = 5, 1.0

#: The percentiles that are told, by the name of their limit.
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1.0}


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadSamples:
    """What happened to each request that was due; all arrays have the shape (requests,).

    Attributes:
        started: the generator's clock at the start.
        due: when it was due, seconds since the start, rising.
        sent: when the generator began to send it; NaN if it never did: too many others had no answer yet.
        written: when the system had all of it, or its sending had failed; NaN if neither happened.
        done: when its answer had been read; without an answer, when a user would have given up.
        status: of the answer; 0 if there was none.
        lost: why there was none, in words; empty if there was one.
        rows: predictions in the answer.
        missing: of these, how many lack a feature that is known to be there.
        stale: of these, how many were made from stale features.
    """

    started: float
    due: NDArray[np.float64]
    sent: NDArray[np.float64]
    written: NDArray[np.float64]
    done: NDArray[np.float64]
    status: NDArray[np.int16]
    lost: NDArray[np.object_]
    rows: NDArray[np.int32]
    missing: NDArray[np.int32]
    stale: NDArray[np.int32]

    def after(self, seconds: float) -> Self:
        """The requests that were due at `seconds` or later: those before were the warm-up."""
        kept = self.due >= seconds
        return replace(self, **{name: values[kept] for name, values in vars(self).items() if name != "started"})


@dataclass(frozen=True, kw_only=True)
class LoadFigures:
    """The figures of a load; times in milliseconds, shares from 0 to 1.

    Attributes:
        requests: how many were due.
        answered: how many were answered with 200.
        refused: how many were answered with 429.
        errors: how many got no answer in time, or any other one.
        statuses: how many answers there were of each status; 0 stands for no answer.
        lost: how many got none for each reason, the most frequent first.
        wanted_rate: requests a second that were due.
        offered_rate: requests a second that were sent, by how late the last ones were (`LoadFigures.of`).
        achieved_rate: answers of 200 a second.
        latency: by percentile (`QUANTILES`), from due to answered with 200; a request without any answer counts with
            the time after which a user would have given up. None if there was neither.
        lag: by percentile, how late the generator itself sent: no fault of the service.
        longest_pause: the longest time for which requests waited and none was answered.
        predictions: in the answers.
        missing: predictions that lack a feature which is known to be there.
        stale: predictions that were made from stale features.
    """

    requests: int
    answered: int
    refused: int
    errors: int
    statuses: dict[int, int]
    lost: dict[str, int]
    wanted_rate: float
    offered_rate: float
    achieved_rate: float
    latency: dict[str, float | None]
    lag: dict[str, float | None]
    longest_pause: float | None
    predictions: int
    missing: int
    stale: int

    @classmethod
    def of(cls, samples: LoadSamples, *, seconds: float) -> Self:
        """The figures of some requests.

        The offered rate counts the requests that were sent over the time for which they were due, made longer by what
        the generator was behind in the end: the median of how late it sent those of the last second, five at least, in
        proportion to the time until they were due. Who falls behind is as late in the end as he fell behind; a request
        that was late, or a stall of less than half a second anywhere that was made up for, changes nothing.

        Args:
            samples: what happened to each of them.
            seconds: for how long they were due.
        """
        requests = len(samples.due)
        answers = samples.status == _OK
        latencies = (samples.done - samples.due)[answers | (samples.status == _NO_ANSWER)]
        lags = (samples.sent - samples.due)[~np.isnan(samples.sent)]
        values, counts = np.unique(samples.status, return_counts=True)
        statuses = {int(value): int(count) for value, count in zip(values, counts, strict=True)}
        answered = statuses.get(_OK, 0)
        # From the first that was due to the last answered: what comes late lowers the rate.
        start = float(samples.due[0]) if requests else 0.0
        answering = max(seconds, float(samples.done[answers].max()) - start) if answered else seconds
        return cls(
            requests=requests,
            answered=answered,
            refused=statuses.get(_REFUSED, 0),
            errors=requests - answered - statuses.get(_REFUSED, 0),
            statuses=statuses,
            lost=dict(Counter(why for why in samples.lost if why).most_common()),
            wanted_rate=requests / seconds,
            offered_rate=_offered_rate(samples, seconds),
            achieved_rate=answered / answering,
            latency={name: _milliseconds(percentile(latencies, share)) for name, share in QUANTILES.items()},
            lag={name: _milliseconds(percentile(lags, share)) for name, share in QUANTILES.items()},
            longest_pause=_milliseconds(longest_pause(samples.due, samples.done)),
            predictions=int(samples.rows.sum()),
            missing=int(samples.missing.sum()),
            stale=int(samples.stale.sum()),
        )


def _offered_rate(samples: LoadSamples, seconds: float) -> float:
    """Requests a second that were sent, as `LoadFigures.of` counts them."""
    sent = ~np.isnan(samples.sent)
    due, lags = samples.due[sent], (samples.sent - samples.due)[sent]
    if not due.size:
        return 0.0
    last = max(_LAST, int((due > due[-1] - _LAST_SECONDS).sum()))
    late, until = percentile(lags[-last:], 0.5) or 0.0, percentile(due[-last:], 0.5) or 0.0
    # A single request is due at the very start, and stands for all of the time.
    until = max(until - float(samples.due[0]), seconds / len(samples.due))
    return float(len(due) / seconds * until / (until + max(0.0, late)))


def percentile(values: NDArray[np.float64], share: float) -> float | None:
    """The smallest value that at least `share` of all are not above (nearest rank): one that was seen, none made up."""
    if not values.size:
        return None
    rank = max(1, int(np.ceil(share * values.size - 1e-9)))
    return float(np.partition(values, rank - 1)[rank - 1])


def longest_pause(due: NDArray[np.float64], done: NDArray[np.float64]) -> float | None:
    """The longest time, in seconds, for which requests waited and none was finished; None without requests.

    Args:
        due: when each request was due, shape (requests,).
        done: when it was finished.
    """
    if not due.size:
        return None
    order = np.argsort(done, kind="stable")
    finished = done[order]
    # Of those not finished before a moment, the one that has waited longest.
    oldest = np.minimum.accumulate(due[order][::-1])[::-1]
    before = np.concatenate(([-np.inf], finished[:-1]))
    return float(np.max(finished - np.maximum(before, oldest)))


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
