"""release.yml, run for real against a fake GitHub: a merge to main becomes one release, tagged, and runs in test."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.workflows.conftest import SLUG, Forge, Run, with_workflows

pytestmark = [pytest.mark.slow, pytest.mark.repository]

# Whether the service is quick enough is not what is tried here, and the machine may be busy.
_ENVIRONMENT = """\
schema_version: 1
follows: main
runtime: {start_seconds: 120, load_seconds: 60, stop_seconds: 60, listen: "127.0.0.1:PORT"}
probes:
  required: [smoke]
  contract: {requests: 60}
  load:
    rate: 5
    seconds: 2
    limits: {p50_ms: 5000}
"""


@pytest.fixture(scope="module")
def released_project(harness: Path, parcels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The parcels with this repository's workflows and environments, on `main`."""
    root = tmp_path_factory.mktemp("released") / "project"
    shutil.copytree(parcels, root, symlinks=True)
    with_workflows(root, "environments")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        text = _ENVIRONMENT.replace("PORT", str(found.getsockname()[1]))
    (root / "environments" / "test.yaml").write_text(text, encoding="utf-8")
    with (root / "requirements.lock").open("a", encoding="utf-8") as locked:
        locked.write(f"gitrain==0.1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    with (root / ".gitignore").open("a", encoding="utf-8") as ignored:
        ignored.write(".venv\n")
    for command in (["branch", "-M", "main"], ["add", "--all"], ["commit", "-q", "-m", "Workflows"]):
        subprocess.run(["git", *command], cwd=root, check=True, capture_output=True)
    return root


@pytest.fixture
def forge(harness: Path, released_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forge]:
    project, work = tmp_path / "project", tmp_path / "work"
    shutil.copytree(released_project, project, symlinks=True)
    work.mkdir()
    monkeypatch.setenv("GITRAIN_STATE", str(work / "state"))
    forge = Forge(harness=harness, project=project, work=work)
    yield forge
    gitrain(forge, "deploy", "stop", "test")


def release(forge: Forge, store: Path, *, run_id: str = "1") -> Run:
    variables = {
        "GITRAIN_APP_CLIENT_ID": "Iv23",
        "GITRAIN_ONLINE_STORE": online_store(forge),
        "GITRAIN_RELEASE_STORE": store,
        "GITRAIN_STATE": forge.work / "state",
    }
    given = [word for name, value in variables.items() for word in ("--var", f"{name}={value}")]
    key = ("--secret", "GITRAIN_APP_PRIVATE_KEY=a-private-key")
    return forge.run("push", "release.yml", "--head", "main", "--run-id", run_id, *given, *key)


def online_store(forge: Forge) -> str:
    return f"sqlite:///{forge.work}/online.sqlite"


def git_there(forge: Forge, *arguments: str) -> str:
    """Git in what stands for GitHub's repository."""
    (pushed,) = (forge.work / "git").rglob(f"{SLUG.partition('/')[2]}.git")
    done = subprocess.run(["git", *arguments], cwd=pushed, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def records(forge: Forge) -> dict[str, dict[str, Any]]:
    """The records of deployments that were pushed, by path."""
    if not git_there(forge, "for-each-ref", "refs/heads/deployments"):
        return {}
    names = git_there(forge, "ls-tree", "-r", "--name-only", "deployments").splitlines()
    return {name: json.loads(git_there(forge, "show", f"deployments:{name}")) for name in names}


def tags(forge: Forge) -> dict[str, str]:
    """The tags that were pushed, with the commits that they are on."""
    listed = git_there(forge, "for-each-ref", "--format=%(refname:short) %(*objectname)", "refs/tags")
    return dict(line.split() for line in listed.splitlines())


def gitrain(forge: Forge, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gitrain", *arguments], cwd=forge.project, capture_output=True, text=True, check=False
    )


def test_a_merge_becomes_one_release_and_the_same_merge_no_second_one(forge: Forge, tmp_path: Path) -> None:
    store = tmp_path / "store"
    filled = gitrain(forge, "features", "materialize", "--store", online_store(forge))
    assert filled.returncode == 0, filled.stderr
    first = release(forge, store)
    assert first.code == 0, first.log[-6000:]
    head = forge.git("rev-parse", "main")
    assert tags(forge) == {"parcels@v0.1.0": head}
    assert [path for _, path, _ in first.wrote() if "git-receive-pack" in path], first.wrote()
    record = json.loads((store / "records" / "0.1.0.json").read_text(encoding="utf-8"))
    assert record["identity"]["commit"] == head
    assert f"attested parcels@v0.1.0 {record['bundle_digest']} CycloneDX" in first.summary
    # What was published is what was built, to the last byte.
    verified = gitrain(forge, "release", "verify", "0.1.0", "--store", str(store))
    assert verified.returncode == 0, verified.stdout + verified.stderr

    # It runs in test, and what succeeded there is proposed for preprod: by the app, so that checks start.
    (deployed,) = records(forge).values()
    assert (deployed["environment"], deployed["ending"]) == ("test", "SUCCEEDED")
    assert deployed["release"] == {"version": "0.1.0", "digest": record["bundle_digest"]}
    (pull,) = forge.state()["pulls"]
    assert (pull["head"]["ref"], pull["title"]) == ("promote/preprod/0.1.0", "Promote parcels 0.1.0 to preprod")
    assert git_there(forge, "diff", "--name-only", "main", "promote/preprod/0.1.0") == "environments/preprod.yaml"
    opened = [each for each in first.requests if (each["method"], each["path"]) == ("POST", f"/repos/{SLUG}/pulls")]
    own = {each["token"] for each in first.requests if "actions-checkout" in each["agent"]}
    assert len(opened) == len(own) == 1
    assert opened[0]["token"] not in own

    kept = records(forge), git_there(forge, "rev-parse", "promote/preprod/0.1.0")
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()}
    forge.git("tag", "--annotate", "--message", json.dumps({"record": ""}), "unrelated")
    second = release(forge, store, run_id="2")
    assert second.code == 0, second.log[-6000:]
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()} == before
    assert set(tags(forge)) - {"unrelated"} == {"parcels@v0.1.0"}
    assert (records(forge), git_there(forge, "rev-parse", "promote/preprod/0.1.0")) == kept
    assert [each["number"] for each in forge.state()["pulls"]] == [pull["number"]]


