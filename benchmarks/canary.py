"""How soon a canary aborts a worse release, and how often it aborts an equal one: simulated, judged as in earnest.

    python benchmarks/canary.py [--runs 300] [--requests 2000]

A minute or two on two cores; nothing is installed and nothing is served. In each run two releases answer the same
traffic, 200 requests a second, which is drawn anew: how long an answer takes (log-normal, with pauses of 150 ms that
hold up every request of their time, as garbage collectors make them), whether it fails, lacks features, or is a
positive decision. Answers take longer and more decisions are positive while the canary goes on, half as much again at
its end, for both: traffic does not stand still. `judge_canary` looks every two seconds, until it decides or the
challenger has answered the requests that it has to. Beside it, on the same figures, the test of two shares at the 5 %
level, as dashboards have it: at each look, and once at the end.

Challengers: equal; 200 ms slower; 5 % of the answers are errors; 5 % of the decisions are other ones than they should
be (copies of the champion's requests are compared, and `disagreement` has a margin of 2 %); twice as many positive
decisions.

Writes benchmarks/results/canary.json, and exits 1 if a bound does not hold: of the slow and the wrong ones 99 in 100
are aborted within 2,000 requests that the challenger answered, of the equal ones 5 in 100 at most.
"""

import argparse
import json
import math
import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gitrain.deployment.canary import DEFAULT_RULES, CanaryRule, judge_canary
from gitrain.deployment.sequential import Counted
from gitrain.verdicts import Outcome, worst

RESULTS = Path(__file__).parent / "results" / "canary.json"
RATE, LOOK_SECONDS, SLOW_MS = 200, 2, 20.0
LEAST_ABORTED, MOST_ABORTED = 0.99, 0.05
# Standard deviations: 5 % of equal ones are farther apart, at one look.
NAIVE = 1.96


@dataclass(frozen=True, kw_only=True)
class Service:
    """How a release answers.

    Attributes:
        added_ms: to every answer.
        errors: share of requests without a good answer.
        missing: share of predictions that lack a feature.
        positive: share of predictions that are decided as true, when the canary begins.
        wrong: share of decisions that are other ones than they should be.
        pauses: of 150 ms, a second.
    """

    added_ms: float = 0.0
    errors: float = 0.0005
    missing: float = 0.01
    positive: float = 0.2
    wrong: float = 0.0
    pauses: float = 1 / 60

    def answer(self, random: np.random.Generator, number: int, seconds: float, progress: float) -> dict[str, Counted]:
        """What is counted of some requests that came evenly in some seconds; `progress` goes from 0 to 1."""
        if not number:
            return {}
        busier = 1 + progress / 2
        milliseconds = self.added_ms + random.lognormal(math.log(2 * busier), 0.6, number)
        for _ in range(random.poisson(self.pauses * seconds)):
            begins = random.uniform(0, 1)
            waits = 150.0 - 1000 * seconds * (np.arange(number) / number - begins)
            milliseconds += np.where((waits > 0) & (waits <= 150), waits, 0)
        decided = random.random(number) < self.positive * busier
        differs = random.random(number) < self.wrong
        return {
            "errors": Counted(int(random.binomial(number, self.errors)), number),
            "slow": Counted(int(np.count_nonzero(milliseconds > SLOW_MS)), number),
            "missing": Counted(int(random.binomial(number, self.missing)), number),
            "stale": Counted(0, number),
            "positive": Counted(int(np.count_nonzero(decided ^ differs)), number),
            "disagreement": Counted(int(np.count_nonzero(differs)), number),
        }


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A challenger beside a champion.

    Attributes:
        name: what is wrong with it.
        challenger: how it answers.
        share: of the requests that it gets.
        worse: whether it has to be aborted.
        bounded: whether a bound is set for it.
    """

    name: str
    challenger: Service
    share: float = 0.05
    worse: bool = True
    bounded: bool = True


SCENARIOS = (
    Scenario(name="equal", challenger=Service(), worse=False),
    Scenario(name="equal, a quarter of the traffic", challenger=Service(), share=0.25, worse=False),
    Scenario(name="200 ms slower", challenger=Service(added_ms=200)),
    Scenario(name="5 % of the answers are errors", challenger=Service(errors=0.05)),
    Scenario(name="5 % errors, a quarter of the traffic", challenger=Service(errors=0.05), share=0.25),
    Scenario(name="5 % of the decisions are wrong", challenger=Service(wrong=0.05)),
    Scenario(name="twice as many positive decisions", challenger=Service(positive=0.4), bounded=False),
)
STRICT = tuple(replace(rule, margin=0.02) if rule.name == "disagreement" else rule for rule in DEFAULT_RULES)


@dataclass(frozen=True, kw_only=True)
class Run:
    """How one canary went.

    Attributes:
        aborted_after: requests that the challenger had answered; None: it passed.
        by: the rule.
        naive_after: the same by the test that is made at each look.
        naive_at_the_end: whether the test aborts that is made once.
    """

    aborted_after: int | None
    by: str | None
    naive_after: int | None
    naive_at_the_end: bool


def main() -> int:
    """Simulate, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=300, help="of each challenger")
    parser.add_argument("--requests", type=int, default=2000, help="that the challenger has to answer")
    arguments = parser.parse_args()
    found = []
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for place, scenario in enumerate(SCENARIOS):
            seeds = [[place, number] for number in range(arguments.runs)]
            runs = list(pool.map(partial(canary, scenario, arguments.requests), seeds, chunksize=10))
            found.append(summary(scenario, runs))
            print(line(found[-1]), flush=True)
    passed = all(each["passed"] for each in found)
    results = {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "numpy": np.__version__},
        "runs": arguments.runs,
        "requests": arguments.requests,
        "requests_a_second": RATE,
        "seconds_between_looks": LOOK_SECONDS,
        "slow_ms": SLOW_MS,
        "limits": {"worse_aborted_at_least": LEAST_ABORTED, "equal_aborted_at_most": MOST_ABORTED},
        "passed": passed,
        "challengers": found,
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0 if passed else 1


