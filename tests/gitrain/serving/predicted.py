"""Rows that were predicted, made up."""

from datetime import UTC, date, datetime

import numpy as np
import polars as pl

from gitrain.serving.log_records import PredictedRows

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def categories(*values):
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def predicted(
    *probabilities, request_id="r", text="JFK", time=NOON, missing=(), stale=(), wind=1.5, release="1.4.0"
) -> PredictedRows:
    rows = len(probabilities)
    return PredictedRows(
        time=time,
        release=release,
        request_ids=[request_id] * rows,
        places=list(range(rows)),
        inputs=pl.DataFrame({"origin": [text] * rows, "day": [date(2026, 1, 1)] * rows}),
        features={"wind": np.full(rows, wind), "place": categories(*[text] * rows)},
        missing=[tuple(missing)] * rows,
        stale=[tuple(stale)] * rows,
        probabilities=np.array(probabilities, dtype=np.float64),
        decisions=np.array(probabilities) >= 0.5,
    )
