from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace

import pytest
from tests.gitrain.operations.rehearsal.stand_ins import Users, make_scene

from gitrain.errors import IntegrationError, UsageError
from gitrain.operations.rehearsal import refusals
from gitrain.operations.rehearsal import rehearse as module
from gitrain.operations.rehearsal.rehearse import rehearse
from gitrain.operations.rehearsal.scene import Done
from gitrain.pipeline.rehearsal import Requests
from gitrain.verdicts import Outcome


@pytest.fixture
def steps(monkeypatch):
    """The steps do nothing but note that they were taken, save those whose end is given."""
    taken, ends = [], {}

    def function(name):
        def take(scene):
            taken.append(name)
            if isinstance(ends.get(name), Exception):
                raise ends[name]
            return ends.get(name, Done(said=(f"{name} done",)))

        return take

    monkeypatch.setattr(module, "FUNCTIONS", {name: function(name) for name in module.FUNCTIONS})
    monkeypatch.setattr(refusals, "judge_leak", function("judge_leak"))
    return taken, ends


def test_steps_are_taken_in_order_and_the_leak_is_judged_beside(tmp_path, steps):
    lines = []
    users = Users(Requests(total=100, failed=0))
    scene, _ = make_scene(tmp_path, users=users, lines=lines)

    found = rehearse(scene.tools, scene.plan)

    taken, _ = steps
    assert taken == [
        "forge", "champion", "release", "test", "preprod", "production", "users", "challenger", "report",
        "judge_leak", "merge", "canary", "leak", "slow", "rollback",
    ]  # fmt: skip
    assert found.outcome is Outcome.PASSED
    assert found.requests.total == 100
    assert users.stopped == 1
    assert lines[:3] == ["── 1/14 forge: forge proves it.", "   forge done", lines[2]]
    assert lines[2] == "   PASSED, 1.0 s; users so far: 100 requests, 0 failed"


def test_a_step_that_does_not_prove_it_is_the_last(tmp_path, steps):
    taken, ends = steps
    ends["report"] = Done(outcome=Outcome.FAILED, said=("the gates refuse it",))
    scene, _ = make_scene(tmp_path)

    found = rehearse(scene.tools, scene.plan)

    assert taken[-1] == "report"
    assert (found.outcome, found.results[-1].said) == (Outcome.FAILED, ("the gates refuse it",))


def test_one_failed_request_fails_the_rehearsal(tmp_path, steps):
    scene, _ = make_scene(tmp_path, users=Users(Requests(total=9, failed=1)))
    assert rehearse(scene.tools, scene.plan).outcome is Outcome.FAILED


def test_users_leave_whatever_happens(tmp_path, steps):
    _, ends = steps
    ends["canary"] = UsageError("nobody is here to approve", fix="approve.")
    users = Users()
    scene, _ = make_scene(tmp_path, users=users)
    with pytest.raises(UsageError):
        rehearse(scene.tools, scene.plan)
    assert users.stopped == 1


@pytest.mark.parametrize("end", [Done(outcome=Outcome.FAILED, said=("worse",)), UsageError("no", fix="approve.")])
def test_what_is_judged_beside_begins_nothing_once_the_rehearsal_is_over(tmp_path, steps, monkeypatch, end):
    _, ends = steps
    ends["canary"] = end
    scene, shell = make_scene(tmp_path)
    beside = []
    monkeypatch.setattr(refusals, "judge_leak", lambda scene: scene.run("gitrain", "train", folder="review"))

    def begin(work):
        beside.append(work)
        return Future()

    with suppress(UsageError):
        rehearse(replace(scene.tools, beside=begin), scene.plan)
    with pytest.raises(IntegrationError, match=r"`gitrain train` was not begun: the rehearsal is over"):
        beside[0]()
    assert shell.commands == []


def test_what_is_lacking_is_left_out_and_said(tmp_path, steps):
    scene, _ = make_scene(tmp_path, steps=["forge", "slow"])
    forge, slow = scene.plan.steps
    plan = replace(scene.plan, steps=(forge, replace(slow, lacks="there is no bentofile.yaml")))

    found = rehearse(scene.tools, plan)

    assert steps[0] == ["forge"]
    assert found.outcome is Outcome.PASSED
    assert found.results[1].to_json() == {
        "name": "slow",
        "outcome": "LEFT OUT",
        "seconds": 0.0,
        "said": ["there is no bentofile.yaml"],
        "figures": {},
    }
