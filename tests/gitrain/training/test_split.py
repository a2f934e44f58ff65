from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gitrain.training.generated import COLUMNS, frame, split

from gitrain.errors import TrainingError
from gitrain.training.estimators import FeatureColumns
from gitrain.training.split import split_in_time


def test_the_newest_days_are_the_validation_part():
    rows = frame(2000, days=40)
    found = split(rows, validation_units=3)
    assert found.units == ("2013-02-07", "2013-02-08", "2013-02-09")
    assert (found.validation == (rows["day"] >= date(2013, 2, 7)).to_numpy()).all()
    assert (found.labels == rows["late"].cast(pl.Int8).to_numpy()).all()


def test_rows_without_a_label_count_for_nothing():
    rows = frame(2000, days=40)
    newest = pl.col("day") >= date(2013, 2, 8)
    unlabelled = rows.with_columns(late=pl.when(newest).then(None).otherwise("late"))
    found = split(unlabelled, validation_units=3)
    assert found.units == ("2013-02-05", "2013-02-06", "2013-02-07")
    assert len(found.labels) == found.matrix.height == rows.filter(~newest).height


@given(
    units=st.lists(st.integers(-5, 5), min_size=1, max_size=60),
    validation_units=st.integers(1, 5),
    seed=st.integers(0, 9),
)
def test_no_unit_is_on_both_sides_and_every_row_is_on_one(units, validation_units, seed):
    rng = np.random.default_rng(seed)
    # Two rows of each so that each part has both labels.
    rows = pl.DataFrame({"x": rng.normal(size=2 * len(units)), "unit": units * 2, "late": [True, False] * len(units)})
    rows = rows.with_columns(late=pl.int_range(pl.len()) < len(units)).sample(fraction=1, shuffle=True, seed=seed)
    columns = FeatureColumns(names=("x",))
    arguments = {"columns": columns, "target": "late", "unit": "unit", "validation_units": validation_units}
    if len(set(units)) <= validation_units:
        with pytest.raises(TrainingError, match=r"training\.validation_units"):
            split_in_time(rows, **arguments)
        return
    found = split_in_time(rows, **arguments)
    newest, earlier = rows.filter(found.validation)["unit"], rows.filter(~found.validation)["unit"]
    assert min(newest) > max(earlier)
    assert newest.n_unique() == validation_units == len(found.units)
    assert found.matrix["x"].to_list() == rows["x"].to_list()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"late": pl.lit(None, dtype=pl.Boolean)}, "null in all 2000 rows"),
        ({"late": pl.col("slope")}, "'late' has the type Float64, not Boolean"),
        ({"day": pl.lit(None, dtype=pl.Date)}, "'day' is null in 2000 rows"),
        ({"late": pl.lit(True)}, "only the label true"),
        # Both labels overall, one only before the validation part.
        ({"late": pl.col("day") >= date(2013, 2, 5)}, "before the last 8 of 'day' hold only the label false"),
        # A feature that begins late is there overall and null in every row of the curve's fit.
        (
            {"noise": pl.when(pl.col("day") >= date(2013, 2, 5)).then("noise")},
            "'noise' is null in every row of the training rows before the last 8",
        ),
    ],
)
def test_what_cannot_be_trained_on_is_refused_with_what_to_change(change, named):
    with pytest.raises(TrainingError, match=named) as error:
        split(frame().with_columns(**change), validation_units=8)
    assert error.value.fix


def test_the_target_among_the_features_is_refused():
    with pytest.raises(TrainingError, match="the target 'late' is among the features"):
        split(frame(), columns=FeatureColumns(names=("late", "slope")))


def test_a_column_that_is_not_there_is_refused():
    with pytest.raises(TrainingError, match="no column 'late'"):
        split_in_time(frame().drop("late"), columns=COLUMNS, target="late", unit="day", validation_units=3)
