"""How a release is judged that was started."""

import re

import numpy as np
import pytest

from gitrain.checks import service as rules
from gitrain.verdicts import Outcome, Verdict

FACTS = {
    "version": "1.4.0",
    "python": "3.12.4",
    "machine": "x86_64",
    "libraries": {"numpy": "2.0.0", "Polars": "2.1.0", "bentoml": "1.4.39"},
    "model_load_seconds": 0.5,
}
LIBRARIES = {"numpy": frozenset({"2.0.0", "2.0.1"}), "polars": frozenset({"2.1.0"})}


def test_starting_in_time():
    assert rules.judge_starts(2.5, 30, said="").outcome is Outcome.PASSED
    late = rules.judge_starts(None, 30, said="/readyz answers 503")
    assert (late.outcome, late.reason) == (Outcome.FAILED, "it was not ready within 30 s: /readyz answers 503")


def test_identity():
    assert rules.judge_identity(FACTS, {"version": "1.4.0", "machine": "x86_64"}).outcome is Outcome.PASSED
    wrong = rules.judge_identity(FACTS, {"version": "1.4.1"})
    assert wrong.outcome is Outcome.FAILED
    assert "version is '1.4.0', and '1.4.1' was started" in wrong.reason
    assert rules.judge_identity(None, {"version": "1.4.1"}).outcome is Outcome.FAILED
    assert rules.judge_identity({}, {"commit": "0"}).outcome is Outcome.FAILED
    assert rules.judge_identity(FACTS, {}).outcome is Outcome.INCONCLUSIVE


def test_what_it_runs_with():
    fits = rules.judge_fits(FACTS, "3.12", "x86_64", LIBRARIES)
    assert fits.outcome is Outcome.PASSED
    # What is not in its requirements is nobody's business.
    assert fits.figures["libraries"] == 2


@pytest.mark.parametrize(
    ("python", "machine", "libraries", "reason"),
    [
        ("3.13", "x86_64", {}, "it runs on Python 3.12, and was built for 3.13"),
        ("3.12", "aarch64", {}, "it runs on x86_64, and was built for aarch64"),
        ("3.12", "x86_64", {"numpy": frozenset({"1.9"})}, "numpy is 2.0.0, and was built with 1.9"),
        ("3.12", "x86_64", {"polars": frozenset({"1.0", "1.1"})}, "Polars is 2.1.0".lower()),
    ],
)
def test_what_differs_is_named(python, machine, libraries, reason):
    verdict = rules.judge_fits(FACTS, python, machine, libraries)

    assert verdict.outcome is Outcome.FAILED
    assert reason in verdict.reason


@pytest.mark.parametrize("facts", [None, {}, {"python": 3, "libraries": {}}, {"python": "3.12", "libraries": "many"}])
def test_a_service_that_says_nothing_of_itself_is_no_evidence(facts):
    assert rules.judge_fits(facts, "3.12", "x86_64", {}).outcome is Outcome.INCONCLUSIVE


def test_reading_the_model():
    assert rules.judge_model_loads(FACTS, 1).outcome is Outcome.PASSED
    assert rules.judge_model_loads(FACTS, 0.1).outcome is Outcome.FAILED
    assert rules.judge_model_loads({"model_load_seconds": "fast"}, 1).outcome is Outcome.INCONCLUSIVE


def test_memory():
    assert rules.judge_memory(100 * 2**20, 100 * 2**20, processes=2).outcome is Outcome.PASSED
    over = rules.judge_memory(101 * 2**20, 100 * 2**20, processes=2)
    assert (over.outcome, over.reason) == (Outcome.FAILED, "2 processes took 101 MiB at most; 100 are declared")
    assert rules.judge_memory(None, 1).outcome is Outcome.INCONCLUSIVE


def drained(statuses=(200, 200), slow=True, *, exit_code=0, forced=False):
    return rules.judge_drain(
        np.array(statuses, dtype=np.int16), slow, exit_code=exit_code, seconds=0.4, limit=15, forced=forced
    )


@pytest.mark.parametrize(
    ("verdict", "outcome", "reason"),
    [
        (drained(), Outcome.PASSED, "it answered all 2 requests"),
        (drained([200, 0, 503]), Outcome.FAILED, "2 of 3 requests that were sent before"),
        (drained(slow=False), Outcome.FAILED, "a request whose body was on its way got no answer"),
        (drained(exit_code=1), Outcome.FAILED, "it ended with 1"),
        (drained(exit_code=-9, forced=True), Outcome.FAILED, "did not stop within 15 s"),
        (drained([]), Outcome.INCONCLUSIVE, "no request was under way"),
    ],
)
def test_draining(verdict, outcome, reason):
    assert verdict.outcome is outcome
    assert reason in verdict.reason


def test_several_verdicts_become_one():
    parts = [
        Verdict(name="a", outcome=Outcome.PASSED, reason="fine", figures={"requests": 10, "status_200": 10}),
        Verdict(name="b", outcome=Outcome.INCONCLUSIVE, reason="unsure", figures={"requests": 3}),
        Verdict(name="c", outcome=Outcome.FAILED, reason="broken", figures={"wrong": 1}),
    ]

    summed = rules.summed_up(rules.CONTRACT, parts)

    assert summed.outcome is Outcome.FAILED
    assert summed.reason == "broken; unsure"
    assert summed.figures == {"requests": 10, "wrong": 1}
    assert rules.summed_up(rules.LOAD, parts[:1]).reason == "fine"


def test_what_could_not_be_asked_is_not_called_good():
    found = rules.without_service([rules.LOAD, rules.MEMORY], "there is no service")
    assert [(each.name, each.outcome) for each in found] == [
        (rules.LOAD, Outcome.INCONCLUSIVE),
        (rules.MEMORY, Outcome.INCONCLUSIVE),
    ]


def test_the_definitions_are_those_of_the_group():
    assert len({each.name for each in rules.CHECKS}) == 9
    assert all(re.fullmatch(r"service:[a-z-]+", each.name) for each in rules.CHECKS)
