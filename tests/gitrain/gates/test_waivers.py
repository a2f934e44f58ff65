from datetime import date, timedelta

import pytest

from gitrain.errors import SettingsError
from gitrain.gates.waivers import LONGEST_WAIVER, check_waivers
from gitrain.pipeline.params import Waiver
from gitrain.verdicts import Outcome, Verdict

TODAY = date(2026, 3, 1)
GATES = ["threshold:roc_auc", "champion", "leak-alarm:roc_auc"]


def waiver(gate="champion", *, days=30, reason="first deployment, nothing to compare with"):
    return Waiver(gate=gate, reason=reason, expires=TODAY + timedelta(days=days))


def check(*waivers, before=()):
    return check_waivers(waivers, gates=GATES, today=TODAY, known_before=before)


def verdict(outcome, gate="champion"):
    return Verdict(name=gate, outcome=outcome, reason="because", figures={"value": 1.0})


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.INCONCLUSIVE])
def test_a_waiver_lets_its_gate_through_and_says_so(outcome):
    found = check(waiver()).apply(verdict(outcome))
    assert found.outcome is Outcome.PASSED
    assert found.waived == "first deployment, nothing to compare with (until 2026-03-31; added by this change)"
    assert found.reason == f"{outcome.value}, and waived: because"
    assert found.figures == {"value": 1.0}


def test_other_outcomes_and_other_gates_are_left_alone():
    waivers = check(waiver())
    for untouched in (verdict(Outcome.PASSED), verdict(Outcome.ERROR), verdict(Outcome.FAILED, "threshold:roc_auc")):
        assert waivers.apply(untouched) == untouched


def test_the_day_of_expiry_is_the_last_one():
    assert check(waiver(days=0)).apply(verdict(Outcome.FAILED)).outcome is Outcome.PASSED
    expired = check(waiver(days=-1)).apply(verdict(Outcome.FAILED))
    assert expired.outcome is Outcome.FAILED
    assert expired.reason == "because; the waiver for it expired on 2026-02-28"
    assert expired.waived is None


def test_a_waiver_that_the_base_has_is_not_called_new():
    assert "already in the base" in str(check(waiver(), before=[waiver()]).explain("champion"))
    assert "added by this change" in str(check(waiver(), before=[waiver(days=10)]).explain("champion"))


@pytest.mark.parametrize(
    ("waivers", "said"),
    [
        ([waiver("champoin")], "did you mean 'champion'"),
        ([waiver("leak-alarm:roc_auc")], "a leak alarm cannot be waived"),
        ([waiver("leak-alarm")], "a leak alarm cannot be waived"),
        ([waiver(), waiver(days=1)], "a second time"),
        ([waiver(days=LONGEST_WAIVER.days + 1)], "more than 90 days ahead"),
    ],
)
def test_a_wrong_waiver_is_an_error(waivers, said):
    with pytest.raises(SettingsError) as raised:
        check(*waivers)
    assert said in str(raised.value)


def test_ninety_days_are_allowed():
    assert "champion" in check(waiver(days=LONGEST_WAIVER.days)).active
