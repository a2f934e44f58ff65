from datetime import date

import numpy as np
import polars as pl
import pytest

from gitrain.errors import ProjectError
from gitrain.evaluation.predictions import group_columns, prediction_table

FEATURES = pl.DataFrame(
    {
        "carrier": ["AA", "B6"],
        "day": [date(2024, 1, 1), date(2024, 1, 2)],
        "decision_time": ["08:00", "09:00"],
        "hour": [8.5, None],
        "kind": pl.Series(["x", None], dtype=pl.Categorical),
    }
)
BATCHES = pl.Series(["2024-01", "2024-01"])
LABELS = pl.Series([True, False])
SCORES = np.array([0.75, 0.25])


def table(features=FEATURES, **changes):
    parts = {"key": ("carrier", "day"), "unit": "day", "slices": {"kind": pl.col("kind")}} | changes
    return prediction_table(features, BATCHES, LABELS, SCORES, **parts)


def test_the_columns_stand_in_their_order_once_each():
    found = table()
    assert found.schema == {
        "carrier": pl.String,
        "day": pl.Date,
        "batch": pl.String,
        "decision_time": pl.String,
        "label": pl.Boolean,
        "score": pl.Float64,
        "slice_kind": pl.String,
    }
    assert found.rows() == [
        ("AA", date(2024, 1, 1), "2024-01", "08:00", True, 0.75, "x"),
        ("B6", date(2024, 1, 2), "2024-01", "09:00", False, 0.25, None),
    ]


def test_a_project_without_time_or_slices_has_neither_column():
    assert table(FEATURES.drop("decision_time"), slices={}).columns == ["carrier", "day", "batch", "label", "score"]


def test_a_feature_may_be_called_batch_or_score():
    features = FEATURES.with_columns(batch=pl.lit("feature"), score=pl.lit(9.0))
    found = table(features, slices={"batch": pl.col("batch")})
    assert found["batch"].to_list() == ["2024-01"] * 2
    assert found["score"].to_list() == [0.75, 0.25]
    assert found["slice_batch"].to_list() == ["feature"] * 2


@pytest.mark.parametrize("name", ["batch", "label", "score", "slice_kind"])
def test_a_key_that_takes_the_place_of_a_column_is_refused(name):
    with pytest.raises(ProjectError, match=repr(name)):
        table(FEATURES.rename({"carrier": name}), key=(name,))
    with pytest.raises(ProjectError, match=repr(name)):
        table(FEATURES.rename({"day": name}), key=("carrier",), unit=name)


def test_groups_are_strings_whatever_the_expression_gives():
    found = group_columns(
        FEATURES,
        {
            "bool": pl.col("hour") > 8,
            "number": pl.col("hour"),
            "all": pl.lit("one"),
            "category": pl.col("kind"),
        },
    )
    assert found.rows() == [("true", "8.5", "one", "x"), (None, None, "one", None)]
    assert set(found.dtypes) == {pl.String}


@pytest.mark.parametrize("expression", [pl.col("hour").implode(), pl.col("hour").str.len_chars(), pl.col("gone")])
def test_an_expression_that_gives_no_group_is_named(expression):
    with pytest.raises(ProjectError, match="slice 'odd' cannot be evaluated"):
        group_columns(FEATURES, {"odd": expression})
