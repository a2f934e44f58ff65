from hypothesis import given
from hypothesis import strategies as st

from gitrain.verdicts import Outcome, Verdict, worst

OUTCOMES = st.lists(st.sampled_from(Outcome))


def test_exit_codes_are_those_of_the_command_line():
    assert {outcome.value: outcome.exit_code for outcome in Outcome} == {
        "PASSED": 0,
        "FAILED": 1,
        "ERROR": 3,
        "INCONCLUSIVE": 4,
    }


def test_no_rules_prove_nothing():
    assert worst([]) is Outcome.INCONCLUSIVE


@given(OUTCOMES)
def test_only_passes_make_a_pass(outcomes):
    assert (worst(outcomes) is Outcome.PASSED) == (bool(outcomes) and set(outcomes) == {Outcome.PASSED})


@given(OUTCOMES, OUTCOMES)
def test_more_rules_never_make_it_better(some, more):
    order = [Outcome.PASSED, Outcome.INCONCLUSIVE, Outcome.FAILED, Outcome.ERROR]
    if some:
        assert order.index(worst(some + more)) >= order.index(worst(some))


def test_a_waiver_is_shown_in_the_json():
    verdict = Verdict(name="champion", outcome=Outcome.PASSED, reason="r", figures={"a": 1.5}, waived="first release")

    assert verdict.to_json() == {
        "name": "champion",
        "outcome": "PASSED",
        "reason": "r",
        "figures": {"a": 1.5},
        "waived": "first release",
    }
