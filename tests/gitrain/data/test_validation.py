import math
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pandera.polars as pa
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandera.errors import SchemaErrors
from tests.gitrain.data.stations import READINGS, at, batch_of, readings

from gitrain.data.batches import Months, Numbered
from gitrain.data.contracts import OpenCategory, TableContract
from gitrain.data.validation import Validation, validate
from gitrain.errors import ProjectError
from gitrain.verdicts import Outcome


def judge(frame: pl.DataFrame, contract: TableContract = READINGS, batch: str = "2024-03") -> Validation:
    return validate(frame, contract, table="readings", batch=batch, scheme=Months(), batch_of=batch_of)


def rules(validation: Validation) -> dict[str, str]:
    return {finding.rule: finding.severity for finding in validation.findings}


def test_a_batch_without_a_fault_passes_untouched():
    validation = judge(readings())
    assert validation.outcome is Outcome.PASSED
    assert validation.findings == ()
    assert validation.kept.equals(readings())
    assert validation.quarantined.height == 0
    assert validation.quarantined.columns == [*readings().columns, "reason"]


def test_the_reason_names_every_rule_that_the_row_breaks_and_the_value():
    frame = readings().with_columns(
        temperature=pl.when(pl.int_range(pl.len()) == 4).then(1048.5).otherwise("temperature"),
        dew_point=pl.when(pl.int_range(pl.len()) == 4).then(2000.0).otherwise("dew_point"),
    )
    validation = judge(frame)
    assert validation.outcome is Outcome.PASSED
    assert validation.kept.height == frame.height - 1
    assert validation.quarantined["reason"].to_list() == [
        "temperature = 1048.5 breaks in_range(-60, 60); dew_point = 2000.0 breaks in_range(-80, 60); "
        "temperature = 1048.5, dew_point = 2000.0 breaks no drier than the dew point"
    ]
    assert validation.quarantined.drop("reason").equals(frame[4:5])
    assert rules(validation) == {"in_range": "quarantine", "row_rule:no drier than the dew point": "quarantine"}
    first = validation.findings[0].examples[0]
    assert first.value == "1048.5"
    assert first.row == {"station": "beta", "taken_at": "2024-03-01 06:00:00+00:00"}


def test_columns_come_out_in_the_order_of_the_schema():
    frame = readings()
    validation = judge(frame.select(reversed(frame.columns)))
    assert validation.outcome is Outcome.PASSED
    assert validation.kept.equals(frame)


def test_an_ordered_schema_refuses_another_order():
    schema = pa.DataFrameSchema({"a": pa.Column(pl.Int64), "b": pa.Column(pl.Int64)}, ordered=True)
    frame = pl.DataFrame({"b": [1], "a": [2]})
    contract = TableContract(schema=schema)
    validation = validate(frame, contract, table="t", batch="0001", scheme=Numbered())
    assert rules(validation) == {"column_order": "fail"}


def test_the_event_time_of_another_zone_is_judged_by_its_own_clock():
    eastern = pl.col("taken_at").dt.convert_time_zone("America/New_York")
    contract = replace(READINGS, event_time=eastern)
    # The last row lies in April in UTC, at three in the night, and in March in New York.
    frame = readings().with_columns(pl.col("taken_at").dt.offset_by("9h"))
    assert "future" not in rules(validate(frame, contract, table="r", batch="2024-03", scheme=Months()))
    assert "future" in rules(validate(frame, READINGS, table="r", batch="2024-03", scheme=Months()))


def test_what_pandera_says_of_rows_is_what_goes_to_quarantine():
    number = pl.int_range(pl.len())
    frame = readings().with_columns(
        station=pl.when(number % 40 == 7).then(pl.lit("delta")).otherwise("station"),
        temperature=pl.when(number % 50 == 3).then(99.0).when(number % 50 == 4).then(None).otherwise("temperature"),
        flashes=pl.when(number == 12).then(-1).otherwise("flashes"),
    )
    contract = replace(READINGS, row_rules={}, max_quarantined_share=1.0)
    with pytest.raises(SchemaErrors) as caught:
        READINGS.schema.validate(frame, lazy=True)
    expected = set(caught.value.failure_cases["index"].to_list())
    broken = judge(frame, contract).quarantined.select("station", "taken_at")
    found = frame.with_row_index("row").join(broken, on=["station", "taken_at"])["row"].to_list()
    assert set(found) == expected
    assert len(expected) > 10


