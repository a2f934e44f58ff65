"""When requests are due: an open loop, in which they come whatever the service does, as users' requests do.

A closed loop sends the next request when the last one was answered: while the service stands still it asks nothing, and
of all the users who would have waited it counts one. Latencies here are counted from the moment a request was due, as
G. Tene describes it ("How NOT to Measure Latency", Strange Loop 2015: coordinated omission).
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Arrivals", "Pacer", "arrival_times"]

#: Evenly spaced, or as from users who do not know of each other.
Arrivals = Literal["constant", "poisson"]


def arrival_times(rate: float, seconds: float, arrivals: Arrivals = "constant", seed: int = 0) -> NDArray[np.float64]:
    """When each request is due.

    Args:
        rate: requests a second.
        seconds: all are due before this.
        arrivals: evenly spaced, or a Poisson process of this rate.
        seed: of the Poisson process.

    Returns:
        Seconds since the start, shape (requests,), rising; the first of evenly spaced ones is due at once.
    """
    if arrivals == "constant":
        # Multiplied, not summed up: the thousandth is as exact as the first. Rounding may put one at the very end.
        times: NDArray[np.float64] = np.arange(int(np.ceil(rate * seconds)), dtype=np.float64) / rate
        return times[times < seconds]
    random = np.random.default_rng(seed)
    # A Poisson process in an interval: so many points, and each of them anywhere.
    return np.sort(random.random(random.poisson(rate * seconds)) * seconds)


class Pacer:
    """Says which requests are due; it neither reads a clock nor waits.

    Args:
        due: seconds since the start, rising.
    """

    def __init__(self, due: NDArray[np.float64]) -> None:
        self._due = due
        self._next = 0

    def take(self, now: float) -> range:
        """The numbers of the requests that became due up to `now` and were not taken before."""
        first = self._next
        self._next = max(first, int(np.searchsorted(self._due, now, side="right")))
        return range(first, self._next)

    def wait(self, now: float) -> float | None:
        """Seconds until the next request is due, not below 0; None if all were taken."""
        if self._next >= len(self._due):
            return None
        return max(0.0, float(self._due[self._next]) - now)
