"""Copies of a log's files, made by a real process: the same as a look makes, whatever becomes of that process."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.gitrain.full_disk import DISKS, small_disk
from tests.gitrain.integrations.copying_at_once import at_once
from tests.gitrain.integrations.logged_records import BROKEN, SCHEMA, WHOLE, at
from tests.gitrain.serving.predicted import predicted

from gitrain.integrations.log_copies import COPIES, copies_by_file
from gitrain.integrations.log_copy_program import make_copies
from gitrain.integrations.log_scan import LogScan
from gitrain.serving.log_records import encode_records

PROGRAM = "gitrain.integrations.log_copy_program"
HOSTILE = ['"}\n{"', "\\", "\u2028\x00\ud7ff", "</script>", "'; --", "\U0001f600" * 9, '{"schema_version":1}', ""]


@pytest.fixture(autouse=True)
def hurried(monkeypatch, tmp_path_factory):
    for name, value in at_once(tmp_path_factory.mktemp("program") / "path").items():
        monkeypatch.setenv(name, value)


def write_log(folder: Path) -> list[Path]:
    """Files of all kinds, finished."""
    folder.mkdir(exist_ok=True)
    hostile = encode_records([predicted(place / 10, wind=place / 7, text=text) for place, text in enumerate(HOSTILE)])
    strange = json.dumps({**json.loads(at(0)), "probability": "NaN", "release": [1]}).encode() + b"\n"
    contents = [WHOLE * 50, hostile, hostile + strange + BROKEN + at(1) + b"\xff\xfe\n", WHOLE + hostile[:-7], BROKEN]
    paths = [folder / f"predictions-20260101T00000{place}.000000Z-1-000001.jsonl" for place in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def read_all(folder: Path, schema=SCHEMA):
    """What the lines say, and no copy."""
    bare = folder.with_name(f"{folder.name}-bare")
    shutil.copytree(folder, bare, ignore=shutil.ignore_patterns(COPIES))
    try:
        return LogScan(bare, kept=None).read(schema)
    finally:
        shutil.rmtree(bare)


def assert_same(found, expected):
    assert found.frame.schema == expected.frame.schema and found.frame.equals(expected.frame)
    assert (found.files, found.torn, found.damaged) == (expected.files, expected.torn, expected.damaged)


def assert_copied(folder: Path, monkeypatch) -> None:
    """All of a log is read from its copies, and they say what the lines say."""
    expected = read_all(folder)
    with monkeypatch.context() as patch:
        patch.setattr("gitrain.integrations.log_scan.parse_log", lambda *_: pytest.fail("parsed"))
        assert_same(LogScan(folder, kept=None).read(SCHEMA), expected)
    assert not list((folder / COPIES).glob(".*.part"))


def program(folder: Path, *, before: tuple[str, ...] = ()) -> Any:
    """The program as services start it."""
    command = [*(before or (sys.executable, "-P", "-m", PROGRAM)), str(folder), str(os.getpid())]
    with tempfile.TemporaryFile() as given:
        pl.DataFrame(schema=SCHEMA).write_ipc(given)
        given.seek(0)
        return subprocess.Popen(command, stdin=given, stderr=subprocess.PIPE)


def ended(process) -> int:
    said = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(120) <= 0, said
    return process.returncode


def test_the_copies_are_those_that_a_look_makes(tmp_path, monkeypatch):
    paths = write_log(tmp_path / "log")

    assert ended(program(tmp_path / "log")) == 0

    assert copies_by_file(tmp_path / "log").keys() == {path.name for path in paths}
    assert_copied(tmp_path / "log", monkeypatch)
    made = [copies[0].read_bytes() for _, copies in sorted(copies_by_file(tmp_path / "log").items())]
    shutil.rmtree(tmp_path / "log" / COPIES)
    LogScan(tmp_path / "log", kept=tmp_path / "kept").read(SCHEMA)
    assert made == [path.read_bytes() for path in sorted((tmp_path / "kept").iterdir())]


def test_it_makes_nothing_twice_and_what_came_since(tmp_path, monkeypatch):
    paths = write_log(tmp_path)
    assert make_copies(tmp_path, SCHEMA) == len(paths)
    monkeypatch.setattr("gitrain.integrations.log_lines.parse_log", lambda *_: pytest.fail("parsed again"))
    assert make_copies(tmp_path, SCHEMA) == 0
    monkeypatch.undo()
    (tmp_path / "predictions-2.jsonl").write_bytes(WHOLE)

    assert make_copies(tmp_path, SCHEMA) == 1


@pytest.mark.parametrize("name", ["write_copy", "finished_without_copy"])
def test_what_is_finished_while_it_works_is_not_left(name, tmp_path, monkeypatch):
    from gitrain.integrations import log_copies

    write_log(tmp_path)
    whole, late = getattr(log_copies, name), tmp_path / "predictions-2.jsonl"

    def and_then(*arguments):
        found = whole(*arguments)
        if not late.exists():
            late.write_bytes(WHOLE)
            # Whoever finished it finds the lock taken, and goes away.
            assert make_copies(tmp_path, SCHEMA) == 0
        return found

    monkeypatch.setattr(log_copies, name, and_then)
    assert make_copies(tmp_path, SCHEMA) == 6
    monkeypatch.undo()

    assert_copied(tmp_path, monkeypatch)


def test_many_at_once_make_each_copy_once(tmp_path, monkeypatch):
    paths = write_log(tmp_path)

    processes = [program(tmp_path) for _ in range(4)]

    assert [ended(process) for process in processes] == [0] * 4
    assert [len(copies) for copies in copies_by_file(tmp_path).values()] == [1] * len(paths)
    assert_copied(tmp_path, monkeypatch)


# Right before the n-th call of a function of the system, or of Polars, from the modules that make copies.
KILLED = """
import os, signal, sys
import gitrain.integrations.log_copies, gitrain.integrations.log_lines
from gitrain.integrations import log_copy_program

