import csv
import hashlib
import io
import json
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandera.polars as pa
import polars as pl
import pytest
from tests.gitrain.training.generated import FACTORIES, QUICK, frame

from gitrain.data.batches import Numbered
from gitrain.data.contracts import TableContract
from gitrain.data.tables import Table
from gitrain.documents import parse, parse_json
from gitrain.errors import DataError, ModelError, SettingsError, TrainingError
from gitrain.features.definitions import Entity, FeatureSet, RowFeature
from gitrain.integrations.files import LocalMemo, LocalWorkspace
from gitrain.integrations.skops import SkopsFormat
from gitrain.metrics import ROC_AUC
from gitrain.operations.stage import Stage
from gitrain.operations.train import train
from gitrain.pipeline.params import Params
from gitrain.project import Project, Target
from gitrain.training.fitting import log_loss
from gitrain.training.manifest import ModelManifest
from gitrain.training.matrix import feature_matrix, true_probabilities

OUTPUTS = ("models/model.skops", "models/model.json", "reports/training_curve.csv")
DAYS = 16


class NoSource:
    def fingerprint(self, batch: str | None) -> str:
        return "none"

    def read(self, batch: str | None) -> pl.DataFrame:
        raise DataError("nothing is read here", fix="write the features directly.")


def project() -> Project:
    types: dict[str, Any] = {"number": pl.Int64, **frame(2).schema}
    known = tuple(name for name in types if name != "late")
    contract = TableContract(schema=pa.DataFrameSchema({name: pa.Column(kind) for name, kind in types.items()}))
    return Project(
        name="trips",
        tables=(Table(name="trips", source=NoSource(), contract=contract, batch_of=pl.lit("0001")),),
        batches=Numbered(),
        features=FeatureSet(
            entity=Entity(table="trips", key=("number",), known_in_advance=known, unit=("day", pl.col("day"))),
            features=tuple(
                RowFeature(name=name, expression=pl.col(name))
                for name in ("slope", "carrier", "gusts", "noise", "flag")
            ),
            categorical=("carrier",),
        ),
        feature_contract=contract,
        prediction_contract=contract,
        target=Target(name="late", label=pl.col("late")),
        estimators=FACTORIES,
        metrics=(ROC_AUC,),
    )


@dataclass
class Place:
    """A repository of five batches of features; the fifth is the holdout."""

    root: Path
    said: list[str] = field(default_factory=list)

    @property
    def workspace(self) -> LocalWorkspace:
        return LocalWorkspace(self.root)

    def stage(
        self, given: Project | None = None, *, estimators: dict[str, Any] | None = None, **training: Any
    ) -> Stage:
        written = {
            "schema_version": 1,
            "data": {"from": "0001", "through": "0005"},
            "training": {"estimator": "hist_gradient_boosting", "validation_units": 12, "seed": 3, **training},
            "estimators": QUICK if estimators is None else estimators,
        }
        return Stage(
            project=project(),
            params=parse(Params, written, source="params.yaml"),
            workspace=self.workspace,
            memo=LocalMemo(folder=self.root / "memo", root=self.root),
            code="code",
            progress=self.said.append,
        )

    def outputs(self) -> dict[str, str]:
        return {path: hashlib.sha256((self.root / path).read_bytes()).hexdigest() for path in OUTPUTS}

    def change(self, batch: int, **columns: pl.Expr) -> None:
        path = f"data/features/{batch:04d}.parquet"
        self.workspace.write_table(path, self.workspace.read_table(path).with_columns(**columns))


def fill(root: Path) -> Place:
    made = Place(root)
    rows = frame(2000, days=5 * DAYS).with_columns(number=pl.int_range(pl.len()), elsewhere=pl.lit("not needed"))
    first = rows["day"].min()
    for batch in range(5):
        number = (pl.col("day") - pl.lit(first)).dt.total_days() // DAYS
        made.workspace.write_table(f"data/features/{batch + 1:04d}.parquet", rows.filter(number == batch))
    return made


@pytest.fixture
def place(tmp_path) -> Place:
    return fill(tmp_path)