def test_checks_of_the_whole_schema_quarantine_rows():
    schema = pa.DataFrameSchema(
        {"a": pa.Column(pl.Int64), "b": pa.Column(pl.Int64)},
        checks=pa.Check(lambda data: data.lazyframe.select(pl.col("a") < pl.col("b")), error="a before b"),
    )
    contract = TableContract(schema=schema, max_quarantined_share=0.5)
    frame = pl.DataFrame({"a": [1, 9, 3], "b": [2, 5, 4]})
    validation = validate(frame, contract, table="t", batch="0001", scheme=Numbered())
    assert validation.quarantined.rows() == [(9, 5, "breaks a before b")]
    assert validation.findings[0].examples[0].value == "a = 9, b = 5"


def test_a_check_that_warns_keeps_the_row():
    schema = pa.DataFrameSchema({"a": pa.Column(pl.Int64, pa.Check.lt(5, raise_warning=True))})
    frame = pl.DataFrame({"a": [1, 7]})
    validation = validate(frame, TableContract(schema=schema), table="t", batch="0001", scheme=Numbered())
    assert validation.outcome is Outcome.PASSED
    assert validation.kept.height == 2
    assert rules(validation) == {"less_than": "warn"}


@pytest.mark.parametrize(
    "check",
    [
        pa.Check.unique_values_eq([1, 2, 3]),
        pa.Check(lambda data: data.lazyframe.select(pl.col(data.key).mean() > 100), name="mean"),
        pa.Check(lambda data: False, name="never"),
    ],
    ids=["built in", "an aggregate", "a plain answer"],
)
def test_a_check_of_the_whole_column_fails_the_batch(check):
    contract = TableContract(schema=pa.DataFrameSchema({"a": pa.Column(pl.Int64, check)}))
    validation = validate(pl.DataFrame({"a": [1, 2]}), contract, table="t", batch="0001", scheme=Numbered())
    assert validation.outcome is Outcome.FAILED
    assert validation.quarantined.height == 0
    assert [finding.columns for finding in validation.findings] == [("a",)]


def test_pandera_s_unique_fails_the_batch():
    schema = pa.DataFrameSchema({"a": pa.Column(pl.Int64, unique=True), "b": pa.Column(pl.Int64)}, unique=["a", "b"])
    contract = TableContract(schema=schema)
    frame = pl.DataFrame({"a": [1, 1, 2], "b": [5, 5, 5]})
    validation = validate(frame, contract, table="t", batch="0001", scheme=Numbered())
    assert [(finding.rule, finding.columns, finding.count) for finding in validation.findings] == [
        ("unique", ("a", "b"), 2),
        ("unique", ("a",), 2),
    ]


def test_infinity_and_nan_stay_where_the_contract_allows_them():
    schema = pa.DataFrameSchema({"a": pa.Column(pl.Float64, nullable=True), "b": pa.Column(pl.Float64)})
    frame = pl.DataFrame({"a": [math.nan, math.inf, 1.0], "b": [math.inf, math.nan, 1.0]})
    strict = TableContract(schema=schema, max_quarantined_share=1.0)
    allowing = replace(strict, non_finite=("a", "b"))
    judged = validate(frame, strict, table="t", batch="0001", scheme=Numbered())
    assert judged.kept.rows() == [(1.0, 1.0)]
    assert judged.quarantined["reason"][0] == "a = NaN breaks finite; b = inf breaks finite"
    judged = validate(frame, allowing, table="t", batch="0001", scheme=Numbered())
    # NaN in a column that is not nullable is a missing value, as it is for pandera.
    assert judged.quarantined["reason"].to_list() == ["b = NaN breaks not null"]


def test_an_optional_column_may_be_absent():
    schema = pa.DataFrameSchema(
        {"a": pa.Column(pl.Int64), "b": pa.Column(pl.Int64, pa.Check.ge(0), nullable=True, required=False)}
    )
    contract = TableContract(schema=schema, row_rules={"b under a": pl.col("b") < pl.col("a")})
    assert validate(pl.DataFrame({"a": [1]}), contract, table="t", batch="0001", scheme=Numbered()).findings == ()


