import io
import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gitrain.integrations.logged_records import BROKEN, NOON, SCHEMA, WHOLE, at

from gitrain.integrations.log_lines import parse_log
from gitrain.monitoring.log_content import LoggedPredictions


def parsed(content: bytes) -> LoggedPredictions:
    return parse_log(io.BytesIO(content), SCHEMA)


def test_records_have_their_types():
    frame = parsed(WHOLE).frame

    assert frame["time"].to_list() == [datetime(2026, 1, 1, 12, tzinfo=UTC)] * 2
    assert frame["features"].struct.field("wind").to_list() == [1.5, 1.5]
    assert frame["probability"].to_list() == [0.25, 0.75]


@given(junk=st.binary(max_size=60), after=st.booleans())
def test_whatever_stands_in_a_line_the_others_are_read(junk, after):
    junk = junk.replace(b"\n", b"")
    content = WHOLE + junk + b"\n" if after else junk + b"\n" + WHOLE

    found = parsed(content)

    assert found.frame.height + found.unreadable in (2, 3)
    assert found.frame.filter(pl.col("request_id") == "a").height == 2


@pytest.mark.parametrize("size", [1, len(WHOLE) // 2, len(WHOLE), 3 * len(WHOLE) + 5, 2**20])
def test_files_are_parsed_in_blocks_of_whole_lines(size, monkeypatch):
    content = WHOLE * 2 + b"no record\n\n" + WHOLE + b'{"schema_version": 1, "probability": "text"}\n' + WHOLE + b"{ha"
    whole = parsed(content)
    monkeypatch.setattr("gitrain.integrations.log_lines._BLOCK", size)

    found = parsed(content)

    assert found.frame.equals(whole.frame) and found.frame.height == 8
    assert found.frame.n_chunks() == 1
    assert (found.unreadable, found.torn, found.damaged) == (2, 1, whole.damaged)


def test_a_line_that_cannot_be_read_makes_its_own_block_slow_alone(monkeypatch):
    monkeypatch.setattr("gitrain.integrations.log_lines._BLOCK", len(WHOLE))
    slow = []
    monkeypatch.setattr("gitrain.integrations.log_lines._record", lambda line, _: slow.append(line))

    found = parsed(WHOLE * 5 + b"no record\n" + WHOLE * 5)

    assert b"no record" in slow and len(slow) <= 5
    assert found.frame.height >= 18


@given(cut=st.integers(0, len(WHOLE)))
def test_a_file_cut_anywhere_gives_its_whole_lines(cut):
    found = parsed(WHOLE[:cut])

    assert found.frame.height == WHOLE[:cut].count(b"\n")
    assert found.unreadable == 0


@pytest.mark.parametrize("size", [1, len(WHOLE), len(WHOLE) + 5, 2**20])
@pytest.mark.parametrize("cut", [1, len(at(1)) // 2, len(at(1)) - 1])
def test_a_file_that_grows_by_the_rest_of_a_line_has_no_damaged_one(size, cut, monkeypatch):
    monkeypatch.setattr("gitrain.integrations.log_lines._BLOCK", size)

    class Grows(io.BytesIO):
        """Whoever finds its end has the rest of the last line come after it."""

        rest = iter((at(1)[cut:], at(2)))

        def readline(self, *_):
            found = super().readline()
            place = self.tell()
            if place == self.seek(0, io.SEEK_END):
                self.write(next(self.rest, b""))
            self.seek(place)
            return found

    found = parse_log(Grows(WHOLE + at(1)[:cut]), SCHEMA)

    assert (found.frame.height, found.torn, found.unreadable) == (2, 1, 0)


def places(content: bytes) -> list[tuple[int, float | None, float | None]]:
    def hours(time: datetime | None) -> float | None:
        return None if time is None else (time - NOON) / timedelta(hours=1)

    return [(each.lines, hours(each.first), hours(each.last)) for each in parsed(content).damaged]


NO_TIME = b'{"schema_version": 1}\n'


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (at(0, 1) + BROKEN * 2 + at(2, 3) + BROKEN + at(4), [(2, 1, 2), (1, 3, 4)]),
        (BROKEN + at(5, 6), [(1, 5, 5)]),
        (at(5, 6) + b"\n" + BROKEN * 3, [(3, 6, 6)]),
        (at(0) + NO_TIME + BROKEN + NO_TIME + BROKEN + at(7), [(1, 0, 7), (1, 0, 7)]),
        (at(9) + BROKEN + at(8), [(1, 8, 9)]),
        (BROKEN * 2, [(2, None, None)]),
        (NO_TIME + BROKEN, [(1, None, None)]),
        (at(0, 1), []),
    ],
)
@pytest.mark.parametrize("size", [1, 2**20])
def test_lines_that_cannot_be_read_are_placed_between_the_records_around_them(content, expected, size, monkeypatch):
    monkeypatch.setattr("gitrain.integrations.log_lines._BLOCK", size)

    assert places(content) == expected


@pytest.mark.parametrize(
    "time", ["+12345-01-01T00:00:00Z", "0000-12-31T23:59:59Z", "-0001-01-01T00:00:00Z", "9999-12-31T23:59:59-05:00"]
)
@pytest.mark.parametrize("other", [b"", BROKEN])
def test_years_that_python_does_not_know_are_no_times(time, other):
    strange = json.dumps(json.loads(at(0)) | {"time": time}).encode() + b"\n"

    found = parsed(at(1) + strange + other + at(2))

    assert found.frame["time"].to_list() == [NOON + timedelta(hours=1), None, NOON + timedelta(hours=2)]
    assert len(found.damaged) == bool(other)


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59.999999+00:00"])
def test_the_first_and_the_last_year_are_times(time):
    strange = json.dumps(json.loads(at(0)) | {"time": time}).encode() + b"\n"

    assert parsed(strange).frame["time"].to_list() == [datetime.fromisoformat(time)]
