"""A load is judged by limits; what the generator did itself is not blamed on the service."""

import numpy as np
import pytest
from tests.gitrain.probes.test_load import samples

from gitrain.environments.document import LoadLimits
from gitrain.probes.load import LoadFigures
from gitrain.probes.load_verdicts import judge_load
from gitrain.verdicts import Outcome

EVERY = LoadLimits(p50_ms=5, p90_ms=5, p99_ms=10, max_ms=20, longest_pause_ms=30, missing=0.1, stale=0.1)
DUE = np.arange(1000) / 100


def judge(limits=EVERY, *, seconds=10, **changes):
    values = {"due": DUE, "done": DUE + 0.002} | changes
    verdicts = judge_load(LoadFigures.of(samples(**values), seconds=seconds), limits)
    return {verdict.name.removeprefix("load:"): verdict for verdict in verdicts}


def outcomes(verdicts):
    return {name: verdict.outcome for name, verdict in verdicts.items() if verdict.outcome is not Outcome.PASSED}


def test_a_service_within_its_limits_passes():
    verdicts = judge()

    assert outcomes(verdicts) == {}
    assert list(verdicts) == [
        "schedule", "errors", "refused", "p50", "p90", "p99", "max", "pause", "missing", "stale",
    ]  # fmt: skip
    assert verdicts["p99"].figures == {"p99_ms": pytest.approx(2), "limit_ms": 10, "lag_ms": 0}


def test_limits_that_are_not_set_are_not_judged():
    assert list(judge(LoadLimits())) == ["schedule", "errors", "refused"]


def slow(share, seconds):
    """All but a share answer in 2 ms."""
    done = DUE + 0.002
    done[: int(share * len(DUE))] += seconds
    return done


@pytest.mark.parametrize(
    ("changes", "failed", "reason"),
    [
        ({"done": slow(0.02, 0.05)}, {"p99", "max", "pause"}, "99 % of the requests were answered within 52 ms"),
        ({"done": slow(0.6, 0.006)}, {"p50", "p90"}, "half of the requests were answered within 8 ms"),
        ({"status": [500] * 3 + [200] * 997}, {"errors"}, "3 of 1,000 requests (3 answered with 500)"),
        (
            {"status": [0] + [200] * 999, "lost": ["ClientOSError ECONNRESET"] + [""] * 999},
            {"errors"},
            "1 of 1,000 requests (1 without an answer: 1 ClientOSError ECONNRESET)",
        ),
        ({"status": [429] + [200] * 999}, {"refused"}, "1 of 1,000 requests (answered with 429)"),
        ({"missing": 1}, {"missing"}, "1,000 of 1,000 predictions lack a feature"),
        ({"stale": 1}, {"stale"}, "1,000 of 1,000 predictions were made from stale features"),
    ],
)
def test_a_limit_that_is_exceeded_fails(changes, failed, reason):
    verdicts = judge(**changes)

    assert outcomes(verdicts) == dict.fromkeys(failed, Outcome.FAILED)
    assert any(reason in verdict.reason for verdict in verdicts.values())


def test_a_generator_that_was_late_itself_proves_nothing():
    """The service took 2 ms each time; the generator sent 60 ms late, now and then."""
    sent = DUE.copy()
    sent[::20] += 0.06

    verdicts = judge(sent=sent, done=sent + 0.002)

    assert outcomes(verdicts) == dict.fromkeys(["p99", "max"], Outcome.INCONCLUSIVE)
    assert "the generator itself was late by 60 ms" in verdicts["p99"].reason


def test_a_lag_does_not_excuse_a_service_that_is_far_too_slow():
    sent = DUE + 0.002
    verdicts = judge(sent=sent, done=sent + 0.5)

    assert verdicts["p99"].outcome is Outcome.FAILED


def test_a_load_that_was_not_made_is_no_evidence():
    sent = DUE.copy()
    sent[500:] = np.nan

    verdicts = judge(sent=sent)

    assert verdicts["schedule"].outcome is Outcome.INCONCLUSIVE
    assert "50 requests a second were sent of 100 that were due" in verdicts["schedule"].reason


def test_too_few_requests_say_nothing_of_rare_ones():
    due = np.arange(50) / 10

    verdicts = judge(LoadLimits(p90_ms=5, p99_ms=10, max_ms=10), seconds=5, due=due, done=due + 0.001)

    assert outcomes(verdicts) == {"p99": Outcome.INCONCLUSIVE}
    assert "50 requests are too few" in verdicts["p99"].reason


def test_nothing_due_is_inconclusive():
    assert set(outcomes(judge(due=[], done=[])).values()) == {Outcome.INCONCLUSIVE}
