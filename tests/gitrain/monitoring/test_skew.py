import polars as pl

from gitrain.monitoring.skew import compare_features, judge_skew
from gitrain.verdicts import Outcome

ROWS = pl.DataFrame({"x": [1.0, None, float("nan")], "kind": ["a", None, "b"]})


def test_equal_to_the_last_bit_or_not():
    equal = compare_features(ROWS, ROWS.with_columns(x=pl.Series([1.0, None, None])))
    off = compare_features(ROWS.with_columns(x=pl.Series([1.0 + 2**-52, None, None])), ROWS)

    assert [each.different for each in equal] == [0, 0], "NaN and null are both not known"
    assert off[0].different == 1 and off[0].largest == 2**-52
    assert judge_skew(equal, why_not="")[0].outcome is Outcome.PASSED
    assert [each.name for each in judge_skew(off, why_not="")] == ["skew:x"]


def test_a_value_that_one_side_does_not_know_differs():
    found = compare_features(ROWS.with_columns(kind=pl.Series(["a", "b", "b"])), ROWS)

    assert found[1].different == 1 and found[1].largest is None


def test_nothing_compared_is_no_verdict():
    found = judge_skew([], why_not="no rows")

    assert found[0].outcome is Outcome.INCONCLUSIVE and found[0].reason == "no rows"
