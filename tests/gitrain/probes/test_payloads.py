"""What is sent, and what answers say."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gitrain.probes.service import DOCUMENT, KNOWN

from gitrain.errors import IntegrationError, UsageError
from gitrain.probes.payloads import Answered, Payload, payloads_of, read_answer, read_payloads, table_in
from gitrain.serving.manifest import KnownAnswers

ROWS = KnownAnswers.model_validate(KNOWN)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["predictions", "missing", "stale", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


def answer(*predictions):
    return json.dumps({"predictions": [{"missing": [], "stale": []} | each for each in predictions]}).encode()


def test_a_request_for_each_known_row():
    payloads = payloads_of(ROWS, "parcels")

    assert len(payloads) == len(ROWS.rows)
    assert json.loads(payloads[0].body) == {"parcels": [{"size": 1.0, "place": "north"}]}
    # `wind` is null in the pipeline too: that it is missing is no news.
    assert payloads[0].missing == (frozenset({"wind"}),)


def test_rows_of_a_file():
    text = '{"size": 1}\n\n{"parcels": [{"size": 2}, {"size": 3}]}\n'

    payloads = read_payloads(text, "parcels", source="rows.jsonl")

    assert [json.loads(each.body) for each in payloads] == [
        {"parcels": [{"size": 1}]},
        {"parcels": [{"size": 2}, {"size": 3}]},
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "has no rows"), ("{}\nno", "line 2 of rows.jsonl is not JSON"), ("[1]", "line 1 of rows.jsonl is no object")],
)
def test_a_file_that_holds_no_rows(text, message):
    with pytest.raises(UsageError, match=message):
        read_payloads(text, "parcels", source="rows.jsonl")


def test_features_that_are_known_to_be_missing_are_not_counted():
    payload = Payload(body=b"", missing=(frozenset({"wind"}), frozenset()))

    found = read_answer(answer({"missing": ["wind"]}, {"missing": ["wind"], "stale": ["arrivals"]}), payload)

    assert found == Answered(rows=2, missing=1, stale=1)


def test_an_answer_to_another_question_is_none():
    payload = Payload(body=b"", missing=(frozenset(),))

    assert read_answer(answer({}, {}), payload) is None
    assert read_answer(b'{"predictions": [{"probability": 0.5}]}', payload) is None
    assert read_answer(b"\xff", payload) is None


@given(JSON)
def test_no_answer_breaks_the_probe(value):
    found = read_answer(json.dumps(value).encode(), Payload(body=b""))

    assert found is None or (0 <= found.missing <= found.rows and 0 <= found.stale <= found.rows)


@given(st.binary(max_size=50))
def test_no_bytes_break_the_probe(body):
    assert read_answer(body, Payload(body=b"", missing=(frozenset(),))) is None


def test_the_description_says_what_rows_stand_under():
    assert table_in(DOCUMENT) == "parcels"


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        None,
        {"paths": {"/predict": {"post": {"requestBody": {"$ref": "#/nowhere"}}}}},
        {"paths": {"/predict": {"$ref": "#/paths/~1predict"}}},
        {"paths": {"$ref": "#/paths"}},
    ],
)
def test_a_description_that_does_not_say_is_refused(document):
    with pytest.raises(IntegrationError, match="does not say what the rows"):
        table_in(document)
