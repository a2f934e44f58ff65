import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from datetime import UTC, datetime, timedelta

import pytest
from tests.gitrain.serving.predicted import predicted

from gitrain.errors import DataError
from gitrain.integrations.log_copier import LogCopier
from gitrain.integrations.log_copies import COPIES, copies_by_file
from gitrain.integrations.prediction_log import PredictionLog, read_predictions

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


class Counted:
    def __init__(self):
        self.rows_written = 0
        self.lost = {"full": 0, "error": 0}
        self.errors = []

    def written(self, rows):
        self.rows_written += rows

    def dropped(self, rows, reason):
        self.lost[reason] += rows

    def failed(self, error):
        self.errors.append(error)


@pytest.fixture
def counted():
    return Counted()


@pytest.fixture
def ticking():
    """A clock that goes on by a second each time."""
    ticks = iter(range(10**6))
    return lambda: FIRST + timedelta(seconds=next(ticks))


def test_what_was_added_is_read_in_order(tmp_path, counted, ticking):
    log = PredictionLog(tmp_path / "log", clock=ticking, observer=counted)
    log.start()
    for number in range(700):
        assert log.add(predicted(0.1, 0.2, request_id=f"r{number}"))
    log.close()

    read = read_predictions(tmp_path / "log")

    assert read.frame["request_id"].to_list() == [f"r{number}" for number in range(700) for _ in range(2)]
    assert (counted.rows_written, read.torn) == (1400, 0)


def test_the_thread_writes_by_itself(tmp_path, ticking):
    seen = threading.Event()

    class Signals(Counted):
        def written(self, rows):
            seen.set()

    log = PredictionLog(tmp_path, clock=ticking, observer=Signals())
    log.start()
    log.add(predicted(0.1))

    assert seen.wait(30)
    assert read_predictions(tmp_path).frame.height == 1
    log.close()


def test_rows_beyond_the_queue_are_dropped_and_counted(tmp_path, counted, ticking):
    log = PredictionLog(tmp_path, clock=ticking, observer=counted, max_waiting=3)

    assert log.add(predicted(0.1, 0.2))
    assert not log.add(predicted(0.3, 0.4))
    assert log.add(predicted(0.5))
    log.write_waiting()
    assert log.add(predicted(0.6, 0.7, 0.8))
    log.close()

    assert read_predictions(tmp_path).frame["probability"].to_list() == [0.1, 0.2, 0.5, 0.6, 0.7, 0.8]
    assert counted.lost == {"full": 2, "error": 0}


def test_files_are_followed_by_the_next_and_the_oldest_go(tmp_path, counted, ticking):
    log = PredictionLog(tmp_path, clock=ticking, observer=counted, max_file_bytes=2_000, max_total_bytes=8_000)
    for number in range(100):
        log.add(predicted(0.1, request_id=f"r{number}"))
        log.write_waiting()
        sizes = [path.stat().st_size for path in tmp_path.iterdir()]
        assert max(sizes) <= 2_000
        assert sum(sizes) <= 8_000
    log.close()

    names = read_predictions(tmp_path).frame["request_id"].to_list()
    assert names == [f"r{number}" for number in range(100 - len(names), 100)]
    assert len(names) > 10


def copy_of(path, size):
    copy = path.parent / COPIES / f"{path.stem}.{'0123' * 4}.kept"
    copy.parent.mkdir(exist_ok=True)
    copy.write_bytes(b"." * size)


def test_copies_count_and_go_with_their_files(tmp_path, counted, ticking):
    log = PredictionLog(tmp_path, clock=ticking, observer=counted, max_file_bytes=2_000, max_total_bytes=12_000)
    for number in range(100):
        log.add(predicted(0.1, request_id=f"r{number}"))
        log.write_waiting()
        for path in tmp_path.glob("*.jsonl"):
            copy_of(path, 900)
        sizes = [path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()]
        # A copy is made after its file was begun, which makes room for the file alone.
        assert sum(sizes) <= 12_000 + 900
    log.close()

    files = {path.name for path in tmp_path.glob("*.jsonl")}
    assert len(files) == 4 and copies_by_file(tmp_path).keys() == files


