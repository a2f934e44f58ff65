"""A project on a sample of its rows: what is left out, what contracts ease, and what stays as strict as it is."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandera.polars as pa
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.data.batches import Numbered
from gitrain.data.contracts import TableContract
from gitrain.data.tables import Table
from gitrain.errors import UsageError
from gitrain.features.definitions import Entity, FeatureSet, History, RowFeature, WindowFeatures
from gitrain.metrics import ROC_AUC
from gitrain.operations.sample_project import sample_project, sampled_rows
from gitrain.project import Project, Target
from gitrain.training.estimators import logistic_regression

UTC = pl.Datetime("us", "UTC")


class Rows:
    """A source of numbered rows."""

    def __init__(self, height: int) -> None:
        self.height = height

    def fingerprint(self, batch: str | None) -> str:
        return f"{self.height} rows"

    def read(self, batch: str | None) -> pl.DataFrame:
        return pl.DataFrame({"number": range(self.height)})


def table(name: str, height: int, columns: dict[str, pa.Column]) -> Table:
    contract = TableContract(schema=pa.DataFrameSchema(columns), rows=(90, 1100))
    return Table(name=name, source=Rows(height), contract=contract, batch_of=pl.lit("0001"))


def project() -> Project:
    when = {"number": pa.Column(pl.Int64), "at": pa.Column(UTC), "late": pa.Column(pl.Boolean)}

    def share(history: str) -> WindowFeatures:
        return WindowFeatures(
            prefix=f"late_{history}",
            history=history,
            by={},
            value=pl.col("late"),
            aggregation="mean",
            windows={"1d": timedelta(days=1)},
        )

    histories = tuple(
        History(name=name, table=name, known_at=pl.col("at"), event_time=pl.col("at"), max_delay=timedelta(hours=1))
        for name in ("rides", "other")
    )
    names = ("number", "late_rides_1d", "late_other_1d")
    return Project(
        name="rides",
        tables=(table("rides", 1000, when), table("other", 1000, when)),
        batches=Numbered(),
        features=FeatureSet(
            entity=Entity(
                table="rides",
                key=("number",),
                known_in_advance=("number", "at"),
                decision_time=pl.col("at"),
                unit=("number", pl.col("number")),
            ),
            features=(RowFeature(name="number", expression=pl.col("number")), share("rides"), share("other")),
            histories=histories,
        ),
        feature_contract=TableContract(
            schema=pa.DataFrameSchema({name: pa.Column(pl.Float64) for name in names}),
            rows=(100, None),
            max_null_share=dict.fromkeys(names, 0.2),
            warn_null_share=dict.fromkeys(names, 0.1),
        ),
        prediction_contract=TableContract(schema=pa.DataFrameSchema({"score": pa.Column(pl.Float64)}), rows=(15, 99)),
        target=Target(name="late", label=pl.col("late")),
        estimators={"logistic_regression": logistic_regression},
        metrics=(ROC_AUC,),
    )


def test_the_predicted_table_is_thinned_and_no_other():
    sampled = sample_project(project(), every=10)
    rides, other = (sampled.table(name) for name in ("rides", "other"))
    found = rides.source.read("0001")
    assert found.height == 100
    assert found["number"][-1] == 999
    assert found.equals(rides.source.read("0001"))
    assert rides.source.fingerprint("0001") == "1000 rows, 1 row of 10"
    assert other.source.read("0001").height == 1000
    assert other.contract.rows == (90, 1100)


def test_contracts_count_fewer_rows_and_stay_as_they_are_otherwise():
    whole = project()
    sampled = sample_project(whole, every=10)
    contract = sampled.table("rides").contract
    assert contract.rows == (9, 110)
    assert contract.max_quarantined_share == 0.01
    assert replace(contract, rows=(90, 1100), max_quarantined_share=0.001) == whole.table("rides").contract
    assert sampled.prediction_contract.rows == (1, 10)
    assert sampled.feature_contract.rows == (10, None)


def test_only_features_of_the_thinned_history_may_be_null():
    contract = sample_project(project(), every=10).feature_contract
    nullable = {name for name, column in contract.schema.columns.items() if column.nullable}
    assert nullable == {"late_rides_1d"}
    assert contract.max_null_share == {"number": 0.2, "late_rides_1d": 1.0, "late_other_1d": 0.2}
    assert contract.warn_null_share == {"number": 0.1, "late_other_1d": 0.1}


def test_every_row_is_the_project_itself():
    whole = project()
    assert sample_project(whole, every=1) is whole


def test_no_rows_is_no_sample():
    with pytest.raises(UsageError, match="one row of 0"):
        sample_project(project(), every=0)


@given(height=st.integers(0, 500), every=st.integers(1, 60))
def test_one_row_of_each_run_stays_and_the_last_one(height: int, every: int):
    rows = sampled_rows(height, every)
    assert len(rows) == -(-height // every)
    assert (np.diff(rows) > 0).all()
    if height:
        assert rows[-1] == height - 1
        assert rows[0] >= 0


def test_a_pattern_in_the_order_of_rows_does_not_decide_what_stays():
    shop = np.arange(4000) % 4
    kept = np.bincount(shop[sampled_rows(4000, 4)], minlength=4)
    assert kept.min() > 200
