"""promote.yml, deploy.yml, propose.yml, rollback.yml and drill.yml on real services, against a fake GitHub.

The fake knows neither rules for branches nor reviews, so production is refused here, as it is where an environment is
bare; an approval that stands is tried in test_scripts.py. Some minutes.
"""

import http.client
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.workflows.conftest import ROOT, SLUG, Forge, Run, in_environment

from gitrain.integrations.free_ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.repository]

# How quick the services are is not what is tried here, and the machine may be busy.
_RUNTIME = {"start_seconds": 120, "load_seconds": 60, "stop_seconds": 30}
_PROBES = {"required": ["smoke"]}


class Site:
    """A project with releases, a fake GitHub, and what runs on this machine."""

    def __init__(self, forge: Forge, work: Path) -> None:
        self.forge = forge
        self.store = work / "store"
        self.state = work / "state"
        self.online = f"sqlite:///{work}/online.sqlite"
        self.ports = {name: free_port() for name in ("test", "preprod", "production")}
        self.runs = 0

    def begin(self) -> None:
        """Environments without a release, on `main`."""
        folder = self.forge.project / "environments"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self._write("test", follows="main")
        self._write("preprod", promotes_from="test", release=None, digest=None)
        self._write("production", promotes_from="preprod", gates={"successful_runs": 2}, release=None, digest=None)
        self.commit("Environments")
        assert self.gitrain("features", "materialize", "--store", self.online).returncode == 0

    def _write(self, name: str, **keys: Any) -> None:
        runtime = {**_RUNTIME, "listen": f"127.0.0.1:{self.ports[name]}"}
        text = yaml.safe_dump({"schema_version": 1, **keys, "runtime": runtime, "probes": _PROBES}, sort_keys=False)
        (self.forge.project / "environments" / f"{name}.yaml").write_text(text, encoding="utf-8")

    def commit(self, message: str) -> None:
        self.forge.git("add", "--all")
        self.forge.git("commit", "-q", "-m", message)

    def release(self) -> tuple[str, str]:
        """Build and publish what `main` is at; version and digest."""
        built = self.gitrain("release", "build", "--json")
        assert built.returncode == 0, built.stdout + built.stderr
        record = json.loads(built.stdout)["record"]
        version = str(record["identity"]["version"])
        published = self.gitrain("release", "publish", version, "--no-register")
        assert published.returncode == 0, published.stdout + published.stderr
        return version, str(record["bundle_digest"])

    def desire(self, name: str, release: tuple[str, str]) -> None:
        """As the merge of a promotion would."""
        path = self.forge.project / "environments" / f"{name}.yaml"
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        content |= {"release": release[0], "digest": release[1]}
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        self.commit(f"Promote {release[0]} to {name}")

    def run(self, event: str, workflow: str, *arguments: str) -> Run:
        self.runs += 1
        variables = {
            "GITRAIN_ONLINE_STORE": self.online,
            "GITRAIN_RELEASE_STORE": str(self.store),
            "GITRAIN_STATE": str(self.state),
        }
        given = [word for name, value in variables.items() for word in ("--var", f"{name}={value}")]
        return self.forge.run(event, workflow, "--head", "main", "--run-id", str(self.runs), *given, *arguments)

    def gitrain(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        variables = {
            "GITRAIN_RELEASE_STORE": str(self.store),
            "GITRAIN_STATE": str(self.state),
            "PYTHONPATH": str(self.forge.project),
        }
        return subprocess.run(
            [sys.executable, "-m", "gitrain", *arguments],
            cwd=self.forge.project,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    def remote(self, *arguments: str) -> str:
        """Git in what stands for GitHub's repository."""
        (bare,) = (self.forge.work / "git").rglob(f"{SLUG.partition('/')[2]}.git")
        done = subprocess.run(["git", *arguments], cwd=bare, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def records(self, environment: str) -> list[dict[str, Any]]:
        listed = self.remote("for-each-ref", "refs/heads/deployments")
        if not listed:
            return []
        names = self.remote("ls-tree", "-r", "--name-only", "deployments", f"{environment}/").splitlines()
        return [json.loads(self.remote("show", f"deployments:{name}")) for name in names]

    def pulls(self) -> list[tuple[int, str, str]]:
        return [(pull["number"], pull["head"]["ref"], pull["title"]) for pull in self.forge.state().get("pulls", [])]

    def serves(self, environment: str) -> str | None:
        """The version that answers where users are; None where nobody does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[environment], timeout=10)
        try:
            connection.request("GET", "/release")
            return str(json.loads(connection.getresponse().read())["version"])
        except OSError:
            return None
        finally:
            connection.close()

    def end(self) -> None:
        for name in self.ports:
            self.gitrain("deploy", "stop", name)


@pytest.fixture(scope="module")
def site(harness: Path, parcels: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One release on `main`; the tests of this module go on from one another."""
    work = tmp_path_factory.mktemp("deployed")
    project = work / "project"
    shutil.copytree(parcels, project, symlinks=True)
    for folder in (".github", ".ci"):
        shutil.copytree(ROOT / folder, project / folder)
    in_environment(project)
    with (project / "requirements.lock").open("a", encoding="utf-8") as locked:
        locked.write(f"gitrain==0.1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    with (project / ".gitignore").open("a", encoding="utf-8") as ignored:
        ignored.write(".venv\n")
    (work / "forge").mkdir()
    site = Site(Forge(harness=harness, project=project, work=work / "forge"), work)
    site.forge.git("branch", "-M", "main")
    site.begin()
    yield site
    site.end()


@pytest.fixture(scope="module")
def first(site: Site) -> tuple[str, str]:
    return site.release()


@pytest.fixture(scope="module")
def qualified(site: Site, first: tuple[str, str]) -> Run:
    """The first release was promoted to preprod, and that was merged."""
    site.desire("preprod", first)
    return site.run("push", "promote.yml")


def test_a_merge_deploys_preprod_as_often_as_production_asks_and_proposes_it(
    site: Site, first: tuple[str, str], qualified: Run
) -> None:
    assert qualified.code == 0, qualified.log[-8000:]
    assert site.serves("preprod") == first[0]
    records = site.records("preprod")
    assert [(each["release"]["version"], each["ending"]) for each in records] == [(first[0], "SUCCEEDED")] * 2
    assert {each["actor"] for each in records} == {"octocat"}
    assert site.records("test") == site.records("production") == []
    assert [(branch, title) for _, branch, title in site.pulls()] == [
        (f"promote/production/{first[0]}", f"Promote parcels {first[0]} to production")
    ]
    changed = site.remote("diff", "--numstat", "main", f"promote/production/{first[0]}")
    assert changed == "2\t2\tenvironments/production.yaml"
    # Nobody told it of an app.
    assert "GITRAIN_APP_CLIENT_ID" in qualified.summary


def test_the_same_again_does_nothing_new(site: Site, qualified: Run) -> None:
    records, pulls = site.records("preprod"), site.pulls()
    again = site.run("push", "promote.yml")
    assert again.code == 0, again.log[-8000:]
    assert (site.records("preprod"), site.pulls()) == (records, pulls)
    assert not any(path.endswith("/pulls") for _, path, _ in again.wrote())


def test_a_bare_production_is_deployed_to_by_nobody(site: Site, first: tuple[str, str], qualified: Run) -> None:
    site.desire("production", first)
    run = site.run("push", "promote.yml")
    assert run.code != 0
    assert "An approval would mean nothing" in run.summary
    assert "production:environment" in run.summary
    assert site.serves("production") is None
    assert site.records("production") == []
    # Its job was not begun: it would have made the environment, bare.
    assert not any("is that still wanted" in step for step in run.steps)


def test_production_gets_nothing_that_preprod_has_not_run(site: Site, qualified: Run) -> None:
    with (site.forge.project / "service.py").open("a", encoding="utf-8") as stream:
        stream.write("# A change of code alone.\n")
    site.commit("A change")
    version, _ = site.release()
    pulls = site.pulls()
    run = site.run(
        "workflow_dispatch", "propose.yml", "--input", "environment=production", "--input", f"release={version}"
    )
    assert run.code != 0
    assert "production:runs" in run.summary
    assert site.pulls() == pulls


def test_a_deployment_of_what_main_no_longer_says_is_void(site: Site, qualified: Run) -> None:
    site.forge.git("checkout", "-q", "-b", "sly")
    path = site.forge.project / "environments/preprod.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("start_seconds: 120", "start_seconds: 110"), encoding="utf-8"
    )
    site.commit("Nobody reviewed that")
    records = site.records("preprod")
    run = site.run("workflow_dispatch", "deploy.yml", "--head", "sly", "--input", "environment=preprod")
    site.forge.git("checkout", "-q", "main")
    assert run.code != 0
    assert "what was approved is void" in run.summary
    assert site.records("preprod") == records


def test_going_back_is_proposed_and_rehearsed(
    site: Site, first: tuple[str, str], qualified: Run, tmp_path: Path
) -> None:
    newest = site.release()
    assert newest != first
    site.desire("preprod", newest)
    assert site.run("push", "promote.yml").code == 0
    assert site.serves("preprod") == newest[0]

    drill = site.run("schedule", "drill.yml")
    assert drill.code == 0, drill.log[-8000:]
    assert "The drill passed" in drill.summary
    measured = json.loads((drill.artifacts / "drill" / "drill.json").read_text(encoding="utf-8"))
    assert (measured["present"], measured["former"], measured["outcome"]) == (newest[0], first[0], "PASSED")
    assert 0 < measured["recovery_seconds"] < 60
    back, again = site.records("preprod")[-2:]
    assert measured["records"] == [back["id"], again["id"]]
    # Who was gone back from comes again as any other: by all its probes, and by the canary.
    assert (back["kind"], again["kind"]) == ("rollback", "deploy")
    assert site.serves("preprod") == newest[0]

    marker = tmp_path / "run"
    reason = f'--merge "; touch {marker} $(touch {marker}) `touch {marker}`='
    given = ("--input", "environment=preprod", "--input", "version=", "--input", f"reason={reason}")
    proposed = site.run("workflow_dispatch", "rollback.yml", *given)
    assert proposed.code == 0, proposed.log[-8000:]
    assert not marker.exists()
    assert (f"rollback/preprod/{first[0]}", f"Roll preprod back to parcels {first[0]}") in [
        (branch, title) for _, branch, title in site.pulls()
    ]
    message = site.remote("log", "-1", "--format=%B", f"rollback/preprod/{first[0]}")
    assert reason in message
    number = len(site.pulls())
    assert site.run("workflow_dispatch", "rollback.yml", *given).code == 0
    assert len(site.pulls()) == number


def test_a_drill_that_cannot_be_held_fails(site: Site, qualified: Run) -> None:
    path = site.forge.project / "environments/preprod.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "suspend: true\n", encoding="utf-8")
    site.commit("A freeze")
    run = site.run("schedule", "drill.yml")
    assert run.code != 0
    assert "The drill failed" in run.summary
