from datetime import UTC, datetime

import pytest

from gitrain.errors import DataError, UsageError
from gitrain.integrations.prediction_log import read_predictions
from gitrain.wiring.replay import FolderOfDays, replay_folder

DAY = datetime(2024, 3, 1, 5, tzinfo=UTC)
RECORD = (
    b'{"schema_version":1,"time":"2024-03-01T05:00:00+00:00","request_id":"a","row":0,"release":"1.0.0",'
    b'"inputs":{},"features":{},"missing":[],"stale":[],"probability":0.5,"decision":true}\n'
)


def test_a_day_is_a_file_of_a_prediction_log(tmp_path):
    log = FolderOfDays(tmp_path / "log")
    log.write("2024-03-01", DAY, RECORD * 2)
    log.write("2024-03-01", DAY, RECORD)

    assert log.read("2024-03-01", DAY).frame.height == 1
    assert read_predictions(tmp_path / "log").frame.height == 1
    log.forget("2024-03-01", DAY)
    log.forget("2024-03-01", DAY)
    assert list((tmp_path / "log").iterdir()) == []


def test_days_can_be_kept(tmp_path):
    log = FolderOfDays(tmp_path, keep=True)
    log.write("2024-03-01", DAY, RECORD)
    log.forget("2024-03-01", DAY)

    assert log.read("2024-03-01", DAY).frame.height == 1


def test_a_file_that_is_no_log(tmp_path):
    log = FolderOfDays(tmp_path)
    log.write("2024-03-01", DAY, b"nothing\n")

    with pytest.raises(DataError, match="no record of a prediction"):
        log.read("2024-03-01", DAY)


def test_a_folder_keeps_what_is_in_it(tmp_path):
    with replay_folder(tmp_path / "year") as folder:
        (folder / "some").touch()
    with replay_folder(tmp_path / "year") as folder:
        assert (folder / "some").exists()


def test_one_replay_at_a_time(tmp_path):
    with (
        replay_folder(tmp_path / "year"),
        pytest.raises(UsageError, match="another replay is at work"),
        replay_folder(tmp_path / "year"),
    ):
        pass


def test_other_folders_are_left_alone(tmp_path):
    (tmp_path / "thesis.txt").touch()

    with pytest.raises(UsageError, match="not a scratch folder"), replay_folder(tmp_path):
        pass
    assert (tmp_path / "thesis.txt").exists()
