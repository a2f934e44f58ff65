"""Labels that have come since `data.through`: the batches after it, as far as the source has them."""

from datetime import datetime

import polars as pl

from gitrain.data.validation import validate
from gitrain.data.validation_report import shown
from gitrain.errors import GitrainError
from gitrain.operations.stage import Stage

__all__ = ["read_outcomes"]

_MOST_BATCHES = 24


def read_outcomes(stage: Stage, *, before: datetime) -> list[pl.DataFrame]:
    """The rows of the entity's table in the batches that follow `data.through`, without those that break the contract.

    A batch that is not whole yet, or that the source does not have, ends it: labels are for looking at, and what
    enters training is judged when it does.

    Args:
        stage: a tree with the project's sources.
        before: batches that begin later are not asked for, UTC.
    """
    table, scheme = stage.project.entity_table, stage.project.batches
    batch, found = stage.params.data.through, []
    for _ in range(_MOST_BATCHES):
        batch = scheme.following(batch)
        bounds = scheme.bounds(batch)
        if bounds is not None and bounds[0] > before.replace(tzinfo=None):
            break
        try:
            frame = table.source.read(batch)
            result = validate(frame, table.contract.without_time(), table=table.name, batch=None, scheme=scheme)
        except GitrainError as error:
            stage.progress(f"labels: the source of {table.name} has no {batch}: {shown(error.what)}")
            break
        except Exception as error:  # a source of the project's own may raise anything
            said = shown(f"{type(error).__name__}: {error}")
            stage.progress(f"labels: the source of {table.name} failed for {batch}: {said}")
            break
        found.append(result.kept)
        stage.progress(f"labels: {table.name} {batch}, {result.kept.height:,} rows from the source")
    return found