def test_a_column_without_values_is_allowed_by_its_null_share():
    schema = pa.DataFrameSchema({"a": pa.Column(pl.Int64), "b": pa.Column(pl.Int64, nullable=True)})
    frame = pl.DataFrame({"a": [1], "b": [None]}, schema={"a": pl.Int64, "b": pl.Int64})
    refused = validate(frame, TableContract(schema=schema), table="t", batch="0001", scheme=Numbered())
    assert rules(refused) == {"all_null": "fail"}
    contract = TableContract(schema=schema, max_null_share={"b": 1.0})
    assert validate(frame, contract, table="t", batch="0001", scheme=Numbered()).findings == ()


@pytest.mark.parametrize(
    ("nulls", "severity"), [(2, None), (3, "warn"), (4, "warn"), (5, "fail")], ids=["at", "over", "at most", "beyond"]
)
def test_null_shares_warn_and_fail_beyond_their_bounds(nulls, severity):
    schema = pa.DataFrameSchema({"a": pa.Column(pl.Int64, nullable=True)})
    contract = TableContract(schema=schema, warn_null_share={"a": 0.2}, max_null_share={"a": 0.4})
    frame = pl.DataFrame({"a": [None] * nulls + [1] * (10 - nulls)})
    judged = validate(frame, contract, table="t", batch="0001", scheme=Numbered())
    assert rules(judged).get("null_share") == severity
    assert judged.outcome is (Outcome.FAILED if severity == "fail" else Outcome.PASSED)


@pytest.mark.parametrize(("ignore_na", "quarantined"), [(True, 0), (False, 1)])
def test_a_check_decides_whether_null_is_good_enough(ignore_na, quarantined):
    schema = pa.DataFrameSchema({"a": pa.Column(pl.Int64, pa.Check.ge(0, ignore_na=ignore_na), nullable=True)})
    contract = TableContract(schema=schema, max_quarantined_share=1.0)
    judged = validate(pl.DataFrame({"a": [1, None]}), contract, table="t", batch="0001", scheme=Numbered())
    assert judged.quarantined.height == quarantined


def test_rules_of_the_batch_are_judged_on_the_rows_that_are_left():
    # Two rows share a key, and one of them goes to quarantine: what is left has no duplicate.
    frame = pl.concat([readings(), readings()[:1].with_columns(temperature=pl.lit(500.0))])
    validation = judge(frame)
    assert rules(validation) == {"in_range": "quarantine"}
    assert rules(judge(pl.concat([readings(), readings()[:1]]))) == {"duplicate_key": "fail"}


@pytest.mark.parametrize(
    ("share", "severity"), [(0.0, None), (0.02, "warn"), (0.5, "fail")], ids=["none", "few", "many"]
)
def test_unknown_values_of_an_open_category_warn_and_fail_beyond_a_share(share, severity):
    contract = replace(
        READINGS, open_categories={"sky": OpenCategory(known=("clear", "cloudy"), warn_share=0.01, max_share=0.1)}
    )
    number = pl.int_range(pl.len())
    frame = readings().with_columns(sky=pl.when(number < share * pl.len()).then(pl.lit("hail")).otherwise("sky"))
    assert rules(judge(frame, contract)).get("unknown_values") == severity


def test_the_median_is_judged_apart_from_the_mean():
    number = pl.int_range(pl.len())
    # A fifth of the rows in Fahrenheit moves the mean and hardly the median.
    frame = readings().with_columns(
        temperature=pl.when(number % 5 == 0).then(pl.col("temperature") + 35).otherwise("temperature")
    )
    bounds = {"temperature": (15.0, 20.0)}
    contract = replace(READINGS, typical=bounds, typical_median=bounds)
    assert rules(judge(frame, contract)) == {"typical_mean": "fail"}
    shifted = readings().with_columns(pl.col("temperature") + 20)
    assert rules(judge(shifted, contract)) == {"typical_mean": "fail", "typical_median": "fail"}


