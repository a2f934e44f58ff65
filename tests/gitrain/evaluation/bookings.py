"""A small project whose model is judged: will a booking be cancelled? Features are written, not computed."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandera.polars as pa
import polars as pl

from gitrain.data.batches import Months
from gitrain.data.contracts import TableContract
from gitrain.data.tables import Table
from gitrain.documents import parse
from gitrain.features.definitions import Entity, FeatureSet, RowFeature
from gitrain.integrations.files import LocalMemo, LocalWorkspace
from gitrain.integrations.skops import SkopsFormat
from gitrain.metrics import BRIER, LOG_LOSS_RATIO, ROC_AUC
from gitrain.operations.stage import Stage
from gitrain.operations.train import train
from gitrain.pipeline.layout import FEATURES, partition
from gitrain.pipeline.params import Params
from gitrain.project import Project, Slice, Target
from gitrain.training.estimators import logistic_regression

BATCHES = ("2024-01", "2024-02", "2024-03", "2024-04")


class NoSource:
    """The features are written by the tests."""

    def fingerprint(self, batch: str | None) -> str:
        return "none"

    def read(self, batch: str | None) -> pl.DataFrame:
        raise AssertionError("evaluation reads features, never a source")


def project(**changes: Any) -> Project:
    """The project, with other parts."""
    columns = {"booking": pa.Column(pl.Int64), "day": pa.Column(pl.Date), "channel": pa.Column(pl.String)}
    given = Project(
        name="bookings",
        tables=(
            Table(
                name="bookings",
                source=NoSource(),
                contract=TableContract(
                    schema=pa.DataFrameSchema(
                        {**columns, "price": pa.Column(pl.Float64), "cancelled": pa.Column(pl.Boolean)}
                    )
                ),
                batch_of=pl.col("day").dt.strftime("%Y-%m"),
            ),
        ),
        batches=Months(),
        features=FeatureSet(
            entity=Entity(
                table="bookings",
                key=("booking",),
                known_in_advance=("booking", "day", "channel", "price"),
                unit=("day", pl.col("day")),
            ),
            features=(
                RowFeature(name="channel", expression=pl.col("channel")),
                RowFeature(name="price", expression=pl.col("price")),
            ),
            categorical=("channel",),
        ),
        feature_contract=TableContract(schema=pa.DataFrameSchema({"price": pa.Column(pl.Float64)})),
        prediction_contract=TableContract(
            schema=pa.DataFrameSchema(
                {"booking": pa.Column(pl.Int64), "score": pa.Column(pl.Float64, pa.Check.in_range(0, 1))}
            ),
            key=("booking",),
        ),
        target=Target(name="cancelled", label=pl.col("cancelled")),
        estimators={"logistic_regression": logistic_regression},
        metrics=(ROC_AUC, LOG_LOSS_RATIO),
        reported_metrics=(BRIER,),
        slices=(
            Slice(name="channel", by=pl.col("channel"), min_rows=100),
            Slice(name="dear", by=pl.col("price") > 0),
        ),
    )
    return replace(given, **changes)


def features(batch: str, rows: int = 600) -> pl.DataFrame:
    """Thirty days of bookings; some have no channel, some no label yet."""
    random = np.random.default_rng(int(batch.replace("-", "")))
    first = pl.date(int(batch[:4]), int(batch[5:]), 1)
    day = np.sort(random.integers(0, 28, rows))
    price = random.normal(size=rows)
    channel = random.choice(["web", "desk", "phone", ""], rows, p=[0.6, 0.25, 0.05, 0.1])
    logit = 1.5 * price - 0.8 + np.where(channel == "desk", 0.7, 0) + random.normal(0, 0.8, 28)[day]
    return pl.DataFrame(
        {
            "booking": np.arange(rows) + 10_000 * BATCHES.index(batch),
            "offset": day,
            "channel": [name or None for name in channel.tolist()],
            "price": price,
            "cancelled": random.random(rows) < 1 / (1 + np.exp(-logit)),
            "known": random.random(rows) < 0.95,
        },
        schema_overrides={"channel": pl.String},
    ).select(
        "booking",
        (first + pl.duration(days="offset")).alias("day"),
        "channel",
        "price",
        pl.when("known").then("cancelled").alias("cancelled"),
    )


def stage(root: Path, given: Project | None = None, *, lines: list[str] | None = None, **changes: Any) -> Stage:
    """A stage in the folder `root`; `changes` are sections of params.yaml, their keys replacing the usual ones."""
    payload: dict[str, Any] = {
        "schema_version": 1,
        "data": {"from": BATCHES[0], "through": BATCHES[-1]},
        "training": {"estimator": "logistic_regression", "validation_units": 5, "early_stopping": False},
        "estimators": {"logistic_regression": {}},
        "evaluation": {"replicates": 300},
    }
    for section, values in changes.items():
        payload[section] = {**payload[section], **values}
    return Stage(
        project=given or project(),
        params=parse(Params, payload, source="params.yaml"),
        workspace=LocalWorkspace(root),
        memo=LocalMemo(root / ".gitrain/memo", root),
        code="code",
        progress=(lambda line: None) if lines is None else lines.append,
    )


def write_features(root: Path, changed: Mapping[str, pl.DataFrame] | None = None) -> None:
    """The features of every batch, those in `changed` instead of the usual ones."""
    for batch in BATCHES:
        LocalWorkspace(root).write_table(partition(FEATURES, None, batch), (changed or {}).get(batch, features(batch)))


def trained(root: Path) -> Stage:
    """A stage with features and a model."""
    write_features(root)
    made = stage(root)
    train(made, SkopsFormat())
    return made
