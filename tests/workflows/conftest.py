"""A small project with this repository's workflows, and the harness that runs them against a fake GitHub.

ACTIONS_HARNESS names the harness's folder; act, node and what else it asks for have to be there. Without it the tests
that need it are skipped.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SLUG = "acme/project"
BOT = "github-actions[bot]"

_MAKEFILE = """\
VENV := .venv
env:
\t@ln -sfn {environment} $(VENV)
check test:
\t@echo "$@ $(ONLY)"
"""


# The signing service cannot be reached from here, nor can an app be installed.
_STAND_INS = {
    "actions+attest": """\
name: Attest
description: stands in for the signing service, which cannot be reached from here
inputs:
  subject-name: {description: name}
  subject-digest: {description: digest}
  sbom-path: {description: SBOM}
runs:
  using: composite
  steps:
    - shell: bash
      run: |
        echo "attested $NAME $DIGEST $(jq -r .bomFormat "$SBOM")" >> "$GITHUB_STEP_SUMMARY"
      env:
        NAME: ${{ inputs.subject-name }}
        DIGEST: ${{ inputs.subject-digest }}
        SBOM: ${{ inputs.sbom-path }}
""",
    "actions+create-github-app-token": """\
name: Create GitHub App Token
description: stands in for an app that is installed
inputs:
  client-id: {description: of the app, required: true}
  private-key: {description: of the app, required: true}
outputs:
  token:
    description: the token
    value: ghs_of-the-app
runs:
  using: composite
  steps:
    - shell: bash
      run: test -n "$KEY"
      env:
        KEY: ${{ inputs.private-key }}
""",
}


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run of a workflow left behind."""

    code: int
    output: str
    steps: Mapping[str, str]
    requests: Sequence[Mapping[str, Any]]
    summary: str
    log: str
    artifacts: Path

    def wrote(self) -> list[tuple[str, str, int]]:
        """Method, path and status of the requests that would have changed something on GitHub."""
        return [
            (each["method"], each["path"], each["status"])
            for each in self.requests
            if each["method"] not in ("GET", "HEAD")
            and not each["path"].startswith("/_fake")
            and not each["path"].endswith("git-upload-pack")
            and "telemetry" not in each["host"]
        ]


@dataclass(frozen=True, kw_only=True)
class Forge:
    """A project and the fake GitHub that its workflows are run against."""

    harness: Path
    project: Path
    work: Path

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.project, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def run(self, event: str, workflow: str, *arguments: str, act: Sequence[str] = ()) -> Run:
        """Run a workflow; what it posts stays for the next run."""
        run_id = next((arguments[i + 1] for i, word in enumerate(arguments) if word == "--run-id"), "1")
        # Each of these decides what git does: the runner's shell has none of them.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        environment["ACTIONS_LOCAL"] = str(_stand_ins(self.work / "stand-ins"))
        command = [self.harness / "run-workflow", event, "--quiet", "--repo", self.project, "--work", self.work]
        command += [*arguments, "--", "-W", f".github/workflows/{workflow}", *act]
        done = subprocess.run(
            [str(word) for word in command], env=environment, capture_output=True, text=True, check=False, timeout=900
        )
        assert (self.work / "summary.md").exists(), done.stdout + done.stderr
        log = [json.loads(line) for line in _lines(self.work / "act.jsonl")]
        steps = {
            f"{entry.get('job', '')}: {entry.get('step', '')}": str(entry["stepResult"])
            for entry in log
            if entry.get("stepResult")
        }
        return Run(
            code=done.returncode,
            output=done.stdout + done.stderr,
            steps=steps,
            requests=[json.loads(line) for line in _lines(self.work / "requests.jsonl")],
            summary=(self.work / "summary.md").read_text(encoding="utf-8"),
            log="\n".join(str(entry.get("msg", "")).rstrip() for entry in log),
            artifacts=self.work / "artifacts" / run_id,
        )

    def report(self, *arguments: str, of_run: str = "1", run_id: str = "100", **changes: Any) -> Run:
        """Run report.yml as GitHub does when the CI run `of_run` has ended."""
        workflow_run = {
            "id": int(of_run),
            "event": "pull_request",
            "conclusion": "success",
            "head_branch": "change",
            "head_sha": self.git("rev-parse", "change"),
            "head_repository": {"full_name": SLUG},
            "pull_requests": [{"number": 1}],
            **changes,
        }
        payload = self.work / "payload.json"
        payload.write_text(json.dumps({"action": "completed", "workflow_run": workflow_run}), encoding="utf-8")
        return self.run(
            "workflow_run",
            "report.yml",
            "--payload",
            str(payload),
            "--run-id",
            run_id,
            "--var",
            "GITRAIN_COMMENT_PAUSE=0.01",
            *arguments,
        )

    def state(self) -> dict[str, Any]:
        """What the fake GitHub holds of the project."""
        held: dict[str, Any] = json.loads((self.work / "state.json").read_text(encoding="utf-8"))
        return dict(held["repos"][SLUG])

    def comments(self) -> list[dict[str, Any]]:
        return list(self.state()["comments"])

    def alter(self, **changes: Any) -> None:
        """Change what the fake GitHub holds before the next run."""
        file = self.work / "state.json"
        held = json.loads(file.read_text(encoding="utf-8"))
        held["repos"][SLUG].update(changes)
        file.write_text(json.dumps(held), encoding="utf-8")

    def leave_report(self, text: str | None, of_run: str = "1") -> None:
        """Put an artifact there as CI would have left it; None leaves none."""
        folder = self.work / "artifacts" / of_run / "pull-request-report"
        shutil.rmtree(folder, ignore_errors=True)
        if text is not None:
            folder.mkdir(parents=True)
            (folder / "report.md").write_text(text, encoding="utf-8")


