"""A project with releases and environments, a fake GitHub for it, and what its workflows start on this machine."""

import http.client
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from tests.workflows.approvals import Approvals
from tests.workflows.conftest import SLUG, Forge, Run, with_workflows

from gitrain.integrations.free_ports import free_port

__all__ = ["MERGED_AT", "Site", "made_site"]

MERGED_AT = "2026-03-02T09:00:00Z"

# How quick the services are is not what is tried here, and the machine may be busy.
_RUNTIME = {"start_seconds": 120, "load_seconds": 60, "stop_seconds": 30}
_PROBES = {
    "required": ["smoke"],
    "contract": {"requests": 60},
    "load": {"rate": 5, "seconds": 2, "limits": {"p50_ms": 5000}},
}


class Site:
    """A project, the fake GitHub that has it, and three environments of this machine.

    Attributes:
        forge: the project and the fake.
        approvals: what GitHub says of rules, reviews and who let a job start; change it as you like.
    """

    def __init__(self, forge: Forge, work: Path) -> None:
        self.forge = forge
        self.approvals = Approvals()
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
        self.file(name).write_text(text, encoding="utf-8")

    def file(self, name: str) -> Path:
        return self.forge.project / "environments" / f"{name}.yaml"

    def change(self, name: str, message: str, **keys: Any) -> None:
        """Commit a change of an environment's file."""
        content = yaml.safe_load(self.file(name).read_text(encoding="utf-8")) | keys
        self.file(name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        self.commit(message)

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
        self.change(name, f"Promote {release[0]} to {name}", release=release[0], digest=release[1])

    def review(self, number: int, login: str, state: str = "APPROVED") -> None:
        """Somebody reviews what a pull request is at now."""
        head = self.remote("rev-parse", self.pull(number)["head"]["ref"])
        self.approvals.reviews.setdefault(number, []).append(
            {"user": {"login": login}, "state": state, "commit_id": head}
        )

    def merge(self, number: int, *, instead: Callable[[str], str] | None = None) -> str:
        """Somebody merges a pull request into `main`; the commit.

        Args:
            number: of the pull request.
            instead: makes something else of production's file in the merge itself.
        """
        pull = self.pull(number)
        branch = pull["head"]["ref"]
        self.forge.git("fetch", "-q", str(self.bare), branch)
        self.forge.git("merge", "-q", "--no-ff", "--no-commit", "FETCH_HEAD")
        if instead is not None:
            file = self.file("production")
            file.write_text(instead(file.read_text(encoding="utf-8")), encoding="utf-8")
        self.commit(f"Merge pull request #{number} from acme/{branch}")
        merged = self.forge.git("rev-parse", "HEAD")
        head = {**pull["head"], "sha": self.forge.git("rev-parse", "HEAD^2")}
        self._alter_pull(number, state="closed", merged=True, merged_at=MERGED_AT, head=head)
        self.approvals.brought[merged] = number
        return merged

    def pull(self, number: int) -> dict[str, Any]:
        return next(pull for pull in self.forge.state()["pulls"] if pull["number"] == number)

    def pulls(self) -> list[tuple[int, str, str]]:
        return [(pull["number"], pull["head"]["ref"], pull["title"]) for pull in self.forge.state().get("pulls", [])]

    def number_of(self, branch: str) -> int:
        """The newest pull request of a branch."""
        return max(number for number, each, _ in self.pulls() if each == branch)

    def _alter_pull(self, number: int, **changes: Any) -> None:
        pulls = [pull | changes if pull["number"] == number else pull for pull in self.forge.state()["pulls"]]
        self.forge.alter(pulls=pulls)

    def push(self, workflow: str, *arguments: str) -> Run:
        """Run a workflow as GitHub does when `main` has moved on from what GitHub knows."""
        before = self.remote("rev-parse", "--verify", "main") if self._has_bare() else "0" * 40
        moved = {"before": before, "after": self.forge.git("rev-parse", "main"), "ref": "refs/heads/main"}
        return self.run("push", workflow, "--payload", self._payload(moved), *arguments)

    def again(self, workflow: str, merged: str) -> Run:
        """Run a workflow again of the push of a merge."""
        moved = {"before": self.forge.git("rev-parse", f"{merged}^1"), "after": merged, "ref": "refs/heads/main"}
        return self.run("push", workflow, "--payload", self._payload(moved))

    def _payload(self, content: Mapping[str, Any]) -> str:
        file = self.forge.work / "payload.json"
        file.write_text(json.dumps(content), encoding="utf-8")
        return str(file)

    def run(self, event: str, workflow: str, *arguments: str, act: tuple[str, ...] = ()) -> Run:
        self.runs += 1
        variables = {
            "GITRAIN_ONLINE_STORE": self.online,
            "GITRAIN_RELEASE_STORE": str(self.store),
            "GITRAIN_STATE": str(self.state),
        }
        given = [word for name, value in variables.items() for word in ("--var", f"{name}={value}")]
        for answer in self.approvals.answers(self.forge.state().get("pulls", []), self.runs, self._remote_text):
            given += ["--fault", json.dumps(answer)]
        given += ["--head", "main", "--run-id", str(self.runs), *arguments]
        return self.forge.run(event, workflow, *given, act=act)

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

    def _has_bare(self) -> bool:
        return self.bare.is_dir()

    @property
    def bare(self) -> Path:
        """What stands for GitHub's repository."""
        return self.forge.work / "git" / f"{SLUG}.git"

    def remote(self, *arguments: str) -> str:
        """Git in what stands for GitHub's repository."""
        return self._remote_text(*arguments).strip()

    def _remote_text(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.bare, check=True, capture_output=True, text=True)
        return done.stdout

    def records(self, environment: str) -> list[dict[str, Any]]:
        listed = self.remote("for-each-ref", "refs/heads/deployments")
        if not listed:
            return []
        names = self.remote("ls-tree", "-r", "--name-only", "deployments", f"{environment}/").splitlines()
        return [json.loads(self.remote("show", f"deployments:{name}")) for name in names]

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


def made_site(harness: Path, parcels: Path, work: Path) -> Site:
    """The parcels with this repository's workflows and environments on `main`, and no release. End it."""
    project = work / "project"
    shutil.copytree(parcels, project, symlinks=True)
    with_workflows(project)
    with (project / "requirements.lock").open("a", encoding="utf-8") as locked:
        locked.write(f"gitrain==0.1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    with (project / ".gitignore").open("a", encoding="utf-8") as ignored:
        ignored.write(".venv\n")
    (work / "forge").mkdir()
    (work / "forge" / "state.json").write_text(json.dumps({"repos": {SLUG: {}}}), encoding="utf-8")
    site = Site(Forge(harness=harness, project=project, work=work / "forge"), work)
    site.forge.git("branch", "-M", "main")
    site.begin()
    return site
