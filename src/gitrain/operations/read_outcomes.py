"""Labels that have come since `data.through`: the batches after it, as far as the source has them."""

from datetime import datetime

import polars as pl

from gitrain.data.validation import validate
from gitrain.data.validation_report import shown
from gitrain.errors import GitrainError
from gitrain.operations.ask_source import ask_source
from gitrain.operations.stage import Stage

__all__ = ["read_outcomes"]

_MOST_BATCHES = 24


def read_outcomes(stage: Stage, *, before: datetime) -> list[pl.DataFrame]:
    """The rows of the entity's table in the batches that follow `data.through`, without those that break the contract.

    A batch that is not whole yet, that the source does not have, or that cannot be used ends it and is told: labels are
    for looking at, and what enters training is judged when it does.

    Args:
        stage: a tree with the project's sources.
        before: batches that begin later are not asked for, UTC.
    """
    table, scheme = stage.project.entity_table, stage.project.batches
    entity, label = stage.project.features.entity, stage.project.target.label
    needed = [*entity.key, *label.meta.root_names()]
    batch, found = stage.params.data.through, []
    for _ in range(_MOST_BATCHES):
        batch = scheme.following(batch)
        bounds = scheme.bounds(batch)
        if bounds is not None and bounds[0] > before.replace(tzinfo=None):
            break
        asked = ask_source(table, batch)
        if asked.absent is not None:
            stage.progress(f"labels: the source of {table.name} has no {batch}: {asked.absent}")
            break
        if asked.frame is None:
            stage.progress(f"labels: the source of {table.name} failed on {batch}: {asked.failed}")
            break
        try:
            result = validate(asked.frame, table.contract.without_time(), table=table.name, batch=None, scheme=scheme)
        except GitrainError as error:
            stage.progress(f"labels: {table.name} {batch} cannot be used: {shown(error.what)}")
            break
        missing = [name for name in needed if name not in result.kept.columns]
        if missing:
            stage.progress(f"labels: {table.name} {batch} cannot be used: it has no column {shown(missing[0])}")
            break
        found.append(result.kept)
        stage.progress(f"labels: {table.name} {batch}, {result.kept.height:,} rows from the source")
    return found
