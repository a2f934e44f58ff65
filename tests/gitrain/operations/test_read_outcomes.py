from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gitrain.errors import DataError
from gitrain.operations.read_outcomes import read_outcomes
from gitrain.wiring.repository import open_stage

HOSTILE = "no month\n::stop-commands::x\n::error::forged"


@pytest.mark.parametrize("error", [RuntimeError(HOSTILE), DataError(HOSTILE, fix="wait.")])
def test_what_a_source_says_is_one_line(parcels, error):
    class Source:
        def fingerprint(self, batch):
            return "0"

        def read(self, batch):
            raise error

    told = []
    stage = open_stage(str(parcels), told.append)
    entity = stage.project.features.entity.table
    tables = tuple(replace(table, source=Source()) if table.name == entity else table for table in stage.project.tables)
    stage = replace(stage, project=replace(stage.project, tables=tables))

    assert read_outcomes(stage, before=datetime(2030, 1, 1, tzinfo=UTC)) == []
    (line,) = told
    assert line.startswith(f"labels: the source of {entity}") and "no month" in line
    assert not [each for each in line.splitlines() if each.startswith("::")]
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda frame: frame.rename({"delay": "late_by"}), "it has no column delay"),
        (lambda frame: frame.rename({"parcel": "parcel_id"}), "it has no column parcel"),
        (lambda frame: frame.to_dict(), "it gave dict"),
    ],
)
def test_labels_that_cannot_be_used_are_told_and_left(parcels, change, said):
    told = []
    stage = open_stage(str(parcels), told.append)
    entity = stage.project.entity_table

    class Source:
        def fingerprint(self, batch):
            return "0"

        def read(self, batch):
            frame = entity.source.read(batch)
            return change(frame) if batch == "2024-06" else frame

    tables = [replace(table, source=Source()) if table is entity else table for table in stage.project.tables]
    stage = replace(stage, project=replace(stage.project, tables=tuple(tables)))

    (may,) = read_outcomes(stage, before=datetime(2030, 1, 1, tzinfo=UTC))

    assert may.height
    assert len(told) == 2 and said in told[1], told
