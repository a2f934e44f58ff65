"""Ask a source for a batch that it may not have, and tell what is not there from what cannot be read."""

from dataclasses import dataclass

import polars as pl

from gitrain.data.tables import Table
from gitrain.data.validation_report import shown
from gitrain.errors import DataError, GitrainError

__all__ = ["AskedBatch", "ask_source"]


@dataclass(frozen=True, kw_only=True)
class AskedBatch:
    """What a source said of a batch: its rows, or that it has none, or how it failed; one of the three is not None.

    Attributes:
        frame: the rows.
        absent: it is not there: what the source said, in one line.
        failed: the source failed on it: with what, in one line.
    """

    frame: pl.DataFrame | None = None
    absent: str | None = None
    failed: str | None = None


def ask_source(table: Table, batch: str) -> AskedBatch:
    """Read a batch that may not be there yet. Raises nothing: sources are people's code, and raise what they like.

    `DataError` is how a source says that it does not have a batch; a file that is not there says the same. Whatever
    else is raised (a column that is not there, a server that is down) says nothing of the kind, and waiting for it to
    come would be waiting for ever.

    Args:
        table: whose source is asked.
        batch: its name.
    """
    try:
        frame: object = table.source.read(batch)
    except DataError as error:
        return AskedBatch(absent=shown(error.what))
    except FileNotFoundError as error:
        return AskedBatch(absent=shown(f"{type(error).__name__}: {error}"))
    except Exception as error:
        said = error.what if isinstance(error, GitrainError) else error
        return AskedBatch(failed=shown(f"{type(error).__name__}: {said}"))
    if not isinstance(frame, pl.DataFrame):
        return AskedBatch(failed=f"it gave {type(frame).__name__}, not a Polars DataFrame")
    return AskedBatch(frame=frame)
