import polars as pl

from gitrain.monitoring.skew import compare_features, judge_skew
from gitrain.verdicts import Outcome

DAYS = pl.Series(["b", "a", "b"], dtype=pl.Enum(["a", "b", "c"]))
ROWS = pl.DataFrame({"x": [1.0, None, float("nan")], "kind": ["a", None, "b"]})


def test_equal_to_the_last_bit_or_not():
    equal = compare_features(ROWS, ROWS.with_columns(x=pl.Series([1.0, None, None])), DAYS)
    off = compare_features(ROWS.with_columns(x=pl.Series([1.0 + 2**-52, None, None])), ROWS, DAYS)

    assert [each.different for each in equal] == [0, 0], "NaN and null are both not known"
    assert off[0].different == 1 and off[0].largest == 2**-52
    assert judge_skew(equal, why_not="")[0].outcome is Outcome.PASSED
    assert [each.name for each in judge_skew(off, why_not="")] == ["skew:x"]


def test_a_value_that_one_side_does_not_know_differs():
    found = compare_features(ROWS.with_columns(kind=pl.Series(["a", "b", "b"])), ROWS, DAYS)

    assert found[1].different == 1 and found[1].largest is None
    assert (found[1].days, found[1].wrong) == (2, ("a",))


def test_the_days_are_told():
    found = compare_features(ROWS.with_columns(x=pl.Series([2.0, 3.0, None])), ROWS, DAYS)

    (verdict,) = judge_skew(found, days="a to b", why_not="")
    assert verdict.reason.startswith("66.7% of 3 rows of a to b are not what training computes, by 1 at most; ")
    assert verdict.reason.endswith("they are of 2 of 2 days, a to b")
    (equal,) = judge_skew(compare_features(ROWS, ROWS, DAYS), days="a to b", why_not="")
    assert "3 rows of a to b are what training computes" in equal.reason


def test_nothing_compared_is_no_verdict():
    found = judge_skew([], why_not="no rows")

    assert found[0].outcome is Outcome.INCONCLUSIVE and found[0].reason == "no rows"