def canary(scenario: Scenario, requests: int, seed: Sequence[int]) -> Run:
    """One canary from its first look to its end; the tests by habit go on to the end of the requests."""
    random = np.random.default_rng(seed)
    champion = Service()
    rules: Sequence[CanaryRule] = STRICT if scenario.challenger.wrong else DEFAULT_RULES
    new: dict[str, Counted] = {}
    old: dict[str, Counted] = {}
    aborted_after, by, naive_after, due, answered, naive = None, None, None, 0.0, 0, False
    while answered < requests:
        due += RATE * LOOK_SECONDS * scenario.share
        number = min(round(due), requests) - answered
        progress = answered / requests
        add(new, scenario.challenger.answer(random, number, LOOK_SECONDS, progress))
        add(old, champion.answer(random, round(RATE * LOOK_SECONDS * (1 - scenario.share)), LOOK_SECONDS, progress))
        answered += number
        naive = worse_by_habit(new, old)
        if naive and naive_after is None:
            naive_after = answered
        if aborted_after is None:
            verdicts = judge_canary(new, old, rules, requests=requests)
            if worst(verdict.outcome for verdict in verdicts) is Outcome.FAILED:
                aborted_after = answered
                by = next(verdict.name for verdict in verdicts if verdict.outcome is Outcome.FAILED)
    return Run(aborted_after=aborted_after, by=by, naive_after=naive_after, naive_at_the_end=naive)


def add(sums: dict[str, Counted], counted: Mapping[str, Counted]) -> None:
    for name, each in counted.items():
        sums[name] = sums.get(name, Counted(0, 0)) + each


def worse_by_habit(new: Mapping[str, Counted], old: Mapping[str, Counted]) -> bool:
    """Whether the usual test of two shares calls any rate other than the champion's, at the level of 5 % each."""
    for name in ("errors", "slow", "missing", "positive"):
        a, b = new.get(name, Counted(0, 0)), old.get(name, Counted(0, 0))
        if not a.total or not b.total:
            continue
        together = (a.events + b.events) / (a.total + b.total)
        deviation = math.sqrt(together * (1 - together) * (1 / a.total + 1 / b.total))
        if deviation and abs(a.rate - b.rate) > NAIVE * deviation and (name == "positive" or a.rate > b.rate):
            return True
    return False


def summary(scenario: Scenario, runs: Sequence[Run]) -> dict[str, Any]:
    after = sorted(run.aborted_after for run in runs if run.aborted_after is not None)
    naive = [run.naive_after for run in runs if run.naive_after is not None]
    aborted = len(after) / len(runs)
    rules = sorted({run.by for run in runs if run.by is not None})
    held = aborted >= LEAST_ABORTED if scenario.worse else aborted <= MOST_ABORTED
    return {
        "name": scenario.name,
        "share_of_requests": scenario.share,
        "to_be_aborted": scenario.worse,
        "bounded": scenario.bounded,
        "passed": held or not scenario.bounded,
        "aborted": round(aborted, 4),
        "requests_to_abort": {
            "median": statistics.median(after),
            "p99": after[min(len(after) - 1, math.ceil(0.99 * len(after)) - 1)],
            "most": after[-1],
        }
        if after
        else None,
        "by": {rule: sum(run.by == rule for run in runs) for rule in rules},
        "test_at_each_look": {
            "aborted": round(len(naive) / len(runs), 4),
            "median_requests": statistics.median(naive) if naive else None,
        },
        "test_at_the_end": {"aborted": round(sum(run.naive_at_the_end for run in runs) / len(runs), 4)},
    }


def line(found: Mapping[str, Any]) -> str:
    needed = found["requests_to_abort"]
    return (
        f"{found['name']:38} aborted {found['aborted']:7.1%}"
        + (f" after {needed['median']:6,.0f} requests (99 %: {needed['p99']:6,})" if needed else " " * 39)
        + f"; by a test at each look {found['test_at_each_look']['aborted']:7.1%}"
        + f", at the end {found['test_at_the_end']['aborted']:7.1%}"
        + ("" if found["passed"] else "  TOO FEW" if found["to_be_aborted"] else "  TOO MANY")
    )


if __name__ == "__main__":
    sys.exit(main())
