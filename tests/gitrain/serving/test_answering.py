import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gitrain.serving.counters import NEWEST, Lookup, Seen, answering

from gitrain.errors import FeatureError, IntegrationError
from gitrain.serving.answering import Answer, Asked, utc_text
from gitrain.serving.requests import Rejection


@pytest.fixture
def lookup():
    return Lookup()


@pytest.fixture
def seen():
    return Seen()


def asked(name, *numbers, other=None):
    return Asked(name, [{"number": number, "other": other} for number in numbers])


def test_an_answer_has_all_that_was_promised(lookup, seen):
    (outcome,) = answering(lookup, seen).answer([asked("a", 41, 50)])

    assert json.loads(outcome.body) == {
        "release": "1.4.0",
        "request_id": "a",
        "features": {"newest": {"wind": "2026-01-01T12:00:00Z"}},
        "predictions": [
            {"probability": 0.41, "decision": False, "missing": ["gust"], "stale": ["wind"]},
            {"probability": 0.5, "decision": True, "missing": ["gust"], "stale": []},
        ],
    }


@given(st.lists(st.lists(st.integers(0, 100), min_size=1, max_size=5), min_size=1, max_size=8))
def test_requests_together_are_answered_as_each_by_itself(requests):
    lookup, seen = Lookup(), Seen()
    subject = answering(lookup, seen)
    together = subject.answer([asked(str(place), *numbers) for place, numbers in enumerate(requests)])

    assert len(lookup.calls) == 1
    alone = [subject.answer([asked(str(place), *numbers)])[0] for place, numbers in enumerate(requests)]
    assert [outcome.body for outcome in together] == [outcome.body for outcome in alone]


def test_one_refused_request_leaves_the_others_alone(lookup, seen):
    subject = answering(lookup, seen)

    first, refused, last = subject.answer([asked("a", 1), asked("b", 2, 3, other=3), asked("c", 4)])

    assert isinstance(first, Answer)
    assert isinstance(last, Answer)
    assert json.loads(last.body)["predictions"][0]["probability"] == 0.04
    assert isinstance(refused, Rejection)
    assert (refused.status, [problem.field for problem in refused.problems]) == (422, ["counters[1]"])
    # Neither looked up nor logged.
    assert lookup.calls == [[1, 4]]
    assert [list(rows.request_ids) for rows in seen.rows] == [["a", "c"]]


def test_all_refused_is_no_look_up(lookup, seen):
    outcomes = answering(lookup, seen).answer([asked("a", 1, other=0), asked("b", 2, other=0)])

    assert [outcome.status for outcome in outcomes] == [422, 422]
    assert (lookup.calls, seen.rows) == ([], [])


def test_many_problems_are_counted(lookup, seen):
    (refused,) = answering(lookup, seen).answer([asked("a", *[5] * 30, other=1)])

    assert len(refused.problems) == 21
    assert refused.problems[-1].reason == "10 more problems"


def test_what_fails_for_one_request_fails_for_no_other(lookup, seen):
    lookup.failing, lookup.fails_for = FeatureError("seven", fix="not seven."), 7
    subject = answering(lookup, seen)

    first, failed, last = subject.answer([asked("a", 1), asked("b", 7), asked("c", 2)])

    assert isinstance(first, Answer)
    assert isinstance(failed, FeatureError)
    assert isinstance(last, Answer)
    assert [list(rows.request_ids) for rows in seen.rows] == [["a"], ["c"]]


def test_a_store_that_is_away_is_not_asked_again_for_each_request(lookup, seen):
    lookup.failing = IntegrationError("away", fix="start it.")

    outcomes = answering(lookup, seen).answer([asked("a", 1), asked("b", 2)])

    assert [type(outcome) for outcome in outcomes] == [IntegrationError] * 2
    assert len(lookup.calls) == 1


def test_what_was_predicted_is_told_to_the_observer(lookup, seen):
    answering(lookup, seen).answer([asked("a", 1, 2), asked("b", 60)])

    (rows,) = seen.rows
    assert list(rows.request_ids) == ["a", "a", "b"]
    assert list(rows.places) == [0, 1, 0]
    assert rows.inputs.values("number") == [1, 2, 60]
    assert rows.decisions.tolist() == [False, False, True]
    assert rows.missing == (("gust",),) * 3
    assert rows.stale == (("wind",), (), ())
    assert (rows.time, rows.release) == (NEWEST, "1.4.0")
    assert seen.newest == {"wind": NEWEST}


def test_copies_are_told_apart_and_answered_alike(lookup, seen):
    together = [asked("a", 1), replace(asked("b", 60), copy=True), asked("c", 2), replace(asked("d", 3), copy=True)]
    outcomes = answering(lookup, seen).answer(together)

    assert [json.loads(outcome.body)["request_id"] for outcome in outcomes] == ["a", "b", "c", "d"]
    assert [(rows.copies, list(rows.request_ids)) for rows in seen.rows] == [(False, ["a", "c"]), (True, ["b", "d"])]
    plain = answering(lookup, Seen()).answer([replace(one, copy=False) for one in together])
    assert [outcome.body for outcome in plain] == [outcome.body for outcome in outcomes]


def test_times_are_utc():
    assert utc_text(datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))) == "2026-01-01T00:00:00Z"
    assert utc_text(None) is None
