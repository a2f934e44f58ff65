"""A rehearsal without a repository: commands are answered from a table, and users are counted by hand."""

import itertools
import json
from concurrent.futures import Future
from datetime import date
from types import SimpleNamespace
from typing import Any

from gitrain.integrations.files import LocalWorkspace
from gitrain.operations.rehearsal.plan import STEPS, RehearsalPlan
from gitrain.operations.rehearsal.scene import RehearsalTools, Scene
from gitrain.pipeline.rehearsal import Requests, Step
from gitrain.pipeline.shell import CommandResult

DIGEST = "sha256:" + "0" * 64


class Answers:
    """A shell that runs nothing: the longest beginning of a command that the table knows decides the answer."""

    def __init__(self, table=None):
        self.table = {tuple(key.split()): value for key, value in (table or {}).items()}
        self.commands = []

    def run(self, command, *, capture):
        self.commands.append(" ".join(command))
        known = [key for key in self.table if tuple(command[: len(key)]) == key]
        code, said = self.table[max(known, key=len)] if known else (0, "")
        return CommandResult(exit_code=code, stdout=said if isinstance(said, str) else json.dumps(said))


class Users:
    def __init__(self, requests=None):
        self.requests, self.started, self.stopped = requests or Requests(), None, 0

    def start(self, url, bodies, rate):
        self.started = (url, bodies, rate)

    def so_far(self):
        return self.requests

    def stop(self):
        self.stopped += 1
        return self.requests


class Approver:
    """Ada, who approves all of it and remembers what she was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, sentence):
        self.asked.append(sentence)
        return "Ada"


def at_once(work):
    future: Future = Future()
    future.set_result(work())
    return future


def make_scene(folder, answers=None, *, users=None, approve=lambda sentence: "Ada", lines=None, **plan):
    """A scene in a folder; `plan` may say which steps there are."""
    shell = answers if isinstance(answers, Answers) else Answers(answers)
    clock = itertools.count()
    features = SimpleNamespace(histories=(), entity=SimpleNamespace(table="parcels"))
    project: Any = SimpleNamespace(name="parcels", features=features, metrics=())
    tools = RehearsalTools(
        source="/source",
        reference="parcels:PROJECT",
        service="service:Parcels",
        commands=lambda name: shell,
        files=lambda name: LocalWorkspace(folder / name),
        prepare=lambda name: None,
        share=lambda mine, other: None,
        traffic=users or Users(),
        approve=approve,
        ports=lambda number: list(range(8001, 8001 + number)),
        beside=at_once,
        today=lambda: date(2026, 1, 1),
        clock=lambda: float(next(clock)),
        progress=(lines if lines is not None else []).append,
    )
    names = plan.get("steps", [name for name, _, _ in STEPS])
    made = RehearsalPlan(
        project=project,
        champion="2024-02",
        challenger="2024-03",
        steps=tuple(Step(name=name, proves=f"{name} proves it.") for name in names),
    )
    scene = Scene(tools=tools, plan=made)
    scene.ports = {"test": 8001, "preprod": 8002, "production": 8003}
    return scene, shell


def applied(version, ending, *, reason="all is well", steps=(), revert=None):
    """What `deploy apply --json` prints."""
    record = {
        "ending": ending,
        "steps": [{"name": name, "seconds": 1.5, "verdicts": list(verdicts)} for name, verdicts in steps],
    }
    return {
        "outcome": "PASSED" if ending == "SUCCEEDED" else "FAILED",
        "reason": reason,
        "release": {"version": version, "digest": DIGEST},
        "record": record,
        "revert": revert,
    }
