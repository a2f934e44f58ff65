"""monitor.yml on a log of predictions, against a fake GitHub. A minute or two."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from tests.gitrain.monitored_parcels import Month, write_log
from tests.workflows.conftest import Forge, Run, with_remote, with_workflows

from gitrain.wiring.repository import open_repository

pytestmark = [pytest.mark.slow, pytest.mark.repository]


class Watched:
    """A project whose environment `test` has logged a month."""

    def __init__(self, forge: Forge, work: Path) -> None:
        self.forge = forge
        self.state = work / "state"
        self.textfiles = work / "textfiles"
        self.runs = 0
        features = open_repository(str(forge.project)).project.features
        self._month = Month.of(forge.project, features)

    def log(self, *, worse: bool) -> None:
        """What the service answered; `worse` says late of what comes in time, and the other way round."""
        month = self._month.with_scores(1 - self._month.scores) if worse else self._month
        write_log(self.state / "environments/test/predictions", month)

    def look(self, *arguments: str) -> Run:
        self.runs += 1
        variables = {"GITRAIN_STATE": str(self.state), "GITRAIN_TEXTFILES": str(self.textfiles)}
        given = [word for name, value in variables.items() for word in ("--var", f"{name}={value}")]
        chosen = ("--input", "environment=test", "--run-id", str(self.runs))
        return self.forge.run("workflow_dispatch", "monitor.yml", "--head", "main", *chosen, *given, *arguments)

    def issues(self) -> list[tuple[int, str]]:
        listed = self.forge.state().get("issues", [])
        return [(each["number"], each["state"]) for each in listed]

    def events(self) -> list[dict[str, object]]:
        return list(self.forge.state().get("dispatches", []))


@pytest.fixture(scope="module")
def watched(harness: Path, parcels: Path, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    work = tmp_path_factory.mktemp("watched")
    project = work / "project"
    shutil.copytree(parcels, project, symlinks=True)
    with_workflows(project)
    with (project / ".gitignore").open("a", encoding="utf-8") as ignored:
        ignored.write(".venv\n")
    (project / "environments").mkdir(exist_ok=True)
    (project / "environments/test.yaml").write_text("schema_version: 1\nfollows: main\n", encoding="utf-8")
    for part in ("forge", "textfiles"):
        (work / part).mkdir()
    with_remote(project, work / "storage")
    forge = Forge(harness=harness, project=project, work=work / "forge")
    forge.git("branch", "-M", "main")
    forge.git("add", "--all")
    forge.git("commit", "-q", "-m", "Environments")
    return Watched(forge, work)


def test_one_issue_is_opened_kept_and_closed(watched: Watched) -> None:
    watched.log(worse=False)
    good = watched.look()
    assert good.code == 0, good.log[-8000:]
    assert (watched.issues(), watched.events()) == ([], [])
    assert {file.name for file in (good.artifacts / "monitoring").iterdir()} == {
        "monitoring.html",
        "monitoring.json",
        "monitoring.md",
    }
    gauges = (watched.textfiles / "gitrain-test.prom").read_text(encoding="utf-8")
    assert 'environment="test"' in gauges

    watched.log(worse=True)
    bad = [watched.look() for _ in range(3)]
    # It judged, and told whom it concerns: that is no failure.
    assert [run.code for run in bad] == [0, 0, 0], bad[-1].log[-8000:]
    ((number, state),) = watched.issues()
    assert state == "open"
    (issue,) = watched.forge.state()["issues"]
    assert issue["title"] == "Monitoring of test failed"
    assert "performance:log" in issue["body"]
    # The newest look is the one that is linked.
    assert f"/actions/runs/{watched.runs})" in issue["body"]
    events = watched.events()
    assert len(events) == 3
    for run, event in zip((2, 3, 4), events, strict=True):
        content = (bad[0].artifacts.parent / str(run) / "monitoring/monitoring.json").read_bytes()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert event["event_type"] == "gitrain-retrain"
        assert event["client_payload"] == {"environment": "test", "digest": digest, "run": str(run)}
        assert json.loads(content)["outcome"] == "FAILED"

    watched.log(worse=False)
    assert watched.look().code == 0
    assert watched.issues() == [(number, "closed")]
    again = watched.look()
    assert again.code == 0
    assert again.wrote() == []
    assert watched.issues() == [(number, "closed")]
    assert len(watched.events()) == 3


def test_what_cannot_be_judged_fails_and_tells_nobody(watched: Watched) -> None:
    before = watched.issues(), watched.events()
    # The name of an environment that is not there, as a schedule gives it to a project without production.
    run = watched.look("--input", "environment=production")
    assert run.code != 0
    assert "no environment 'production'" in run.log or "production.yaml" in run.log
    assert (watched.issues(), watched.events()) == before
