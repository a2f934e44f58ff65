import pandera.polars as pa
import polars as pl
import polars.selectors as cs
import pytest
from tests.gitrain.serving.contracts import contract_of

from gitrain.online.given_rows import GivenRows, RowSchema
from gitrain.serving import row_rules
from gitrain.serving.row_rules import RowRules

COLUMNS = {"a": pa.Column(pl.Int32), "b": pa.Column(pl.Int32, nullable=True), "text": pa.Column(pl.String)}
CONTRACT = contract_of(COLUMNS, row_rules={"b is more": pl.col("b") > pl.col("a"), "a is odd": pl.col("a") % 2 == 1})


def rows(*pairs, text="") -> GivenRows:
    return GivenRows([{"a": a, "b": b, "text": text} for a, b in pairs], RowSchema(CONTRACT.dtypes))


def is_computed(rules, given) -> bool:
    rules.broken(given)
    return "frame" in vars(given)


def test_values_that_kept_the_rules_are_not_computed_again():
    rules = RowRules(CONTRACT)

    assert is_computed(rules, rows((1, 2), (3, None)))
    assert not is_computed(rules, rows((3, None), (1, 2), (1, 2)))
    # Each rule by itself: 1 and 3 are odd, but of 1 and 5 nobody knows whether the second is more.
    assert is_computed(rules, rows((1, 5)))
    assert rules.names == ("b is more", "a is odd")


def test_what_breaks_a_rule_is_refused_however_often_it_is_asked():
    rules = RowRules(CONTRACT)

    for _ in range(3):
        found = rules.broken(rows((1, 2), (2, 1), (3, 3), (1, 2)))
        assert {index: [problem.reason for problem in told] for index, told in found.items()} == {
            1: ["must keep the rule: b is more", "must keep the rule: a is odd"],
            2: ["must keep the rule: b is more"],
        }
        assert found[1][0].value == "a = 2, b = 1"


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(row_rules, "_MOST_REMEMBERED", 10)
    short = RowRules(contract_of(COLUMNS, row_rules={"some text": pl.col("text") != ""}))

    for number in range(50):
        assert is_computed(short, rows((1, 2), text=str(number)))
    assert not is_computed(short, rows((1, 2), text="49"))
    assert is_computed(short, rows((1, 2), text="0"))
    for _ in range(2):
        assert is_computed(short, rows((1, 2), text="x" * 100))


@pytest.mark.parametrize(
    "rule", [pl.lit(True), pl.col("x") > 0, pl.col("x") + pl.col("a") > 0], ids=["literal", "float", "float and int"]
)
def test_what_python_cannot_tell_apart_is_computed_each_time(rule):
    contract = contract_of({"x": pa.Column(pl.Float64), "a": pa.Column(pl.Int32)}, row_rules={"rule": rule})
    rules = RowRules(contract)

    for _ in range(2):
        assert is_computed(rules, GivenRows([{"x": 0.5, "a": 1}], RowSchema(contract.dtypes)))


def test_a_rule_that_fails_for_one_row_is_told_of_that_row_alone():
    contract = contract_of({"text": pa.Column(pl.String)}, row_rules={"even": pl.col("text").str.to_integer() % 2 == 0})
    rules = RowRules(contract)

    for _ in range(2):
        given = GivenRows([{"text": text} for text in ("2", "one", "3")], RowSchema(contract.dtypes))
        found = rules.broken(given)
        assert set(found) == {1, 2}
        assert found[1][0].reason.startswith("cannot be judged by the contract's rules")
        assert found[2][0].reason == "must keep the rule: even"


@pytest.mark.parametrize("others", [pl.exclude("a"), pl.col("^b$"), pl.nth(1), cs.integer() - cs.by_name("a")], ids=str)
def test_a_rule_that_reads_columns_without_their_names_remembers_nothing(others):
    contract = contract_of(
        {"a": pa.Column(pl.Int32), "b": pa.Column(pl.Int32)},
        row_rules={"b is more": pl.col("a") < pl.max_horizontal(others)},
    )
    rules = RowRules(contract)
    schema = RowSchema(contract.dtypes)

    assert not rules.broken(GivenRows([{"a": 1, "b": 2}], schema))
    assert set(rules.broken(GivenRows([{"a": 1, "b": 0}], schema))) == {0}