@pytest.fixture(scope="session")
def harness() -> Path:
    named = os.environ.get("ACTIONS_HARNESS")
    if not named:
        pytest.skip("ACTIONS_HARNESS names no folder with run-workflow: the workflows are not run")
    if shutil.which("act") is None or "CML_DIR" not in os.environ:
        pytest.skip("act or CML_DIR is missing: the workflows are not run")
    return Path(named)


def with_workflows(root: Path, *folders: str) -> Path:
    """Give a project this repository's workflows, and other folders of it.

    Its `make env` takes the environment that the tests run in, which is returned.
    """
    for folder in (".github", ".ci", *folders):
        shutil.copytree(ROOT / folder, root / folder)
    environment = Path(sys.prefix)
    (root / "Makefile").write_text(_MAKEFILE.format(environment=environment), encoding="utf-8")
    return environment


def with_remote(root: Path, folder: Path) -> None:
    """Give a project a DVC remote that has all that its stages have made."""
    for command in (["remote", "add", "--default", "storage", str(folder)], ["push", "--run-cache"]):
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *command], cwd=root, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def small_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The patients' project with this repository's workflows, trained; `change` is where `main` is."""
    root = tmp_path_factory.mktemp("small") / "project"
    shutil.copytree(ROOT / "tests/projects/tumours", root, ignore=shutil.ignore_patterns("data", "models", "reports"))
    environment = with_workflows(root)
    (root / "requirements.lock").write_text("gitrain\n", encoding="utf-8")
    (root / ".gitignore").write_text(".venv\n.gitrain/\n__pycache__/\n", encoding="utf-8")
    (root / "README.md").write_text("# Tumours\n", encoding="utf-8")
    path = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
    for command in (
        ["git", "init", "-q", "-b", "main"],
        ["dvc", "init", "-q"],
        ["dvc", "repro", "-q"],
        ["git", "add", "--all"],
        ["git", "commit", "-q", "-m", "A model"],
        ["git", "checkout", "-q", "-b", "change"],
    ):
        done = subprocess.run(
            command, cwd=root, check=False, capture_output=True, text=True, env={**os.environ, "PATH": path}
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return root


@pytest.fixture
def forge(harness: Path, small_project: Path, tmp_path: Path) -> Forge:
    """A forge of its own for each test, on a clone of the small project."""
    project = tmp_path / "project"
    shutil.copytree(small_project, project, symlinks=True)
    work = tmp_path / "work"
    work.mkdir()
    side = {"label": "", "sha": ""}
    pull = {
        "number": 1,
        "state": "open",
        "title": "A change",
        "labels": [],
        "head": {"ref": "change", **side},
        "base": {"ref": "main", **side},
    }
    (work / "state.json").write_text(json.dumps({"repos": {SLUG: {"pulls": [pull]}}}), encoding="utf-8")
    return Forge(harness=harness, project=project, work=work)


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def _stand_ins(folder: Path) -> Path:
    for name, text in _STAND_INS.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "action.yml").write_text(text, encoding="utf-8")
    return folder
