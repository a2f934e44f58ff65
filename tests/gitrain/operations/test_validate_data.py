from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.gitrain.data.stations import READINGS, MemorySource, contents, project, readings, stage
from tests.gitrain.operations.test_ingest import DyingWorkspace

from gitrain.data.contracts import TableContract
from gitrain.data.validation_report import ValidationReport
from gitrain.errors import PipelineError
from gitrain.operations.ingest import ingest
from gitrain.operations.validate_data import validate_data
from gitrain.verdicts import Outcome

OUTPUTS = ("data/validated", "data/quarantine", "reports")


def with_faults(batch: str | None) -> pl.DataFrame:
    """Two rows of March break row rules; the other months are without a fault."""
    frame = readings(str(batch))
    if batch != "2024-03":
        return frame
    number = pl.int_range(pl.len())
    return frame.with_columns(
        temperature=pl.when(number == 3).then(1048.0).otherwise("temperature"),
        flashes=pl.when(number == 90).then(-5).otherwise("flashes"),
    )


def run(
    root: Path, *, source: MemorySource | None = None, contract: TableContract = READINGS, **options: Any
) -> ValidationReport:
    given = stage(root, project(source or MemorySource(with_faults), contract), **options)
    ingest(given)
    return validate_data(given)


def test_good_rows_go_on_and_bad_ones_to_quarantine(tmp_path):
    report = run(tmp_path)
    assert report.outcome is Outcome.PASSED
    assert sorted(contents(tmp_path, *OUTPUTS)) == [
        "data/quarantine/README.md",
        "data/quarantine/readings/2024-03.parquet",
        "data/validated/places/all.parquet",
        "data/validated/readings/2024-02.parquet",
        "data/validated/readings/2024-03.parquet",
        "reports/validation.json",
        "reports/validation.md",
    ]
    quarantined = pl.read_parquet(tmp_path / "data/quarantine/readings/2024-03.parquet")
    assert quarantined["reason"].to_list() == [
        "temperature = 1048.0 breaks in_range(-60, 60)",
        "flashes = -5 breaks in_range(0, 100000)",
    ]
    kept = pl.read_parquet(tmp_path / "data/validated/readings/2024-03.parquet")
    assert (
        pl.concat([kept, quarantined.drop("reason")])
        .sort("taken_at", "station")
        .equals(with_faults("2024-03").sort("taken_at", "station"))
    )
    written = (tmp_path / "reports/validation.json").read_text(encoding="utf-8")
    assert ValidationReport.from_json(written, source="validation.json") == report
    markdown = (tmp_path / "reports/validation.md").read_text(encoding="utf-8")
    assert markdown.startswith("## ✅ Data validation: PASSED\n")
    assert "1048" in markdown


def test_a_second_run_takes_everything_from_the_memo(tmp_path):
    first = run(tmp_path)
    outputs = contents(tmp_path, *OUTPUTS)
    for path in outputs:
        (tmp_path / path).unlink()
    lines: list[str] = []
    second = run(tmp_path, lines=lines)
    # Also the findings: the report is the same.
    assert second == first
    assert contents(tmp_path, *OUTPUTS) == outputs
    judged = [line for line in lines if line.startswith("validate")]
    assert len(judged) == 3
    assert all("unchanged" in line for line in judged)
    assert judged[1] == "validate: readings 2024-03, 372 rows, 2 in quarantine (unchanged)"


def test_one_more_month_judges_one_month_and_gives_what_a_whole_run_gives(tmp_path):
    run(tmp_path / "monthly")
    lines: list[str] = []
    run(tmp_path / "monthly", through="2024-04", lines=lines)
    assert [line for line in lines if line.startswith("validate") and "unchanged" not in line] == [
        "validate: readings 2024-04, 360 rows"
    ]
    run(tmp_path / "whole", through="2024-04")
    assert contents(tmp_path / "monthly", *OUTPUTS) == contents(tmp_path / "whole", *OUTPUTS)


def test_other_code_judges_again(tmp_path):
    run(tmp_path)
    strict = replace(READINGS, max_quarantined_share=0.0)
    assert run(tmp_path, contract=strict, code="code-2").outcome is Outcome.FAILED


