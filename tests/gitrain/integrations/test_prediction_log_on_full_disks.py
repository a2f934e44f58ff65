"""The prediction log on a disk that becomes full and has room again: what was written stays, what is lost is told."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.gitrain.full_disk import DISKS, small_disk
from tests.gitrain.integrations.test_prediction_log import Counted
from tests.gitrain.serving.predicted import predicted

from gitrain.integrations.prediction_log import PredictionLog, read_predictions

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("kind", DISKS)
def test_it_goes_on_where_there_is_room_again(kind, tmp_path):
    ticks = iter(range(10**6))
    counted = Counted()
    with small_disk(kind, tmp_path / "disk", kilobytes=256) as disk:
        log = PredictionLog(disk.folder, clock=lambda: FIRST + timedelta(seconds=next(ticks)), observer=counted)
        log.add(predicted(0.1, request_id="before"))
        log.write_waiting()
        with disk.full():
            for number in range(40):
                log.add(predicted(*[0.2] * 8, request_id=f"during-{number}"))
                log.write_waiting()
        log.add(predicted(0.3, request_id="after"))
        log.close()
        read = read_predictions(disk.folder)
        names = read.frame["request_id"].to_list()

    assert (names[0], names[-1]) == ("before", "after")
    # Half a line where the disk became full, and no record of what was counted as lost is taken for written.
    assert read.torn >= 1
    assert counted.lost["error"] > 0 and counted.lost["full"] == 0
    assert counted.rows_written + counted.lost["error"] == 2 + 40 * 8
    assert len(names) >= counted.rows_written
    assert {type(error) for error in counted.errors} == {OSError}
