"""Rows that break the contract, in all and on a single day."""

from datetime import date

import numpy as np
import pandera.polars as pa
import polars as pl
import pytest

from gitrain.data.batches import Months
from gitrain.data.contracts import TableContract
from gitrain.features.definitions import Entity, FeatureSet, RowFeature
from gitrain.monitoring.inputs import judge_features, judge_inputs
from gitrain.monitoring.logged import MonitoredRows
from gitrain.verdicts import Outcome

EACH = 500
DAYS = pl.Series("day", ["1"] * EACH + ["2"] * EACH, dtype=pl.Enum(["1", "2", "3"]))
CONTRACT = TableContract(
    schema=pa.DataFrameSchema({"id": pa.Column(pl.Int64), "x": pa.Column(pl.Float64, pa.Check.ge(0))}),
    key=("id",),
    max_quarantined_share=0.05,
)
FEATURES = FeatureSet(
    entity=Entity(table="rows", key=("id",), known_in_advance=("id", "x"), unit=("day", pl.lit(date(2026, 1, 1)))),
    features=(RowFeature(name="x", expression=pl.col("x")),),
)


def judged(of: str, *broken: int):
    """The verdict where so many rows of each day are below zero."""
    bad = np.concatenate([np.arange(EACH) < count for count in broken])
    known = pl.DataFrame({"id": np.arange(2 * EACH), "x": np.where(bad, -1.0, 1.0)})
    nothing = dict.fromkeys(("repeated", "asked_again", "early", "ahead", "unreadable", "impossible", "foreign"), 0)
    rows = MonitoredRows(
        frame=DAYS.to_frame(),
        known=known,
        days=("1", "2", "3"),
        dated=True,
        farthest=None,
        lines=2 * EACH,
        **nothing,
    )
    if of == "inputs":
        return judge_inputs(rows, FEATURES, CONTRACT, Months())
    return judge_features(rows, known.select("x"), CONTRACT, Months())


@pytest.mark.parametrize("of", ["inputs", "features"])
def test_a_day_that_breaks_the_contract_fails_where_all_days_together_keep_it(of):
    found = judged(of, 0, 48)

    assert found.outcome is Outcome.FAILED
    assert found.reason.startswith("9.60% of 500 rows of 2 break the contract, and 5.00% may: ")
    assert (found.figures["share"], found.figures["worst_day"], found.figures["worst_day_share"]) == (0.048, "2", 0.096)
    assert judged(of, 20, 29).outcome is Outcome.PASSED, "it may be chance"
    assert judged(of, 0, 0).outcome is Outcome.PASSED
    assert "worst_day" not in judged(of, 0, 0).figures


@pytest.mark.parametrize("of", ["inputs", "features"])
def test_all_days_together_are_told_before_any_of_them(of):
    found = judged(of, 20, 90)

    assert found.outcome is Outcome.FAILED
    assert found.reason.startswith("110 of 1,000 rows break the contract")
    assert found.figures["worst_day"] == "2"
