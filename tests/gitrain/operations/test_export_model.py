"""The stage `export` on real pipelines: what it writes, what it refuses, and that it can be killed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from gitrain.documents import parse_json
from gitrain.errors import DataError, ModelError, PipelineError
from gitrain.integrations.onnx.converter import OnnxConverter
from gitrain.integrations.skops import SkopsFormat
from gitrain.lineage import digest_of_file
from gitrain.online.columns import columns_of
from gitrain.operations.export_model import export_model
from gitrain.operations.stage import Stage
from gitrain.serving.manifest import KnownAnswers, ServingManifest
from gitrain.wiring.models import open_served_model

StageOf = Callable[..., Stage]
OUTPUTS = ("models/serving.json", "models/known_answers.json")


class NoWay:
    """A converter that knows no estimator."""

    ways: Sequence[str] = ("double",)

    def convert(self, estimator: Any, columns: Any, *, way: str, never_null: Any) -> bytes:
        raise ModelError("the model cannot be converted to ONNX: it is a Tuesday", fix="wait.")

    def load(self, content: bytes, *, name: str) -> Any:
        raise NotImplementedError


def export(stage: Stage, converter: Any = None) -> ServingManifest:
    return export_model(stage, SkopsFormat(), converter or OnnxConverter())


def outputs(root: Path) -> dict[str, str]:
    files = [root / path for path in OUTPUTS] + sorted((root / "models/serving").iterdir())
    return {path.relative_to(root).as_posix(): digest_of_file(path) for path in files}


def known(root: Path) -> KnownAnswers:
    return parse_json(KnownAnswers, (root / "models/known_answers.json").read_text(), source="known_answers.json")


def test_the_export_is_the_same_each_time(patients: Path, stage_of: StageOf) -> None:
    before = outputs(patients)
    assert set(before) == {*OUTPUTS, "models/serving/model.onnx"}
    # What was there is overwritten or removed.
    (patients / "models/serving/model.skops").write_bytes(b"of another time")
    (patients / "models/serving/model.onnx").write_bytes(b"cut sho")
    export(stage_of(patients))
    assert outputs(patients) == before
    shutil.rmtree(patients / "models/serving")
    export(stage_of(patients))
    assert outputs(patients) == before


def test_the_manifest_says_what_and_why(patients: Path, stage_of: StageOf) -> None:
    manifest = export(stage_of(patients))
    assert (manifest.format, manifest.path) == ("onnx", "models/serving/model.onnx")
    assert manifest.digest == digest_of_file(patients / manifest.path)
    assert manifest.model_digest == digest_of_file(patients / "models/model.skops")
    assert manifest.threshold == 0.5
    assert (manifest.parity.holdout_rows, manifest.parity.flipped_decisions) == (100, 0)
    assert manifest.parity.adversarial_rows >= 2000
    assert {"onnx", "onnxruntime", "scikit-learn", "skl2onnx", "skops"} <= set(manifest.libraries)


def test_what_cannot_be_converted_is_served_as_it_was_judged(patients: Path, stage_of: StageOf) -> None:
    in_onnx = known(patients)
    manifest = export(stage_of(patients), NoWay())

    assert (manifest.format, manifest.path) == ("skops", "models/serving/model.skops")
    assert manifest.reason == "the model cannot be converted to ONNX: it is a Tuesday"
    assert manifest.parity.largest_difference is None
    assert set(outputs(patients)) == {*OUTPUTS, "models/serving/model.skops"}
    assert manifest.digest == manifest.model_digest == digest_of_file(patients / manifest.path)
    # The form changes nothing of what is said.
    for one, other in zip(known(patients).rows, in_onnx.rows, strict=True):
        assert (one.inputs, one.features) == (other.inputs, other.features)
        assert one.score == pytest.approx(other.score, abs=1e-12)


@pytest.mark.parametrize("converter", [OnnxConverter(), NoWay()])
def test_known_answers_are_those_of_the_model_that_is_served(patients: Path, stage_of: StageOf, converter: Any) -> None:
    export(stage_of(patients), converter)
    model = open_served_model(patients)
    answers = known(patients)

    assert len(answers.rows) == 20
    kinds = {name: pl.String if name in model.columns.categorical else pl.Float64 for name in model.columns.names}
    features = pl.DataFrame([row.features for row in answers.rows], schema=kinds)
    scores = model.score(columns_of(features, model.columns))
    assert np.abs(scores - [row.score for row in answers.rows]).max() <= 1e-12
    # And of the predictions, of which they are the first, the last, and rows between.
    predictions = pl.read_parquet(patients / "data/predictions/holdout.parquet")
    at = [predictions["patient"].to_list().index(row.inputs["patient"]) for row in answers.rows]
    assert (at[0], at[-1], at) == (0, predictions.height - 1, sorted(set(at)))
    assert np.abs(predictions["score"].to_numpy()[at] - scores).max() <= 1e-12


@pytest.mark.slow
def test_known_answers_of_a_project_with_time(parcels: Path) -> None:
    rows = known(parcels).rows
    validated = pl.read_parquet(parcels / "data/validated/parcels/2024-04.parquet")
    for row in rows:
        (entity,) = validated.filter(pl.col("parcel") == row.inputs["parcel"]).iter_rows(named=True)
        assert row.inputs == {
            "parcel": entity["parcel"],
            "depot": entity["depot"],
            "zone": entity["zone"],
            "weight": entity["weight"],
            "sent": entity["sent"].strftime("%Y-%m-%dT%H:%M:%SZ"),
            "promised_hours": entity["promised_hours"],
        }
    # Lost parcels have no label and were not judged.
    judged = set(pl.read_parquet(parcels / "data/predictions/holdout.parquet")["parcel"])
    assert {row.inputs["parcel"] for row in rows} <= judged


def rewrite(path: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    change(pl.read_parquet(path)).write_parquet(path)


@pytest.mark.parametrize(
    ("defect", "error", "words"),
    [
        (lambda root: (root / "models/model.skops").unlink(), PipelineError, "model.skops"),
        (
            lambda root: (root / "models/model.skops").write_bytes(b"another"),
            ModelError,
            "describes a model with sha256",
        ),
        (
            lambda root: rewrite(root / "data/predictions/holdout.parquet", lambda rows: rows.head(60)),
            DataError,
            "has 60 rows, and the features of the holdout have 100 with a label",
        ),
        (
            lambda root: rewrite(
                root / "data/predictions/holdout.parquet", lambda rows: rows.with_columns(score=pl.col("score") * 0.99)
            ),
            ModelError,
            "from the one in data/predictions",
        ),
        (
            lambda root: rewrite(
                root / "data/validated/patients/0005.parquet", lambda rows: rows.with_columns(pl.col("patient") + 1)
            ),
            DataError,
            "of 20 rows of the features 19 are among the validated patients",
        ),
        (
            lambda root: rewrite(root / "data/validated/patients/0005.parquet", lambda rows: rows.drop("area")),
            DataError,
            "area",
        ),
    ],
    ids=["no model", "another model", "fewer predictions", "other predictions", "other rows", "a column is missing"],
)
def test_what_is_not_of_one_run_is_refused(
    patients: Path, stage_of: StageOf, defect: Callable[[Path], Any], error: type[Exception], words: str
) -> None:
    (patients / "models/serving.json").unlink()
    defect(patients)
    with pytest.raises(error, match=words):
        export(stage_of(patients))
    # No manifest, nothing to serve.
    assert not (patients / "models/serving.json").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from gitrain.integrations.files import LocalWorkspace
from gitrain.integrations.onnx.converter import OnnxConverter
from gitrain.integrations.skops import SkopsFormat
from gitrain.operations.export_model import export_model
from tests.gitrain.operations.patients import patients_stage

left = int(sys.argv[2])

def killed(method):
    def write(*arguments, **options):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return method(*arguments, **options)
    return write

LocalWorkspace.write_bytes = killed(LocalWorkspace.write_bytes)
LocalWorkspace.write_text = killed(LocalWorkspace.write_text)
export_model(patients_stage(Path(sys.argv[1])), SkopsFormat(), OnnxConverter())
"""


@pytest.mark.parametrize("write", [1, 2, 3])
def test_killed_before_a_write_nothing_is_served_wrongly(patients: Path, stage_of: StageOf, write: int) -> None:
    before = outputs(patients)
    # As DVC does before a stage runs.
    shutil.rmtree(patients / "models/serving")
    for path in OUTPUTS:
        (patients / path).unlink()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLED, str(patients), str(write)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == -9
    with pytest.raises(ModelError, match=r"serving\.json cannot be read"):
        open_served_model(patients)
    export(stage_of(patients))
    assert outputs(patients) == before


def test_the_threshold_is_that_of_params(patients: Path, stage_of: StageOf) -> None:
    params = patients / "params.yaml"
    params.write_text(params.read_text().replace("threshold: 0.5", "threshold: 0.25"))
    export(stage_of(patients))
    assert json.loads((patients / "models/serving.json").read_text())["threshold"] == 0.25
