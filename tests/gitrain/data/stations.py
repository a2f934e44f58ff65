"""A small project about weather stations, for the tests of contracts, validation and ingest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandera.polars as pa
import polars as pl

from gitrain.data.batches import Months
from gitrain.data.contracts import OpenCategory, TableContract
from gitrain.data.tables import Table
from gitrain.features.definitions import Entity, FeatureSet, RowFeature
from gitrain.integrations.files import LocalMemo, LocalWorkspace
from gitrain.metrics import Metric
from gitrain.operations.stage import Stage
from gitrain.pipeline.params import DataParams, Params, TrainingParams
from gitrain.project import Project, Target

STATIONS = ("alpha", "beta", "gamma")
KEY = ("station", "taken_at")

READINGS = TableContract(
    schema=pa.DataFrameSchema(
        {
            "station": pa.Column(pl.String, pa.Check.isin(STATIONS)),
            "taken_at": pa.Column(pl.Datetime("us", "UTC")),
            "temperature": pa.Column(pl.Float64, pa.Check.in_range(-60, 60)),
            "dew_point": pa.Column(pl.Float64, pa.Check.in_range(-80, 60), nullable=True),
            "pressure": pa.Column(pl.Float64, pa.Check.in_range(850, 1100), nullable=True),
            "flashes": pa.Column(pl.Int64, pa.Check.in_range(0, 100_000)),
            "sky": pa.Column(pl.String, nullable=True),
        },
        strict=True,
    ),
    key=KEY,
    row_rules={"no drier than the dew point": pl.col("dew_point") <= pl.col("temperature")},
    max_null_share={"pressure": 0.5},
    warn_null_share={"sky": 0.2},
    rows=(50, 2000),
    max_quarantined_share=0.05,
    event_time="taken_at",
    max_age=timedelta(days=2),
    typical={"temperature": (5.0, 30.0)},
    open_categories={"sky": OpenCategory(known=("clear", "cloudy"), warn_share=0.0, max_share=0.3)},
)

PLACES = TableContract(
    schema=pa.DataFrameSchema({"station": pa.Column(pl.String), "height": pa.Column(pl.Float64)}, strict=True),
    key=("station",),
)


def readings(month: str = "2024-03", hours: int = 6) -> pl.DataFrame:
    """A month without a fault: one row a station and `hours`, 372 rows in March."""
    start, end = Months().bounds(month)
    moments = pl.datetime_range(
        start.replace(tzinfo=UTC), end.replace(tzinfo=UTC), f"{hours}h", closed="left", time_unit="us", eager=True
    )
    frame = pl.DataFrame({"taken_at": moments}).join(pl.DataFrame({"station": STATIONS}), how="cross")
    number = pl.int_range(pl.len())
    return frame.select(
        "station",
        "taken_at",
        temperature=(10 + number % 15).cast(pl.Float64),
        dew_point=(5 + number % 5).cast(pl.Float64),
        pressure=pl.when(number % 10 > 0).then(1000.0 + number % 30),
        flashes=(number % 7).cast(pl.Int64),
        sky=pl.when(number % 3 == 0).then(pl.lit("clear")).otherwise(pl.lit("cloudy")),
    )


def batch_of() -> pl.Expr:
    return pl.col("taken_at").dt.strftime("%Y-%m")


@dataclass
class MemorySource:
    """A source whose batches a test can change, and which counts how often it is read."""

    make: Callable[[str | None], pl.DataFrame]
    version: str = "1"
    reads: list[str | None] = field(default_factory=list)

    def fingerprint(self, batch: str | None) -> str:
        return f"{self.version}/{batch}"

    def read(self, batch: str | None) -> pl.DataFrame:
        self.reads.append(batch)
        return self.make(batch)


def places(batch: str | None = None) -> pl.DataFrame:
    return pl.DataFrame({"station": STATIONS, "height": [120.0, 3.5, 840.0]})


def project(
    source: MemorySource | None = None, contract: TableContract = READINGS, *, others: Sequence[Table] = ()
) -> Project:
    tables = (
        Table(
            name="readings",
            source=source or MemorySource(lambda batch: readings(str(batch))),
            contract=contract,
            batch_of=batch_of,
        ),
        Table(name="places", source=MemorySource(places), contract=PLACES, batched=False),
        *others,
    )
    return Project(
        name="stations",
        tables=tables,
        batches=Months(),
        features=FeatureSet(
            entity=Entity(table="readings", key=KEY, known_in_advance=KEY, unit=("day", pl.col("taken_at").dt.date())),
            features=(RowFeature(name="hour", expression=pl.col("taken_at").dt.hour()),),
        ),
        feature_contract=READINGS,
        prediction_contract=READINGS,
        target=Target(name="thunder", label=pl.col("flashes") > 0),
        estimators={"none": _unused},
        metrics=(Metric(name="none", direction="higher", no_skill=0.0, prepare=_unused),),
    )


def stage(
    root: Path,
    project: Project,
    *,
    through: str = "2024-03",
    code: str = "code-1",
    workspace: LocalWorkspace | None = None,
    lines: list[str] | None = None,
) -> Stage:
    said: list[str] = lines if lines is not None else []
    return Stage(
        project=project,
        params=Params(
            schema_version=1,
            data=DataParams(first="2024-02", through=through),
            training=TrainingParams(estimator="none"),
            estimators={"none": {}},
        ),
        workspace=workspace or LocalWorkspace(root),
        memo=LocalMemo(root / ".gitrain" / "memo", root),
        code=code,
        progress=said.append,
    )


def contents(root: Path, *folders: str) -> dict[str, bytes]:
    """Every file in these folders, by its path relative to `root`."""
    found = [path for folder in folders for path in (root / folder).rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(found)}


def at(day: int, hour: int = 0, month: int = 3, year: int = 2024) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


def _unused(*_: Any, **__: Any) -> Any:
    raise NotImplementedError
