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


@pytest.mark.parametrize(("events", "outcome"), [(400, Outcome.FAILED), (2, Outcome.PASSED)])
def test_what_only_the_new_release_has_is_compared_with_none_of_it(events: int, outcome: Outcome) -> None:
    """A feature or a history that is new: the champion answered without it, so none of its answers lacked it."""
    champion = {"missing:wind": Counted(10, 5000), "positive": Counted(1000, 5000)}
    new = {"missing:wind": Counted(1, 500), "missing:gust": Counted(events, 500), "stale:flights": Counted(events, 500)}
    missing, stale = judge_canary(new, champion, requests=500)
    assert (missing.outcome, stale.outcome) == (outcome, outcome)
    assert stale.figures["champion_requests"] == 5000


def test_what_the_champion_was_never_asked_for_is_compared_with_nothing() -> None:
    """Its own numbers are not there: that is no evidence of none."""
    for champion in ({}, {"errors:proxied": Counted(0, 900)}):
        new = {"missing:gust": Counted(400, 500), "errors:own": Counted(400, 500)}
        verdicts = judge_canary(new, champion, requests=500)
        assert {each.outcome for each in verdicts} == {Outcome.INCONCLUSIVE}


def test_what_is_counted_by_now_changes_nothing_for_the_others() -> None:
    """Else `alpha` would be given out anew at each look, and no bound would hold over all of them."""
    new, old = {"errors:own": Counted(9, 400)}, {"errors:own": Counted(1, 400)}
    (alone,) = judge_canary(new, old, requests=10)
    more = {"errors:proxied": Counted(0, 400), "slow:own": Counted(0, 400), "distance": Counted(0, 9)}
    beside = judge_canary(new | more, old | more, requests=10)
    assert len(beside) == 3
    # The worst part speaks for the rule.
    assert (beside[0].figures["low"], beside[0].figures["high"]) == (alone.figures["low"], alone.figures["high"])


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
