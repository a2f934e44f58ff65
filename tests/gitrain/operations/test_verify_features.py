from dataclasses import replace

import polars as pl
import pytest
from tests.gitrain.features.parcels import FEATURES, MONTHS, project, shop

from gitrain.errors import DataError, UsageError
from gitrain.features.definitions import RowFeature
from gitrain.operations.verify_features import verify_features
from gitrain.verdicts import Outcome


def test_batches_from_first_to_last_are_verified(tmp_path):
    made = shop(tmp_path)
    found = verify_features(made.stage(through=MONTHS[4]), rows=30, seed=0)
    assert [verdict.outcome for verdict in found] == [Outcome.PASSED] * 4
    assert [line.split()[1].rstrip(":") for line in made.said] == ["2024-01", "2024-03", "2024-05"]
    figures = {verdict.name: verdict.figures for verdict in found}
    assert figures["features:brute-force"]["rows"] == 30
    assert figures["features:future-scrambled"]["cut_offs"] == 6
    assert figures["features:incremental"]["rows"] == 3 * 150


def test_one_batch_is_enough(tmp_path):
    found = verify_features(shop(tmp_path).stage(through=MONTHS[0]), rows=10, seed=0)
    assert [verdict.outcome for verdict in found] == [Outcome.PASSED] * 4


def test_a_leak_fails(tmp_path):
    leaking = RowFeature(name="share", expression=pl.col("weight") / pl.col("weight").sum())
    features = replace(FEATURES, features=(*FEATURES.features, leaking))
    found = verify_features(shop(tmp_path).stage(project(features)), rows=10, seed=0)
    assert [verdict.outcome for verdict in found] == [Outcome.FAILED] * 3 + [Outcome.PASSED]


def test_a_project_without_time_is_verified_too(tmp_path):
    made = shop(tmp_path)
    features = replace(
        FEATURES,
        features=FEATURES.features[:2],
        histories=(),
        entity=replace(FEATURES.entity, decision_time=None),
    )
    found = verify_features(made.stage(project(features)), rows=10, seed=0)
    assert [verdict.outcome for verdict in found] == [Outcome.PASSED] * 4
    assert "no histories" in found[0].reason


def test_no_rows_asked_for_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="0 rows"):
        verify_features(shop(tmp_path).stage(), rows=0, seed=0)


def test_validated_tables_are_needed(tmp_path):
    made = shop(tmp_path)
    made.workspace.remove("data/validated/parcels/2024-01.parquet")
    with pytest.raises(DataError, match=r"2024-01\.parquet is missing"):
        verify_features(made.stage(), rows=10, seed=0)
