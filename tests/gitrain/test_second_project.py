"""A project that has nothing in common with flights goes through the whole of the framework, which stays as it is."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gitrain.operations.check_groups import GROUPS
from gitrain.pipeline.lock import Lock

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[1] / "projects" / "tumours"
STAGES = ("ingest", "validate", "features", "train", "evaluate", "export")


def environment() -> dict[str, str]:
    # The commands of the stages are found beside this interpreter.
    return os.environ | {"PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))}


@dataclass(frozen=True)
class Clone:
    """A repository with the project in it, in which commands are run as a person would."""

    root: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", *command] if command[0] in {"dvc", "gitrain"} else list(command)
        return subprocess.run(line, cwd=self.root, env=environment(), capture_output=True, text=True, check=False)

    def succeed(self, *command: str) -> str:
        done = self.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def commit(self, message: str) -> None:
        self.succeed("git", "add", "--all")
        self.succeed("git", "commit", "--quiet", "--message", message)

    def configure(self, before: str, after: str) -> None:
        params = self.root / "params.yaml"
        text = params.read_text()
        assert text.count(before) == 1
        params.write_text(text.replace(before, after))

    @property
    def lock(self) -> str:
        return (self.root / "dvc.lock").read_text()


def ran(output: str) -> list[str]:
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def new_repository(root: Path) -> Clone:
    """The project as somebody would begin with it."""
    clone = Clone(root)
    shutil.copytree(PROJECT, root, ignore=shutil.ignore_patterns("__pycache__"))
    (root / ".gitignore").write_text("__pycache__/\n.gitrain/\nmlflow.db\nmlruns/\n")
    for command in (("git", "init", "-q"), ("dvc", "init", "-q")):
        clone.succeed(*command)
    return clone


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """Two commits with their locks: a model that hardly learns, then the forest."""
    clone = new_repository(tmp_path_factory.mktemp("second") / "tumours")
    clone.configure("estimator: forest", "estimator: logistic_regression")
    clone.configure("logistic_regression: {C: 0.1}", "logistic_regression: {C: 0.00001}")
    assert ran(clone.succeed("dvc", "repro")) == list(STAGES)
    clone.commit("A model that hardly learns")
    clone.configure("estimator: logistic_regression", "estimator: forest")
    # Another estimator on the same data: what comes before the training is not run again.
    assert ran(clone.succeed("dvc", "repro")) == ["train", "evaluate", "export"]
    clone.commit("A forest")
    return clone


def gates(clone: Clone, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = clone.run("gitrain", "gate", "check", "--json", *arguments)
    assert done.stdout, done.stderr
    return done.returncode, {verdict["name"]: verdict for verdict in json.loads(done.stdout)["verdicts"]}


def test_nothing_is_run_again_when_nothing_changed(clone: Clone):
    before = clone.lock
    output = clone.succeed("dvc", "repro")
    assert ran(output) == []
    assert clone.lock == before
    assert Lock.parse(before).disagreements() == []
    assert clone.succeed("git", "status", "--porcelain") == ""


def test_the_forest_beats_the_model_of_the_commit_before(clone: Clone):
    code, verdicts = gates(clone, "--base", "HEAD~1")
    assert {name: verdict["outcome"] for name, verdict in verdicts.items()} == {
        "threshold:roc_auc": "PASSED",
        "threshold:log_loss": "PASSED",
        "leak-alarm:log_loss": "PASSED",
        "slice:grain": "PASSED",
        "champion": "PASSED",
    }
    assert code == 0
    # It was compared, not waved through.
    assert verdicts["champion"]["figures"]


def test_against_its_own_commit_the_model_is_the_champions_own(clone: Clone):
    code, verdicts = gates(clone, "--base", "HEAD")
    assert (code, verdicts["champion"]["outcome"]) == (0, "PASSED")
    assert verdicts["champion"]["reason"] == "the model is the champion's own"


def test_features_are_proved_without_histories(clone: Clone):
    output = json.loads(clone.succeed("gitrain", "features", "verify", "--json"))
    assert {verdict["name"]: verdict["outcome"] for verdict in output["verdicts"]} == {
        "features:future-scrambled": "PASSED",
        "features:brute-force": "PASSED",
        "features:row-by-row": "PASSED",
        "features:incremental": "PASSED",
    }


def test_every_check_passes(clone: Clone):
    report = json.loads(clone.succeed("gitrain", "check", "all", "--base", "HEAD~1", "--json"))
    found = {verdict["name"]: verdict["outcome"] for verdict in report["verdicts"]}
    assert {name: outcome for name, outcome in found.items() if outcome != "PASSED"} == {}
    # This project declares no service.
    groups = [group for name, group in GROUPS.items() if name != "service"]
    definitions = [definition for group in groups for definition in group.definitions]
    # A name in capitals stands for many: one for every output, and one for every behaviour that a project declares.
    assert {each.name for each in definitions if not each.name.rpartition(":")[2].isupper()} <= set(found)
    assert "artifacts:models/model.skops" in found
    # The tree was only read.
    assert clone.succeed("git", "status", "--porcelain") == ""
    assert clone.succeed("dvc", "status", "--json").strip() == "{}"


def test_killed_in_every_stage_the_pipeline_ends_in_the_same_lock(clone: Clone, tmp_path: Path):
    """Nothing is shared with the clone that ran undisturbed: neither its cache nor its memo."""
    again = new_repository(tmp_path / "tumours")
    for stage, first_line in FIRST_LINES.items():
        kill_in(again, stage, first_line, tmp_path / "kills")
    ran_in_the_end = ran(again.succeed("dvc", "repro"))
    assert ran_in_the_end == [STAGES[-1]]
    assert again.lock == clone.lock
    # What a killed process left beside its files is no output.
    assert again.succeed("dvc", "status", "--json").strip() == "{}"


# What a stage says when it has begun its work and not ended it.
FIRST_LINES = {
    "ingest": "ingest: patients 0001",
    "validate": "validate: patients 0001",
    "features": "features 0001",
    "train": "labelled rows of",
    "evaluate": "evaluate: scoring",
    "export": "export: comparing",
}
# What each Python reads that finds it: one that prints the line kills itself, and all that it was started with, there.
KILLS_ITSELF = """\
import os, signal, sys

def watched(write):
    def killing(text):
        written = write(text)
        if os.environ["KILL_AT"] in text:
            os.killpg(os.getpgrp(), signal.SIGKILL)
        return written
    return killing

for stream in (sys.stdout, sys.stderr):
    stream.write = watched(stream.write)
"""


def kill_in(clone: Clone, stage: str, line: str, folder: Path) -> None:
    """Run `dvc repro`, and have it killed with all that it started right after the stage has printed `line`."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(KILLS_ITSELF)
    given = environment()
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=clone.root,
        env=given | {"KILL_AT": line, "PYTHONPATH": os.pathsep.join((str(folder), given.get("PYTHONPATH", "")))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, f"{stage} ended without saying {line!r}:\n{done.stdout}"
    assert stage not in (Lock.parse(clone.lock).stages if (clone.root / "dvc.lock").exists() else {})


def test_the_run_is_recorded(clone: Clone):
    recorded = json.loads(clone.succeed("gitrain", "run", "record", "--json"))
    assert (recorded["project"], recorded["model_version"], recorded["dirty"]) == ("tumours", 1, False)
    listed = json.loads(clone.succeed("gitrain", "run", "list", "--json"))
    assert [run["key"] for run in listed] == [recorded["key"]]
    assert listed[0]["metrics"] == recorded["metrics"]