def test_freshness_fails_a_batch_that_ends_early():
    frame = readings().filter(pl.col("taken_at") < at(25))
    assert rules(judge(frame)) == {"freshness": "fail"}
    assert "2 days" in judge(frame).findings[0].message


@pytest.mark.parametrize("kept", [1, 10_000])
def test_too_few_and_too_many_rows_fail(kept):
    contract = replace(READINGS, max_age=None, rows=(10, 300), typical={})
    assert "rows" in rules(judge(readings().head(kept), contract))


@pytest.mark.parametrize(
    ("rule", "part"),
    [
        (pl.col("temperature") <= pl.col("temperature").mean() + 10, "a mean"),
        (pl.col("flashes").cum_sum() < 600, "a running sum"),
        (pl.col("temperature").mean() > 100, "an aggregate"),
    ],
)
def test_a_row_rule_that_reads_other_rows_is_refused(rule, part):
    frame = readings().with_columns(
        temperature=pl.when(pl.int_range(pl.len()) < 3).then(pl.lit(50.0) - pl.int_range(pl.len())).otherwise(12.0)
    )
    with pytest.raises(ProjectError, match="depends on other rows"):
        judge(frame, replace(READINGS, row_rules={part: rule}))


def test_a_check_that_cannot_be_computed_is_an_error_of_the_project():
    def check(data: object) -> pl.LazyFrame:
        raise RuntimeError("no such service")

    contract = TableContract(schema=pa.DataFrameSchema({"a": pa.Column(pl.Int64, pa.Check(check))}))
    with pytest.raises(ProjectError, match="column 'a' cannot be computed: RuntimeError: no such service"):
        validate(pl.DataFrame({"a": [1]}), contract, table="t", batch="0001", scheme=Numbered())


def test_an_event_time_needs_batches_with_bounds():
    contract = TableContract(schema=pa.DataFrameSchema({"day": pa.Column(pl.Date)}), event_time="day")
    with pytest.raises(ProjectError, match="no bounds in time"):
        validate(pl.DataFrame({"day": [at(1).date()]}), contract, table="t", batch="0001", scheme=Numbered())


def test_nothing_is_judged_by_the_order_in_which_a_set_is_kept():
    column = pa.Column(pl.String, pa.Check.isin({"delta", "alpha", "beta", "gamma"}))
    contract = TableContract(schema=pa.DataFrameSchema({"a": column}), max_quarantined_share=1.0, rows=(0, None))
    validation = validate(pl.DataFrame({"a": ["x"]}), contract, table="t", batch="0001", scheme=Numbered())
    assert validation.quarantined["reason"][0] == "a = x breaks isin('alpha', 'beta', 'delta', 'gamma')"


def test_an_empty_frame_of_the_right_columns_fails_for_its_rows_alone():
    validation = judge(readings().clear())
    assert rules(validation) == {"rows": "fail"}


def test_a_frame_without_columns_fails_for_every_column():
    validation = judge(pl.DataFrame())
    missing = [finding.columns[0] for finding in validation.findings if finding.rule == "missing_column"]
    assert missing == readings().columns


# The laws. Every value below keeps the contract or breaks a rule that `broken_by_hand` knows.
LAW = TableContract(
    schema=pa.DataFrameSchema(
        {
            "id": pa.Column(pl.Int64, pa.Check.ge(0)),
            "low": pa.Column(pl.Float64, pa.Check.in_range(0, 10), nullable=True),
            "high": pa.Column(pl.Float64),
            "kind": pa.Column(pl.String, [pa.Check.isin(["a", "b"]), pa.Check.str_length(1, 1)], nullable=True),
        }
    ),
    key=("id",),
    row_rules={"ordered": pl.col("low") <= pl.col("high")},
    rows=(0, 30),
    max_quarantined_share=0.7,
    max_null_share={"low": 0.6, "kind": 1.0},
    typical={"high": (-50.0, 50.0)},
    open_categories={"kind": OpenCategory(known=("a",), warn_share=0.2)},
)
ROWS = st.lists(
    st.tuples(
        st.integers(-1, 40),
        st.sampled_from([None, 0.0, 5.0, 10.0, -0.5, 11.0, math.nan, math.inf]),
        st.sampled_from([None, 1.0, 7.0, 900.0, -math.inf, math.nan]),
        st.sampled_from([None, "a", "b", "c", "", "ab", "\x00|`<b>@a"]),
    ),
    max_size=25,
)


