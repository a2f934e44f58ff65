"""Contracts of outputs on a finished run of a real project, whole and spoilt."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandera.polars as pa
import polars as pl
import pytest
from tests.gitrain.checks.defects import SeededDefect

from gitrain.checks.artifacts import ARTIFACTS, CHECKS, Artifact
from gitrain.data.contracts import TableContract
from gitrain.documents import Document
from gitrain.errors import ProjectError
from gitrain.integrations.dvc_tree import open_dvc_tree
from gitrain.integrations.skops import SkopsFormat
from gitrain.operations.check_artifacts import check_artifacts
from gitrain.operations.stage import Stage
from gitrain.verdicts import Outcome, Verdict
from gitrain.wiring.models import open_served_model

StageOf = Callable[..., Stage]
FEATURES = "data/features/0005.parquet"
OUTPUTS = 18


def check(root: Path, stage: Stage) -> dict[str, Verdict]:
    with open_dvc_tree(root) as tree:
        return {verdict.name: verdict for verdict in check_artifacts(stage, SkopsFormat, open_served_model, tree)}


def red(verdicts: dict[str, Verdict]) -> set[str]:
    return {name.partition(":")[2] for name, each in verdicts.items() if each.outcome is not Outcome.PASSED}


def rewrite(path: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    change(pl.read_parquet(path)).write_parquet(path)


def replace(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))


def add_output(root: Path, path: str = "data/extra.bin", content: bytes = b"extra") -> None:
    replace(root / "dvc.yaml", "      - data/predictions\n", f"      - data/predictions\n      - {path}\n")
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(content)


def nan_in_features(root: Path) -> None:
    row = pl.int_range(pl.len()) == 3
    rewrite(
        root / FEATURES, lambda rows: rows.with_columns(pl.when(row).then(float("nan")).otherwise("area").alias("area"))
    )


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def metrics_of_another_run(root: Path) -> None:
    content = json.loads((root / "reports/metrics.json").read_text())
    (root / "reports/metrics.json").write_text(json.dumps({**content, "roc_auc": 0.999}))


def report_of_a_failed_batch(root: Path) -> None:
    content = json.loads((root / "reports/validation.json").read_text())
    content["outcome"] = content["batches"][0]["outcome"] = "FAILED"
    content["batches"][0]["findings"] = [{"rule": "rows", "severity": "fail", "message": "too few"}]
    (root / "reports/validation.json").write_text(json.dumps(content))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def another_answer(path: Path) -> None:
    content = json.loads(path.read_text())
    content["rows"][3]["score"] = 0.5
    path.write_text(json.dumps(content))


def without_an_input(path: Path) -> None:
    content = json.loads(path.read_text())
    del content["rows"][0]["inputs"]["radius"]
    path.write_text(json.dumps(content))


def drop_rows(root: Path) -> None:
    rewrite(root / FEATURES, lambda rows: rows.head(60))


# What is wrong, the outputs that turn red (the first is the one that is meant), words of the reason, how it is made.
DEFECTS: list[tuple[str, set[str], str, Callable[[Path], Any]]] = [
    ("an output without a contract", {"data/extra.bin"}, "has no contract: declare it", add_output),
    ("a missing output", {"reports/roc.csv"}, "is missing", lambda root: (root / "reports/roc.csv").unlink()),
    (
        "a missing batch",
        {"data/features"},
        "0002.parquet is missing",
        lambda root: (root / "data/features/0002.parquet").unlink(),
    ),
    (
        "a file that belongs to no batch",
        {"data/raw"},
        "belongs to no batch",
        lambda root: (root / "data/raw/patients/0009.parquet").write_bytes(b""),
    ),
    (
        "a wrong schema: a column of another type",
        {"data/validated"},
        "is String, and Float64 is expected",
        lambda root: rewrite(
            root / "data/validated/patients/0003.parquet", lambda rows: rows.cast({"radius": pl.String})
        ),
    ),
    (
        "a wrong schema: a feature is missing",
        {"data/features", "models/model.skops", "models/serving"},
        "has no column 'area'",
        lambda root: rewrite(root / FEATURES, lambda rows: rows.drop("area")),
    ),
    (
        "a wrong schema: a column nobody expects",
        {"data/features"},
        "which nobody expects",
        lambda root: rewrite(root / FEATURES, lambda rows: rows.with_columns(extra=1)),
    ),
    ("NaN in features", {"data/features", "models/serving"}, "1 values that are NaN or infinite", nan_in_features),
    (
        "a truncated parquet file",
        {"data/features"},
        "no readable parquet",
        lambda root: truncate(root / "data/features/0002.parquet"),
    ),
    ("rows lost between two stages", {"data/features", "data/predictions"}, "has 60 rows", drop_rows),
    (
        "a prediction that is no probability",
        {"data/predictions", "reports/evaluation.json", "models/serving"},
        "score",
        lambda root: rewrite(
            root / "data/predictions/holdout.parquet", lambda rows: rows.with_columns(score=pl.lit(1.5))
        ),
    ),
    (
        "a truncated model",
        {"models/model.skops", "models/serving.json", "reports/evaluation.json"},
        "another model",
        lambda root: truncate(root / "models/model.skops"),
    ),
    (
        "a manifest of another training window",
        {"models/model.json"},
        "training_batches",
        lambda root: replace(root / "models/model.json", '"0004"', '"0009"'),
    ),
    (
        "an unknown key in a document",
        {"models/model.json", "models/model.skops"},
        "unknown key",
        lambda root: replace(root / "models/model.json", '"converged"', '"converge"'),
    ),
    (
        "one bit of what is served",
        {"models/serving", "models/known_answers.json"},
        "has the digest",
        lambda root: flip(root / "models/serving/model.onnx"),
    ),
    (
        "a second file beside what is served",
        {"models/serving"},
        "model.skops belongs to",
        lambda root: shutil.copy(root / "models/model.skops", root / "models/serving"),
    ),
    (
        "another threshold than in params.yaml",
        {"models/serving.json"},
        "0.4 as threshold",
        lambda root: replace(root / "models/serving.json", '"threshold": 0.5', '"threshold": 0.4'),
    ),
    (
        "a served model that is not equal",
        {"models/serving.json"},
        "0.1 apart",
        lambda root: replace(root / "models/serving.json", "1e-12", "0.1"),
    ),
    (
        "another answer than what is served gives",
        {"models/known_answers.json"},
        "from what is served",
        lambda root: another_answer(root / "models/known_answers.json"),
    ),
    (
        "known answers without an input",
        {"models/known_answers.json"},
        "row 0 of models/known_answers.json has other inputs: radius",
        lambda root: without_an_input(root / "models/known_answers.json"),
    ),
    ("metrics of another run", {"reports/metrics.json"}, "differ", metrics_of_another_run),
    (
        "infinity in a metric",
        {"reports/metrics.json"},
        "no finite number",
        lambda root: (root / "reports/metrics.json").write_text('{"roc_auc": Infinity}'),
    ),
    (
        "NaN in a curve",
        {"reports/training_curve.csv"},
        "no finite number",
        lambda root: (root / "reports/training_curve.csv").write_text(
            "iteration,training_loss,validation_loss\n1,0.5,nan\n"
        ),
    ),
    (
        "a curve without its columns",
        {"reports/calibration.csv"},
        "has no column 'observed'",
        lambda root: replace(root / "reports/calibration.csv", "observed,", "seen,"),
    ),
    ("a report of a failed batch", {"reports/validation.json"}, "says FAILED", report_of_a_failed_batch),
    (
        "an empty report",
        {"reports/validation.md"},
        "is empty",
        lambda root: (root / "reports/validation.md").write_text(""),
    ),
    (
        "a report that is too large for Git",
        {"reports/validation.md"},
        "more than 5,242,880",
        lambda root: (root / "reports/validation.md").write_text("x" * (5 * 2**20 + 1)),
    ),
    (
        "rows in quarantine that the report does not have",
        {"data/quarantine", "data/validated"},
        "0 are expected",
        lambda root: quarantine(root, reason="radius: too small"),
    ),
]
SEEDED_DEFECTS = [SeededDefect(check=ARTIFACTS, defect=defect) for defect, _, _, _ in DEFECTS]


def quarantine(root: Path, reason: str) -> None:
    rows = pl.read_parquet(root / "data/raw/patients/0001.parquet").head(2).with_columns(reason=pl.lit(reason))
    (root / "data/quarantine/patients").mkdir(parents=True)
    rows.write_parquet(root / "data/quarantine/patients/0001.parquet")


def test_the_honest_run_keeps_every_contract(patients: Path, stage_of: StageOf) -> None:
    verdicts = check(patients, stage_of(patients))
    assert red(verdicts) == set()
    assert len(verdicts) == OUTPUTS
    assert verdicts["artifacts:data/features"].figures["rows"] == 500
    assert verdicts["artifacts:models/model.skops"].figures["rows_scored"] == 100
    assert [definition.name for definition in CHECKS] == [ARTIFACTS]


@pytest.mark.parametrize(("defect", "outputs", "words", "seed"), DEFECTS, ids=[defect for defect, *_ in DEFECTS])
def test_a_seeded_defect_is_found(
    patients: Path, stage_of: StageOf, defect: str, outputs: set[str], words: str, seed: Callable[[Path], Any]
) -> None:
    seed(patients)
    verdicts = check(patients, stage_of(patients))
    assert red(verdicts) == outputs
    assert any(words in verdicts[f"artifacts:{path}"].reason for path in outputs), [
        verdicts[f"artifacts:{path}"].reason for path in outputs
    ]


# --- what a project declares ---------------------------------------------------------------------------------------


class Summary(Document):
    mean: float


def declared(stage: Stage, *artifacts: Artifact) -> Stage:
    return dataclasses.replace(stage, project=dataclasses.replace(stage.project, artifacts=artifacts))


def parquet(path: Path, values: list[float]) -> None:
    pl.DataFrame({"value": pl.Series(values, dtype=pl.Float64)}).write_parquet(path)


CONTRACT = TableContract(schema=pa.DataFrameSchema({"value": pa.Column(pl.Float64, pa.Check.ge(0))}))


@pytest.mark.parametrize(
    ("artifact", "good", "bad", "words"),
    [
        (
            Artifact(path="out.json", kind="json", document=Summary),
            '{"schema_version": 1, "mean": 2}',
            '{"mean": 2}',
            "schema_version",
        ),
        (Artifact(path="out.json", kind="json"), '{"mean": 2}', '{"mean": NaN}', "NaN is no finite number"),
        (Artifact(path="out.csv", kind="csv", columns=("a",)), "a,name\n1,x\n", "b\n1\n", "no column 'a'"),
        (Artifact(path="out.csv", kind="csv", rows=(2, 2)), "a\n1\n2\n", "a\n1\n", "1 rows, and 2 are expected"),
        (Artifact(path="out.csv", kind="csv", may_be_missing=("b",)), "a,b\n1,\n", "a,b\n,1\n", "no finite number"),
        (Artifact(path="out.csv", kind="csv"), "a,b\n1,2\n", "a,b\n1\n", "1 cells"),
        (Artifact(path="out.txt", kind="text"), "words\n", " \n", "is empty"),
        (Artifact(path="out.bin", kind="file", max_bytes=4), "four", "fives", "5 bytes, more than 4"),
    ],
)
def test_a_declared_contract_is_kept_or_not(
    patients: Path, stage_of: StageOf, artifact: Artifact, good: str, bad: str, words: str
) -> None:
    add_output(patients, artifact.path, good.encode())
    stage = declared(stage_of(patients), artifact)
    assert red(check(patients, stage)) == set()
    (patients / artifact.path).write_text(bad)
    verdicts = check(patients, stage)
    assert red(verdicts) == {artifact.path}
    assert words in verdicts[f"artifacts:{artifact.path}"].reason


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1.0, np.inf], "NaN or infinite"),
        ([1.0, -1.0], "breaks the rule"),
        ([1.0, 2.0, 3.0], "3 rows, and 1 to 2 are expected"),
    ],
)
def test_a_declared_folder_of_tables(patients: Path, stage_of: StageOf, values: list[float], words: str) -> None:
    add_output(patients, "extra/part.parquet")
    replace(patients / "dvc.yaml", "extra/part.parquet", "extra")
    stage = declared(stage_of(patients), Artifact(path="extra", kind="parquet", contract=CONTRACT, rows=(1, 2)))
    parquet(patients / "extra" / "part.parquet", [1.0])
    assert red(check(patients, stage)) == set()
    parquet(patients / "extra" / "other.parquet", values)
    verdicts = check(patients, stage)
    assert red(verdicts) == {"extra"}
    assert words in verdicts["artifacts:extra"].reason


def test_a_project_sets_another_bound_for_a_known_output(patients: Path, stage_of: StageOf) -> None:
    stage = declared(stage_of(patients), Artifact(path="models/model.skops", kind="file", max_bytes=100))
    assert red(check(patients, stage)) == {"models/model.skops"}


def test_a_contract_of_what_no_stage_writes(patients: Path, stage_of: StageOf) -> None:
    stage = declared(stage_of(patients), Artifact(path="misspelt.json", kind="json"))
    verdict = check(patients, stage)["artifacts:misspelt.json"]
    assert verdict.outcome is Outcome.FAILED
    assert "no stage writes it" in verdict.reason


def test_a_plot_has_the_columns_that_dvc_yaml_draws(patients: Path, stage_of: StageOf) -> None:
    replace(patients / "dvc.yaml", "reports/roc.csv: {cache: false", "reports/roc.csv: {x: fallout, cache: false")
    assert red(check(patients, stage_of(patients))) == {"reports/roc.csv"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"path": "../out.json", "kind": "json"}, "no path inside"),
        ({"path": "/out.json", "kind": "json"}, "no path inside"),
        ({"path": "out/", "kind": "file"}, "no path inside"),
        ({"path": "out.csv", "kind": "csv", "document": Summary}, "has document"),
        ({"path": "out.csv", "kind": "csv", "rows": (3, 2)}, "allows"),
        ({"path": "out.csv", "kind": "csv", "max_bytes": 0}, "allows"),
    ],
)
def test_a_contract_that_makes_no_sense(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ProjectError, match=words):
        Artifact(**options)


def test_two_contracts_for_one_output(patients: Path, stage_of: StageOf) -> None:
    with pytest.raises(ProjectError, match="twice"):
        declared(stage_of(patients), Artifact(path="a", kind="file"), Artifact(path="a", kind="text"))
