"""Has a mean gone up? A test that may be asked after every day, and limits that hold at all those looks together.

The reference is a few days on which the model was judged; its own mean is as uncertain as any of so few days, and no
number of days in service makes it more certain. So the two are compared as two samples: the evidence against "no
change" is a Bayes factor of Student's two-sample test, which needs neither the mean nor the variance to be known.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np

from gitrain.block_statistics import Floats

__all__ = ["LOOKS", "Limits", "critical_evidence", "sequential_limits"]

#: The level of the test is exact for so many days: two years. Beyond them only Ville's bound, which is wider, is used.
LOOKS = 730

# The variance of the prior of the change, in variances of a day: changes of 0.7 standard deviations are found soonest.
# Against 1 the largest faults take a day longer, and small ones are found more often (benchmarks/monitoring_power.py).
_PRIOR = 0.5
_DRAWS = 4_000
_BATCH = 500
# Draws beyond a quantile that is worth reading; levels smaller than this allows have Ville's bound alone.
_FEWEST = 40
# Correlation of neighbouring days beyond this would be no noise any more.
_MOST_CORRELATION = 0.8


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is known after each day. All arrays have one item a day in service.

    Attributes:
        reference: the mean of the reference.
        estimate: the mean of the days so far.
        lower: its lower limit: `reference` plus that of the difference. It exceeds the mean that would be without a
            change with probability `alpha` at most, over all looks.
        upper: the upper limit, likewise.
        naive: the lower limit that is meant for one look: Student's, as if days were independent.
        correlation: of neighbouring days, as estimated after each day.
    """

    reference: float
    estimate: Floats
    lower: Floats
    upper: Floats
    naive: Floats
    correlation: Floats


def sequential_limits(reference: Floats, live: Floats, alpha: float) -> Limits:
    """Limits of the mean of `live`, in the face of the uncertainty of the mean of `reference`.

    With n days of reference and t in service, m = 1 / (1/n + 1/t), Student's statistic T of the difference has the
    Bayes factor, for changes drawn from a normal distribution of variance g in units of a day's variance,

    ``(1 + g m)^(-1/2) * ((1 + T^2/v) / (1 + T^2/(v (1 + g m))))^((v + 1)/2)``, v = n + t - 2

    (Gönen, Johnson, Lu and Westfall, The Bayesian two-sample t test, The American Statistician 2005). It is a
    likelihood ratio of what is invariant to shift and scale, so without a change a nonnegative martingale of mean 1,
    whatever mean and variance are (Pérez-Ortiz, Lardy, de Heide and Grünwald, E-statistics, group invariance and
    anytime-valid testing, Annals of Statistics 2024): by Ville's inequality it ever reaches 1/alpha with probability
    alpha at most. The limits are those shifts that it does not reject. They are narrower than Ville's inequality alone
    makes them: since the reference never grows, there is only so much to be learnt, and `critical_evidence` takes the
    exact distribution of the greatest evidence of two years instead.

    Days in a row are alike: the variance of a difference is multiplied by (1 + r) / (1 - r), r being the correlation
    of neighbouring days that was seen so far, and the days in m count for as many fewer.

    Args:
        reference: one value a day, in order, shape (n,), n >= 3.
        live: likewise of the days in service, shape (days,).
        alpha: the probability that either limit is ever wrong.

    Raises:
        ValueError: fewer than three days of reference, or values that are not finite.
    """
    if reference.size < 3 or not (np.isfinite(reference).all() and np.isfinite(live).all()):
        raise ValueError(f"{reference.size} days of reference, {live.size} in service: finite values are needed")
    n, t = reference.size, np.arange(1, live.size + 1, dtype=np.float64)
    freedom = n + t - 2
    mean, centre = np.cumsum(live) / t, reference.mean()
    inner = np.maximum(np.cumsum(live**2) - t * mean**2, 0.0)
    # Days that are all equal would give no variance, and any difference would be proof.
    variance = np.maximum((((reference - centre) ** 2).sum() + inner) / freedom, 1e-12)
    correlation = _correlation(reference - centre, live, mean, variance, freedom)
    stretch = (1 + correlation) / (1 - correlation)
    m = 1 / (1 / n + 1 / t)
    critical = _critical_statistic(critical_evidence(n, alpha), _PRIOR * m / stretch, freedom)
    # Ville's bound, for looks that the simulation does not reach.
    critical = np.where(t > LOOKS, _critical_statistic(-math.log(2 * alpha), _PRIOR * m / stretch, freedom), critical)
    width = np.sqrt(variance / m) * np.sqrt(stretch)
    with np.errstate(invalid="ignore"):
        return Limits(
            reference=float(centre),
            estimate=mean,
            lower=mean - critical * width,
            upper=mean + critical * width,
            naive=mean - _student(alpha, freedom) * np.sqrt(variance / m),
            correlation=correlation,
        )


