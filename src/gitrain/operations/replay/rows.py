"""The rows of one batch as they came: day by day, each with the moment from which its label is known."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.errors import DataError
from gitrain.operations.build_features import DECISION_TIME
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import FEATURES, VALIDATED, partition
from gitrain.project import Project

__all__ = ["DayOfRows", "RowsOfBatch"]

_KNOWN = "known"
_UTC = pl.Datetime("us", "UTC")


@dataclass(frozen=True, kw_only=True)
class DayOfRows:
    """One resampling unit.

    Attributes:
        name: its name.
        first: the first decision, UTC.
        last: the last one.
        known: when the last label is known, UTC; rows without a label count too.
        positions: its rows within the batch, by decision time, shape (rows,).
    """

    name: str
    first: datetime
    last: datetime
    known: datetime
    positions: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class RowsOfBatch:
    """A batch.

    Attributes:
        batch: its name.
        inputs: what is known in advance, one row a prediction.
        features: the same rows' partition of features: key, unit, decision time, features, target.
        labels: Boolean, null where a row has none.
        days: its units, by their first decision.
        known: when its last label is known, UTC.
    """

    batch: str
    inputs: pl.DataFrame
    features: pl.DataFrame
    labels: pl.Series
    days: tuple[DayOfRows, ...]
    known: datetime

    @classmethod
    def read(cls, stage: Stage, batch: str, label_delay: timedelta) -> "RowsOfBatch":
        """Read a batch that is validated and has its features.

        A label is known `label_delay` after the decision at the earliest, and not before everything that the histories
        of its table say of the row is known.

        Raises:
            DataError: features and validated rows are not those of the same batch.
        """
        project = stage.project
        entity = project.features.entity
        features = stage.workspace.read_table(partition(FEATURES, None, batch))
        rows = stage.workspace.read_table(partition(VALIDATED, entity.table, batch))
        for name in entity.key:
            if not rows[name].cast(features.schema[name]).equals(features[name]):
                raise DataError(
                    f"the rows of {batch} and their features differ in {name!r}",
                    fix="remove the replay's folder and run it again.",
                )
        known = rows.with_columns(_known_at(project, label_delay).alias(_KNOWN))[_KNOWN]
        unit = entity.unit[0]
        numbered = (
            pl.DataFrame([features[unit].cast(pl.String).alias("unit"), features[DECISION_TIME], known])
            .with_row_index("position")
            .sort(DECISION_TIME, "position")
            .group_by("unit")
            .agg(
                pl.col("position"),
                first=pl.col(DECISION_TIME).min(),
                last=pl.col(DECISION_TIME).max(),
                known=pl.col(_KNOWN).max(),
            )
            .sort("first", "unit")
        )
        days = tuple(
            DayOfRows(
                name=row["unit"],
                first=row["first"],
                last=row["last"],
                known=row["known"],
                positions=np.asarray(row["position"], dtype=np.int64),
            )
            for row in numbered.iter_rows(named=True)
        )
        if not days:
            raise DataError(f"the batch {batch} has no rows", fix="end the replay before it (--through).")
        return cls(
            batch=batch,
            inputs=rows.select(entity.known_in_advance),
            features=features,
            labels=features[project.target.name],
            days=days,
            known=max(day.known for day in days),
        )


def _known_at(project: Project, label_delay: timedelta) -> pl.Expr:
    entity = project.features.entity
    moments = [entity.decision_time + label_delay] if entity.decision_time is not None else []
    moments += [history.known_at for history in project.features.histories if history.table == entity.table]
    return pl.max_horizontal(*(moment.cast(_UTC) for moment in moments))
