"""The catalogue of checks: named by group, each seen to fail, and documented as it is."""

import re
from pathlib import Path

import pytest

from gitrain.operations.check_groups import GROUPS
from tools.check_table import checks_page, defects_of_tests, without_defect

pytestmark = pytest.mark.repository

ROOT = Path(__file__).resolve().parents[3]
DEFINITIONS = [definition for group in GROUPS.values() for definition in group.definitions]


@pytest.fixture(scope="module")
def defects() -> dict[str, list[str]]:
    return defects_of_tests(ROOT)


def test_every_check_has_been_seen_to_fail(defects):
    assert without_defect(defects) == []


def test_every_seeded_defect_is_of_a_check(defects):
    assert set(defects) <= {definition.name for definition in DEFINITIONS}


def test_the_page_is_current(defects):
    assert (ROOT / "docs" / "checks.md").read_text() == checks_page(defects), "run `python -m tools.check_table`"


def test_a_check_without_a_defect_is_noticed(defects):
    name = DEFINITIONS[0].name
    assert name in without_defect({**defects, name: []})


def test_names_are_unique_and_say_what_they_catch():
    names = [definition.name for definition in DEFINITIONS]
    assert len(set(names)) == len(names)
    for definition in DEFINITIONS:
        assert re.fullmatch(r"[a-z]+(:[a-z-]+)*(:[A-Z]+)?", definition.name)
        assert definition.catches
        assert "\n" not in definition.catches


@pytest.mark.parametrize("group", GROUPS.values(), ids=list(GROUPS))
def test_a_group_holds_its_own_checks(group):
    assert {definition.group for definition in group.definitions} == {group.name}
    assert {definition.name.partition(":")[0] for definition in group.definitions} == {group.name}
