"""The scripts of monitor.yml and retrain.yml, with stand-ins for `gitrain` and for GitHub."""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from gitrain.pipeline.params import Params
from gitrain.triggers.record import CONCLUDED

ROOT = Path(__file__).parents[2]
CI = ROOT / ".ci"
DIGEST = f"sha256:{'a' * 64}"
pytestmark = pytest.mark.repository


def _load(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, CI / f"{name}.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


monitoring, retraining = _load("monitor"), _load("retrain")


def _judging(code: int, outcome: str, left_out: str = "") -> Callable[[Sequence[str]], int]:
    """`gitrain monitor run` as it would write its files, but for one."""

    def run(command: Sequence[str]) -> int:
        content = {"--out": json.dumps({"outcome": outcome}), "--markdown": "## Monitoring\n"}
        for flag in {"--out", "--html", "--markdown", "--prometheus"} - {left_out}:
            Path(command[command.index(flag) + 1]).write_text(content.get(flag, "text"), encoding="utf-8")
        return code

    return run


def _look(folder: Path, run: Callable[[Sequence[str]], int]) -> tuple[int, str]:
    outputs, summary = folder / "outputs", folder / "summary"
    given = ["--out", str(folder / "out"), "--outputs", str(outputs), "--summary", str(summary)]
    code = monitoring.main(["run", "production", *given], run=run)
    return code, outputs.read_text(encoding="utf-8") if outputs.exists() else ""


@pytest.mark.parametrize(("code", "outcome"), [(0, "PASSED"), (1, "FAILED"), (4, "INCONCLUSIVE")])
def test_a_verdict_is_no_failure_of_the_run(tmp_path: Path, code: int, outcome: str) -> None:
    found, outputs = _look(tmp_path, _judging(code, outcome))
    content = (tmp_path / "out/monitoring.json").read_bytes()
    assert found == 0
    assert outputs == f"outcome={outcome}\ndigest=sha256:{hashlib.sha256(content).hexdigest()}\n"
    assert (tmp_path / "summary").read_text(encoding="utf-8").startswith("## Monitoring")


@pytest.mark.parametrize(
    ("code", "outcome", "left_out"),
    [
        (2, "PASSED", ""),
        (3, "ERROR", ""),
        (1, "PASSED", ""),
        (0, "FAILED", ""),
        (1, "FAILED", "--html"),
        (-9, "FAILED", ""),
    ],
)
def test_what_was_not_judged_is_no_verdict(tmp_path: Path, code: int, outcome: str, left_out: str) -> None:
    # What an earlier look left there is none of this one.
    assert _look(tmp_path, _judging(1, "FAILED"))[0] == 0
    (tmp_path / "outputs").unlink()
    assert _look(tmp_path, _judging(code, outcome, left_out)) == (1, "")


def test_gauges_go_where_they_are_collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITRAIN_TEXTFILES", str(tmp_path))
    assert _look(tmp_path, _judging(0, "PASSED"))[0] == 0
    assert (tmp_path / "gitrain-production.prom").exists()
    assert not (tmp_path / "out/monitoring.prom").exists()


def test_an_event_holds_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_RUN_ID", "7")
    sent: list[Any] = []
    assert monitoring.main(["dispatch", "production", "--digest", DIGEST], send=sent.append) == 0
    payload = {"environment": "production", "digest": DIGEST, "run": "7"}
    assert sent == [{"event_type": "gitrain-retrain", "client_payload": payload}]
    for environment, digest, run in (("prod\nx", DIGEST, "7"), ("prod", "sha256:$(id)", "7"), ("prod", DIGEST, "7;")):
        monkeypatch.setenv("GITHUB_RUN_ID", run)
        assert monitoring.main(["dispatch", environment, "--digest", digest], send=sent.append) == 1
    assert len(sent) == 1


def test_a_report_is_evidence_if_it_is_the_one_that_was_announced(tmp_path: Path) -> None:
    report = tmp_path / "monitoring.json"
    report.write_text("{}", encoding="utf-8")
    digest = f"sha256:{hashlib.sha256(b'{}').hexdigest()}"
    assert retraining.evidence({"DIGEST": digest}, report) == [f"--monitoring={report}"]
    assert retraining.evidence({"DIGEST": ""}, report) == []
    with pytest.raises(ValueError, match="announced"):
        retraining.evidence({"DIGEST": DIGEST}, report)
    with pytest.raises(OSError, match="No such file"):
        retraining.evidence({"DIGEST": DIGEST}, tmp_path / "nothing.json")
    # One word, whatever it looks like.
    assert retraining.evidence({"REASON": "--json $(id)"}, None) == ["--request=--json $(id)"]


def test_what_others_wrote_stays_inside_code() -> None:
    hostile = "x\n# heading\r::set-output name=a::b <script>"
    plan = {
        "decision": "WAIT",
        "hindrance": "open",
        "sentence": hostile,
        "evidence": [{"reason": "request", "sentence": hostile}],
        "notes": [hostile],
    }
    for told in (
        retraining.told_of_plan(plan),
        retraining.told_of_end({"ending": "REFUSED", "reason": hostile, "url": None}),
    ):
        title, *rest = told.splitlines()
        assert title.startswith("### ")
        assert all(line.startswith("    ") or not line for line in rest)


def test_every_ending_has_words() -> None:
    assert {ending.value for ending in CONCLUDED} <= set(retraining._ENDINGS)


@pytest.mark.parametrize(
    ("code", "printed", "ends"),
    [
        (0, {"plan": {}, "record": {"ending": "PROPOSED", "reason": "so", "url": "u", "commit": "HEAD"}}, 0),
        (1, {"plan": {}, "record": {"ending": "REFUSED", "reason": "so", "url": None, "commit": None}}, 1),
        (3, None, 3),
        (0, None, 3),
    ],
)
def test_retraining_ends_as_its_command_does(
    git_repository: Path, tmp_path: Path, code: int, printed: dict[str, Any] | None, ends: int
) -> None:
    (git_repository / "dvc.lock").write_text("stages: {}\n", encoding="utf-8")
    for command in (["add", "--all"], ["commit", "-q", "-m", "A lock"]):
        subprocess.run(["git", *command], cwd=git_repository, check=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "said").write_text(json.dumps(printed) if printed else "", encoding="utf-8")
    (tmp_path / "bin/gitrain").write_text(f'#!/bin/sh\ncat "{tmp_path}/said"\nexit {code}\n', encoding="utf-8")
    (tmp_path / "bin/gitrain").chmod(0o755)
    outputs = tmp_path / "outputs"
    command = [
        sys.executable,
        str(CI / "retrain.py"),
        "open",
        "--outputs",
        str(outputs),
        "--summary",
        str(tmp_path / "s"),
    ]
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=git_repository, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == ends, done.stdout + done.stderr
    if printed is not None:
        lock = subprocess.run(
            ["git", "rev-parse", "HEAD:dvc.lock"], cwd=git_repository, check=True, capture_output=True, text=True
        ).stdout
        there = printed["record"]["commit"] is not None
        assert outputs.read_text(encoding="utf-8") == (f"lock={lock}" if there else "lock=\n")
    else:
        assert not outputs.exists()


@pytest.mark.parametrize(
    ("verb", "reason", "busy", "waits", "code", "outputs"),
    [
        ("open", "the board wants one", 3, 3, 0, "lock=\n"),
        ("open", "the board wants one", 99, 14, 1, "lock=\n"),
        ("open", "", 99, 0, 0, "lock=\n"),
        # What it needs is brought here while the other one is at work.
        ("plan", "the board wants one", 99, 0, 0, "trains=true\n"),
        ("plan", "the board wants one", 0, 0, 0, "trains=false\n"),
        ("plan", "", 99, 0, 0, "trains=false\n"),
    ],
)
def test_what_a_person_asks_for_waits_for_one_that_is_at_work(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    reason: str,
    busy: int,
    waits: int,
    code: int,
    outputs: str,
) -> None:
    """And a trigger does not: it is asked again tomorrow. It waits once, not in both commands."""
    plan = {"decision": "WAIT", "hindrance": "running", "sentence": "one is at work", "evidence": [], "notes": []}
    for name, hindrance in (("busy", "running"), ("free", "open")):
        said = {**plan, "hindrance": hindrance}
        (tmp_path / name).write_text(json.dumps(said if verb == "plan" else {"plan": said, "record": None}))
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/gitrain"
    counted = f'echo x >> "{tmp_path}/calls"; [ "$(wc -l < "{tmp_path}/calls")" -le {busy} ]'
    program.write_text(f'#!/bin/sh\nif {counted}; then cat "{tmp_path}/busy"; else cat "{tmp_path}/free"; fi\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("REASON", reason)
    paused: list[float] = []
    given = [verb, "--outputs", str(tmp_path / "outputs"), "--summary", str(tmp_path / "summary")]
    assert retraining.main(given, pause=paused.append) == code
    assert paused == [60.0] * waits
    assert ("WAIT, open" if busy < 99 else "WAIT, running") in (tmp_path / "summary").read_text()
    assert (tmp_path / "outputs").read_text() == outputs


@pytest.mark.parametrize(("decision", "trains"), [("RETRAIN", "true"), ("WAIT", "false"), ("NOTHING", "false")])
def test_a_plan_says_whether_it_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decision: str, trains: str
) -> None:
    plan = {"decision": decision, "hindrance": None, "sentence": "so it is", "evidence": [], "notes": []}
    (tmp_path / "said").write_text(json.dumps(plan))
    (tmp_path / "gitrain").write_text(f'#!/bin/sh\ncat "{tmp_path}/said"\n')
    (tmp_path / "gitrain").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    given = ["plan", "--outputs", str(tmp_path / "outputs"), "--summary", str(tmp_path / "summary")]
    assert retraining.main(given) == 0
    assert (tmp_path / "outputs").read_text() == f"trains={trains}\n"


def test_a_run_has_time_to_wait_and_to_train() -> None:
    """One that is killed leaves a record without an end, which holds up others until its time is over."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/retrain.yml").read_text(encoding="utf-8"))
    allowed = Params.model_validate(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")))
    waiting = (retraining._TRIES - 1) * retraining._PAUSE_SECONDS / 60
    needed = waiting + allowed.retraining.longest_minutes
    job = workflow["jobs"]["retrain"]
    assert needed < job["timeout-minutes"] <= needed + 30
    # Where there is nothing to train there may be an issue to close.
    (open_,) = (step for step in job["steps"] if ".ci/retrain.py open" in step.get("run", ""))
    assert "if" not in open_


class Released:
    """A repository with an environment's file and `.ci/released`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / ".ci").mkdir()
        (root / ".ci/monitor.py").write_text("", encoding="utf-8")
        (root / "environments").mkdir()

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.root, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, release: str) -> str:
        (self.root / "environments/test.yaml").write_text(f"schema_version: 1\n{release}\n", encoding="utf-8")
        self.git("add", "--all")
        self.git("commit", "-q", "-m", release)
        return self.git("rev-parse", "HEAD")

    def checked_out(self) -> tuple[str, str]:
        done = subprocess.run([str(CI / "released"), "test"], cwd=self.root, check=True, capture_output=True, text=True)
        return self.git("rev-parse", "HEAD"), done.stdout


