"""Who has copies made: real processes, one at a time, that a log neither waits for nor leaves behind."""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import psutil
import pytest
from tests.gitrain.integrations.copying_at_once import at_once
from tests.gitrain.integrations.logged_records import SCHEMA, WHOLE, names_of_parsed
from tests.gitrain.integrations.test_log_copy_program import assert_copied, assert_same, read_all
from tests.gitrain.integrations.test_prediction_log import Counted
from tests.gitrain.serving.predicted import predicted

from gitrain.integrations import local_process, log_copier
from gitrain.integrations.local_deployer import REPLICA
from gitrain.integrations.log_copier import LogCopier
from gitrain.integrations.log_copies import COPIES, copies_by_file
from gitrain.integrations.log_scan import LogScan
from gitrain.integrations.prediction_log import PredictionLog, read_predictions
from gitrain.wiring import rehearsal

_PATIENCE = 120


def children():
    """The processes that this one has started and not buried."""
    return {process.pid for process in psutil.Process().children()}


def begun_since(before):
    """Earlier tests may have left some, which whoever starts the next one buries."""
    return children() - before


def until(condition, what):
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} never came"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def patience(monkeypatch, tmp_path_factory):
    """Whoever ends waits here until its process is gone, however busy the machine is; and no process gives way."""
    monkeypatch.setattr(log_copier, "_END_SECONDS", _PATIENCE)
    for name, value in at_once(tmp_path_factory.mktemp("copier") / "path").items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def log(tmp_path):
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "predictions-1.jsonl").write_bytes(WHOLE)
    return folder


@pytest.fixture
def copier(log):
    copier = LogCopier(log, SCHEMA, least_bytes=1)
    yield copier
    copier.close()


def test_copies_are_made_once_a_file_is_begun(log, copier, monkeypatch):
    before = children()
    copier.turn()
    assert not begun_since(before), "nothing was begun"
    copier.begun()
    copier.turn()
    (log / "predictions-2.jsonl").write_bytes(WHOLE)
    copier.begun()

    def ended():
        copier.turn()
        return len(copies_by_file(log)) == 2 and not begun_since(before)

    until(ended, "the end of what was started, which is buried")
    assert_copied(log, monkeypatch)
    copier.begun()
    copier.turn()
    assert not begun_since(before), "there is nothing to do"


def test_there_is_one_at_a_time(log, copier, monkeypatch):
    started = []

    def start(_):
        started.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
        return started[-1]

    monkeypatch.setattr(LogCopier, "_start", start)
    for _ in range(3):
        copier.begun()
        copier.turn()
    assert len(started) == 1
    started[0].communicate(b"\n")
    copier.turn()
    assert len(started) == 2, "what was begun meanwhile is not forgotten"
    copier.turn()
    started[1].communicate(b"\n")
    copier.turn()
    assert len(started) == 2


def test_it_gives_way_before_its_first_line(log, copier, monkeypatch):
    monkeypatch.setenv("PATH", os.environ["PATH"].partition(os.pathsep)[2])
    before = children()
    copier.begun()
    copier.turn()
    (process,) = begun_since(before)

    # Of one that has ended already this is told as well.
    until(lambda: os.getpriority(os.PRIO_PROCESS, process) == 19, "its priority")


def test_it_is_none_of_those_that_are_ended_by_a_mark(log, copier, monkeypatch):
    for name in (REPLICA, local_process.LOG, rehearsal._VARIABLE):
        monkeypatch.setenv(name, str(log))
    given = []

    def noted(*_, env, **__):
        given.append(env)
        raise OSError(11, "no process can be started")

    monkeypatch.setattr(subprocess, "Popen", noted)
    copier.begun()
    copier.turn()

    (env,) = given
    assert str(log) not in env.values()
    assert env["PATH"] == os.environ["PATH"], "it has what others have"


def test_little_is_left_to_who_looks(log):
    size = (log / "predictions-1.jsonl").stat().st_size
    before = children()
    copier = LogCopier(log, SCHEMA, least_bytes=size + 1)
    copier.begun()
    copier.turn()
    assert not begun_since(before)
    (log / "predictions-2.jsonl").write_bytes(b"\n")
    copier.begun()
    copier.turn()
    assert len(begun_since(before)) == 1
    copier.close()
    assert not begun_since(before)


def test_who_ends_leaves_nothing_behind(log, copier):
    before = children()
    copier.begun()
    copier.turn()
    (process,) = begun_since(before)
    part = log / COPIES / ".predictions-1.0123.kept.ab12.part"
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(b"half")

    copier.close()

    assert not psutil.pid_exists(process) and not begun_since(before)
    assert not part.exists()
    copier.close()


