"""Known rows: right, wrong, or not comparable."""

import json

import pytest
from tests.gitrain.probes.service import KNOWN

from gitrain.probes.client import Reply
from gitrain.probes.smoke_verdicts import judge_known, judge_ready, judge_release, read_known
from gitrain.serving.manifest import KnownAnswers
from gitrain.verdicts import Outcome

ROWS = KnownAnswers.model_validate(KNOWN)


def replies(**changes):
    """Answers as an honest service gives them, but for the changes of each prediction."""
    found = []
    for number, row in enumerate(ROWS.rows):
        prediction = {"probability": row.score, "decision": True, "missing": ["wind"], "stale": []} | changes
        body = json.dumps({"predictions": [prediction]}).encode()
        found.append(read_known(number, row, Reply(status=200, body=body)))
    return found


def test_right_answers_pass():
    verdict = judge_known(replies(), ROWS)

    assert verdict.outcome is Outcome.PASSED
    assert verdict.figures["compared"] == len(ROWS.rows)


def test_the_tolerance_is_kept_to():
    first = ROWS.rows[0]
    for by, outcome in ((0.5e-6, Outcome.PASSED), (2e-6, Outcome.FAILED)):
        body = json.dumps(
            {"predictions": [{"probability": first.score + by, "missing": ["wind"], "stale": []}]}
        ).encode()
        verdict = judge_known([read_known(0, first, Reply(status=200, body=body))], ROWS)
        assert verdict.outcome is outcome


def test_a_wrong_answer_names_row_and_values():
    verdict = judge_known(replies(probability=0.9), ROWS)

    assert verdict.outcome is Outcome.FAILED
    assert "6 of 6 known rows get a wrong answer: row 1 (size=1.0, place=south): 0.9, and 0.005 is known" in (
        verdict.reason
    )


@pytest.mark.parametrize("changes", [{"missing": ["wind", "delays"]}, {"stale": ["arrivals"]}])
def test_rows_whose_features_are_gone_prove_nothing(changes):
    verdict = judge_known(replies(probability=0.9, **changes), ROWS)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "gitrain features materialize" in verdict.reason


def test_one_comparable_row_is_enough_to_fail():
    found = [*replies(probability=0.9)[:1], *replies(missing=["delays"])[1:]]

    assert judge_known(found, ROWS).outcome is Outcome.FAILED


def test_a_feature_that_the_pipeline_lacked_too_is_no_excuse():
    assert judge_known(replies(probability=0.9, missing=["wind"]), ROWS).outcome is Outcome.FAILED


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=500, body=b"oh"),
        Reply(status=200, body=b"not JSON"),
        Reply(status=200, body=b'{"predictions": []}'),
        Reply(status=200, body=b'{"predictions": [{"probability": "0.255"}]}'),
        Reply(status=200, body=b'{"predictions": [{"probability": NaN}]}'),
        Reply(status=200, body=b'{"predictions": [{"probability": true}]}'),
    ],
)
def test_what_is_no_answer_is_wrong(reply):
    verdict = judge_known([read_known(0, ROWS.rows[0], reply)], ROWS)

    assert verdict.outcome is Outcome.FAILED


def test_readiness():
    assert judge_ready(1.0, 30, said="").outcome is Outcome.PASSED
    assert judge_ready(None, 30, said="/readyz answers 503").reason.endswith("within 30 s: /readyz answers 503")


def test_the_release_is_the_one_that_is_expected():
    reply, facts = Reply(status=200), {"version": "1.4.0", "commit": "abc"}

    assert judge_release(reply, facts, {"version": "1.4.0"}).outcome is Outcome.PASSED
    assert judge_release(reply, facts, {}).outcome is Outcome.PASSED
    wrong = judge_release(reply, facts, {"version": "1.5.0"})
    assert (wrong.outcome, wrong.reason) == (
        Outcome.FAILED,
        "/release says that version is '1.4.0', and '1.5.0' is expected",
    )
    assert judge_release(Reply(status=404), None, {}).outcome is Outcome.FAILED
