from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pandera.polars as pa
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.gitrain.features import parcels
from tests.gitrain.features.parcels import FEATURES, MONTHS, Shop, project, shop

from gitrain.data.contracts import TableContract
from gitrain.errors import DataError, FeatureError, PipelineError
from gitrain.features.definitions import RowFeature
from gitrain.features.engine import compute_features
from gitrain.features.history import history_columns, prepare_history
from gitrain.operations.build_features import build_features
from gitrain.project import Project, Target


@pytest.fixture
def built(tmp_path) -> Shop:
    made = shop(tmp_path)
    build_features(made.stage())
    assert made.recomputed() == list(MONTHS[:3])
    return made


def with_feature(name: str, expression: pl.Expr, **changes: Any) -> Project:
    features = replace(FEATURES, features=(*FEATURES.features, RowFeature(name=name, expression=expression)))
    return project(replace(features, **changes))


def test_a_file_holds_key_unit_decision_time_features_and_target(built):
    frame = built.features("2024-02")
    names = [name for name in FEATURES.names]
    assert frame.columns == ["parcel", "day", "decision_time", *names, "late"]
    assert frame.schema["late"] == pl.Boolean
    assert frame.schema["decision_time"] == pl.Datetime("us", "UTC")
    raw = parcels.parcels("2024-02")
    assert frame["parcel"].to_list() == raw["parcel"].to_list()
    assert frame["late"].is_null().to_list() == raw["arrived"].is_null().to_list()
    assert frame["decision_time"][0] == raw["sent"][0] - timedelta(hours=1)


def test_batches_give_what_one_computation_over_everything_gives(built):
    raw = pl.concat([parcels.parcels(month) for month in MONTHS[:3]])
    histories = {
        history.name: prepare_history(FEATURES, history, table.select(history_columns(FEATURES, history)))
        for history, table in zip(FEATURES.histories, (raw, parcels.tariffs()), strict=True)
    }
    whole = compute_features(FEATURES, raw.select(FEATURES.entity.known_in_advance), histories)
    stored = pl.concat([built.features(month) for month in MONTHS[:3]]).select(FEATURES.names)
    assert_frame_equal(stored, whole, check_exact=True)
    assert stored["late_depot_1d"].null_count() < stored.height / 2


def test_nothing_is_computed_twice(built):
    before = built.digests()
    build_features(built.stage())
    assert built.recomputed() == []
    assert built.digests() == before


def test_outputs_that_were_deleted_come_back_from_the_memo(built):
    before = built.digests()
    for path in before:
        built.workspace.remove(path)
    build_features(built.stage())
    assert built.recomputed() == []
    assert built.digests() == before


def test_one_more_month_computes_one_month_and_equals_a_full_recompute(built, tmp_path):
    build_features(built.stage(through=MONTHS[3]))
    assert built.recomputed() == [MONTHS[3]]
    afresh = shop(tmp_path / "afresh")
    build_features(afresh.stage(through=MONTHS[3]))
    assert built.digests() == afresh.digests()


def test_a_changed_batch_recomputes_itself_and_those_that_look_back_on_it(built):
    build_features(built.stage(through=MONTHS[4]))
    built.recomputed()
    built.write("2024-02", parcels.parcels("2024-02").head(140))
    build_features(built.stage(through=MONTHS[4]))
    assert built.recomputed() == ["2024-02", "2024-03"]


def test_a_changed_whole_table_or_other_code_recomputes_everything(built):
    built.write_tariffs(parcels.tariffs().with_columns(price=pl.col("price") + 1))
    build_features(built.stage())
    assert built.recomputed() == list(MONTHS[:3])
    build_features(built.stage(code="another"))
    assert built.recomputed() == list(MONTHS[:3])


def test_files_of_batches_that_are_gone_are_removed(built):
    build_features(built.stage(through=MONTHS[1]))
    assert [path.rsplit("/")[-1] for path in built.digests()] == ["2024-01.parquet", "2024-02.parquet"]


def test_the_first_batch_of_a_later_start_has_no_past(built):
    build_features(built.stage(first=MONTHS[1]))
    assert built.recomputed() == [MONTHS[1]]
    assert built.features("2024-02")["arrivals_1d"][0] == 0


def test_a_look_back_batch_is_decoded_once(tmp_path, monkeypatch):
    made = shop(tmp_path)
    read: list[str] = []
    original = type(made.workspace).read_table

    def counting(self, path, columns=None):
        if columns is not None and "arrived" in columns and "parcel" not in columns:
            read.append(path)
        return original(self, path, columns)

    monkeypatch.setattr(type(made.workspace), "read_table", counting)
    build_features(made.stage(through=MONTHS[4]))
    assert sorted(read) == [f"data/validated/parcels/{month}.parquet" for month in MONTHS]


