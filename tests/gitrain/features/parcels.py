"""A small project with a past: will a parcel be late? Parcels by month, tariffs in one table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandera.polars as pa
import polars as pl

from gitrain.data.batches import Months
from gitrain.data.contracts import TableContract
from gitrain.data.tables import Table
from gitrain.documents import parse
from gitrain.features.definitions import AsOfFeatures, Entity, FeatureSet, History, RowFeature, WindowFeatures
from gitrain.integrations.files import LocalMemo, LocalWorkspace
from gitrain.metrics import ROC_AUC
from gitrain.operations.stage import Stage
from gitrain.pipeline.params import Params
from gitrain.project import Project, Target
from gitrain.training.estimators import Estimator, FeatureColumns

MONTHS = ("2024-01", "2024-02", "2024-03", "2024-04", "2024-05")
LATE = timedelta(hours=30)

ARRIVALS = History(
    name="arrivals",
    table="parcels",
    known_at=pl.col("arrived"),
    event_time=pl.col("sent"),
    max_delay=timedelta(days=4),
)
TARIFFS = History(
    name="tariffs",
    table="tariffs",
    known_at=pl.col("published"),
    event_time=pl.col("published"),
    max_delay=timedelta(0),
)
TAKING = pl.col("arrived") - pl.col("sent")

FEATURES = FeatureSet(
    entity=Entity(
        table="parcels",
        key=("parcel",),
        known_in_advance=("parcel", "depot", "lane", "sent", "weight"),
        unit=("day", pl.col("sent").dt.date()),
        decision_time=pl.col("sent") - timedelta(hours=1),
    ),
    features=(
        RowFeature(name="depot", expression=pl.col("depot")),
        RowFeature(name="weight", expression=pl.col("weight")),
        AsOfFeatures(
            history="tariffs", by={"depot": "depot"}, columns={"price": "price"}, max_age=timedelta(days=3650)
        ),
        AsOfFeatures(
            history="arrivals", by={"lane": "lane"}, columns={"last_weight": "weight"}, max_age=timedelta(days=2)
        ),
        WindowFeatures(
            prefix="late_depot",
            history="arrivals",
            by={"depot": "depot"},
            value=TAKING > LATE,
            aggregation="mean",
            windows={"1d": timedelta(days=1), "7d": timedelta(days=7)},
        ),
        WindowFeatures(
            prefix="hours_lane",
            history="arrivals",
            by={"depot": "depot", "lane": "lane"},
            value=TAKING.dt.total_seconds() / 3600 * pl.col("weight"),
            aggregation="sum",
            windows={"7d": timedelta(days=7)},
        ),
        WindowFeatures(
            prefix="arrivals",
            history="arrivals",
            by={},
            value=pl.lit(1),
            aggregation="count",
            windows={"1d": timedelta(days=1)},
        ),
    ),
    categorical=("depot",),
    histories=(ARRIVALS, TARIFFS),
)


class NoSource:
    """The tables are written by the tests."""

    def fingerprint(self, batch: str | None) -> str:
        return "none"

    def read(self, batch: str | None) -> pl.DataFrame:
        raise AssertionError("features read validated tables, never a source")


def no_estimator(parameters: Mapping[str, Any], columns: FeatureColumns, seed: int) -> Estimator:
    raise AssertionError("features are not for training here")


def contract(columns: Sequence[str], **options: Any) -> TableContract:
    """A contract that is only asked for its columns."""
    return TableContract(schema=pa.DataFrameSchema({name: pa.Column(pl.Float64) for name in columns}), **options)


def project(features: FeatureSet = FEATURES, **changes: Any) -> Project:
    """The project, with other features or other parts."""
    given = Project(
        name="parcels",
        tables=(
            Table(
                name="parcels",
                source=NoSource(),
                contract=contract(("parcel", "depot", "lane", "sent", "weight", "arrived")),
                batch_of=pl.col("sent").dt.strftime("%Y-%m"),
            ),
            Table(
                name="tariffs",
                source=NoSource(),
                contract=contract(("depot", "published", "price")),
                batched=False,
            ),
        ),
        batches=Months(),
        features=features,
        feature_contract=contract(("weight",)),
        prediction_contract=contract(("score",)),
        target=Target(name="late", label=TAKING > LATE),
        estimators={"none": no_estimator},
        metrics=(ROC_AUC,),
    )
    return replace(given, **changes)


def parcels(month: str, rows: int = 150) -> pl.DataFrame:
    """A month of parcels: whole hours, so that times coincide; some never arrive; some have no lane."""
    random = np.random.default_rng(int(month.replace("-", "")))
    start, end = Months().bounds(month)
    hours = int((end - start) / timedelta(hours=1))
    sent = [start.replace(tzinfo=UTC) + timedelta(hours=int(hour)) for hour in np.sort(random.integers(0, hours, rows))]
    taking = random.integers(1, 60, rows)
    return pl.DataFrame(
        {
            "parcel": [f"{month}-{number:04}" for number in range(rows)],
            "depot": random.choice(["north", "south", "west"], rows),
            "lane": [None if lane == 4 else int(lane) for lane in random.integers(0, 5, rows)],
            "sent": sent,
            "weight": random.lognormal(size=rows),
            "arrived": [
                None if hours > 56 else time + timedelta(hours=int(hours))
                for time, hours in zip(sent, taking, strict=True)
            ],
        },
        schema_overrides={"sent": pl.Datetime("us", "UTC"), "arrived": pl.Datetime("us", "UTC")},
    )


def tariffs() -> pl.DataFrame:
    """A few prices; two depots have one, and one of them changes."""
    times = [datetime(2023, 12, 1, tzinfo=UTC), datetime(2023, 12, 1, tzinfo=UTC), datetime(2024, 2, 10, tzinfo=UTC)]
    return pl.DataFrame({"depot": ["north", "south", "north"], "published": times, "price": [3.5, 4.0, 3.9]})


@dataclass
class Shop:
    """A repository with validated tables, and what the stage said while it worked."""

    root: Path
    said: list[str] = field(default_factory=list)

    @property
    def workspace(self) -> LocalWorkspace:
        return LocalWorkspace(self.root)

    def write(self, month: str, frame: pl.DataFrame) -> None:
        self.workspace.write_table(f"data/validated/parcels/{month}.parquet", frame)

    def write_tariffs(self, frame: pl.DataFrame) -> None:
        self.workspace.write_table("data/validated/tariffs/all.parquet", frame)

    def stage(
        self, given: Project | None = None, *, first: str = MONTHS[0], through: str = MONTHS[2], code: str = "code"
    ) -> Stage:
        written = {
            "schema_version": 1,
            "data": {"from": first, "through": through},
            "training": {"estimator": "none"},
            "estimators": {"none": {}},
        }
        return Stage(
            project=given or project(),
            params=parse(Params, written, source="params.yaml"),
            workspace=self.workspace,
            memo=LocalMemo(folder=self.root / ".gitrain" / "memo", root=self.root),
            code=code,
            progress=self.said.append,
        )

    def features(self, month: str) -> pl.DataFrame:
        return self.workspace.read_table(f"data/features/{month}.parquet")

    def digests(self) -> dict[str, str]:
        return {path: self.workspace.digest(path) for path in self.workspace.list("data/features", ".parquet")}

    def recomputed(self) -> list[str]:
        """The batches computed since this was last asked."""
        found = [line.split()[1].rstrip(":") for line in self.said if not line.endswith("as before")]
        self.said.clear()
        return found


def shop(root: Path) -> Shop:
    """A repository with all months."""
    made = Shop(root)
    for month in MONTHS:
        made.write(month, parcels(month))
    made.write_tariffs(tariffs())
    return made
