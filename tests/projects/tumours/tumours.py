"""A project that has nothing in common with flights: no time, no history, numbered batches, patients as units.

The data is scikit-learn's bundled Wisconsin breast-cancer set: 569 patients, 30 measurements each.
"""

from collections.abc import Mapping
from typing import Any

import pandera.polars as pa
import polars as pl

from gitrain.checks.behaviour import Direction
from gitrain.data.batches import Numbered
from gitrain.data.contracts import TableContract
from gitrain.data.tables import Table
from gitrain.errors import DataError, SettingsError
from gitrain.features.definitions import Entity, FeatureSet, RowFeature
from gitrain.metrics import LOG_LOSS, ROC_AUC
from gitrain.project import Project, Slice, Target
from gitrain.training.estimators import Estimator, FeatureColumns, logistic_regression

BATCH_ROWS = 100
MEASUREMENTS = ("radius", "texture", "perimeter", "area", "smoothness", "concavity", "symmetry")


class Clinic:
    """A source that hands out the patients a hundred at a time."""

    def fingerprint(self, batch: str | None) -> str:
        return "wisconsin-1995"

    def read(self, batch: str | None) -> pl.DataFrame:
        from sklearn.datasets import load_breast_cancer

        bunch = load_breast_cancer()
        columns = [list(bunch.feature_names).index(f"mean {name}") for name in MEASUREMENTS]
        patients = pl.DataFrame(bunch.data[:, columns], schema=list(MEASUREMENTS)).with_columns(
            patient=pl.int_range(pl.len(), dtype=pl.Int64),
            malignant=pl.Series(bunch.target == 0),
        )
        rows = patients.filter(batch_of() == batch)
        if rows.is_empty():
            raise DataError(f"the clinic has no batch {batch!r}", fix="lower data.through.")
        return rows


def batch_of() -> pl.Expr:
    return (pl.col("patient") // BATCH_ROWS + 1).cast(pl.String).str.zfill(4)


def forest(parameters: Mapping[str, Any], columns: FeatureColumns, seed: int) -> Estimator:
    """An estimator of the project's own, with parameters of its own."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    unknown = sorted(set(parameters) - {"trees", "min_samples_leaf"})
    if unknown:
        raise SettingsError(f"the forest has no parameter {unknown[0]!r}", fix="use trees and min_samples_leaf.")
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    classifier = RandomForestClassifier(
        n_estimators=parameters["trees"], min_samples_leaf=parameters["min_samples_leaf"], random_state=seed
    )
    model: Estimator = make_pipeline(
        make_column_transformer((encoder, list(columns.categorical)), remainder="passthrough"), classifier
    )
    return model


PROJECT = Project(
    name="tumours",
    tables=(
        Table(
            name="patients",
            source=Clinic(),
            batch_of=batch_of(),
            contract=TableContract(
                schema=pa.DataFrameSchema(
                    {
                        "patient": pa.Column(pl.Int64),
                        **{name: pa.Column(pl.Float64, pa.Check.ge(0)) for name in MEASUREMENTS},
                        "malignant": pa.Column(pl.Boolean),
                    },
                    strict=True,
                ),
                key=("patient",),
                rows=(50, BATCH_ROWS),
            ),
        ),
    ),
    batches=Numbered(),
    features=FeatureSet(
        entity=Entity(
            table="patients",
            key=("patient",),
            known_in_advance=("patient", *MEASUREMENTS),
            unit=("person", pl.col("patient").cast(pl.String).str.zfill(4)),
        ),
        features=(
            *(RowFeature(name=name, expression=pl.col(name)) for name in MEASUREMENTS),
            RowFeature(
                name="grain",
                expression=pl.when(pl.col("texture") < 18).then(pl.lit("fine")).otherwise(pl.lit("coarse")),
            ),
        ),
        categorical=("grain",),
    ),
    feature_contract=TableContract(schema=pa.DataFrameSchema({name: pa.Column(pl.Float64) for name in MEASUREMENTS})),
    prediction_contract=TableContract(
        schema=pa.DataFrameSchema({"score": pa.Column(pl.Float64, pa.Check.in_range(0, 1))})
    ),
    target=Target(name="malignant", label=pl.col("malignant")),
    estimators={"forest": forest, "logistic_regression": logistic_regression},
    metrics=(ROC_AUC, LOG_LOSS),
    slices=(Slice(name="grain", by=pl.col("grain"), min_rows=20),),
    behaviours=(
        Direction(
            name="larger-is-no-better",
            # A tumour that is a third larger in every direction; of those that were small.
            change={
                "radius": pl.col("radius") * 1.33,
                "perimeter": pl.col("perimeter") * 1.33,
                "area": pl.col("area") * 1.33**2,
            },
            where=pl.col("area").is_between(400, 700),
            direction="up",
            share=0.9,
        ),
    ),
)