@pytest.mark.parametrize(
    ("arrived_after", "message"),
    [
        (timedelta(days=5), r"2024-02.parquet: history 'arrivals': row 7 .* is known 5 days.* max_delay is 4 days"),
        (timedelta(hours=-1), r"2024-02.parquet: history 'arrivals': row 7 .* is known before its event"),
    ],
)
def test_a_row_known_too_late_or_too_early_is_named(tmp_path, arrived_after, message):
    made = shop(tmp_path)
    frame = parcels.parcels("2024-02").with_row_index("row")
    arrived = pl.when(pl.col("row") == 7).then(pl.col("sent") + arrived_after).otherwise("arrived")
    made.write("2024-02", frame.with_columns(arrived=arrived).drop("row"))
    with pytest.raises(FeatureError, match=message) as caught:
        build_features(made.stage())
    assert str(frame["sent"][7]) in str(caught.value)
    assert list(made.digests()) == ["data/features/2024-01.parquet"]


def test_a_row_in_the_wrong_batch_is_named(tmp_path):
    made = shop(tmp_path)
    stray = parcels.parcels("2024-02").with_columns(pl.col("sent", "arrived") - timedelta(days=20))
    made.write("2024-02", stray)
    with pytest.raises(FeatureError, match=r"batch 2024-02 of table 'parcels' has a row with event_time 2024-01-1"):
        build_features(made.stage())


def test_features_that_break_their_contract_are_not_written(tmp_path):
    made = shop(tmp_path)
    columns = {"parcel": pa.Column(pl.String), "weight": pa.Column(pl.Float64, pa.Check.lt(50))}
    contract = TableContract(schema=pa.DataFrameSchema(columns))
    heavy = parcels.parcels("2024-02").with_columns(
        weight=pl.when(pl.col("parcel") == "2024-02-0007").then(80.0).otherwise("weight")
    )
    made.write("2024-02", heavy)
    with pytest.raises(DataError, match=r"features of batch 2024-02 break their contract: .*weight"):
        build_features(made.stage(project(feature_contract=contract)))
    assert list(made.digests()) == ["data/features/2024-01.parquet"]


def test_a_feature_that_the_contract_names_and_nobody_computes_fails(tmp_path):
    contract = TableContract(schema=pa.DataFrameSchema({"colour": pa.Column(pl.Float64)}))
    with pytest.raises(DataError, match="the column colour is missing"):
        build_features(shop(tmp_path).stage(project(feature_contract=contract)))


def test_a_key_can_be_a_feature_and_stands_once(tmp_path):
    made = shop(tmp_path)
    given = with_feature("parcel", pl.col("parcel"), categorical=("depot", "parcel"))
    build_features(made.stage(given))
    assert made.features("2024-01").columns.count("parcel") == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            with_feature("parcel", pl.col("parcel").str.to_uppercase() + "x", categorical=("depot", "parcel")),
            "batch 2024-01: the name 'parcel' stands for two different columns",
        ),
        (with_feature("late", pl.col("weight")), "the target 'late' is also the name"),
        (with_feature("when", pl.col("sent")), "feature 'when' is of type Datetime.*not a number"),
        (project(replace(FEATURES, categorical=("depot", "weight"))), "feature 'weight' is of type Float64, not text"),
        (project(target=Target(name="late", label=pl.col("weight"))), "the label 'late' is of type Float64"),
        (
            project(replace(FEATURES, entity=replace(FEATURES.entity, unit=("lane", pl.col("lane"))))),
            "rows have no 'lane', the unit of resampling",
        ),
        (with_feature("odd", pl.col("depot") * 2), "batch 2024-01: 'odd' cannot be computed"),
    ],
    ids=["clash", "target", "time", "category", "label", "unit", "expression"],
)
def test_what_cannot_be_a_column_is_named(tmp_path, given, message):
    with pytest.raises(FeatureError, match=message):
        build_features(shop(tmp_path).stage(given))


def test_a_missing_batch_says_what_to_run(tmp_path):
    made = shop(tmp_path)
    made.workspace.remove("data/validated/parcels/2024-02.parquet")
    with pytest.raises((DataError, PipelineError), match=r"2024-02\.parquet is missing"):
        build_features(made.stage())


def test_decisions_long_before_the_batch_look_back_from_the_decision(tmp_path):
    early = replace(FEATURES.entity, decision_time=pl.col("sent") - timedelta(days=40))
    made = shop(tmp_path)
    build_features(made.stage(project(replace(FEATURES, entity=early))))
    raw = pl.concat([parcels.parcels(month) for month in MONTHS])
    march = made.features("2024-03")
    for place in (0, 75, 149):
        decision = march["decision_time"][place]
        known = raw.filter((pl.col("arrived") <= decision) & (pl.col("arrived") > decision - timedelta(days=1)))
        assert march["arrivals_1d"][place] == known.height
    assert max(march["arrivals_1d"]) > 0
    assert min(march["decision_time"]) < datetime(2024, 2, 1, tzinfo=UTC)


def test_a_batch_without_rows_has_columns(tmp_path):
    made = shop(tmp_path)
    made.write("2024-02", parcels.parcels("2024-02").clear())
    build_features(made.stage(project(feature_contract=parcels.contract(("weight",), rows=(0, None)))))
    assert made.features("2024-02").height == 0
    assert made.features("2024-02").schema == made.features("2024-01").schema