@functools.lru_cache(maxsize=256)
def critical_evidence(days: int, alpha: float) -> float:
    """The logarithm of the evidence that an increase has to reach.

    Without a change the greatest evidence of all looks has one distribution, whatever mean and variance are, so it can
    be simulated (Barnard's Monte Carlo test): normal days, `days` of reference, `LOOKS` in service. Never beyond
    Ville's bound: one direction is asked of evidence for two, hence 2 alpha.

    Args:
        days: of the reference.
        alpha: the probability of an alarm at any of the looks.
    """
    bound = -math.log(2 * alpha)
    if alpha * _DRAWS < _FEWEST:
        return bound
    generator = np.random.default_rng((days, LOOKS))
    t = np.arange(1, LOOKS + 1, dtype=np.float64)
    # Looks that follow each other closely say the same: all of the first hundred, then ever fewer.
    looked = np.unique(np.minimum(np.geomspace(1, LOOKS, 400).round(), LOOKS).astype(np.int64)) - 1
    at = t[looked]
    m, freedom = 1 / (1 / days + 1 / at), days + at - 2
    greatest = np.empty(_DRAWS)
    for start in range(0, _DRAWS, _BATCH):
        reference = generator.standard_normal((_BATCH, days))
        live = generator.standard_normal((_BATCH, LOOKS))
        centre = reference.mean(axis=1, keepdims=True)
        mean = np.cumsum(live, axis=1)[:, looked] / at
        inner = np.cumsum(live**2, axis=1)[:, looked] - at * mean**2
        variance = (((reference - centre) ** 2).sum(axis=1, keepdims=True) + inner) / freedom
        statistic = (mean - centre) * np.sqrt(m / variance)
        greatest[start : start + _BATCH] = np.where(
            statistic > 0, _log_evidence(statistic, _PRIOR * m, freedom), -np.inf
        ).max(axis=1)
    return float(min(np.quantile(greatest, 1 - alpha, method="higher"), bound))


def _log_evidence(statistic: Floats, information: Floats, freedom: Floats) -> Floats:
    squares = statistic**2 / freedom
    inner = np.log1p(squares) - np.log1p(squares / (1 + information))
    found: Floats = -0.5 * np.log1p(information) + (freedom + 1) / 2 * inner
    return found


def _critical_statistic(evidence: float, information: Floats, freedom: Floats) -> Floats:
    """The statistic at which the evidence is `evidence` (a logarithm); infinity where none is enough."""
    ratio = np.exp((evidence + 0.5 * np.log1p(information)) * 2 / (freedom + 1))
    room = 1 - ratio / (1 + information)
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = np.where(room > 0, freedom * (ratio - 1) / np.where(room > 0, room, 1.0), np.inf)
    found: Floats = np.sqrt(squares)
    return found


def _correlation(centred: Floats, live: Floats, mean: Floats, variance: Floats, freedom: Floats) -> Floats:
    """The correlation of neighbouring days within the reference and within the days so far, 0 to 0.8."""
    t = np.arange(1, live.size + 1, dtype=np.float64)
    products = np.concatenate([[0.0], np.cumsum(live[1:] * live[:-1])])
    first = np.concatenate([[0.0], np.cumsum(live[:-1])])
    second = np.concatenate([[0.0], np.cumsum(live[1:])])
    neighbours = products - mean * (first + second) + (t - 1) * mean**2
    together = (centred[1:] * centred[:-1]).sum() + neighbours
    # The estimate of few days is too low by about one over their number (Marriott and Pope, Biometrika 1954).
    found: Floats = np.clip(together / (variance * freedom) + 1 / freedom, 0.0, _MOST_CORRELATION)
    return found


def _student(alpha: float, freedom: Floats) -> Floats:
    """The upper quantile of Student's distribution, by Hill's expansion of the normal one: four digits from 5 on."""
    z = _normal_quantile(1 - alpha)
    found: Floats = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return found


def _normal_quantile(probability: float) -> float:
    low, high = -40.0, 40.0
    for _ in range(80):
        middle = (low + high) / 2
        if 0.5 * math.erfc(-middle / math.sqrt(2)) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2
