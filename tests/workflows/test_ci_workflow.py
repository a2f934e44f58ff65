"""ci.yml and train.yml on the small project: what runs for which change, and what decides. Some minutes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.workflows.conftest import SLUG, Forge, Run

JUDGED = {"quality (Python 3.11)", "data", "train", "checks", "gates"}
# One Python is enough to see the jobs; the matrix is GitHub's.
ONE_PYTHON = ("--matrix", "python:3.11")


def _ci(forge: Forge, *arguments: str) -> Run:
    return forge.run("pull_request", "ci.yml", *arguments, act=ONE_PYTHON)


def _results(run: Run) -> dict[str, bool]:
    """Job to whether all of its steps succeeded; jobs that were left out are not in it."""
    found: dict[str, bool] = {}
    for step, result in run.steps.items():
        job = step.split(":")[0].strip().removeprefix("CI/").removeprefix("Train/").strip()
        found[job] = found.get(job, True) and result == "success"
    return found


def _commit(forge: Forge, path: str, text: str) -> None:
    file = forge.project / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    forge.git("add", "--all")
    forge.git("commit", "-q", "-m", path)


def _parameter(forge: Forge) -> None:
    text = (forge.project / "params.yaml").read_text(encoding="utf-8")
    assert "trees: 60" in text
    _commit(forge, "params.yaml", text.replace("trees: 60", "trees: 80"))


def _report(run: Run) -> str:
    return (run.artifacts / "pull-request-report" / "report.md").read_text(encoding="utf-8")


def test_documentation_moves_no_data_and_retrains_nothing(forge: Forge) -> None:
    _commit(forge, "docs/notes.md", "# Notes\n")
    run = _ci(forge)
    assert run.code == 0, run.output
    assert _results(run) == dict.fromkeys(("plan", "documentation", "report", "required"), True)
    assert not any("actions/data" in step for step in run.steps)
    assert "Running stage" not in run.log
    assert _report(run).startswith("## Documentation only")
    # It is of the form that is posted.
    posted = forge.report()
    assert posted.code == 0, posted.output
    (comment,) = forge.comments()
    assert comment["body"].startswith("## Documentation only")


def test_environments_alone_are_judged_and_train_nothing(forge: Forge) -> None:
    _commit(forge, "environments/test.yaml", "schema_version: 1\nfollows: main\n")
    run = _ci(forge)
    assert run.code == 0, run.output
    jobs = ("plan", "documentation", "environments", "report", "required")
    assert _results(run) == dict.fromkeys(jobs, True)
    assert "Running stage" not in run.log
    assert _report(run).startswith("## Environments only")
    assert "test:order" in _report(run)
    posted = forge.report()
    assert posted.code == 0, posted.output
    (comment,) = forge.comments()
    assert comment["body"].startswith("## Environments only")

    wanted = f"schema_version: 1\npromotes_from: test\nrelease: 9.9.9\ndigest: sha256:{'a' * 64}\n"
    _commit(forge, "environments/preprod.yaml", wanted)
    refused = _ci(forge, "--run-id", "2")
    assert refused.code != 0
    results = _results(refused)
    assert (results["environments"], results["required"]) == (False, False)
    assert "preprod:release" in refused.summary


def test_a_sound_change_passes_everything_from_a_fork_as_well(forge: Forge) -> None:
    """A fork has a read-only token and no secrets; its report is posted by the workflow that has one."""
    _commit(forge, "notes.txt", "no documentation\n")
    run = _ci(forge, "--fork")
    assert run.code == 0, run.output
    assert _results(run) == dict.fromkeys((*JUDGED, "plan", "report", "required"), True)
    assert run.wrote() == []
    assert _report(run).startswith("## ✅ tumours: PASSED")
    # The first job that needs an output makes it, and the others take it from the cache.
    ran = re.findall(r"Running stage '(\w+)'", run.log)
    assert sorted(ran) == sorted(("ingest", "validate", "features", "train", "evaluate", "export"))
    posted = forge.report(pull_requests=[], head_repository={"full_name": "someone/fork"})
    assert posted.wrote() == [("POST", f"/repos/{SLUG}/issues/1/comments", 201)]
    (comment,) = forge.comments()
    assert comment["body"].startswith("## ✅ tumours: PASSED")


def test_a_stale_lock_fails_with_the_commands_that_mend_it(forge: Forge) -> None:
    _parameter(forge)
    run = _ci(forge)
    assert run.code != 0
    results = _results(run)
    assert (results["data"], results["required"]) == (False, False)
    # What was skipped is no success.
    assert {"train", "checks", "gates"}.isdisjoint(results)
    for job in ("checks", "data", "gates", "train"):
        assert f"::error::{job}:" in run.output
    assert "dvc repro" in run.summary
    assert "lock:params" in _report(run)
    assert "FAILED" in _report(run) or "ERROR" in _report(run)


def test_hostile_names_are_text(forge: Forge, tmp_path: Path) -> None:
    branch = 'x";touch${IFS}pwned;$(touch${IFS}pwned)'
    forge.git("checkout", "-q", "-b", branch)
    _commit(forge, "docs/$(touch pwned)`touch pwned`<img src=x>.md", "# $(touch pwned)\n")
    event = tmp_path / "event.json"
    title = '"; touch pwned; $(touch pwned) <img src=x onerror=alert(1)> ${{ github.token }}'
    pull = {
        "number": 1,
        "title": title,
        "labels": [],
        "head": {"ref": branch, "sha": forge.git("rev-parse", "HEAD"), "repo": {"full_name": SLUG}},
        "base": {"ref": "main", "sha": forge.git("rev-parse", "main"), "repo": {"full_name": SLUG}},
    }
    event.write_text(json.dumps({"pull_request": pull}), encoding="utf-8")
    run = _ci(forge, "--payload", str(event))
    assert run.code == 0, run.output
    forge.alter(pulls=[{**forge.state()["pulls"][0], "title": title}])
    posted = forge.report(head_branch=branch, head_sha=forge.git("rev-parse", "HEAD"))
    assert posted.code == 0, posted.output
    assert not list(forge.work.rglob("pwned"))
    assert all("<img" not in comment["body"] for comment in forge.comments())


def _label(forge: Forge, tmp_path: Path, *arguments: str, label: str = "train", fork: bool = False) -> Run:
    head, base = forge.git("rev-parse", "change"), forge.git("rev-parse", "main")
    home = {"full_name": SLUG}
    event = {
        "action": "labeled",
        "label": {"name": label},
        "pull_request": {
            "number": 1,
            "labels": [{"name": label}],
            "head": {"ref": "change", "sha": head, "repo": {"full_name": "someone/fork"} if fork else home},
            "base": {"ref": "main", "sha": base, "repo": home},
        },
    }
    payload = tmp_path / "labeled.json"
    payload.write_text(json.dumps(event), encoding="utf-8")
    return forge.run("pull_request", "train.yml", "--payload", str(payload), *arguments)


def _pushed(forge: Forge, revision: str) -> str:
    bare = forge.work / "git" / f"{SLUG}.git"
    done = subprocess.run(["git", "show", revision], cwd=bare, check=True, capture_output=True, text=True)
    return done.stdout


def test_the_label_trains_and_the_bot_pushes_the_lock(forge: Forge, tmp_path: Path) -> None:
    _parameter(forge)
    # The pipeline's code writes a file that is none of the pipeline's: it is not taken.
    sources = forge.project / "tumours.py"
    text = sources.read_text(encoding="utf-8")
    _commit(forge, "tumours.py", text + "\nfrom pathlib import Path\nPath('smuggled.txt').write_text('x')\n")
    run = _label(forge, tmp_path, "--secret", "GITRAIN_BOT_TOKEN=ghp_bot")
    assert run.code == 0, run.output
    files = subprocess.run(
        ["git", "diff", "--name-only", "change~1", "change"],
        cwd=forge.work / "git" / f"{SLUG}.git",
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert "dvc.lock" in files
    assert "smuggled.txt" not in files
    assert all(file.split("/")[0] in {"dvc.lock", "models", "reports", "data"} for file in files)

    # What was pushed is what a person would have committed.
    path = f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        ["dvc", "repro", "-q"], cwd=forge.project, check=True, capture_output=True, env={**os.environ, "PATH": path}
    )
    assert _pushed(forge, "change:dvc.lock") == (forge.project / "dvc.lock").read_text(encoding="utf-8")


@pytest.mark.parametrize(("fork", "said"), [(False, "GITRAIN_BOT_TOKEN is missing"), (True, "branch of a fork")])
def test_what_is_missing_for_training_is_said(forge: Forge, tmp_path: Path, fork: bool, said: str) -> None:
    arguments = ["--secret", "GITRAIN_BOT_TOKEN=ghp_bot"] if fork else []
    run = _label(forge, tmp_path, *arguments, fork=fork)
    assert run.code != 0
    assert said in run.summary
    assert run.wrote() == []
    assert not _results(run).get("train", False)


def test_other_labels_do_nothing(forge: Forge, tmp_path: Path) -> None:
    run = _label(forge, tmp_path, "--secret", "GITRAIN_BOT_TOKEN=ghp_bot", label="bug")
    assert run.code == 0
    assert run.steps == {}