def frame_of(rows: list[tuple[object, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=LAW.dtypes, orient="row")


def judge_law(frame: pl.DataFrame) -> Validation:
    return validate(frame, LAW, table="t", batch="0001", scheme=Numbered())


def broken_by_hand(row: tuple[int, float | None, float | None, str | None]) -> list[str]:
    number, low, high, kind = row
    found = []
    if high is None:
        found.append("not null")
    if low is not None and not math.isfinite(low):
        found.append("finite")
    if high is not None and not math.isfinite(high):
        found.append("finite")
    if number < 0:
        found.append("greater_than_or_equal_to(0)")
    # NaN is larger than every number in Polars.
    if low is not None and not 0 <= low <= 10:
        found.append("in_range(0, 10)")
    if kind is not None and kind not in ("a", "b"):
        found.append("isin('a', 'b')")
    if kind is not None and len(kind) != 1:
        found.append("str_length(1, 1)")
    if low is not None and high is not None and not math.isnan(high) and (math.isnan(low) or low > high):
        found.append("ordered")
    return found


@given(ROWS)
def test_kept_and_quarantined_rows_are_the_rows_that_came(rows):
    validation = judge_law(frame_of(rows))
    together = [*validation.kept.rows(), *validation.quarantined.drop("reason").rows()]
    assert Counter(map(repr, together)) == Counter(map(repr, frame_of(rows).rows()))
    assert validation.summary.rows == len(rows)
    assert validation.summary.quarantined == validation.quarantined.height


@given(ROWS)
def test_each_row_is_judged_as_by_hand(rows):
    validation = judge_law(frame_of(rows))
    assert all(not broken_by_hand(row) for row in validation.kept.rows())
    for *row, reason in validation.quarantined.rows():
        assert [part.split(" breaks ")[1] for part in reason.split("; ")] == broken_by_hand(tuple(row))


@given(ROWS)
def test_what_was_kept_of_a_batch_that_passed_passes_again(rows):
    validation = judge_law(frame_of(rows))
    again = judge_law(validation.kept)
    assert again.quarantined.height == 0
    assert again.kept.equals(validation.kept)
    if validation.outcome is Outcome.PASSED:
        assert again.outcome is Outcome.PASSED
        assert [finding for finding in again.findings if finding.severity != "warn"] == []


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_no_verdict(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    first, second = judge_law(frame_of(rows)), judge_law(frame_of(shuffled))
    assert first.outcome is second.outcome
    assert [(each.rule, each.severity, each.columns, each.count) for each in first.findings] == [
        (each.rule, each.severity, each.columns, each.count) for each in second.findings
    ]


@given(ROWS)
def test_the_same_batch_gives_the_same_report(rows):
    assert judge_law(frame_of(rows)).summary == judge_law(frame_of(rows)).summary


def test_examples_are_capped_and_shortened():
    frame = readings().with_columns(sky=pl.lit("x" * 5000), temperature=pl.lit(99.0))
    for finding in judge(frame).findings:
        assert len(finding.examples) <= 5
        assert all(len(example.value) <= 110 for example in finding.examples)


def test_max_age_counts_from_the_end_of_the_batch():
    frame = readings()
    newest = frame["taken_at"].max()
    assert newest == at(31, 18)
    fine = replace(READINGS, max_age=timedelta(hours=6))
    late = replace(READINGS, max_age=timedelta(hours=6) - timedelta(microseconds=1))
    assert judge(frame, fine).outcome is Outcome.PASSED
    assert rules(judge(frame, late)) == {"freshness": "fail"}


def test_the_first_moment_of_the_next_batch_is_the_future():
    last = readings()[-1:].with_columns(taken_at=pl.lit(at(1, month=4)).dt.cast_time_unit("us"))
    frame = pl.concat([readings(), last])
    assert rules(judge(frame)) == {"batch": "fail", "future": "fail"}
    before = last.with_columns(pl.col("taken_at").dt.offset_by("-1us"))
    assert judge(pl.concat([readings(), before])).findings == ()
