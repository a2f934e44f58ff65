import numpy as np
import polars as pl
import pytest
from tests.gitrain.serving.forms import CONTRACT, HOLDOUT, fitted
from tests.gitrain.training.generated import COLUMNS

from gitrain.serving.adversarial import adversarial_rows
from gitrain.serving.split_points import split_points
from gitrain.training.matrix import feature_matrix

MATRIX = feature_matrix(HOLDOUT, COLUMNS)
POINTS = split_points(fitted("ready-made boosting"), COLUMNS, MATRIX)


def rows(seed=0, never_null=(), points=POINTS):
    return adversarial_rows(HOLDOUT, CONTRACT, COLUMNS, split_points=points, never_null=never_null, seed=seed)


MADE = rows()


def test_equal_seeds_give_equal_rows():
    assert MADE.equals(rows(), null_equal=True)
    assert not MADE.equals(rows(seed=1), null_equal=True)


def test_they_are_what_the_model_takes_and_enough():
    assert MADE.schema == MATRIX.schema
    assert MADE.height >= 2000
    # NaN and infinity are not values that the contract allows.
    numbers = MADE.select(COLUMNS.numeric).drop_nulls()
    assert numbers.select(pl.all().is_finite().all()).row(0) == (True,) * 4


@pytest.mark.parametrize("name", COLUMNS.names)
def test_each_column_is_unknown_alone_and_with_all_others(name):
    alone = MADE.filter(pl.col(name).is_null() & pl.all_horizontal(pl.exclude(name).is_not_null()))
    assert alone.height > 0
    assert MADE.filter(pl.all_horizontal(pl.all().is_null())).height > 0


@pytest.mark.parametrize("name", ["slope", "gusts"])
def test_numbers_stand_at_the_split_points_and_one_float_to_either_side(name):
    found = set(MADE[name].drop_nulls())
    for wanted in (POINTS[name], np.nextafter(POINTS[name], np.inf), np.nextafter(POINTS[name], -np.inf)):
        assert set(wanted.tolist()) <= found


def test_both_zeros_and_the_least_number_are_there():
    slopes = MADE["slope"].drop_nulls().to_numpy()
    assert {False, True} == set(np.signbit(slopes[slopes == 0]).tolist())
    assert 5e-324 in slopes


def test_nothing_lies_beyond_the_contract_s_bounds():
    assert (MADE["slope"].min(), MADE["slope"].max()) == (-10, 10)
    assert MADE["gusts"].min() == 0
    assert set(MADE["flag"].drop_nulls()) == {0.0, 1.0}


@pytest.mark.parametrize("text", ["", " ", "c0", "C0 ", "C0\x00", "\x00", "null", "None", "nan", "x" * 10_000])
def test_texts_that_are_nearly_a_category_or_none_at_all(text):
    assert text in MADE["carrier"]


def test_integers_stay_whole():
    counted = HOLDOUT.with_columns(slope=(pl.col("slope") * 10).cast(pl.Int32))
    points = {**POINTS, "slope": np.array([0.5, 1.5, 7.0])}
    found = adversarial_rows(counted, CONTRACT, COLUMNS, split_points=points, never_null=(), seed=0)["slope"]
    assert found.drop_nulls().round().equals(found.drop_nulls())
    assert {0.0, 1.0, 2.0, 7.0} <= set(found.drop_nulls())


def test_what_the_model_cannot_do_without_is_never_unknown():
    found = rows(never_null=("gusts", "carrier"))
    assert found.select("gusts", "carrier").null_count().row(0) == (0, 0)
    assert found["slope"].null_count() > 0
