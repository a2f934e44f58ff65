"""Single rows, computed as they are among others."""

import io

import polars as pl

__all__ = ["in_company"]


def in_company(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows; a single one twice, for expressions that have to give what they give in a batch.

    Polars divides a column by a constant by multiplying with its reciprocal, but a single value by dividing: 23 / 60
    has another last bit alone than among others. It also notices a value that was merely repeated, so the copies are
    made by way of bytes.
    """
    if rows.height != 1:
        return rows
    buffer = io.BytesIO()
    rows.vstack(rows).rechunk().write_ipc(buffer)
    return pl.read_ipc(io.BytesIO(buffer.getvalue()))
