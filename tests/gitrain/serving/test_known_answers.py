from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from gitrain.documents import parse_json
from gitrain.errors import FeatureError, ProjectError
from gitrain.serving.known_answers import known_answers, request_rows
from gitrain.serving.manifest import KnownAnswers
from gitrain.training.estimators import FeatureColumns

COLUMNS = FeatureColumns(names=("gust", "dest"), categorical=("dest",))


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (date(2013, 9, 30), pl.Date, "2013-09-30"),
        (datetime(2013, 9, 30, 22, 10), pl.Datetime("us"), "2013-09-30T22:10:00"),
        (datetime(2013, 9, 30, 22, 10, tzinfo=UTC), pl.Datetime("us", "UTC"), "2013-09-30T22:10:00Z"),
        (
            datetime(2013, 9, 30, 18, 10, 0, 500, tzinfo=timezone(timedelta(hours=-4))),
            pl.Datetime("us", "America/New_York"),
            "2013-09-30T22:10:00.000500Z",
        ),
        (time(6, 5), pl.Time, "06:05:00"),
        (True, pl.Boolean, True),
        (7, pl.Int32, 7),
        (0.1, pl.Float64, 0.1),
        ("JFK", pl.Categorical, "JFK"),
        (Decimal("1.5"), pl.Decimal(10, 2), 1.5),
        (None, pl.String, None),
    ],
)
def test_values_are_those_of_a_request(value, dtype, expected):
    ((found,),) = [row.values() for row in request_rows(pl.DataFrame({"x": pl.Series([value], dtype=dtype)}))]
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize("dtype", [pl.Duration("us"), pl.List(pl.Int64), pl.Binary])
def test_a_value_that_no_request_holds(dtype):
    with pytest.raises(ProjectError, match="'x', known in advance, has the type"):
        request_rows(pl.DataFrame({"x": pl.Series([None], dtype=dtype)}))


def test_the_file_is_read_as_it_was_written():
    features = pl.DataFrame({"dest": ["ORD", None], "gust": [float("nan"), 1 / 3], "more": [1, 2]})
    inputs = pl.DataFrame({"flight": [1, 2]})
    made = known_answers(inputs, features, np.array([0.25, 2 / 3]), COLUMNS, tolerance=1e-6)

    read = parse_json(KnownAnswers, made.to_json(), source="known_answers.json")

    assert read == made
    assert [row.features for row in read.rows] == [{"gust": None, "dest": "ORD"}, {"gust": 1 / 3, "dest": None}]
    assert [row.score for row in read.rows] == [0.25, 0.666666666667]


def test_a_feature_is_missing():
    with pytest.raises(FeatureError, match="no column 'gust'"):
        known_answers(pl.DataFrame({"a": [1]}), pl.DataFrame({"dest": ["x"]}), np.zeros(1), COLUMNS, tolerance=1e-6)
