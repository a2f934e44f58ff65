import itertools
from types import SimpleNamespace
from typing import Any

import pytest

from gitrain.data.batches import Months
from gitrain.errors import IntegrationError, UsageError
from gitrain.operations.rehearse import carry_out, plan_rehearsal
from gitrain.pipeline.rehearsal import Step
from gitrain.pipeline.shell import CommandResult

PROJECT: Any = SimpleNamespace(batches=Months())


def params(first, through, holdout_batches=1) -> Any:
    return SimpleNamespace(
        data=SimpleNamespace(first=first, through=through),
        evaluation=SimpleNamespace(holdout_batches=holdout_batches),
    )


class Recorder:
    """A shell that runs nothing and answers what it is told to."""

    def __init__(self, exit_codes=()):
        self.exit_codes = dict(exit_codes)
        self.commands = []

    def run(self, command, *, capture):
        self.commands.append((tuple(command), capture))
        return CommandResult(exit_code=self.exit_codes.get(tuple(command), 0), stdout="{}" if capture else "")


def test_the_champion_knows_the_first_half_of_the_data():
    champion, challenger, steps = plan_rehearsal(PROJECT, params("2013-01", "2013-08"), source="here")

    assert (champion, challenger) == ("2013-04", "2013-08")
    assert [step.name for step in steps] == ["clone", "champion", "challenger", "features", "gates", "record"]
    assert ("gitrain", "data", "advance", "--to", "2013-04") in steps[1].commands
    assert ("gitrain", "data", "advance", "--to", "2013-08") in steps[2].commands


def test_a_champion_has_something_to_train_on():
    assert plan_rehearsal(PROJECT, params("2013-01", "2013-03"), source="here")[0] == "2013-02"
    with pytest.raises(UsageError, match="2 batches are too few"):
        plan_rehearsal(PROJECT, params("2013-01", "2013-02"), source="here")


def test_commands_run_in_order_and_only_verdicts_may_fail():
    steps = (
        Step(name="one", why="first", commands=(("git", "a"), ("gitrain", "b"))),
        Step(name="two", why="then", commands=(("gitrain", "judge"),), verdict=True),
    )
    shell, lines = Recorder({("gitrain", "judge"): 1}), []

    one, two = carry_out(steps, shell, progress=lines.append, clock=itertools.count().__next__)

    assert shell.commands == [(("git", "a"), False), (("gitrain", "b"), True), (("gitrain", "judge"), True)]
    assert (one.outcome, two.outcome, one.seconds) == ("PASSED", "FAILED", 1)
    assert lines == ["── 1/2 one: first", "$ git a", "$ gitrain b", "── 2/2 two: then", "$ gitrain judge"]


@pytest.mark.parametrize(
    ("step", "exit_code"),
    [
        (Step(name="one", why="x", commands=(("git", "a"),)), 1),
        (Step(name="one", why="x", commands=(("gitrain", "judge"),), verdict=True), 3),
        (Step(name="one", why="x", commands=(("git", "a"), ("gitrain", "judge")), verdict=True), 2),
    ],
)
def test_what_is_broken_ends_the_rehearsal(step, exit_code):
    shell = Recorder({command: exit_code for command in step.commands})

    with pytest.raises(IntegrationError, match=f"ended with exit code {exit_code} in step 'one'"):
        carry_out((step,), shell, progress=lambda line: None, clock=itertools.count().__next__)