@pytest.fixture
def released(git_repository: Path) -> Released:
    return Released(git_repository)


@pytest.mark.parametrize("release", ["release: 1.4.0", 'release: "1.4.0"', "release: '1.4.0'  # the first"])
def test_a_release_is_judged_on_its_own_commit(released: Released, release: str) -> None:
    built = released.commit("release: null")
    released.git("tag", "-a", "parcels@v1.4.0", "-m", "A release")
    released.commit(release)
    head, said = released.checked_out()
    assert head == built
    assert "parcels@v1.4.0" in said


@pytest.mark.parametrize(
    "release", ["release: null", "follows: main", "release: 1.4.1", "release: $(id)", "release: '*'"]
)
def test_without_a_release_that_is_tagged_the_checkout_stays(released: Released, release: str) -> None:
    released.commit("release: 1.3.0")
    released.git("tag", "parcels@v1.4.0")
    present = released.commit(release)
    head, said = released.checked_out()
    assert head == present
    assert ("::warning::" in said) == (release == "release: 1.4.1")


def test_a_release_of_before_its_monitoring_is_judged_on_the_present_commit(released: Released) -> None:
    (released.root / ".ci/monitor.py").unlink()
    released.commit("release: null")
    released.git("tag", "parcels@v1.4.0")
    (released.root / ".ci/monitor.py").write_text("", encoding="utf-8")
    present = released.commit("release: 1.4.0")
    head, said = released.checked_out()
    assert head == present
    assert "older than its monitoring" in said
