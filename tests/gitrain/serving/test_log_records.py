import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gitrain.serving.predicted import NOON, predicted

from gitrain.errors import DataError
from gitrain.serving.log_records import encode_records, parse_records


def test_a_record_says_what_was_asked_and_answered():
    content = encode_records([predicted(0.25, request_id="a", missing=["wind"], stale=["arrivals"], wind=np.nan)])

    assert json.loads(content) == {
        "schema_version": 1,
        "time": "2026-01-01T12:00:00+00:00",
        "request_id": "a",
        "row": 0,
        "release": "1.4.0",
        "inputs": {"origin": "JFK", "day": "2026-01-01"},
        "features": {"wind": None, "place": "JFK"},
        "missing": ["wind"],
        "stale": ["arrivals"],
        "probability": 0.25,
        "decision": False,
    }


def test_rows_of_several_parts_keep_their_order_and_their_times():
    later = datetime(2026, 1, 1, 12, 0, 1, 5, tzinfo=UTC)

    read = parse_records(
        encode_records([predicted(0.1, 0.9, request_id="a"), predicted(0.5, request_id="b", time=later)]), source="log"
    ).frame

    assert read["request_id"].to_list() == ["a", "a", "b"]
    assert read["row"].to_list() == [0, 1, 0]
    assert read["probability"].to_list() == [0.1, 0.9, 0.5]
    assert read["decision"].to_list() == [False, True, True]
    assert read["time"].to_list() == [NOON, NOON, later]


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=5),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.floats(allow_infinity=False),
)
def test_what_is_written_is_read_to_the_last_bit(probabilities, text, wind):
    read = parse_records(encode_records([predicted(*probabilities, text=text, wind=wind)]), source="log")

    assert read.torn == 0
    assert read.frame["probability"].to_list() == probabilities
    features = read.frame["features"].struct.unnest()
    assert features["place"].to_list() == [text] * len(probabilities)
    assert features["wind"].to_list() == [None if np.isnan(wind) else wind] * len(probabilities)


def test_times_keep_their_nanoseconds():
    time = pl.Series([1_700_000_000_123_456_789]).cast(pl.Datetime("ns", "UTC"))
    part = replace(predicted(0.5), inputs=pl.DataFrame({"at": time}))

    at = json.loads(encode_records([part]))["inputs"]["at"]

    assert pl.Series([at]).str.to_datetime(time_unit="ns", time_zone="UTC").to_list() == time.to_list()
    assert ".123456789" in at


@pytest.mark.parametrize(
    "text", ["\n", '"}\n{"', "\x00", "\u2028", "💥", "../../etc/passwd", "a" * 100_000, "\x1b[31m"]
)
def test_hostile_text_stays_in_its_line(text):
    content = encode_records([predicted(0.1, text=text), predicted(0.2)])

    assert content.count(b"\n") == 2
    assert [json.loads(line)["inputs"]["origin"] for line in content.splitlines()] == [text, "JFK"]


@given(st.integers(1, 2000))
def test_a_line_that_was_cut_short_is_passed_over(cut):
    content = encode_records([predicted(0.1, request_id="a"), predicted(0.2, request_id="b")])
    whole = content[: -min(cut, len(content) - 1)]

    read = parse_records(whole, source="log")

    assert read.frame.height == whole.count(b"\n")
    assert read.torn == (0 if whole.endswith(b"\n") else 1)


def test_an_empty_file_has_no_records():
    read = parse_records(b"", source="log")

    assert (read.frame.height, read.torn) == (0, 0)
    assert read.frame["time"].dtype == pl.Datetime("us", "UTC")


@pytest.mark.parametrize("line", [b"[1]\n", b"nothing\n", b'{"time": 3}\n', b'{"schema_version": 1}\n'])
def test_a_whole_line_that_is_no_record_is_an_error(line):
    with pytest.raises(DataError, match=r"x\.jsonl holds a line"):
        parse_records(line, source="x.jsonl")