left = int(sys.argv.pop(1))

def watch(frame, event, _):
    global left
    if event == "c_call" and frame.f_code.co_filename.endswith(("/files.py", "/log_copies.py", "/log_copy_program.py")):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.setprofile(watch)
code = log_copy_program._main(*sys.argv[1:])
sys.setprofile(None)
print(left, file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.slow
def test_killed_anywhere_it_leaves_nothing_that_is_wrong(tmp_path, monkeypatch):
    far = 10**6
    write_log(tmp_path / "whole")
    process = program(tmp_path / "whole", before=(sys.executable, "-c", KILLED, str(far)))
    calls = far - int(process.stderr.read())
    assert ended(process) == 0 and calls > 100

    left_over, copies = 0, set()
    # Half of the points in the first file, from its first call on; the rest over all others.
    for place in [*range(8, calls // 5, calls // 60), *range(calls // 5, calls, calls // 12)]:
        folder = tmp_path / str(place)
        paths = write_log(folder)
        assert ended(program(folder, before=(sys.executable, "-c", KILLED, str(place)))) == -signal.SIGKILL
        left_over += len(list((folder / COPIES).glob(".*.part")))
        copies.add(len(copies_by_file(folder)))

        assert_same(LogScan(folder, kept=None).read(SCHEMA), read_all(folder))
        make_copies(folder, SCHEMA)
        assert copies_by_file(folder).keys() == {path.name for path in paths}
        assert_copied(folder, monkeypatch)

    assert left_over > 0 and copies >= {0, 1, 2, 3}, "it was killed in the middle of things"


@pytest.mark.parametrize("kind", DISKS)
def test_a_full_disk_costs_copies_alone(kind, tmp_path, monkeypatch):
    with small_disk(kind, tmp_path / "disk", kilobytes=512, most=64) as disk:
        log = disk.folder / "log"
        write_log(log)
        monkeypatch.setattr("gitrain.integrations.log_copy_program._ROOM", 0)
        with disk.full(), pytest.raises((OSError, pl.exceptions.PolarsError)):
            make_copies(log, SCHEMA)
        assert not copies_by_file(log) and not list((log / COPIES).glob(".*.part"))
        assert make_copies(log, SCHEMA) == 5
        assert_copied(log, monkeypatch)


def failing(monkeypatch, name, error, *places):
    """The files of some places cannot be copied; the names of all that are tried."""
    from gitrain.integrations import log_copies, log_lines

    module = log_lines if name == "parse_log" else log_copies
    whole, tried = getattr(module, name), []

    def fails(given, *rest):
        path = Path(given.name) if name == "parse_log" else given
        tried.append(path.name.partition("T00000")[2][0])
        if tried[-1] in places:
            raise error
        return whole(given, *rest)

    monkeypatch.setattr(module, name, fails)
    return tried


@pytest.mark.parametrize("name", ["parse_log", "write_copy"])
@pytest.mark.parametrize(
    "error",
    [OSError(errno.EIO, os.strerror(errno.EIO)), MemoryError(), pl.exceptions.PanicException("index out of bounds")],
)
def test_files_that_cannot_be_copied_keep_no_other_from_it(tmp_path, monkeypatch, name, error):
    paths = write_log(tmp_path)
    tried = failing(monkeypatch, name, error, "1", "3")

    with pytest.raises(type(error)) as raised:
        make_copies(tmp_path, SCHEMA)

    assert raised.value is error
    assert tried == ["4", "3", "2", "1", "0"], "newest first, and none again"
    assert copies_by_file(tmp_path).keys() == {paths[place].name for place in (0, 2, 4)}


def test_the_first_that_failed_is_told_and_no_file_is_tried_twice(tmp_path, monkeypatch):
    from gitrain.integrations import log_copies

    write_log(tmp_path)
    tried = failing(monkeypatch, "parse_log", OSError(errno.EIO, "first"), "3")
    whole, late = log_copies.write_copy, tmp_path / "predictions-20260101T000009.000000Z-1-000001.jsonl"

    def and_then(*arguments):
        whole(*arguments)
        late.write_bytes(WHOLE)

    monkeypatch.setattr(log_copies, "write_copy", and_then)
    with pytest.raises(OSError, match="first"):
        make_copies(tmp_path, SCHEMA)

    assert tried == ["4", "3", "2", "1", "0", "9"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_where_there_is_no_room_left_no_other_is_tried(tmp_path, monkeypatch, number):
    write_log(tmp_path)
    tried = failing(monkeypatch, "write_copy", OSError(number, "no room"), *"01234")

    with pytest.raises(OSError, match="no room"):
        make_copies(tmp_path, SCHEMA)

    assert tried == ["4"]


def test_predictions_go_first_where_there_is_little_room(tmp_path, monkeypatch):
    paths = write_log(tmp_path)
    size = paths[0].stat().st_size
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=4 * size - 1))

    assert make_copies(tmp_path, SCHEMA) == len(paths) - 1
    assert paths[0].name not in copies_by_file(tmp_path)


def test_what_is_too_large_is_left(tmp_path, monkeypatch):
    paths = write_log(tmp_path)
    monkeypatch.setattr("gitrain.integrations.log_copy_program._LARGEST", paths[0].stat().st_size - 1)

    assert make_copies(tmp_path, SCHEMA) == len(paths) - 1


@pytest.mark.parametrize("when", ["read", "written"])
def test_a_file_that_is_removed_meanwhile_leaves_no_copy(tmp_path, monkeypatch, when):
    from gitrain.integrations import log_copies, log_lines

    path = tmp_path / "predictions-1.jsonl"
    path.write_bytes(WHOLE)
    module, name = (log_lines, "parse_log") if when == "read" else (log_copies, "write_copy")
    whole = getattr(module, name)

    def removed(*arguments):
        path.unlink()
        return whole(*arguments)

    monkeypatch.setattr(module, name, removed)

    assert make_copies(tmp_path, SCHEMA) == 0
    assert not copies_by_file(tmp_path)


def test_a_file_that_grows_meanwhile_has_no_copy(tmp_path, monkeypatch):
    from gitrain.integrations import log_lines

    path = tmp_path / "predictions-1.jsonl"
    path.write_bytes(WHOLE)
    whole = log_lines.parse_log

    def grown(*arguments):
        with path.open("ab") as stream:
            stream.write(WHOLE)
        return whole(*arguments)

    monkeypatch.setattr(log_lines, "parse_log", grown)

    assert make_copies(tmp_path, SCHEMA) == 0
    assert not copies_by_file(tmp_path)


def test_a_folder_that_cannot_be_written_is_told_to_nobody_but_the_exit_code(tmp_path):
    write_log(tmp_path)
    (tmp_path / COPIES).write_text("a file is in the way")
    process = program(tmp_path)

    assert process.wait(120) == 1
    assert b"FileExistsError" in process.stderr.read()
    process.stderr.close()


@pytest.mark.skipif(
    not (hasattr(os, "SCHED_IDLE") and Path("/proc/self/oom_score_adj").exists()), reason="this system has no such"
)
def test_it_steps_back(monkeypatch):
    asks = textwrap.dedent(
        """
        import os, sys
        from pathlib import Path
        from gitrain.integrations import log_copy_program
        log_copy_program._step_back()
        assert os.nice(0) == 19
        assert os.sched_getscheduler(0) == os.SCHED_IDLE
        assert Path("/proc/self/oom_score_adj").read_text() == "1000\\n"
        assert not {"polars", "numpy", "pandera"} & set(sys.modules), "that takes a core for a while"
        """
    )
    monkeypatch.setenv("PYTHONPATH", os.environ["PYTHONPATH"].partition(os.pathsep)[2])
    subprocess.run([sys.executable, "-c", asks], check=True)


def test_it_ends_with_who_started_it(tmp_path):
    write_log(tmp_path)
    # It waits for its input, which never comes.
    starts = textwrap.dedent(
        f"""
        import os, subprocess, sys
        command = [sys.executable, "-P", "-m", {PROGRAM!r}, {str(tmp_path)!r}, str(os.getpid())]
        print(subprocess.Popen(command).pid, flush=True)
        os.kill(os.getpid(), 9)
        """
    )
    with subprocess.Popen([sys.executable, "-c", starts], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        deadline = time.monotonic() + 120
        while _runs(child):
            assert time.monotonic() < deadline, "it is an orphan"
            time.sleep(0.05)


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError as error:
        assert error.errno in (errno.ENOENT, errno.ESRCH)
        return False