def test_who_has_copies_made_keeps_room_for_the_next(tmp_path, counted, ticking):
    class Asked(LogCopier):
        begun_files = 0

        def begun(self):
            self.begun_files += 1

    copier = Asked(tmp_path, {})
    log = PredictionLog(
        tmp_path, clock=ticking, observer=counted, copier=copier, max_file_bytes=2_000, max_total_bytes=12_000
    )
    for number in range(100):
        log.add(predicted(0.1, request_id=f"r{number}"))
        log.write_waiting()
        for path in tmp_path.glob("*.jsonl"):
            copy_of(path, 500)
        assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= 12_000
    log.close()

    assert copier.begun_files > len(list(tmp_path.glob("*.jsonl"))) == 4


def test_copies_whose_files_are_gone_go_as_well(tmp_path, counted, ticking):
    copy_of(tmp_path / "predictions-0.jsonl", 10)
    (tmp_path / COPIES / "another.kept").write_bytes(b"not ours")
    log = PredictionLog(tmp_path, clock=ticking, observer=counted)
    log.add(predicted(0.1))
    log.close()

    assert [path.name for path in (tmp_path / COPIES).iterdir()] == ["another.kept"]


def test_a_copy_that_cannot_be_removed_costs_no_record(tmp_path, counted, ticking, monkeypatch):
    copy_of(tmp_path / "predictions-0.jsonl", 10)
    log = PredictionLog(tmp_path, clock=ticking, observer=counted)

    def refused(*_, **__):
        raise PermissionError(13, os.strerror(13))

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.unlink", refused)
        log.add(predicted(0.1))
        log.write_waiting()
    log.close()

    assert (counted.rows_written, counted.lost["error"]) == (1, 0)
    assert copies_by_file(tmp_path).keys() == {"predictions-0.jsonl"}


def test_a_file_that_another_worker_writes_is_never_removed(tmp_path, counted, ticking):
    idle = PredictionLog(tmp_path, clock=ticking, observer=counted)
    idle.add(predicted(0.9, request_id="idle"))
    idle.write_waiting()

    busy = PredictionLog(tmp_path, clock=ticking, observer=counted, max_file_bytes=1_000, max_total_bytes=3_000)
    for number in range(50):
        busy.add(predicted(0.1, request_id=f"r{number}"))
        busy.write_waiting()

    assert read_predictions(tmp_path).frame["request_id"][0] == "idle"
    idle.close()
    for _ in range(10):
        busy.add(predicted(0.1))
        busy.write_waiting()
    busy.close()
    assert "idle" not in read_predictions(tmp_path).frame["request_id"].to_list()


def test_who_looks_at_the_oldest_file_keeps_it_from_nothing(tmp_path, counted, ticking):
    oldest, *others = (tmp_path / f"predictions-2020010{day}T000000.000000Z-1-000001.jsonl" for day in (1, 2, 3))
    for path in (oldest, *others):
        path.write_bytes(b"." * 1_000)
    log = PredictionLog(tmp_path, clock=ticking, observer=counted, max_file_bytes=1_000, max_total_bytes=3_500)
    with oldest.open("rb") as looks:
        fcntl.flock(looks, fcntl.LOCK_SH)
        log.add(predicted(0.1))
        log.write_waiting()
    log.close()

    assert not oldest.exists()
    assert all(path.exists() for path in others), "a log has no hole"


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread")])
def test_a_copier_that_fails_ends_no_log(tmp_path, ticking, error):
    told, written = threading.Event(), threading.Event()

    class Signals(Counted):
        def failed(self, error):
            super().failed(error)
            told.set()

        def written(self, rows):
            super().written(rows)
            written.set()

    class Fails(LogCopier):
        turns = 0

        def turn(self):
            self.turns += 1
            if self.turns == 1:
                raise error

    signals = Signals()
    log = PredictionLog(tmp_path, clock=ticking, observer=signals, copier=Fails(tmp_path, {}))
    log.start()
    assert told.wait(60), "it is told"
    log.add(predicted(0.1))
    assert written.wait(60), "and the thread goes on"
    log.close()

    assert signals.errors == [error] and signals.lost == {"full": 0, "error": 0}


