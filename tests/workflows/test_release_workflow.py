"""release.yml, run for real against a fake GitHub: a merge to main becomes one release, with its tag."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.workflows.conftest import ROOT, SLUG, Forge, Run, in_environment

pytestmark = [pytest.mark.slow, pytest.mark.repository]

# Whether the service is quick enough is not what is tried here, and the machine may be busy.
_ENVIRONMENT = """\
schema_version: 1
follows: main
runtime: {start_seconds: 120, load_seconds: 60, stop_seconds: 60}
probes:
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
    for folder in (".github", ".ci", "environments"):
        shutil.copytree(ROOT / folder, root / folder)
    in_environment(root)
    (root / "environments" / "test.yaml").write_text(_ENVIRONMENT, encoding="utf-8")
    with (root / "requirements.lock").open("a", encoding="utf-8") as locked:
        locked.write(f"gitrain==0.1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    with (root / ".gitignore").open("a", encoding="utf-8") as ignored:
        ignored.write(".venv\n")
    for command in (["branch", "-M", "main"], ["add", "--all"], ["commit", "-q", "-m", "Workflows"]):
        subprocess.run(["git", *command], cwd=root, check=True, capture_output=True)
    return root


@pytest.fixture
def forge(harness: Path, released_project: Path, tmp_path: Path) -> Forge:
    project, work = tmp_path / "project", tmp_path / "work"
    shutil.copytree(released_project, project, symlinks=True)
    work.mkdir()
    return Forge(harness=harness, project=project, work=work)


def release(forge: Forge, store: Path, *, run_id: str = "1") -> Run:
    return forge.run(
        "push", "release.yml", "--head", "main", "--run-id", run_id, "--var", f"GITRAIN_RELEASE_STORE={store}"
    )


def tags(forge: Forge) -> dict[str, str]:
    """The tags that were pushed, with the commits that they are on."""
    (pushed,) = (forge.work / "git").rglob(f"{SLUG.partition('/')[2]}.git")
    done = subprocess.run(
        ["git", "for-each-ref", "--format=%(refname:short) %(*objectname)", "refs/tags"],
        cwd=pushed,
        check=True,
        capture_output=True,
        text=True,
    )
    return dict(line.split() for line in done.stdout.splitlines())


def gitrain(forge: Forge, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gitrain", *arguments], cwd=forge.project, capture_output=True, text=True, check=False
    )


def test_a_merge_becomes_one_release_and_the_same_merge_no_second_one(forge: Forge, tmp_path: Path) -> None:
    store = tmp_path / "store"
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

    before = {path: path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()}
    forge.git("tag", "--annotate", "--message", json.dumps({"record": ""}), "unrelated")
    second = release(forge, store, run_id="2")
    assert second.code == 0, second.log[-6000:]
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()} == before
    assert set(tags(forge)) - {"unrelated"} == {"parcels@v0.1.0"}


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
