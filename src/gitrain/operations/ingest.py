"""The stage `ingest`: from the sources to one parquet file a batch."""

from collections.abc import Callable
from typing import TypeVar

import polars as pl

from gitrain.data.tables import Table
from gitrain.errors import DataError, GitrainError
from gitrain.operations.prune_partitions import prune_partitions
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import RAW, partition
from gitrain.pipeline.workspace import memo_key

__all__ = ["ingest"]

_ResultT = TypeVar("_ResultT")


def ingest(stage: Stage) -> None:
    """Write ``data/raw/TABLE/BATCH.parquet`` for every table and batch, and nothing else into that folder.

    A batch that was read before, from a source with the same fingerprint and by the same code, comes from the memo.

    Raises:
        DataError: a source has no such batch, or failed; the message names the table and the batch.
    """
    written = []
    for table in stage.project.tables:
        for batch in stage.batches if table.batched else [None]:
            written.append(_ingest_batch(stage, table, batch))
    for path in prune_partitions(stage.workspace, RAW, written):
        stage.progress(f"ingest: removed {path}, which is no batch of the project any more")


def _ingest_batch(stage: Stage, table: Table, batch: str | None) -> str:
    path = partition(RAW, table.name, batch)
    name = table.name if batch is None else f"{table.name} {batch}"
    fingerprint = _ask(name, lambda: table.source.fingerprint(batch))
    key = memo_key(f"ingest/{table.name}", batch, {"code": stage.code, "source": fingerprint})
    if stage.memo.restore(key, [path]):
        stage.progress(f"ingest: {name} is unchanged")
        return path
    frame = _ask(name, lambda: table.source.read(batch))
    if not isinstance(frame, pl.DataFrame):
        raise DataError(
            f"the source of {name} gave {type(frame).__name__}, not a Polars DataFrame",
            fix="let `read` return a pl.DataFrame.",
        )
    stage.workspace.write_table(path, frame)
    stage.memo.store(key, [path])
    stage.progress(f"ingest: {name}, {frame.height:,} rows")
    return path


def _ask(name: str, question: Callable[[], _ResultT]) -> _ResultT:
    try:
        return question()
    except GitrainError:
        raise
    except Exception as error:
        raise DataError(
            f"the source of {name} failed: {type(error).__name__}: {error}",
            fix="see that what it reads is there and whole, then run `dvc repro` again.",
        ) from error
