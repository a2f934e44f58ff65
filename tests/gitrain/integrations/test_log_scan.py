import os
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gitrain.serving.predicted import predicted

from gitrain.integrations.log_scan import LogScan, parse_log
from gitrain.serving.log_records import encode_records

SCHEMA = {
    "schema_version": pl.Int64(),
    "time": pl.String(),
    "request_id": pl.String(),
    "row": pl.Int64(),
    "release": pl.String(),
    "inputs": pl.Struct({"origin": pl.String(), "day": pl.String()}),
    "features": pl.Struct({"wind": pl.Float64(), "place": pl.String()}),
    "stale": pl.List(pl.String),
    "probability": pl.Float64(),
    "decision": pl.Boolean(),
}
WHOLE = encode_records([predicted(0.25, 0.75, request_id="a", wind=1.5)])


def test_records_have_their_types():
    frame = parse_log(WHOLE, SCHEMA).frame

    assert frame["time"].to_list() == [datetime(2026, 1, 1, 12, tzinfo=UTC)] * 2
    assert frame["features"].struct.field("wind").to_list() == [1.5, 1.5]
    assert frame["probability"].to_list() == [0.25, 0.75]


@given(junk=st.binary(max_size=60), after=st.booleans())
def test_whatever_stands_in_a_line_the_others_are_read(junk, after):
    junk = junk.replace(b"\n", b"")
    content = WHOLE + junk + b"\n" if after else junk + b"\n" + WHOLE

    found = parse_log(content, SCHEMA)

    assert found.frame.height + found.unreadable in (2, 3)
    assert found.frame.filter(pl.col("request_id") == "a").height == 2


@pytest.mark.parametrize("size", [1, len(WHOLE) // 2, len(WHOLE), 3 * len(WHOLE) + 5, 2**20])
def test_files_are_parsed_in_blocks_of_whole_lines(size, monkeypatch):
    content = WHOLE * 2 + b"no record\n\n" + WHOLE + b'{"schema_version": 1, "probability": "text"}\n' + WHOLE + b"{ha"
    whole = parse_log(content, SCHEMA)
    monkeypatch.setattr("gitrain.integrations.log_scan._BLOCK", size)

    found = parse_log(content, SCHEMA)

    assert found.frame.equals(whole.frame) and found.frame.height == 8
    assert found.frame.n_chunks() == 1
    assert (found.unreadable, found.torn, found.damaged) == (2, 1, whole.damaged)


def test_a_line_that_cannot_be_read_makes_its_own_block_slow_alone(monkeypatch):
    monkeypatch.setattr("gitrain.integrations.log_scan._BLOCK", len(WHOLE))
    slow = []
    monkeypatch.setattr("gitrain.integrations.log_scan._record", lambda line, _: slow.append(line))

    found = parse_log(WHOLE * 5 + b"no record\n" + WHOLE * 5, SCHEMA)

    assert b"no record" in slow and len(slow) <= 5
    assert found.frame.height >= 18


@given(cut=st.integers(0, len(WHOLE)))
def test_a_file_cut_anywhere_gives_its_whole_lines(cut):
    found = parse_log(WHOLE[:cut], SCHEMA)

    assert found.frame.height == WHOLE[:cut].count(b"\n")
    assert found.unreadable == 0


def test_files_are_parsed_once_and_again_when_they_grow(tmp_path, monkeypatch):
    log, kept = tmp_path / "log", tmp_path / "kept"
    log.mkdir()
    path = log / "predictions-1.jsonl"
    path.write_bytes(WHOLE)
    scan = LogScan(log, kept=kept)
    first = scan.read(SCHEMA)

    with monkeypatch.context() as patch:
        patch.setattr("gitrain.integrations.log_scan.parse_log", lambda *_: pytest.fail("parsed again"))
        second = scan.read(SCHEMA)
    path.write_bytes(WHOLE + b"{half")
    third = scan.read(SCHEMA)

    assert second.frame.equals(first.frame)
    assert (third.frame.height, third.torn) == (2, 1)
    assert len(list(kept.iterdir())) == 1, "what is out of date is gone"
    assert scan.read(SCHEMA).torn == 1, "counts are kept, too"


def test_what_is_kept_is_what_was_read(tmp_path):
    log = tmp_path / "log"
    log.mkdir()
    for number, lines in enumerate(
        (
            WHOLE,
            b'{"schema_version": 1, "inputs": null, "features": {"wind": null}, "stale": null}\n',
            b'{"schema_version": 1, "inputs": {}, "features": null, "stale": ["arrivals", null]}\n' + WHOLE,
            b"",
        )
    ):
        (log / f"predictions-{number}.jsonl").write_bytes(lines)
    scan = LogScan(log, kept=tmp_path / "kept")

    first, second = scan.read(SCHEMA).frame, scan.read(SCHEMA).frame

    assert len(list((tmp_path / "kept").iterdir())) == 4
    assert second.schema == first.schema and second.equals(first)
    assert first["inputs"].is_null().to_list() == [False, False, True, False, False, False]
    assert first["features"].is_null().to_list() == [False, False, False, True, False, False]


def test_damaged_or_impossible_copies_cost_time_alone(tmp_path):
    log, kept = tmp_path / "log", tmp_path / "kept"
    log.mkdir()
    (log / "predictions-1.jsonl").write_bytes(WHOLE)
    LogScan(log, kept=kept).read(SCHEMA)
    for path in kept.iterdir():
        path.write_bytes(b"PAR1 and nothing else")

    assert LogScan(log, kept=kept).read(SCHEMA).frame.height == 2
    blocked = tmp_path / "blocked"
    blocked.write_text("a file, where a folder should be")
    assert LogScan(log, kept=blocked).read(SCHEMA).frame.height == 2


def test_a_full_disk_is_no_reason_to_see_nothing(tmp_path, monkeypatch):
    log = tmp_path / "log"
    log.mkdir()
    (log / "predictions-1.jsonl").write_bytes(WHOLE)

    def full(_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("gitrain.integrations.files.os.fsync", full)

    assert LogScan(log, kept=tmp_path / "kept").read(SCHEMA).frame.height == 2
