"""What became of logged predictions, from the validated tables and from what has come since."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from gitrain.errors import DataError
from gitrain.monitoring.labels import Outcomes, outcomes_of
from gitrain.monitoring.logged import DUE, MonitoredRows
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import VALIDATED, partition

__all__ = ["batches_of_entity", "gather_labels"]

# A decision may lie before its row's batch, and batches are local.
_SLACK = timedelta(days=7)


def batches_of_entity(stage: Stage) -> list[str]:
    """The batches of the entity's table that are there, in order, beyond `data.through` as well."""
    folder = f"{VALIDATED}/{stage.project.features.entity.table}"
    paths = stage.workspace.list(folder, ".parquet")
    return [path.rpartition("/")[2].removesuffix(".parquet") for path in paths]


def gather_labels(stage: Stage, rows: MonitoredRows, further: Sequence[pl.DataFrame]) -> tuple[Outcomes, pl.DataFrame]:
    """The outcomes of the rows, and the keys that the validated tables have.

    Args:
        stage: whose tables.
        rows: what was predicted; batches that cannot hold any of it are not read.
        further: rows of the entity's table with labels that have come since.

    Raises:
        DataError: what was handed over lacks a column, or has another type than the contract says.
        ProjectError: the label cannot be computed.
    """
    entity, label = stage.project.features.entity, stage.project.target.label
    columns = list(dict.fromkeys([*entity.key, *label.meta.root_names()]))
    tables = [
        stage.workspace.read_table(partition(VALIDATED, entity.table, batch), columns)
        for batch in batches_of_entity(stage)
        if _may_hold(stage, batch, rows)
    ]
    given = [table for table in further if table.height]
    for table in given:
        missing = [name for name in columns if name not in table.columns]
        if missing:
            raise DataError(f"the labels have no column {missing[0]!r}", fix=f"give the columns {', '.join(columns)}.")
    typed = [_typed(stage, table.select(columns)) for table in given]
    keys = pl.concat([table.select(entity.key) for table in tables]) if tables else pl.DataFrame()
    return outcomes_of([*tables, *typed], entity, label), keys


def _typed(stage: Stage, table: pl.DataFrame) -> pl.DataFrame:
    dtypes = stage.project.entity_table.contract.dtypes
    try:
        return table.cast({name: dtypes[name] for name in table.columns})
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"the labels are not what the contract says: {' '.join(str(error).split())[:200]}",
            fix=f"give them with the types of the table {stage.project.features.entity.table!r}.",
        ) from error


def _may_hold(stage: Stage, batch: str, rows: MonitoredRows) -> bool:
    """Whether a batch may hold rows of the window: others are not read."""
    bounds = stage.project.batches.bounds(batch)
    first, last = rows.frame[DUE].min(), rows.frame[DUE].max()
    if bounds is None or not isinstance(first, datetime) or not isinstance(last, datetime):
        return bounds is None
    return bounds[1] > first.replace(tzinfo=None) - _SLACK and bounds[0] < last.replace(tzinfo=None) + _SLACK
