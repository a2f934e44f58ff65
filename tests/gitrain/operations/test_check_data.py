"""The data's checks on two commits of a real project: four batches, then a fifth."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml
from tests.gitrain.checks.defects import SeededDefect
from tests.gitrain.operations.patients import patients_stage, run_command, take_in

from gitrain.checks.data_difference import CHECKS, CONTRACT, EARLIER_BATCHES
from gitrain.errors import PipelineError, UsageError
from gitrain.integrations.dvc import DvcCache
from gitrain.integrations.git import GitRepository
from gitrain.operations.check_data import check_data
from gitrain.operations.compare_data import compare_data
from gitrain.operations.stage import Stage
from gitrain.operations.validate_data import validate_data
from gitrain.verdicts import Outcome, Verdict

StageOf = Callable[..., Stage]
OLD = "data/raw/patients/0002.parquet"
NEW = "data/raw/patients/0005.parquet"


def check(stage: Stage, base: str | None = "main") -> dict[str, Verdict]:
    root = stage.workspace.root
    return {each.name: each for each in check_data(stage, GitRepository(root), DvcCache(root), base=base)}


def alter(path: Path) -> None:
    rewrite(path, lambda rows: rows.with_columns(pl.col("radius") + 0.001))


def rewrite(path: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    rows = change(pl.read_parquet(path))
    path.unlink()
    rows.write_parquet(path)


def old_batch_altered(root: Path) -> None:
    """The source gives something else for a batch that was there: nobody changed a line."""
    alter(root / OLD)
    take_in(root)


def bad_rows(root: Path) -> None:
    """The new batch breaks its contract, and the report was kept from before."""
    rewrite(root / NEW, lambda rows: rows.with_columns(area=pl.lit(-1.0)))


def report_failed(root: Path) -> None:
    rewrite(root / NEW, lambda rows: rows.head(10))
    validate_data(patients_stage(root))


def report_of_before(root: Path) -> None:
    report = root / "reports" / "validation.json"
    content = json.loads(report.read_text())
    content["batches"] = content["batches"][:-1]
    report.write_text(json.dumps(content))


def report_polished(root: Path) -> None:
    report = root / "reports" / "validation.json"
    content = json.loads(report.read_text())
    content["batches"][-1]["rows"] += 5
    report.write_text(json.dumps(content))


def truncated(root: Path) -> None:
    content = (root / NEW).read_bytes()
    (root / NEW).unlink()
    (root / NEW).write_bytes(content[:-50])


DEFECTS: list[tuple[str, str, str, Callable[[Path], None]]] = [
    (EARLIER_BATCHES, "an old batch was altered at its source", "data/raw/patients/0002.parquet", old_batch_altered),
    (CONTRACT, "the rows of a new batch break the contract, and its report says nothing", "patients 0005", bad_rows),
    (CONTRACT, "a batch that fails the contract", "patients 0005", report_failed),
    (CONTRACT, "a report that leaves a batch out", "differ in patients 0005", report_of_before),
    (CONTRACT, "a report with other figures than its data", "says 105", report_polished),
    (CONTRACT, "a truncated parquet file", "no readable parquet", truncated),
]
SEEDED_DEFECTS = [SeededDefect(check=name, defect=defect) for name, defect, _, _ in DEFECTS]


@pytest.mark.parametrize(("name", "defect", "words", "seed"), DEFECTS, ids=[defect for _, defect, *_ in DEFECTS])
def test_a_seeded_defect_is_found(
    patients: Path,
    stage_of: StageOf,
    name: str,
    defect: str,
    words: str,
    seed: Callable[[Path], None],
) -> None:
    seed(patients)
    verdicts = check(stage_of(patients))
    assert {each for each, verdict in verdicts.items() if verdict.outcome is not Outcome.PASSED} == {name}
    assert verdicts[name].outcome is Outcome.FAILED
    assert words in verdicts[name].reason


def test_every_definition_has_its_seeded_defect() -> None:
    assert {definition.name for definition in CHECKS} == {each.check for each in SEEDED_DEFECTS}


def test_the_honest_change_passes(patients: Path, stage_of: StageOf) -> None:
    verdicts = check(stage_of(patients))
    assert {each.outcome for each in verdicts.values()} == {Outcome.PASSED}
    assert verdicts[CONTRACT].figures["judged_again"] == 1
    assert verdicts[EARLIER_BATCHES].figures["added"] == 1
    assert list(verdicts) == [definition.name for definition in CHECKS]


def test_code_that_changed_explains_and_is_named(patients: Path, stage_of: StageOf) -> None:
    with (patients / "tumours.py").open("a") as code:
        code.write("\n# Another source.\n")
    old_batch_altered(patients)
    verdict = check(stage_of(patients))[EARLIER_BATCHES]
    assert verdict.outcome is Outcome.PASSED
    assert "data/raw with tumours.py" in verdict.reason


def test_without_a_base_all_batches_are_judged_again(patients: Path, stage_of: StageOf) -> None:
    verdicts = check(stage_of(patients), base=None)
    assert verdicts[CONTRACT].figures["judged_again"] == 5
    assert verdicts[EARLIER_BATCHES].outcome is Outcome.INCONCLUSIVE


def test_rows_come_from_the_cache_where_the_tree_has_none(patients: Path, stage_of: StageOf) -> None:
    shutil.rmtree(patients / "data")
    assert check(stage_of(patients))[CONTRACT].figures["judged_again"] == 1


def test_rows_that_nobody_has_are_said_to_be_missing(patients: Path, stage_of: StageOf) -> None:
    shutil.rmtree(patients / "data")
    shutil.rmtree(patients / ".dvc" / "cache")
    verdicts = check(stage_of(patients))
    assert verdicts[CONTRACT].figures["not_at_hand"] == 5
    assert "not at hand" in verdicts[CONTRACT].reason
    assert verdicts[EARLIER_BATCHES].outcome is Outcome.INCONCLUSIVE


def test_a_base_without_data(patients: Path, stage_of: StageOf) -> None:
    run_command(patients, "git", "rm", "-q", "--cached", "dvc.lock")
    run_command(patients, "git", "commit", "-q", "-m", "No lock")
    verdicts = check(stage_of(patients), base="HEAD")
    assert verdicts[EARLIER_BATCHES].outcome is Outcome.PASSED
    assert verdicts[CONTRACT].figures["judged_again"] == 5


def test_errors(patients: Path, stage_of: StageOf) -> None:
    with pytest.raises(UsageError):
        check(stage_of(patients), base="nowhere")
    (patients / "dvc.lock").unlink()
    with pytest.raises(PipelineError, match=r"dvc.lock is missing"):
        check(stage_of(patients))


# --- the difference ------------------------------------------------------------------------------------------------


def compared(stage: Stage, base: str | None = "main"):
    return compare_data(stage, GitRepository(stage.workspace.root), DvcCache(stage.workspace.root), base=base)


def test_what_a_new_batch_brings(patients: Path, stage_of: StageOf) -> None:
    difference = compared(stage_of(patients))
    assert [(each.table, each.batch, each.status, each.rows) for each in difference.batches] == [
        ("patients", "0005", "added", 100)
    ]
    assert (difference.rows_before, difference.rows) == (400, 100)
    assert (difference.unit, difference.units_before, difference.units) == ("person", 400, 100)
    assert {each.name for each in difference.features} == set(stage_of(patients).project.features.names)
    assert [each.psi for each in difference.features] == sorted(
        (each.psi for each in difference.features), reverse=True
    )
    assert all(each.psi_of_units is not None for each in difference.features)
    assert difference.reason is None
    features = pl.concat([pl.read_parquet(patients / f"data/features/000{number}.parquet") for number in range(1, 5)])
    area = next(each for each in difference.features if each.name == "area")
    assert area.mean_before == pytest.approx(features["area"].mean(), rel=1e-5)
    assert area.mean == pytest.approx(pl.read_parquet(patients / "data/features/0005.parquet")["area"].mean(), rel=1e-5)


def test_a_batch_that_changed_is_compared_with_what_it_was(patients: Path, stage_of: StageOf) -> None:
    rewrite(patients / OLD, lambda rows: rows.with_columns(area=pl.col("area") * 10).head(80))
    take_in(patients)
    difference = compared(stage_of(patients), base="change~1")
    assert [(each.batch, each.status, each.rows, each.rows_before) for each in difference.batches] == [
        ("0002", "changed", 80, 100)
    ]
    assert difference.features[0].name == "area"
    assert difference.features[0].unusual


def test_nothing_differs(patients: Path, stage_of: StageOf) -> None:
    difference = compared(stage_of(patients), base="HEAD")
    assert (difference.batches, difference.features, difference.reason) == ((), (), None)


def test_what_cannot_be_had_is_said(patients: Path, stage_of: StageOf) -> None:
    content = yaml.safe_load((patients / "dvc.lock").read_text())
    md5 = next(out["md5"] for out in content["stages"]["features"]["outs"])
    (patients / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]).unlink()
    difference = compared(stage_of(patients))
    assert difference.features == ()
    assert len(difference.batches) == 1
    assert difference.reason is not None
    assert "the listing of data/features" in difference.reason


def test_no_base_and_no_lock(patients: Path, stage_of: StageOf) -> None:
    assert "--base" in (compared(stage_of(patients), base=None).reason or "")


def test_equal_differences_give_equal_text(patients: Path, stage_of: StageOf) -> None:
    first, second = (compared(stage_of(patients)).to_json() for _ in range(2))
    assert first == second
