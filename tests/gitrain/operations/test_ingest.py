from dataclasses import dataclass

import polars as pl
import pytest
from tests.gitrain.data.stations import PLACES, MemorySource, contents, places, project, readings, stage

from gitrain.data.tables import Table
from gitrain.errors import DataError, SettingsError
from gitrain.integrations.files import LocalWorkspace
from gitrain.operations.ingest import ingest

RAW = ["data/raw/places/all.parquet", "data/raw/readings/2024-02.parquet", "data/raw/readings/2024-03.parquet"]


def source() -> MemorySource:
    return MemorySource(lambda batch: readings(str(batch)))


def test_every_batch_of_every_table_becomes_a_file(tmp_path):
    lines: list[str] = []
    ingest(stage(tmp_path, project(), lines=lines))
    assert sorted(contents(tmp_path, "data")) == RAW
    assert pl.read_parquet(tmp_path / RAW[2]).equals(readings("2024-03"))
    assert pl.read_parquet(tmp_path / RAW[0]).equals(places())
    assert lines == [
        "ingest: readings 2024-02, 348 rows",
        "ingest: readings 2024-03, 372 rows",
        "ingest: places, 3 rows",
    ]


def test_a_batch_is_read_once_while_its_source_and_code_stay(tmp_path):
    counted = source()
    ingest(stage(tmp_path, project(counted)))
    first = contents(tmp_path, "data")
    # DVC removes the outputs of a stage before it runs it.
    for path in first:
        (tmp_path / path).unlink()
    ingest(stage(tmp_path, project(counted)))
    assert counted.reads == ["2024-02", "2024-03"]
    assert contents(tmp_path, "data") == first
    ingest(stage(tmp_path, project(counted), through="2024-04"))
    assert counted.reads == ["2024-02", "2024-03", "2024-04"]
    counted.version = "2"
    ingest(stage(tmp_path, project(counted)))
    assert counted.reads[3:] == ["2024-02", "2024-03"]
    ingest(stage(tmp_path, project(counted), code="code-2"))
    assert counted.reads[5:] == ["2024-02", "2024-03"]


def test_batches_and_tables_that_nobody_asks_for_are_removed(tmp_path):
    ingest(stage(tmp_path, project(), through="2024-05"))
    stale = tmp_path / "data/raw/planes/all.parquet"
    stale.parent.mkdir()
    stale.write_bytes(b"old")
    lines: list[str] = []
    ingest(stage(tmp_path, project(), lines=lines))
    assert sorted(contents(tmp_path, "data")) == RAW
    assert sum("removed" in line for line in lines) == 3


def test_the_failure_of_a_source_names_table_and_batch(tmp_path):
    def fail(batch: str | None) -> pl.DataFrame:
        if batch == "2024-03":
            raise OSError("connection reset")
        return readings(str(batch))

    with pytest.raises(DataError, match=r"readings 2024-03 failed: OSError: connection reset") as caught:
        ingest(stage(tmp_path, project(MemorySource(fail))))
    assert isinstance(caught.value.__cause__, OSError)
    assert sorted(contents(tmp_path, "data")) == RAW[1:2]


def test_a_source_s_own_error_is_passed_on(tmp_path):
    def fail(batch: str | None) -> pl.DataFrame:
        raise DataError("the archive has no 2024-02", fix="lower data.through.")

    with pytest.raises(DataError, match=r"^the archive has no 2024-02"):
        ingest(stage(tmp_path, project(MemorySource(fail))))


def test_a_source_that_gives_no_frame_is_refused(tmp_path):
    made = MemorySource(lambda batch: readings(str(batch)).lazy())  # type: ignore[arg-type,return-value]
    with pytest.raises(DataError, match="readings 2024-02 gave LazyFrame"):
        ingest(stage(tmp_path, project(made)))


def test_batches_in_the_wrong_order_are_a_mistake_in_the_settings(tmp_path):
    with pytest.raises(SettingsError, match="comes before the first"):
        ingest(stage(tmp_path, project(), through="2024-01"))


@dataclass(frozen=True)
class DyingWorkspace(LocalWorkspace):
    """A workspace whose process is killed in the middle of one of its writes."""

    dies_at: int = 0

    def write_bytes(self, path: str, content: bytes) -> None:
        count = self.root / "writes"
        number = int(count.read_text()) if count.exists() else 0
        count.write_text(str(number + 1))
        if number == self.dies_at:
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            raise KeyboardInterrupt
        super().write_bytes(path, content)


@pytest.mark.parametrize("dies_at", range(3))
def test_a_run_that_was_killed_is_finished_by_the_next(tmp_path, dies_at):
    whole = tmp_path / "whole"
    ingest(stage(whole, project()))
    root = tmp_path / "killed"
    root.mkdir()
    with pytest.raises(KeyboardInterrupt):
        ingest(stage(root, project(), workspace=DyingWorkspace(root, dies_at=dies_at)))
    assert set(contents(root, "data")) < set(contents(whole, "data"))
    ingest(stage(root, project()))
    assert contents(root, "data") == contents(whole, "data")


def test_a_table_without_batches_is_asked_for_as_a_whole(tmp_path):
    asked = MemorySource(places)
    more = Table(name="heights", source=asked, contract=PLACES, batched=False)
    ingest(stage(tmp_path, project(others=[more])))
    assert asked.reads == [None]
