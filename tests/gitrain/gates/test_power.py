"""The published figures of the champion gate: kept in one place, quoted in another, and good enough."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.repository

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "benchmarks" / "results"


def promotions() -> list[dict]:
    found: list[dict] = json.loads((RESULTS / "champion_gate.json").read_text(encoding="utf-8"))["promotions"]
    return found


def test_the_documented_tables_are_those_of_the_results():
    tables = [line for line in (RESULTS / "champion_gate.md").read_text(encoding="utf-8").splitlines() if "|" in line]
    documented = (ROOT / "docs" / "gates.md").read_text(encoding="utf-8").split("<!-- ")
    (quoted,) = [part for part in documented if part.startswith("the tables of benchmarks")]
    assert [line for line in quoted.splitlines() if "|" in line] == tables


def test_at_most_one_in_twenty_equal_pairs_is_promoted_and_rows_would_promote_far_more():
    equal = [row for row in promotions() if row["gain"] == 0]
    assert {(row["months"], row["drawn"]) for row in equal} == {(1, "day"), (1, "row"), (2, "day"), (2, "row")}
    for row in equal:
        assert row["pairs"] >= 200
        assert (row["share"] <= 0.05) == (row["drawn"] == "day")
        if row["drawn"] == "row":
            assert row["low"] > 0.2


def test_power_grows_with_the_gain_and_with_a_second_month():
    shares = {(row["rule"], row["months"], row["gain"]): row["share"] for row in promotions() if row["drawn"] == "day"}
    for rule in {rule for rule, _, _ in shares}:
        for months in (1, 2):
            curve = [shares[rule, months, gain] for gain in (0.0, 0.005, 0.01, 0.02, 0.03, 0.04)]
            assert curve == sorted(curve)
        assert all(shares[rule, 2, gain] >= shares[rule, 1, gain] for gain in (0.005, 0.01, 0.02, 0.03, 0.04))
