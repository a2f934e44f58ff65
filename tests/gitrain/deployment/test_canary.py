from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.deployment.canary import DEFAULT_RULES, CanaryRule, judge_canary
from gitrain.deployment.sequential import Counted
from gitrain.verdicts import Outcome, worst

GOOD = {"errors": 0.0005, "slow": 0.008, "missing": 0.01, "stale": 0.0, "positive": 0.3}


def outcome_of(rates: Mapping[str, float], *, seed: int, requests: int = 2000, look: int = 50) -> tuple[Outcome, int]:
    """Run a canary at half of the traffic until it is decided; the outcome, and the challenger's requests by then."""
    random = np.random.default_rng(seed)
    new = dict.fromkeys(rates, Counted(0, 0))
    old = dict.fromkeys(GOOD, Counted(0, 0))
    while True:
        new = {name: count + Counted(int(random.binomial(look, rates[name])), look) for name, count in new.items()}
        old = {name: count + Counted(int(random.binomial(look, GOOD[name])), look) for name, count in old.items()}
        found = worst(verdict.outcome for verdict in judge_canary(new, old, requests=requests))
        if found is not Outcome.INCONCLUSIVE:
            return found, new["errors"].total


@pytest.mark.parametrize(
    "worse",
    [{"errors": 0.05}, {"slow": 0.9}, {"missing": 0.2}, {"stale": 0.5}, {"positive": 0.6}, {"positive": 0.05}],
    ids=str,
)
def test_a_worse_release_is_aborted_within_the_bound(worse: Mapping[str, float]) -> None:
    found = [outcome_of({**GOOD, **worse}, seed=seed) for seed in range(30)]
    assert [outcome for outcome, _ in found] == [Outcome.FAILED] * 30
    assert max(requests for _, requests in found) <= 2000


def test_an_equal_release_passes() -> None:
    found = [outcome_of(GOOD, seed=seed) for seed in range(60)]
    assert sum(outcome is Outcome.FAILED for outcome, _ in found) <= 3
    assert {requests for outcome, requests in found if outcome is Outcome.PASSED} == {2000}


def test_a_few_wrong_answers_to_copies_are_let_through_and_many_are_not() -> None:
    def judge(events: int) -> Outcome:
        (verdict,) = judge_canary({"disagreement": Counted(events, 1000)}, {}, requests=1000)
        return verdict.outcome

    assert judge(50) is Outcome.PASSED
    assert judge(400) is Outcome.FAILED


def test_without_a_champion_to_compare_with_nothing_is_decided() -> None:
    (verdict,) = judge_canary({"errors": Counted(900, 1000)}, {}, requests=10)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    (verdict,) = judge_canary({"errors": Counted(900, 1000)}, {"errors": Counted(0, 0)}, requests=10)
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_nothing_counted_gives_no_verdict_and_so_promotes_nothing() -> None:
    assert judge_canary({}, {}, requests=0) == []
    assert worst([]) is Outcome.INCONCLUSIVE


def test_what_a_verdict_says() -> None:
    (verdict,) = judge_canary({"errors": Counted(60, 500)}, {"errors": Counted(2, 5000)}, requests=2000)
    assert verdict.name == "canary:errors"
    assert verdict.outcome is Outcome.FAILED
    assert verdict.reason == (
        "errors: 12 % of 500 requests beside the champion's 0.04 % of 5,000: more than a margin of 0.5 % lets through"
    )
    assert verdict.figures["champion_requests"] == 5000


@given(st.integers(0, 300), st.integers(0, 300))
def test_more_errors_never_help(fewer: int, more: int) -> None:
    fewer, more = sorted((fewer, more))
    rule = [CanaryRule(name="errors", margin=0.01)]

    def failed(events: int) -> bool:
        (verdict,) = judge_canary({"errors": Counted(events, 300)}, {"errors": Counted(3, 300)}, rule, requests=300)
        return verdict.outcome is Outcome.FAILED

    assert failed(fewer) <= failed(more)


def test_the_rules_have_different_names() -> None:
    assert len({rule.name for rule in DEFAULT_RULES}) == len(DEFAULT_RULES)
