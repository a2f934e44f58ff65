"""Rates that are looked at again and again: limits that hold at every look together.

A canary is judged every few seconds. An interval that is right 95 times in 100 at one look is wrong far more often at
some of a hundred looks; the limits here are right at all looks at once, whenever one stops.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Counted", "confidence_limits"]

# Jeffreys' prior: as sharp for rates near 0 as rates of errors are. It decides how wide the limits are, not whether
# they hold.
_PRIOR = 0.5
_STEPS = 60


@dataclass(frozen=True)
class Counted:
    """How often something happened.

    Attributes:
        events: so often.
        total: of so many.

    Raises:
        ValueError: fewer than no events, or more than there could be.
    """

    events: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.events <= self.total:
            raise ValueError(f"{self.events} of {self.total}")

    @property
    def rate(self) -> float:
        """The share, 0 where nothing was counted."""
        return self.events / self.total if self.total else 0.0

    def __add__(self, other: "Counted") -> "Counted":
        return Counted(self.events + other.events, self.total + other.total)


def confidence_limits(counted: Counted, alpha: float) -> tuple[float, float]:
    """A lower and an upper limit of the rate, from a confidence sequence.

    With probability `1 - alpha` at least, the true rate lies between the limits after every single one of the
    observations, however many there will be. The method of mixtures (Robbins, Statistical methods related to the law
    of the iterated logarithm, 1970; Howard, Ramdas, McAuliffe, Sekhon, Time-uniform, nonparametric, nonasymptotic
    confidence sequences, 2021): those rates remain whose likelihood is at least `alpha` times the likelihood averaged
    over a Beta(1/2, 1/2) distribution of rates; by Ville's inequality the true one ever fails that with probability
    `alpha` at most.

    Args:
        counted: what was counted so far; the order of events does not matter.
        alpha: 0 to 1, both excluded.

    Returns:
        Two rates, from 0 to 1.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}")
    if not counted.total:
        return 0.0, 1.0
    k, n = counted.events, counted.total
    threshold = _log_beta(k + _PRIOR, n - k + _PRIOR) - _log_beta(_PRIOR, _PRIOR) + math.log(alpha)

    def remains(rate: float) -> bool:
        return _log_likelihood(k, n, rate) >= threshold

    # The likelihood rises up to k / n, where every rate remains, and falls from there.
    return _edge(0.0, counted.rate, remains), _edge(1.0, counted.rate, remains)


def _edge(outer: float, inner: float, remains: Callable[[float], bool]) -> float:
    """The outermost rate that remains, to a relative step of 2 ** -60 of the distance."""
    if remains(outer):
        return outer
    for _ in range(_STEPS):
        middle = (outer + inner) / 2
        if remains(middle):
            inner = middle
        else:
            outer = middle
    return outer


def _log_likelihood(k: int, n: int, rate: float) -> float:
    found = 0.0
    for count, probability in ((k, rate), (n - k, 1 - rate)):
        if count:
            found += count * math.log(probability) if probability > 0 else -math.inf
    return found


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
