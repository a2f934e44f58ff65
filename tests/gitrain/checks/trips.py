"""A small project that is trained for real, honest or with a defect; estimators that are defective each in its way."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandera.polars as pa
import polars as pl
import yaml
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier
from tests.gitrain.training.generated import frame

from gitrain.checks.behaviour import Behaviour, Direction, Invariance
from gitrain.data.batches import Numbered
from gitrain.data.contracts import TableContract
from gitrain.data.tables import Table
from gitrain.documents import parse
from gitrain.errors import DataError
from gitrain.features.definitions import Entity, FeatureSet, RowFeature
from gitrain.integrations.files import LocalMemo, LocalWorkspace
from gitrain.integrations.skops import SkopsFormat
from gitrain.metrics import LOG_LOSS, ROC_AUC
from gitrain.operations.evaluate import evaluate
from gitrain.operations.stage import Stage
from gitrain.operations.train import train
from gitrain.pipeline.params import Params
from gitrain.project import Project, Target
from gitrain.training.estimators import Estimator, FeatureColumns, hist_gradient_boosting, logistic_regression, mlp
from gitrain.training.model_format import ModelFormat

NAMES = ("slope", "carrier", "gusts", "noise", "flag")
NUMBERS = ("slope", "gusts", "noise")
BATCHES = 5
DAYS = 24
ROWS = 3600


class NoSource:
    def fingerprint(self, batch: str | None) -> str:
        return "none"

    def read(self, batch: str | None) -> pl.DataFrame:
        raise DataError("nothing is read here", fix="write the features directly.")


def numbers(frame: Any) -> np.ndarray:
    """The number columns of a frame as an array."""
    return frame.select(NUMBERS).fill_null(0.0).to_numpy()


def _pipeline(classifier: Any) -> Estimator:
    """A classifier on the number columns alone."""
    made: Estimator = make_pipeline(FunctionTransformer(numbers), classifier)
    return made


def tree(parameters: Mapping[str, Any], columns: FeatureColumns, seed: int) -> Estimator:
    return _pipeline(DecisionTreeClassifier(random_state=seed))


def unseeded_forest(parameters: Mapping[str, Any], columns: FeatureColumns, seed: int) -> Estimator:
    return _pipeline(RandomForestClassifier(n_estimators=5, min_samples_leaf=20, random_state=None))


def forest(parameters: Mapping[str, Any], columns: FeatureColumns, seed: int) -> Estimator:
    return _pipeline(RandomForestClassifier(n_estimators=20, min_samples_leaf=20, random_state=seed))


def constant(parameters: Mapping[str, Any], columns: FeatureColumns, seed: int) -> Estimator:
    return _pipeline(DummyClassifier())


def blind(parameters: Mapping[str, Any], columns: FeatureColumns, seed: int) -> Estimator:
    """Its preparation hands on a column that says nothing."""
    made: Estimator = make_pipeline(FunctionTransformer(_zeros), LogisticRegression())
    return made


def _zeros(frame: Any) -> np.ndarray:
    return np.zeros((frame.height, 1))


class _Wrong(ClassifierMixin, BaseEstimator):
    """A logistic regression on the slope that a subclass spoils."""

    def fit(self, rows: Any, y: Any) -> "_Wrong":
        self.classes_ = np.array([0, 1])
        self.model_ = LogisticRegression().fit(self._columns(rows), y)
        return self

    def predict_proba(self, rows: Any) -> Any:
        return self.model_.predict_proba(self._columns(rows))

    def _columns(self, rows: Any) -> np.ndarray:
        return rows.select("slope").to_numpy()


class DependsOnOthers(_Wrong):
    """It scales each batch of rows by that batch's own mean."""

    def _columns(self, rows: Any) -> np.ndarray:
        slope = rows.select("slope").to_numpy()
        return slope - slope.mean()


class NaNForNulls(_Wrong):
    """Where the gusts are null and the noise is far out, it says NaN."""

    def predict_proba(self, rows: Any) -> Any:
        found = super().predict_proba(rows)
        found[(rows["noise"].abs() > 40).to_numpy()] = np.nan
        return found


class KnowsWithoutLabels(_Wrong):
    """It has its answers from somewhere else, whatever labels it is taught."""

    def fit(self, rows: Any, y: Any) -> "KnowsWithoutLabels":
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, rows: Any) -> Any:
        positive = 1 / (1 + np.exp(-1.5 * rows["slope"].to_numpy()))
        return np.column_stack([1 - positive, positive])


CLASSES = (DependsOnOthers, NaNForNulls, KnowsWithoutLabels)
TRUSTED = (
    *(f"{kind.__module__}.{kind.__qualname__}" for kind in CLASSES),
    f"{numbers.__module__}.numbers",
    f"{_zeros.__module__}._zeros",
)

ESTIMATORS: dict[str, Any] = {
    "hist_gradient_boosting": hist_gradient_boosting,
    "logistic_regression": logistic_regression,
    "mlp": mlp,
    "tree": tree,
    "forest": forest,
    "unseeded_forest": unseeded_forest,
    "constant": constant,
    "blind": blind,
    "depends_on_others": lambda parameters, columns, seed: DependsOnOthers(),
    "nan_for_nulls": lambda parameters, columns, seed: NaNForNulls(),
    "knows_without_labels": lambda parameters, columns, seed: KnowsWithoutLabels(),
}
PARAMETERS: dict[str, dict[str, Any]] = {
    "hist_gradient_boosting": {"max_iter": 60, "max_leaf_nodes": 7, "learning_rate": 0.15},
    "logistic_regression": {},
    "mlp": {"max_iter": 10, "batch_size": 64, "learning_rate_init": 0.005},
}