def test_a_process_with_the_same_clock_and_number_takes_another_file(tmp_path, counted):
    for name in ("a", "b"):
        log = PredictionLog(tmp_path, clock=lambda: FIRST, observer=counted)
        log.add(predicted(0.1, request_id=name))
        log.close()

    assert read_predictions(tmp_path).frame["request_id"].to_list() == ["a", "b"]


def test_what_cannot_be_written_is_counted_and_the_log_goes_on(tmp_path, counted, ticking):
    folder = tmp_path / "log"
    folder.write_text("a file is in the way")
    log = PredictionLog(folder, clock=ticking, observer=counted)
    log.add(predicted(0.1))
    log.write_waiting()
    folder.unlink()
    log.add(predicted(0.2))
    log.close()

    assert read_predictions(folder).frame["probability"].to_list() == [0.2]
    assert counted.lost == {"full": 0, "error": 1}
    assert isinstance(counted.errors[0], OSError)


def test_a_disk_that_is_full_in_the_middle_of_a_line_spoils_nothing_else(tmp_path, counted, ticking, monkeypatch):
    log = PredictionLog(tmp_path, clock=ticking, observer=counted)
    log.add(predicted(0.1, request_id="a"))
    log.write_waiting()
    whole = os.write

    def full(descriptor, content):
        if len(content) > 100:
            return whole(descriptor, content[:100])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        # Lines of more than a hundred bytes: the first hundred fit.
        patch.setattr(os, "write", lambda descriptor, content: full(descriptor, bytes(content)[:250]))
        log.add(predicted(0.2, request_id="b"))
        log.write_waiting()
    log.add(predicted(0.3, request_id="c"))
    log.close()

    read = read_predictions(tmp_path)
    assert read.frame["request_id"].to_list() == ["a", "c"]
    assert (read.torn, counted.lost["error"], counted.rows_written) == (1, 1, 2)


def test_a_killed_process_loses_no_more_than_what_it_had_not_written(tmp_path):
    program = textwrap.dedent(
        f"""
        import os, signal
        from datetime import UTC, datetime
        from pathlib import Path
        from gitrain.integrations.prediction_log import PredictionLog
        from tests.gitrain.integrations.test_prediction_log import Counted
        from tests.gitrain.serving.predicted import predicted
        log = PredictionLog(Path({str(tmp_path)!r}), clock=lambda: datetime.now(UTC), observer=Counted())
        log.add(predicted(0.1, 0.2, request_id="written"))
        log.write_waiting()
        log.add(predicted(0.3, request_id="waiting"))
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=os.getcwd(), capture_output=True, check=False)

    assert done.returncode == -signal.SIGKILL, done.stderr
    assert read_predictions(tmp_path).frame["request_id"].to_list() == ["written"] * 2
    # Its lock went with it: the file may be removed.
    log = PredictionLog(
        tmp_path, clock=lambda: datetime.now(UTC), observer=Counted(), max_file_bytes=100, max_total_bytes=300
    )
    log.add(predicted(0.4, request_id="next"))
    log.close()
    assert read_predictions(tmp_path).frame["request_id"].to_list() == ["next"]


def test_releases_with_other_features_are_read_together(tmp_path, counted, ticking):
    log = PredictionLog(tmp_path, clock=ticking, observer=counted)
    log.add(predicted(0.1))
    log.close()
    record = json.loads(next(tmp_path.iterdir()).read_text())
    record["features"] = {"snow": 1.0}
    (tmp_path / "predictions-9999.jsonl").write_text(json.dumps(record) + "\n" + '{"schema')

    read = read_predictions(tmp_path)

    assert read.frame.height == 2
    assert read.torn == 1


def test_there_is_no_log_yet(tmp_path):
    assert read_predictions(tmp_path / "nothing").frame.height == 0


def test_a_file_of_something_else_is_named(tmp_path):
    (tmp_path / "predictions-1.jsonl").write_text("hello\n")

    with pytest.raises(DataError, match=r"predictions-1\.jsonl"):
        read_predictions(tmp_path)