def test_a_merged_promotion_is_no_release(forge: Forge, tmp_path: Path) -> None:
    path = forge.project / "environments/preprod.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "# reviewed\n", encoding="utf-8")
    forge.git("commit", "-q", "-a", "-m", "Promote something")
    run = release(forge, tmp_path / "store")
    assert run.code == 0, run.log[-4000:]
    assert not any(step.startswith("build") for step in run.steps)
    assert run.wrote() == []


def test_a_stale_lock_releases_nothing(forge: Forge, tmp_path: Path) -> None:
    params = forge.project / "params.yaml"
    params.write_text(params.read_text(encoding="utf-8").replace("max_iter: 40", "max_iter: 41"), encoding="utf-8")
    forge.git("commit", "-q", "-a", "-m", "More trees, and no new lock")
    run = release(forge, tmp_path / "store")
    assert run.code != 0
    assert "The lock is stale" in run.summary
    assert not (tmp_path / "store").exists()
    assert run.wrote() == []


def test_documentation_alone_is_no_release(forge: Forge, tmp_path: Path) -> None:
    (forge.project / "README.md").write_text("# Parcels\n", encoding="utf-8")
    forge.git("add", "README.md")
    forge.git("commit", "-q", "-m", "A word to readers")
    before = forge.git("rev-parse", "HEAD^1")
    payload = forge.work / "payload.json"
    payload.write_text(json.dumps({"before": before, "ref": "refs/heads/main"}), encoding="utf-8")
    run = forge.run("push", "release.yml", "--head", "main", "--payload", str(payload))
    assert run.code == 0, run.log[-4000:]
    assert not any(step.startswith("build") for step in run.steps)
    assert run.wrote() == []
