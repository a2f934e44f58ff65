"""retrain.yml on a project whose sources have new months, against a fake GitHub. Some minutes."""

import hashlib
import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.gitrain.monitored_parcels import Month, write_log
from tests.workflows.conftest import SLUG, Forge, Run, with_remote, with_workflows

from gitrain.wiring.repository import open_repository

pytestmark = [pytest.mark.slow, pytest.mark.repository]

# Of all that a candidate can be asked the shortest. Two months more are not shown to make it better, which is not what
# is tried here; `gates` is the last section of the project's file.
_POLICY = """\
  waivers:
    - {{gate: champion, reason: what is tried is the workflow, expires: "{expires:%Y-%m-%d}"}}
retraining: {{checks: [data]}}
"""


class Retrained:
    """A project with two months that its model does not know."""

    def __init__(self, forge: Forge) -> None:
        self.forge = forge
        self.runs = 0

    def run(self, event: str, *arguments: str) -> Run:
        self.runs += 1
        return self.forge.run(event, "retrain.yml", "--head", "main", "--run-id", str(self.runs), *arguments)

    def dispatched(self, digest: str, run: str) -> Run:
        payload = self.forge.work / "payload.json"
        told = {"environment": "test", "digest": digest, "run": run}
        payload.write_text(json.dumps({"client_payload": told}), encoding="utf-8")
        return self.run("repository_dispatch", "--event-type", "gitrain-retrain", "--payload", str(payload))

    def report(self, of_run: str) -> str:
        """Leave the artifact of a run of monitor.yml that found the model worse; its digest."""
        project = self.forge.project
        month = Month.of(project, open_repository(str(project)).project.features)
        write_log(project / ".gitrain/predictions", month.with_scores(1 - month.scores))
        folder = self.forge.work / "artifacts" / of_run / "monitoring"
        folder.mkdir(parents=True)
        file = folder / "monitoring.json"
        command = [sys.executable, "-m", "gitrain", "monitor", "run", "--environment", "test", "--out", str(file)]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        assert done.returncode == 1, done.stderr
        return f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"

    def pulls(self) -> list[tuple[str, str, str]]:
        return [(each["head"]["ref"], each["title"], each["state"]) for each in self.forge.state().get("pulls", [])]

    def complete(self) -> None:
        """Say of which repository the branches are: GitHub does, and the fake leaves it out."""
        pulls = self.forge.state()["pulls"]
        self.forge.alter(pulls=[{**pull, "head": {**pull["head"], "repo": {"full_name": SLUG}}} for pull in pulls])

    def remote(self, *arguments: str) -> str:
        bare = self.forge.work / "git" / f"{SLUG}.git"
        return subprocess.run(["git", *arguments], cwd=bare, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def retrained(harness: Path, parcels: Path, tmp_path_factory: pytest.TempPathFactory) -> Retrained:
    work = tmp_path_factory.mktemp("retrained")
    project = work / "project"
    shutil.copytree(parcels, project, symlinks=True)
    with_workflows(project)
    policy = _POLICY.format(expires=datetime.now(UTC) + timedelta(days=30))
    for name, text in ((".gitignore", ".venv\n"), ("params.yaml", policy)):
        with (project / name).open("a", encoding="utf-8") as stream:
            stream.write(text)
    (project / "environments").mkdir(exist_ok=True)
    (project / "environments/test.yaml").write_text("schema_version: 1\nfollows: main\n", encoding="utf-8")
    (work / "forge").mkdir()
    with_remote(project, work / "storage")
    forge = Forge(harness=harness, project=project, work=work / "forge")
    forge.git("branch", "-M", "main")
    forge.git("add", "--all")
    forge.git("commit", "-q", "-m", "Retraining")
    return Retrained(forge)


def test_many_triggers_make_one_pull_request(retrained: Retrained, tmp_path: Path) -> None:
    app = ("--var", "GITRAIN_APP_CLIENT_ID=Iv1.0123", "--secret", "GITRAIN_APP_PRIVATE_KEY=key")
    first = retrained.run("schedule", *app)
    assert first.code == 0, first.log[-8000:]
    ((branch, title, state),) = retrained.pulls()
    assert (title, state) == ("Retrain on data through 2024-06", "open")
    assert branch.startswith("retrain/")
    assert "A retraining is proposed" in first.summary
    assert "no GitHub App" not in first.summary
    commit = retrained.remote("rev-parse", branch)
    (pull,) = retrained.forge.state()["pulls"]
    assert "new-data: 2024-05, 2024-06 are there" in pull["body"]
    changed = set(retrained.remote("diff", "--name-only", "main", branch).splitlines())
    assert {"dvc.lock", "params.yaml", "models/model.json"} <= changed
    assert not [path for path in changed if path.startswith((".dvc/", ".gitrain/", ".github/"))]

    retrained.complete()
    digest = retrained.report("900")
    marker = tmp_path / "run"
    reason = f'"; touch {marker} $(touch {marker}) `touch {marker}`=--monitoring'
    others = [
        retrained.dispatched(digest, "900"),
        retrained.dispatched(digest, "900"),
        retrained.run("schedule"),
        retrained.run("workflow_dispatch", "--input", f"reason={reason}"),
    ]
    assert [run.code for run in others] == [0] * 4, others[-1].log[-8000:]
    assert all("### WAIT, open" in run.summary for run in others), [run.summary for run in others]
    # What monitoring found is evidence, and nothing of it is a command.
    assert "performance: performance:log" in others[0].summary
    assert not marker.exists()
    assert retrained.pulls() == [(branch, title, "open")]
    assert retrained.remote("rev-parse", branch) == commit
    records = retrained.remote("ls-tree", "-r", "--name-only", "retraining").splitlines()
    assert len(records) == 2, "a beginning and an end"
    assert not retrained.forge.state().get("issues")
    # Nobody told the others of an app.
    assert "GITRAIN_APP_CLIENT_ID" in others[0].summary


def test_a_report_that_was_not_announced_is_no_evidence(retrained: Retrained) -> None:
    before = retrained.pulls()
    folder = retrained.forge.work / "artifacts/901/monitoring"
    folder.mkdir(parents=True)
    (folder / "monitoring.json").write_text("{}", encoding="utf-8")
    run = retrained.dispatched(f"sha256:{'0' * 64}", "901")
    assert run.code != 0
    assert "not the one that was announced" in run.log
    assert retrained.pulls() == before