def test_a_process_that_takes_long_to_end_is_not_waited_for(log, copier, monkeypatch):
    before = children()
    monkeypatch.setattr(log_copier, "_END_SECONDS", 0.01)
    copier.begun()
    copier.turn()
    with monkeypatch.context() as patch:
        patch.setattr(subprocess.Popen, "kill", lambda _: None)
        copier.close()
    monkeypatch.setattr(log_copier, "_END_SECONDS", _PATIENCE)

    copier.close()

    assert not begun_since(before)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("subprocess.Popen", OSError(11, "no process can be started")),
        ("tempfile.TemporaryFile", OSError(28, "no space left")),
    ],
)
def test_what_cannot_be_started_is_tried_with_the_next_file(log, copier, monkeypatch, name, error):
    def fails(*_, **__):
        raise error

    before = children()
    with monkeypatch.context() as patch:
        patch.setattr(name, fails)
        copier.begun()
        copier.turn()
        copier.turn()
    copier.turn()
    assert not begun_since(before)
    copier.begun()
    copier.turn()

    until(lambda: copies_by_file(log), "the copy")


def test_a_system_without_the_command_has_copies_made_all_the_same(log, copier, monkeypatch):
    monkeypatch.setattr(log_copier, "_NICE", "no-such-command")
    copier.begun()
    copier.turn()

    until(lambda: copies_by_file(log), "the copy")


def test_it_imports_nothing_from_where_it_is_started(log, copier, tmp_path, monkeypatch):
    (tmp_path / "polars.py").write_text("raise SystemExit(1)")
    monkeypatch.chdir(tmp_path)
    copier.begun()
    copier.turn()

    until(lambda: copies_by_file(log), "the copy")


def ticking():
    start, ticks = datetime(2026, 1, 1, tzinfo=UTC), iter(range(10**6))
    return lambda: start + timedelta(seconds=next(ticks))


def test_a_log_that_goes_on_is_copied_but_for_its_last_file(tmp_path):
    counted = Counted()
    log = PredictionLog(
        tmp_path / "log",
        clock=ticking(),
        observer=counted,
        copier=LogCopier(tmp_path / "log", SCHEMA, least_bytes=1),
        max_file_bytes=3_000,
    )
    log.start()
    for number in range(60):
        assert log.add(predicted(number / 100, request_id=f"r{number}", text='"}\n{"\u2028', wind=number / 7))
        until(lambda number=number: counted.rows_written == number + 1, "the record")
    files = sorted(path.name for path in (tmp_path / "log").glob("*.jsonl"))
    assert len(files) > 4
    until(lambda: sorted(copies_by_file(tmp_path / "log")) == files[:-1], "the copies of all finished files")

    expected = read_all(tmp_path / "log")
    with names_of_parsed() as parsed:
        assert_same(LogScan(tmp_path / "log", kept=tmp_path / "own").read(SCHEMA), expected)
    assert parsed == files[-1:]
    log.close()
    assert read_predictions(tmp_path / "log").frame["request_id"].to_list() == [f"r{number}" for number in range(60)]
    assert counted.rows_written == 60 and not counted.errors


def test_workers_of_one_folder_share_the_work(tmp_path, monkeypatch):
    program = f"""
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from gitrain.integrations.log_copier import LogCopier
from gitrain.integrations.prediction_log import PredictionLog
from tests.gitrain.integrations.copying_at_once import at_once
from tests.gitrain.integrations.logged_records import SCHEMA
from tests.gitrain.integrations.test_prediction_log import Counted
from tests.gitrain.serving.predicted import predicted
folder = Path({str(tmp_path)!r})
log = PredictionLog(folder, clock=lambda: datetime.now(UTC), observer=Counted(),
                    copier=LogCopier(folder, SCHEMA, least_bytes=1), max_file_bytes=2_000)
log.start()
for number in range(40):
    log.add(predicted(number / 100, request_id=f"{{sys.argv[1]}}-{{number}}"))
    time.sleep(0.01)
print(flush=True)
sys.stdin.read()
log.close()
"""
    workers = [
        subprocess.Popen([sys.executable, "-c", program, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for number in range(3)
    ]
    for worker in workers:
        assert worker.stdout is not None and worker.stdout.readline() == b"\n"
    # Each still writes its last file.
    until(lambda: len(copies_by_file(tmp_path)) == len(list(tmp_path.glob("*.jsonl"))) - 3, "the copies")
    for worker in workers:
        worker.communicate()
        assert worker.returncode == 0

    assert all(len(copies) == 1 for copies in copies_by_file(tmp_path).values())
    found = LogScan(tmp_path, kept=None).read(SCHEMA)
    assert_same(found, read_all(tmp_path))
    assert found.frame.height == 120