@pytest.mark.parametrize("name", sorted(FACTORIES))
def test_the_files_describe_one_model(name, place):
    manifest = train(place.stage(estimator=name), SkopsFormat())
    text = (place.root / "models/model.json").read_text()
    assert parse_json(ModelManifest, text, source="models/model.json") == manifest
    content = (place.root / "models/model.skops").read_bytes()
    assert manifest.model_digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert (manifest.project, manifest.estimator, manifest.target) == ("trips", name, "late")
    assert manifest.training_batches == ("0001", "0002", "0003", "0004")
    assert len(manifest.validation_units) == 12
    assert (manifest.validation_units[0], manifest.validation_units[-1]) == ("2013-02-22", "2013-03-05")
    assert (manifest.rows, manifest.seed, manifest.early_stopping) == (1600, 3, True)
    assert manifest.parameters["random_state"] == 3
    assert set(manifest.libraries) == {"python", "scikit-learn", "numpy", "skops"}
    assert manifest.libraries["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"

    model = SkopsFormat().load(content, name="models/model.skops")
    holdout = place.workspace.read_table("data/features/0005.parquet")
    labels = holdout["late"].cast(pl.Int8).to_numpy()
    found = log_loss(labels, true_probabilities(model.predict_proba(feature_matrix(holdout, manifest.columns))))
    share = manifest.positives / manifest.rows
    assert found < 0.85 * log_loss(labels, pl.repeat(share, len(labels), eager=True).to_numpy())

    curve = list(csv.DictReader(io.StringIO((place.root / "reports/training_curve.csv").read_text())))
    assert list(curve[0]) == ["iteration", "training_loss", "validation_loss"]
    best = min(curve, key=lambda point: float(point["validation_loss"]))
    assert float(curve[-1]["training_loss"]) < float(curve[0]["training_loss"])
    if best is not curve[-1]:
        assert manifest.iterations == int(best["iteration"])


def test_the_parameters_are_the_effective_ones(place):
    manifest = train(place.stage(estimators={"hist_gradient_boosting": {"max_iter": 5}}), SkopsFormat())
    assert manifest.parameters["max_iter"] == 5
    assert manifest.parameters["max_leaf_nodes"] == 31
    assert manifest.parameters["early_stopping"] is False


SCRIPT = """
import sys
from pathlib import Path
from gitrain.integrations.skops import SkopsFormat
from gitrain.operations.train import train
from tests.gitrain.operations.test_train import fill
for name in sys.argv[2:]:
    train(fill(Path(sys.argv[1]) / name).stage(estimator=name), SkopsFormat())
"""


def test_another_process_with_more_threads_writes_the_same_bytes(place, tmp_path, monkeypatch):
    expected = {}
    for name in sorted(FACTORIES):
        train(place.stage(estimator=name), SkopsFormat())
        expected[name] = place.outputs()
        train(place.stage(estimator=name), SkopsFormat())
        assert place.outputs() == expected[name]

    other = tmp_path / "other"
    for variable, value in {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "PYTHONHASHSEED": "42"}.items():
        monkeypatch.setenv(variable, value)
    subprocess.run([sys.executable, "-c", SCRIPT, str(other), *expected], check=True)
    assert {name: Place(other / name).outputs() for name in expected} == expected


def test_the_seed_and_the_data_decide_the_bytes(place):
    train(place.stage(estimator="mlp", seed=0), SkopsFormat())
    before = place.outputs()
    train(place.stage(estimator="mlp", seed=1), SkopsFormat())
    assert all(place.outputs()[path] != before[path] for path in OUTPUTS)


def test_the_holdout_is_never_looked_at(place):
    train(place.stage(), SkopsFormat())
    before = place.outputs()
    place.change(5, late=~pl.col("late"), slope=pl.col("slope") * 100)
    train(place.stage(), SkopsFormat())
    assert place.outputs() == before
    place.change(4, late=~pl.col("late"))
    train(place.stage(), SkopsFormat())
    assert place.outputs() != before


def test_a_rolling_window_takes_the_newest_batches(place):
    assert train(place.stage(window=2), SkopsFormat()).training_batches == ("0003", "0004")


def test_validation_rows_are_in_the_model_but_not_in_the_curve_s_training(place):
    # One batch's labels turned round: where these are the validation part, the curve's validation loss shows it.
    straight = train(place.stage(validation_units=DAYS, early_stopping=False), SkopsFormat())
    curve = (place.root / "reports/training_curve.csv").read_text().splitlines()[-1].split(",")
    place.change(4, late=~pl.col("late"))
    turned = train(place.stage(validation_units=DAYS, early_stopping=False), SkopsFormat())
    curve_turned = (place.root / "reports/training_curve.csv").read_text().splitlines()[-1].split(",")
    assert curve_turned[1] == curve[1]
    assert float(curve_turned[2]) > 2 * float(curve[2])
    assert turned.model_digest != straight.model_digest
    assert turned.iterations == straight.iterations == 20


def test_progress_tells_what_is_fitted_on_what(place):
    train(place.stage(), SkopsFormat())
    assert place.said[0].startswith("1,600 labelled rows of 4 batches (0001 to 0004), 5 features")
    assert place.said[-1].startswith("models/model.skops: ")


def test_an_optimiser_that_does_not_converge_is_told_and_recorded(place):
    estimators = {"logistic_regression": {"max_iter": 2, "tol": 1e-9}}
    stage = place.stage(estimator="logistic_regression", estimators=estimators, early_stopping=False)
    assert train(stage, SkopsFormat()).converged is False
    assert any("did not converge in 2 iterations" in line for line in place.said)


def test_an_estimator_without_parameters_in_the_file_gets_its_defaults(place):
    manifest = train(place.stage(estimator="logistic_regression", estimators={}), SkopsFormat())
    assert manifest.parameters["max_iter"] == 1000


@pytest.mark.parametrize(
    ("training", "estimators", "error", "named"),
    [
        ({"estimator": "forest"}, None, SettingsError, r"'forest', which the project does not have"),
        ({}, {"hist_gradient_boosting": {"max_itr": 3}}, SettingsError, "did you mean 'max_iter'"),
        ({"validation_units": 64}, None, TrainingError, "training.validation_units"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(training, estimators, error, named, place):
    with pytest.raises(error, match=named):
        train(place.stage(estimators=estimators, **training), SkopsFormat())
    assert not (place.root / "models").exists()
    assert not (place.root / "reports").exists()


def test_without_a_batch_before_the_holdout_there_is_nothing_to_train_on(place):
    stage = place.stage()
    data = stage.params.data.model_copy(update={"first": "0005"})
    with pytest.raises(TrainingError, match="no batch is left to train on: 0005"):
        train(replace(stage, params=stage.params.model_copy(update={"data": data})), SkopsFormat())


@pytest.mark.parametrize(
    ("column", "value", "error", "named"),
    [
        ("gusts", float("inf"), TrainingError, "'gusts' is NaN or infinite"),
        ("gusts", float("nan"), TrainingError, "'gusts' is NaN or infinite"),
        ("late", True, None, None),
    ],
)
def test_a_broken_batch_of_features(column, value, error, named, place):
    place.change(2, **{column: pl.lit(value)})
    if error is None:
        assert train(place.stage(), SkopsFormat()).rows == 1600
        return
    with pytest.raises(error, match=named):
        train(place.stage(), SkopsFormat())


def test_a_missing_or_damaged_batch_is_named(place):
    path = place.root / "data/features/0002.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"0002\.parquet"):
        train(place.stage(), SkopsFormat())
    path.unlink()
    with pytest.raises(DataError, match=r"0002\.parquet"):
        train(place.stage(), SkopsFormat())


class Forgetful(SkopsFormat):
    """Stores another model than it was given."""

    def load(self, content: bytes, *, name: str) -> Any:
        model: Any = super().load(content, name=name)
        model.steps[-1][1]._baseline_prediction += 1
        return model


def test_a_model_that_does_not_come_back_as_it_was_never_leaves_the_stage(place):
    with pytest.raises(ModelError, match="differ from the fitted one's"):
        train(place.stage(), Forgetful())
    assert not (place.root / "models").exists()


def test_a_failed_run_leaves_the_earlier_model_as_it_was(place):
    train(place.stage(), SkopsFormat())
    before = place.outputs()
    place.change(2, gusts=pl.lit(float("inf")))
    with pytest.raises(TrainingError):
        train(place.stage(), SkopsFormat())
    assert place.outputs() == before
    assert json.loads((place.root / "models/model.json").read_text())["schema_version"] == 1
