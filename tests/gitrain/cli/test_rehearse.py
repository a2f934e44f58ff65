"""`gitrain rehearse`: what it says before it begins, how it ends, and the whole of it on a project of parcels."""

import io
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

import gitrain
from gitrain.cli import rehearse as module
from gitrain.cli.main import main
from gitrain.integrations.local_process import processes_with
from gitrain.operations.rehearsal.plan import STEPS
from gitrain.pipeline.rehearsal import Rehearsal, Requests, Step, StepResult
from gitrain.verdicts import Outcome


def run(root, *arguments):
    return main(["-C", str(root), "rehearse", *arguments])


@pytest.fixture
def ended(monkeypatch):
    """Nothing is started; whether it would have been ended."""
    calls = []
    monkeypatch.setattr(module, "end_rehearsal", lambda folder, environments: calls.append(list(environments)))
    return calls


def carried_out(monkeypatch, do, outcome=Outcome.PASSED):
    def carry_out(tools, plan):
        do(tools)
        step = Step(name="forge", proves="It is there.")
        return Rehearsal(
            project=plan.project.name,
            champion_batch=plan.champion,
            challenger_batch=plan.challenger,
            results=(StepResult(step=step, outcome=outcome, seconds=1.0),),
            requests=Requests(),
        )

    monkeypatch.setattr(module, "carry_out", carry_out)


def test_the_steps_are_listed_and_nothing_is_done(parcels, capsys):
    assert run(parcels, "--steps") == 0
    out = capsys.readouterr().out
    assert all(f"| {name} |" in out for name, _, _ in STEPS)
    assert run(parcels, "--steps", "--until", "champion", "--json") == 0
    assert [step["name"] for step in json.loads(capsys.readouterr().out)] == ["forge", "champion"]
    assert not (parcels / ".demo").exists()


def test_a_step_that_does_not_exist_is_told(parcels, capsys):
    assert run(parcels, "--until", "ship") == 2
    assert "there is no step 'ship'" in capsys.readouterr().err


def test_without_a_terminal_nobody_approves(parcels, tmp_path, monkeypatch, capsys, ended):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    carried_out(monkeypatch, lambda tools: tools.approve("production is to run release 0.1.0"))
    assert run(parcels, "--folder", str(tmp_path / "demo")) == 2
    said = capsys.readouterr().err
    assert "nobody is here to approve: production is to run release 0.1.0" in said
    assert "--approve" in said
    assert ended == [["test", "preprod", "production"]]


@pytest.mark.parametrize(
    ("arguments", "typed", "approver"),
    [((), "Ada Lovelace\n", "Ada Lovelace"), (("--approve",), "", "--approve: nobody was asked")],
)
def test_who_approves_is_who_says_so(parcels, tmp_path, monkeypatch, capsys, ended, arguments, typed, approver):
    terminal, names = io.StringIO(typed), []
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    carried_out(monkeypatch, lambda tools: names.append(tools.approve("production is to run 0.1.0")))
    assert run(parcels, *arguments, "--folder", str(tmp_path / "demo")) == 0
    assert names == [approver]
    assert ("Approve?" in capsys.readouterr().err) == (not arguments)


def test_an_empty_name_refuses(parcels, tmp_path, monkeypatch, capsys, ended):
    terminal = io.StringIO("\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    carried_out(monkeypatch, lambda tools: tools.approve("production is to run 0.1.0"))
    assert run(parcels, "--folder", str(tmp_path / "demo")) == 2
    assert "not approved" in capsys.readouterr().err


def test_an_interrupt_ends_what_was_started_also_with_keep(parcels, tmp_path, monkeypatch, ended):
    def interrupt(tools):
        raise KeyboardInterrupt

    carried_out(monkeypatch, interrupt)
    assert run(parcels, "--keep", "--folder", str(tmp_path / "demo")) == 130
    assert len(ended) == 1


def test_who_is_told_to_end_ends_what_was_started(parcels, tmp_path, monkeypatch, ended):
    carried_out(monkeypatch, lambda tools: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    assert run(parcels, "--folder", str(tmp_path / "demo")) == 130
    assert len(ended) == 1
    assert signal.getsignal(signal.SIGTERM) == before


def test_keep_leaves_it_running_and_says_how_to_end_it(parcels, tmp_path, monkeypatch, capsys, ended):
    carried_out(monkeypatch, lambda tools: None)
    folder = tmp_path / "demo"
    assert run(parcels, "--keep", "--folder", str(folder)) == 0
    assert ended == []
    assert f"gitrain -C {folder}/repository deploy stop test" in capsys.readouterr().out
    assert (folder / "report.md").read_text().startswith("# ✅ parcels: the loop holds")


def test_a_loop_that_does_not_hold_keeps_nothing(parcels, tmp_path, monkeypatch, capsys, ended):
    carried_out(monkeypatch, lambda tools: None, Outcome.FAILED)
    assert run(parcels, "--keep", "--folder", str(tmp_path / "demo")) == 1
    assert ended == [["test", "preprod", "production"]]
    assert "deploy stop" not in capsys.readouterr().out


@pytest.fixture
def repository(parcels_copy):
    """The parcels with what a release needs."""
    root = parcels_copy
    shutil.copytree(Path(gitrain.__file__).parent, root / "src/gitrain", ignore=shutil.ignore_patterns("__pycache__"))
    for arguments in (("add", "--all"), ("commit", "-q", "-m", "With Gitrain")):
        subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True)
    return root


@pytest.mark.slow
def test_the_whole_loop_on_parcels(repository, tmp_path, capfd):
    folder = tmp_path / "demo"
    before = subprocess.run(["git", "status", "--porcelain"], cwd=repository, capture_output=True, check=True).stdout

    code = run(repository, "--approve", "--json", "--folder", str(folder))

    out, progress = capfd.readouterr()
    log = (folder / "log.txt").read_text(errors="replace")[-6000:]
    assert code == 0, progress + log
    found = json.loads(out)
    assert [step["name"] for step in found["steps"]] == [name for name, _, _ in STEPS]
    assert {step["outcome"] for step in found["steps"]} == {"PASSED"}
    assert found["requests"]["failed"] == 0
    assert found["requests"]["total"] > 1000
    said = {step["name"]: " ".join(step["said"]) for step in found["steps"]}
    assert "leak-alarm" in said["leak"]
    assert "canary:slow" in said["slow"]
    assert "0.1.0" in said["rollback"]
    assert "nobody was asked" in said["production"]

    # The checkout is as it was, and nothing runs any more.
    after = subprocess.run(["git", "status", "--porcelain"], cwd=repository, capture_output=True, check=True).stdout
    assert after == before
    assert processes_with("REHEARSAL_FOLDER", str(folder)) == []
    assert (folder / "report.md").exists()
    log = subprocess.run(
        ["git", "log", "--format=%s", "main"], cwd=folder / "forge.git", capture_output=True, text=True, check=True
    )
    assert "Roll production back to parcels 0.1.0" in log.stdout
    assert "Merge branch 'leak'" not in log.stdout