def test_a_batch_that_fails_is_reported_and_overwrites_nothing(tmp_path):
    run(tmp_path)
    before = contents(tmp_path, "data/validated", "data/quarantine")
    source = MemorySource(
        lambda batch: readings("2024-03").drop("pressure") if batch == "2024-03" else readings(str(batch)), "2"
    )
    report = run(tmp_path, source=source)
    assert report.outcome is Outcome.FAILED
    assert [batch.outcome.value for batch in report.batches] == ["PASSED", "FAILED", "PASSED"]
    assert contents(tmp_path, "data/validated", "data/quarantine") == before
    written = (tmp_path / "reports/validation.json").read_text(encoding="utf-8")
    assert ValidationReport.from_json(written, source="validation.json") == report
    assert "the column pressure is missing" in (tmp_path / "reports/validation.md").read_text(encoding="utf-8")
    # Its data mended, the run ends where it would have ended.
    run(tmp_path)
    assert contents(tmp_path, "data/validated", "data/quarantine") == before


def test_nothing_of_a_failed_new_batch_is_written(tmp_path):
    bad = MemorySource(lambda batch: readings(str(batch)).with_columns(temperature=pl.lit(500.0)))
    report = run(tmp_path, source=bad)
    assert report.outcome is Outcome.FAILED
    assert sorted(contents(tmp_path, "data/validated", "data/quarantine")) == [
        "data/quarantine/README.md",
        "data/validated/places/all.parquet",
    ]


def test_batches_that_nobody_asks_for_are_removed_once_all_pass(tmp_path):
    run(tmp_path, through="2024-04")
    kept = contents(tmp_path, "data/validated")
    strict = replace(READINGS, max_quarantined_share=0.0)
    assert run(tmp_path, contract=strict, code="code-2").outcome is Outcome.FAILED
    assert contents(tmp_path, "data/validated") == kept
    run(tmp_path)
    assert sorted(kept.keys() - contents(tmp_path, "data/validated")) == ["data/validated/readings/2024-04.parquet"]


def test_a_quarantine_file_goes_when_its_batch_has_no_bad_row_any_more(tmp_path):
    run(tmp_path)
    run(tmp_path, source=MemorySource(lambda batch: readings(str(batch)), version="2"))
    assert sorted(contents(tmp_path, "data/quarantine")) == ["data/quarantine/README.md"]


def test_a_raw_file_that_is_cut_short_is_a_finding(tmp_path):
    given = stage(tmp_path, project(MemorySource(with_faults)))
    ingest(given)
    raw = tmp_path / "data/raw/readings/2024-03.parquet"
    raw.write_bytes(raw.read_bytes()[:-200])
    report = validate_data(given)
    assert report.outcome is Outcome.FAILED
    assert [(finding.rule, finding.severity) for finding in report.batches[1].findings] == [("readable", "fail")]
    assert "data/raw/readings/2024-03.parquet" in report.batches[1].findings[0].message


def test_a_raw_file_that_is_missing_stops_the_stage(tmp_path):
    with pytest.raises(PipelineError, match=r"data/raw/readings/2024-02\.parquet is missing"):
        validate_data(stage(tmp_path, project()))


@pytest.mark.parametrize("dies_at", range(9))
def test_a_run_that_was_killed_is_finished_by_the_next(tmp_path, dies_at):
    whole, root = tmp_path / "whole", tmp_path / "killed"
    run(whole)
    given = stage(root, project(MemorySource(with_faults)))
    ingest(given)
    with pytest.raises(KeyboardInterrupt):
        validate_data(replace(given, workspace=DyingWorkspace(root, dies_at=dies_at)))
    validate_data(given)
    assert contents(root, *OUTPUTS) == contents(whole, *OUTPUTS)


def test_a_damaged_memo_is_no_harm(tmp_path):
    first = run(tmp_path)
    outputs = contents(tmp_path, *OUTPUTS)
    for path in (tmp_path / ".gitrain/memo").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert run(tmp_path) == first
    assert contents(tmp_path, *OUTPUTS) == outputs
