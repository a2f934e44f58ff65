import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

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
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
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


def at(*hours: float) -> bytes:
    """A record at each of some hours after noon."""
    return b"".join(encode_records([predicted(0.5, time=NOON + timedelta(hours=each))]) for each in hours)


def places(content: bytes) -> list[tuple[int, float | None, float | None]]:
    def hours(time: datetime | None) -> float | None:
        return None if time is None else (time - NOON) / timedelta(hours=1)

    return [(each.lines, hours(each.first), hours(each.last)) for each in parse_log(content, SCHEMA).damaged]


BROKEN = b"no record\n"
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
    monkeypatch.setattr("gitrain.integrations.log_scan._BLOCK", size)

    assert places(content) == expected


@pytest.mark.parametrize(
    "time", ["+12345-01-01T00:00:00Z", "0000-12-31T23:59:59Z", "-0001-01-01T00:00:00Z", "9999-12-31T23:59:59-05:00"]
)
@pytest.mark.parametrize("other", [b"", BROKEN])
def test_years_that_python_does_not_know_are_no_times(time, other):
    strange = json.dumps(json.loads(at(0)) | {"time": time}).encode() + b"\n"

    found = parse_log(at(1) + strange + other + at(2), SCHEMA)

    assert found.frame["time"].to_list() == [NOON + timedelta(hours=1), None, NOON + timedelta(hours=2)]
    assert len(found.damaged) == bool(other)


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59.999999+00:00"])
def test_the_first_and_the_last_year_are_times(time):
    strange = json.dumps(json.loads(at(0)) | {"time": time}).encode() + b"\n"

    assert parse_log(strange, SCHEMA).frame["time"].to_list() == [datetime.fromisoformat(time)]


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
            at(0) + BROKEN + at(1) + BROKEN + b"{half",
            BROKEN,
            b"",
        )
    ):
        (log / f"predictions-{number}.jsonl").write_bytes(lines)
    scan = LogScan(log, kept=tmp_path / "kept")

    once, again = scan.read(SCHEMA), scan.read(SCHEMA)

    first, second = once.frame, again.frame
    assert (again.torn, again.damaged) == (1, once.damaged) and len(once.damaged) == 3
    assert len(list((tmp_path / "kept").iterdir())) == 6
    assert second.schema == first.schema and second.equals(first)
    assert first["inputs"].is_null().to_list() == [False, False, True, *[False] * 5]
    assert first["features"].is_null().to_list() == [False] * 3 + [True] + [False] * 4


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


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A log, what is read of it, the folder of copies, and the copy."""
    folder = tmp_path_factory.mktemp("copied")
    log, kept = folder / "log", folder / "kept"
    log.mkdir()
    rows = [predicted(place / 100, wind=place / 7, text=f"P{place}") for place in range(100)]
    (log / "predictions-1.jsonl").write_bytes(encode_records(rows) + BROKEN)
    read = LogScan(log, kept=kept).read(SCHEMA)
    (copy,) = kept.iterdir()
    return log, read, kept, copy.name, copy.read_bytes()


@given(data=st.data())
def test_no_bit_of_a_copy_can_flip_without_a_word(copied, data):
    log, read, kept, name, content = copied
    flipped = bytearray(content)
    for place in data.draw(st.lists(st.integers(0, len(content) * 8 - 1), min_size=1, max_size=3, unique=True)):
        flipped[place // 8] ^= 1 << place % 8
    (kept / name).write_bytes(flipped)

    found = LogScan(log, kept=kept).read(SCHEMA)

    assert found.frame.equals(read.frame) and found.damaged == read.damaged
    assert (kept / name).read_bytes() == content, "it is made anew"


@given(cut=st.integers(0, 40))
def test_a_copy_that_was_cut_short_is_none(copied, cut):
    log, read, kept, name, content = copied
    (kept / name).write_bytes(content[:cut] if cut < 36 else content[: cut - 41])

    assert LogScan(log, kept=kept).read(SCHEMA).frame.equals(read.frame)


@pytest.mark.parametrize("error", [pl.exceptions.PanicException("index out of bounds"), OverflowError("date")])
def test_whatever_a_copy_does_to_polars_the_log_is_read(copied, error, monkeypatch):
    log, read, kept, *_ = copied

    def fails(_):
        raise error

    monkeypatch.setattr("gitrain.integrations.log_scan.pl.read_parquet", fails)

    assert LogScan(log, kept=kept).read(SCHEMA).frame.equals(read.frame)


def test_another_log_leaves_the_copies_of_the_first(tmp_path, monkeypatch):
    kept, logs = tmp_path / "kept", [tmp_path / name for name in ("one", "other")]
    for number, log in enumerate(logs):
        log.mkdir()
        for name in ("predictions-1.jsonl", f"predictions-1{number}.jsonl"):
            (log / name).write_bytes(WHOLE * (number + 1))
            os.utime(log / name, (0, 0))
        LogScan(log, kept=kept).read(SCHEMA)

    monkeypatch.setattr("gitrain.integrations.log_scan.parse_log", lambda *_: pytest.fail("parsed again"))

    assert [LogScan(log, kept=kept).read(SCHEMA).frame.height for log in logs] == [4, 8]


def test_what_is_of_no_use_goes_when_it_is_old(tmp_path):
    kept, log = tmp_path / "kept", tmp_path / "log"
    kept.mkdir()
    log.mkdir()
    (log / "predictions-1.jsonl").write_bytes(WHOLE)
    for name in (".predictions-2.0123.4567.kept.ab12.part", "predictions-2.0123.4567.kept", "predictions-2.89.parquet"):
        (kept / name).write_bytes(b"left behind")
    (kept / "another.part").write_bytes(b"not ours")
    written = (kept / "another.part").stat().st_mtime

    def names(after: timedelta) -> list[str]:
        LogScan(log, kept=kept, clock=lambda: written + after.total_seconds()).read(SCHEMA)
        return sorted(path.name[:13] for path in kept.iterdir())

    assert names(timedelta(days=6)) == [".predictions-", "another.part", *["predictions-1", *["predictions-2"] * 2]]
    assert names(timedelta(days=8)) == ["another.part", "predictions-1"]


def test_what_cannot_be_removed_stays(tmp_path, monkeypatch):
    kept, log = tmp_path / "kept", tmp_path / "log"
    log.mkdir()
    path = log / "predictions-1.jsonl"
    path.write_bytes(WHOLE)
    scan = LogScan(log, kept=kept)
    scan.read(SCHEMA)
    path.write_bytes(WHOLE * 2)

    def refused(path: Path, missing_ok: bool = False) -> None:
        raise OSError(30, os.strerror(30), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refused)
        assert scan.read(SCHEMA).frame.height == 4
        assert len(list(kept.iterdir())) == 2
    scan.read(SCHEMA)
    assert len(list(kept.iterdir())) == 1


def test_a_full_disk_is_no_reason_to_see_nothing(tmp_path, monkeypatch):
    log = tmp_path / "log"
    log.mkdir()
    (log / "predictions-1.jsonl").write_bytes(WHOLE)

    def full(_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("gitrain.integrations.files.os.fsync", full)

    assert LogScan(log, kept=tmp_path / "kept").read(SCHEMA).frame.height == 2
