import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gitrain.integrations.logged_records import BROKEN, SCHEMA, WHOLE, at
from tests.gitrain.integrations.test_prediction_log import FIRST, Counted
from tests.gitrain.serving.predicted import predicted

from gitrain.integrations.log_copies import (
    COPIES,
    copies_by_file,
    copy_name,
    finished_without_copy,
    read_copy,
    remove_unfinished,
    write_copy,
    writing_copies,
)
from gitrain.integrations.log_lines import parse_log
from gitrain.integrations.prediction_log import PredictionLog


@pytest.fixture
def finished(tmp_path):
    """A file of a log."""
    path = tmp_path / "predictions-20260101T000000.000000Z-1-000001.jsonl"
    path.write_bytes(WHOLE)
    return path


def copied(path, schema=SCHEMA):
    with path.open("rb") as stream:
        part = parse_log(stream, schema)
    copy = path.parent / COPIES / copy_name(path, path.stat(), schema)
    write_copy(copy, part)
    return copy


def test_a_copy_is_of_one_state_and_one_schema(finished):
    state, name = finished.stat(), copy_name(finished, finished.stat(), SCHEMA)

    others = [
        copy_name(finished, state, {**SCHEMA, "row": SCHEMA["probability"]}),
        copy_name(finished, state, SCHEMA, log="0123"),
    ]
    os.utime(finished, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    others.append(copy_name(finished, finished.stat(), SCHEMA))
    with finished.open("ab") as stream:
        stream.write(WHOLE)
    os.utime(finished, ns=(state.st_atime_ns, state.st_mtime_ns))
    others.append(copy_name(finished, finished.stat(), SCHEMA))

    assert len({name, *others}) == 5
    assert all(each.startswith(f"{finished.stem}.") for each in [name, *others])


@given(
    lines=st.lists(st.sampled_from([WHOLE, at(0), at(1, 2), BROKEN, b"\n", b'{"schema_version": 2}\n']), max_size=6),
    torn=st.booleans(),
)
def test_a_copy_holds_what_was_read(tmp_path_factory, lines, torn):
    path = tmp_path_factory.mktemp("log") / "predictions-1.jsonl"
    path.write_bytes(b"".join(lines) + b'{"schema' * torn)
    with path.open("rb") as stream:
        part = parse_log(stream, SCHEMA)

    found = read_copy(copied(path), SCHEMA)

    assert found is not None
    assert found.frame.schema == part.frame.schema and found.frame.equals(part.frame)
    assert (found.torn, found.damaged) == (part.torn, part.damaged)


def test_copies_are_found_by_their_files(finished):
    other = finished.with_name("predictions-2.jsonl")
    other.write_bytes(WHOLE)
    found = [copied(finished), copied(finished, {**SCHEMA, "row": SCHEMA["probability"]}), copied(other)]

    assert copies_by_file(finished.parent) == {finished.name: sorted(found[:2]), other.name: found[2:]}
    assert copies_by_file(finished.parent / "nothing") == {}


def test_what_lacks_a_copy_is_what_nobody_writes(tmp_path, finished):
    assert finished_without_copy(tmp_path) == [finished]
    finished.with_name("predictions-3.jsonl").touch()
    finished.with_name("predictions-4.json").write_bytes(WHOLE)
    log = PredictionLog(tmp_path, clock=lambda: FIRST.replace(year=2027), observer=Counted())
    log.add(predicted(0.1))
    log.write_waiting()
    assert finished_without_copy(tmp_path) == [finished], "one is empty, one is written"
    log.close()
    assert len(finished_without_copy(tmp_path)) == 2
    copied(finished, {**SCHEMA, "row": SCHEMA["probability"]})
    assert finished not in finished_without_copy(tmp_path), "a copy for another schema is one"


def test_who_has_just_made_a_file_waits_for_nobody_who_looks(tmp_path, monkeypatch):
    (tmp_path / "predictions-1.jsonl").touch()
    monkeypatch.setattr("fcntl.flock", lambda *_: pytest.fail("its lock was asked for"))

    assert finished_without_copy(tmp_path) == []


def test_one_makes_copies_at_a_time(tmp_path):
    with writing_copies(tmp_path) as first:
        with writing_copies(tmp_path) as second:
            assert (first, second) == (True, False)
        with writing_copies(tmp_path) as third:
            assert not third, "who found somebody at work has not let go for them"
    with writing_copies(tmp_path) as again:
        assert again
    assert (tmp_path / COPIES).stat().st_mode & 0o777 == 0o750 & ~_mask()


def _mask():
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def test_what_is_half_written_goes_and_nothing_else(tmp_path, finished):
    copy = copied(finished)
    (tmp_path / COPIES / f".{copy.name}.ab12.part").write_bytes(b"half")
    (tmp_path / COPIES / "another.part").write_bytes(b"not ours")

    remove_unfinished(tmp_path)

    assert sorted(path.name for path in (tmp_path / COPIES).iterdir()) == ["another.part", copy.name]
