"""The log of a month of parcels, as a service would have written it: features as training computes them."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from gitrain.features.definitions import FeatureSet
from gitrain.integrations.log_scan import LogScan
from gitrain.monitoring.kept_days import DayStore
from gitrain.online.columns import columns_of
from gitrain.operations.run_monitoring import MonitoringTools
from gitrain.operations.stage import Stage
from gitrain.serving.log_records import PredictedRows, encode_records
from gitrain.training.estimators import FeatureColumns
from gitrain.training.matrix import feature_matrix
from gitrain.wiring.models import open_served_model

__all__ = ["MONTH", "NOW", "Month", "tools_of", "write_log"]

MONTH = "2024-04"
NOW = datetime(2024, 5, 10, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Month:
    """What a service was asked in a month, and what it was given for it."""

    known: pl.DataFrame
    features: pl.DataFrame
    times: pl.Series
    scores: np.ndarray

    @classmethod
    def of(cls, root: Path, features: FeatureSet, month: str = MONTH) -> "Month":
        columns = FeatureColumns(names=features.names, categorical=features.categorical)
        rows = pl.read_parquet(root / f"data/validated/{features.entity.table}/{month}.parquet")
        table = pl.read_parquet(root / f"data/features/{month}.parquet")
        matrix = feature_matrix(table, columns)
        return cls(
            known=rows.select(features.entity.known_in_advance),
            features=matrix,
            times=table["decision_time"],
            scores=open_served_model(root).score(columns_of(matrix, columns)),
        )

    def with_features(self, root: Path, *expressions: pl.Expr) -> "Month":
        """The same month with a fault in the features, and the scores that come of it."""
        model = open_served_model(root)
        broken = self.features.with_columns(*expressions)
        return replace(self, features=broken, scores=model.score(columns_of(broken, model.columns)))

    def later(self, by: timedelta) -> "Month":
        return replace(self, times=self.times + by)

    def with_scores(self, scores: np.ndarray) -> "Month":
        return replace(self, scores=scores)


def part(month: Month, first: int, last: int) -> Month:
    """Those of its predictions from one number to another."""
    return replace(
        month,
        known=month.known[first:last],
        features=month.features[first:last],
        times=month.times[first:last],
        scores=month.scores[first:last],
    )


def write_log(
    folder: Path, month: Month, *, release: str = "1.0.0", number: int = 1, stale: tuple[str, ...] = ()
) -> Path:
    """One file of the log; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"predictions-20240401T000000.000000Z-7-{number:06d}.jsonl"
    features = month.features
    lines = []
    for row in range(features.height):
        given = features.row(row, named=True)
        part = PredictedRows(
            time=month.times[row],
            release=release,
            request_ids=[f"{number:x}-{row:x}"],
            places=[0],
            inputs=month.known[row],
            features={name: np.array([value], dtype=object) for name, value in given.items()},
            missing=[tuple(name for name, value in given.items() if value is None)],
            stale=[stale],
            probabilities=month.scores[row : row + 1],
            decisions=month.scores[row : row + 1] >= 0.4,
        )
        lines.append(part)
    path.write_bytes(encode_records(lines))
    return path


def tools_of(
    stage: Stage,
    folder: Path,
    *,
    now: datetime = NOW,
    kept: Path | None = None,
    kept_days: DayStore | None = None,
    recent_days: int = 7,
    **more,
) -> MonitoringTools:
    monitoring = stage.params.monitoring.model_copy(update={"label_delay_hours": 48.0, "recent_days": recent_days})
    return MonitoringTools(
        stage=replace(stage, params=stage.params.model_copy(update={"monitoring": monitoring})),
        environment="production",
        log=LogScan(folder, kept=kept),
        kept=kept_days,
        clock=lambda: now,
        seconds=lambda: 0.0,
        **more,
    )
