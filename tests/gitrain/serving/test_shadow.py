import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.serving.shadow import Compared, compare_answers, judge_status


def answer(*rows: tuple[object, object]) -> bytes:
    return json.dumps({"predictions": [{"probability": p, "decision": d} for p, d in rows]}).encode()


def test_rows_are_compared_one_by_one() -> None:
    told = answer((0.2, False), (0.6, True), (0.5, False), (0.9, True))
    copy = answer((0.2, False), (0.4, False), (0.5, True), (0.1, True))
    assert compare_answers(told, copy) == Compared(rows=4, decisions=2, far=1)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=5))
def test_an_answer_is_like_itself(rows: list[tuple[float, bool]]) -> None:
    assert compare_answers(answer(*rows), answer(*rows)) == Compared(rows=len(rows), decisions=0, far=0)


@pytest.mark.parametrize(
    "copy",
    [
        b"",
        b"not JSON",
        b"[]",
        b"{}",
        b'{"predictions": null}',
        b'{"predictions": [1]}',
        answer(),
        answer((0.5, True), (0.5, True)),
        answer((1.5, True)),
        answer((True, True)),
        answer(("0.5", True)),
        answer((0.5, "yes")),
        answer((0.5, 1)),
        b'{"predictions": [{"probability": NaN, "decision": true}]}',
        b'{"predictions": [{"probability": 0.5}]}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_what_is_no_answer_to_the_request(copy: bytes) -> None:
    assert compare_answers(answer((0.5, True)), copy) is None


def test_statuses() -> None:
    assert [judge_status(status) for status in (200, 400, 422, 429, 500, 503, 302)] == [
        "compared", "refused", "refused", "dropped", "failed", "failed", "failed",
    ]  # fmt: skip
