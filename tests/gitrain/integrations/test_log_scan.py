import os
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gitrain.integrations.logged_records import BROKEN, NOON, SCHEMA, WHOLE, at
from tests.gitrain.serving.predicted import predicted

from gitrain.integrations import log_scan
from gitrain.integrations.log_copies import copies_by_file
from gitrain.integrations.log_copy_program import make_copies
from gitrain.integrations.log_scan import LogScan
from gitrain.serving.log_records import encode_records


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

    monkeypatch.setattr("gitrain.integrations.log_copies.pl.read_parquet", fails)

    assert LogScan(log, kept=kept).read(SCHEMA).frame.equals(read.frame)


DAY = timedelta(days=1)
NAMED = "predictions-20260101T120000.000000Z-7-000001.jsonl"


@pytest.mark.parametrize(
    ("name", "changed", "first", "last"),
    [
        (NAMED, NOON + DAY, NOON, NOON + DAY),
        ("predictions-1.jsonl", NOON + DAY, None, NOON + DAY),
        ("predictions-20261301T120000.000000Z-7-000001.jsonl", NOON + DAY, None, NOON + DAY),
        (NAMED, NOON - DAY, None, None),
    ],
)
@pytest.mark.parametrize("copied", [False, True])
def test_lines_of_a_file_without_a_time_are_of_that_of_the_file(tmp_path, name, changed, first, last, copied):
    path = tmp_path / "log" / name
    path.parent.mkdir()
    path.write_bytes(BROKEN + b'{"schema_version": 1}\n' + BROKEN)
    os.utime(path, (0, changed.timestamp()))
    if copied:
        make_copies(path.parent, SCHEMA)

    for _ in range(2):
        found = LogScan(path.parent, kept=tmp_path / "kept").read(SCHEMA).damaged
        assert [(each.lines, each.first, each.last) for each in found] == [(1, first, last), (1, first, last)]


def test_what_is_damaged_throughout_counts_in_its_own_days_alone(tmp_path):
    (tmp_path / NAMED).write_bytes(BROKEN * 9)
    os.utime(tmp_path / NAMED, (0, (NOON + DAY).timestamp()))
    (lines,) = LogScan(tmp_path, kept=None).read(SCHEMA).damaged

    assert not lines.touches(NOON + 2 * DAY, NOON + 9 * DAY)
    assert lines.touches(NOON + DAY, NOON + 9 * DAY) and lines.touches(None, NOON)
    assert not lines.touches(None, NOON - DAY)


def test_a_time_that_python_does_not_know_is_none(tmp_path):
    (tmp_path / NAMED).write_bytes(BROKEN + at(0))
    (tmp_path / "predictions-1.jsonl").write_bytes(BROKEN)
    state = os.stat_result((0,) * 8 + (10**15, 0))

    part = LogScan(tmp_path, kept=None).read(SCHEMA)
    assert [each.first for each in part.damaged] == [None, NOON], "records go before the file"
    assert log_scan._changed(state) is None


def test_copies_that_services_have_made_go_before_own_ones(tmp_path, monkeypatch):
    log, kept = tmp_path / "log", tmp_path / "kept"
    log.mkdir()
    for name in ("predictions-1.jsonl", "predictions-2.jsonl"):
        (log / name).write_bytes(WHOLE + BROKEN)
    expected = LogScan(log, kept=kept).read(SCHEMA)
    (log / "predictions-2.jsonl").rename(tmp_path / "aside")
    assert make_copies(log, SCHEMA) == 1
    (tmp_path / "aside").rename(log / "predictions-2.jsonl")

    monkeypatch.setattr("gitrain.integrations.log_scan.parse_log", lambda *_: pytest.fail("parsed again"))
    found = LogScan(log, kept=kept).read(SCHEMA)

    assert found.frame.equals(expected.frame) and found.damaged == expected.damaged
    assert [path.name.partition(".")[0] for path in kept.iterdir()] == ["predictions-2"], "one of them is enough"


def test_a_damaged_copy_of_a_service_costs_time_alone(tmp_path):
    log, kept = tmp_path / "log", tmp_path / "kept"
    log.mkdir()
    (log / "predictions-1.jsonl").write_bytes(WHOLE)
    make_copies(log, SCHEMA)
    ((copy,),) = copies_by_file(log).values()
    content = copy.read_bytes()
    copy.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    assert LogScan(log, kept=kept).read(SCHEMA).frame.height == 2
    assert len(list(kept.iterdir())) == 1, "the look has one of its own then"
    assert copy.exists(), "what lies in the log's folder is its services' business"


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