STEEPER = Direction(name="steeper-is-later", change={"slope": pl.col("slope") + 1}, direction="up", share=0.95)
NOISELESS = Invariance(name="noise-says-nothing", change={"noise": -pl.col("noise")}, tolerance=0.3)


def project(*names: str, behaviours: tuple[Behaviour, ...] = (STEEPER, NOISELESS)) -> Project:
    """Trips with the usual features, and others by name."""
    types: dict[str, Any] = {"number": pl.Int64, **frame(2).schema, **dict.fromkeys(names, pl.Float64)}
    known = tuple(name for name in types if name != "late")
    entity = TableContract(schema=pa.DataFrameSchema({name: pa.Column(kind) for name, kind in types.items()}))
    features = TableContract(
        schema=pa.DataFrameSchema(
            {
                "slope": pa.Column(pl.Float64, pa.Check.in_range(-10, 10)),
                "carrier": pa.Column(pl.String, pa.Check.isin(["C0", "C1", "C2", "C3"]), nullable=True),
                "gusts": pa.Column(pl.Float64, pa.Check.ge(0), nullable=True),
                "noise": pa.Column(pl.Float64),
                "flag": pa.Column(pl.Boolean),
            }
        )
    )
    return Project(
        name="trips",
        tables=(Table(name="trips", source=NoSource(), contract=entity, batch_of=pl.lit("0001")),),
        batches=Numbered(),
        features=FeatureSet(
            entity=Entity(table="trips", key=("number",), known_in_advance=known, unit=("day", pl.col("day"))),
            features=tuple(RowFeature(name=name, expression=pl.col(name)) for name in (*NAMES, *names)),
            categorical=("carrier",),
        ),
        feature_contract=features,
        prediction_contract=TableContract(schema=pa.DataFrameSchema({"score": pa.Column(pl.Float64)})),
        target=Target(name="late", label=pl.col("late")),
        estimators=ESTIMATORS,
        metrics=(ROC_AUC, LOG_LOSS),
        behaviours=behaviours,
    )


@dataclass(frozen=True)
class Trips:
    """A folder with features, and what was trained on them."""

    stage: Stage
    model_format: ModelFormat

    @property
    def workspace(self) -> LocalWorkspace:
        return LocalWorkspace(self.stage.workspace.root)

    def alter(self, path: str, **columns: pl.Expr) -> None:
        self.workspace.write_table(path, self.workspace.read_table(path).with_columns(**columns))


def trained(
    root: Path,
    estimator: str = "logistic_regression",
    *,
    rows: pl.DataFrame | None = None,
    parameters: Mapping[str, Any] | None = None,
    names: tuple[str, ...] = (),
    behaviours: tuple[Behaviour, ...] = (STEEPER, NOISELESS),
    checks: Mapping[str, Any] | None = None,
    **training: Any,
) -> Trips:
    """Write features, train, evaluate."""
    workspace = LocalWorkspace(root)
    made = frame(ROWS, days=BATCHES * DAYS) if rows is None else rows
    made = made.with_columns(number=pl.int_range(pl.len()))
    batch = (pl.col("day") - pl.lit(made["day"].min())).dt.total_days() // DAYS
    for number in range(BATCHES):
        workspace.write_table(f"data/features/{number + 1:04d}.parquet", made.filter(batch == number))
    written = {
        "schema_version": 1,
        "data": {"from": "0001", "through": f"{BATCHES:04d}"},
        "training": {
            "estimator": estimator,
            "validation_units": 12,
            "early_stopping": False,
            "seed": 3,
            **training,
        },
        "estimators": PARAMETERS | {estimator: dict(parameters or PARAMETERS.get(estimator, {}))},
        "evaluation": {"replicates": 300},
        "gates": {"leak_alarm": {"roc_auc": {"max": 0.97}}},
        "checks": {"rows": 1500, **(checks or {})},
    }
    stage = Stage(
        project=project(*names, behaviours=behaviours),
        params=parse(Params, written, source="params.yaml"),
        workspace=workspace,
        memo=LocalMemo(folder=root / "memo", root=root),
        code="code",
        progress=lambda line: None,
    )
    model_format = SkopsFormat(trusted=TRUSTED)
    train(stage, model_format)
    evaluate(stage, model_format)
    return Trips(stage=stage, model_format=model_format)


def rows(**columns: pl.Expr) -> pl.DataFrame:
    """The usual rows, with columns added or changed."""
    return frame(ROWS, days=BATCHES * DAYS).with_columns(**columns)


def with_format(trips: Trips, model_format: ModelFormat) -> Trips:
    """The same folder, with models read otherwise."""
    return replace(trips, model_format=model_format)


def write_repository(trips: Trips) -> None:
    """Put beside the files what makes the folder a repository of Gitrain's; its code is this module's."""
    root = trips.stage.workspace.root
    params = trips.stage.params.model_dump(mode="json", by_alias=True, exclude_none=True)
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    (root / "pyproject.toml").write_text(
        f'[tool.gitrain]\nproject = "trips_project:PROJECT"\ntrusted_types = {list(TRUSTED)!r}\n', encoding="utf-8"
    )
    (root / "trips_project.py").write_text(
        "from tests.gitrain.checks import trips\n\nPROJECT = trips.project()\n", encoding="utf-8"
    )


def with_behaviours(trips: Trips, behaviours: tuple[Behaviour, ...]) -> Trips:
    """The same folder, of which something else is said."""
    return replace(trips, stage=replace(trips.stage, project=replace(trips.stage.project, behaviours=behaviours)))


def moved(trips: Trips, root: Path) -> Trips:
    """The same project in another folder, without any files."""
    return replace(trips, stage=replace(trips.stage, workspace=LocalWorkspace(root)))
