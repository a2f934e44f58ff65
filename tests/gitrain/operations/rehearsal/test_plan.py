from types import SimpleNamespace
from typing import Any

import pytest

from gitrain.data.batches import Months
from gitrain.errors import UsageError
from gitrain.operations.rehearsal.plan import STEPS, plan_rehearsal
from gitrain.operations.rehearsal.rehearse import FUNCTIONS

PROJECT: Any = SimpleNamespace(name="parcels", batches=Months())


def params(first, through, holdout_batches=1) -> Any:
    return SimpleNamespace(
        data=SimpleNamespace(first=first, through=through),
        evaluation=SimpleNamespace(holdout_batches=holdout_batches),
    )


def plan(through="2013-09", exists=lambda path: True, **options):
    return plan_rehearsal(PROJECT, params("2013-01", through), exists=exists, **options)


def test_the_champion_knows_half_of_the_data_and_the_challenger_one_batch_more():
    found = plan()

    assert (found.champion, found.challenger) == ("2013-05", "2013-06")
    assert [step.name for step in found.steps] == [
        "forge", "champion", "release", "test", "preprod", "production", "users",
        "challenger", "report", "merge", "canary", "leak", "slow", "rollback",
    ]  # fmt: skip
    assert "through 2013-05" in found.steps[1].proves
    assert not any(step.lacks for step in found.steps)


def test_every_step_that_is_planned_can_be_taken():
    assert set(FUNCTIONS) == {name for name, _, _ in STEPS}


@pytest.mark.parametrize(
    ("through", "batches"), [("2013-03", ("2013-02", "2013-03")), ("2013-04", ("2013-02", "2013-03"))]
)
def test_a_champion_has_something_to_train_on(through, batches):
    found = plan(through)
    assert (found.champion, found.challenger) == batches


def test_two_holdouts_and_something_to_train_on_are_needed():
    with pytest.raises(UsageError, match="2 batches are too few"):
        plan("2013-02")


def test_a_rehearsal_ends_where_it_is_told_to():
    assert [step.name for step in plan(until="release").steps] == ["forge", "champion", "release"]
    with pytest.raises(UsageError, match="no step 'ship'") as error:
        plan(until="ship")
    assert "forge, champion, release" in error.value.fix


def test_without_a_bentofile_there_is_no_release_and_the_steps_say_so():
    found = plan(exists=lambda path: path != "bentofile.yaml")

    taken = [step.name for step in found.steps if not step.lacks]
    assert taken == ["forge", "champion", "challenger", "report", "leak"]
    assert all("no bentofile.yaml" in step.lacks for step in found.steps if step.name not in taken)
    assert found.has("leak")
    assert not found.has("slow")
