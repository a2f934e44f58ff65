import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.gitrain.training.generated import COLUMNS, frame

from gitrain.errors import FeatureError, TrainingError
from gitrain.training.matrix import check_matrix, feature_matrix


def test_columns_come_in_the_model_s_order_with_its_types():
    rows = frame(50)
    matrix = feature_matrix(rows.select(reversed(rows.columns)), COLUMNS)
    assert matrix.columns == list(COLUMNS.names)
    assert set(matrix.drop("carrier").dtypes) == {pl.Float64}
    assert matrix.schema["carrier"] == pl.String
    assert matrix["gusts"].null_count() == rows["gusts"].null_count() > 0


def test_enums_and_numbered_categories_are_what_their_strings_are():
    rows = frame(50).with_columns(pl.col("carrier").fill_null("C0"))
    expected = feature_matrix(rows, COLUMNS)
    for kind in (pl.Categorical(), pl.Enum(["C3", "C2", "C1", "C0"])):
        assert_frame_equal(feature_matrix(rows.with_columns(pl.col("carrier").cast(kind)), COLUMNS), expected)
    numbered = rows.with_columns(carrier=pl.int_range(pl.len()))
    assert feature_matrix(numbered, COLUMNS)["carrier"].to_list() == [str(number) for number in range(50)]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"slope": pl.col("day")}, "'slope' has the type Date"),
        ({"slope": pl.lit("fast")}, "'slope' has the type String"),
        ({"carrier": pl.col("slope")}, "'carrier' has the type Float64"),
    ],
)
def test_a_type_that_is_neither_is_refused_by_name(change, named):
    with pytest.raises(FeatureError, match=named):
        feature_matrix(frame(50).with_columns(**change), COLUMNS)


def test_a_missing_column_is_refused_by_name():
    with pytest.raises(FeatureError, match="no column 'gusts'"):
        feature_matrix(frame(50).drop("gusts"), COLUMNS)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"gusts": pl.when(pl.col("gusts") > 40).then(float("nan")).otherwise("gusts")}, "'gusts' is NaN or infinite"),
        ({"slope": pl.when(pl.col("slope") > 1).then(float("-inf")).otherwise("slope")}, "'slope' is NaN or infinite"),
        ({"noise": pl.lit(None, dtype=pl.Float64)}, "'noise' is null in every row"),
        ({"noise": pl.lit(None)}, "'noise' is null in every row"),
        ({"carrier": pl.lit(None, dtype=pl.String)}, "'carrier' is null in every row"),
    ],
)
def test_values_that_nothing_can_learn_from_are_refused_by_name(change, named):
    rows = frame(200)
    labels = rows["late"].cast(pl.Int8).to_numpy()
    check_matrix(feature_matrix(rows, COLUMNS), labels, columns=COLUMNS, part="the rows")
    with pytest.raises(TrainingError, match=named):
        check_matrix(feature_matrix(rows.with_columns(**change), COLUMNS), labels, columns=COLUMNS, part="the rows")


@pytest.mark.parametrize(("labels", "named"), [([0, 0], "only the label false"), ([1, 1], "only the label true")])
def test_labels_of_one_class_are_refused(labels, named):
    matrix = feature_matrix(frame(2), COLUMNS)
    with pytest.raises(TrainingError, match=named):
        check_matrix(matrix, np.array(labels, dtype=np.int8), columns=COLUMNS, part="the rows")
