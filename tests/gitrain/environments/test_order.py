"""The order of environments."""

import pytest

from gitrain.environments.document import Environment
from gitrain.environments.order import judge_order, last_environments
from gitrain.verdicts import Outcome


def environments(**before):
    return {name: Environment(schema_version=1, promotes_from=other) for name, other in before.items()}


def test_one_after_the_other():
    found = environments(test=None, preprod="test", production="preprod")
    verdict = judge_order("production", found)
    assert (verdict.outcome, verdict.reason) == (Outcome.PASSED, "production from preprod from test")
    assert last_environments(found) == ["production"]


@pytest.mark.parametrize(
    "before", [{"production": "preprod"}, {"production": "preprod", "preprod": "production"}, {"production": "gone"}]
)
def test_a_gap_or_a_circle_fails(before):
    assert judge_order("production", environments(**before)).outcome is Outcome.FAILED


def test_several_ends_and_none():
    assert last_environments(environments(test=None, eu="test", us="test")) == ["eu", "us"]
    assert last_environments(environments(test=None)) == []
