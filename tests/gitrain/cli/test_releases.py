"""`gitrain release verify | list | show | publish` as they are typed; the release is made up."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from gitrain.cli import main
from gitrain.errors import SettingsError
from gitrain.release.record import SBOM
from gitrain.settings import load_settings
from gitrain.testing.releases import make_release
from gitrain.wiring.releases import open_local_releases, open_release, open_release_store, open_release_stores

PYPROJECT = '[tool.gitrain]\nproject = "tumours:PROJECT"\n'


def git(folder, *arguments):
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def root(git_repository):
    (git_repository / "pyproject.toml").write_text(PYPROJECT)
    (git_repository / ".gitignore").write_text(".gitrain/\n")
    git(git_repository, "add", "-A")
    git(git_repository, "commit", "-q", "-m", "settings")
    return git_repository


@pytest.fixture
def project(root, monkeypatch):
    """The files of the project itself, which publishing asks for its name."""
    source = Path(__file__).parents[2] / "projects" / "tumours"
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("tumours.py", "params.yaml"):
        shutil.copy(source / name, root)
    return root


@pytest.fixture
def released(root, tmp_path):
    """A release of the commit in the store of this machine."""
    made = make_release(
        tmp_path / "bundle", "0.1.0", project="tumours", commit=git(root, "rev-parse", "HEAD"), model=b"the model"
    )
    store = open_local_releases(load_settings(root))
    store.publish(made.record, made.bundle, made.attachments)
    return made


@pytest.fixture
def run(root, capsys):
    def run(*arguments):
        code = main(["-C", str(root), "release", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def damage(root, content, other):
    (path,) = (path for path in (root / ".gitrain").rglob("*") if path.is_file() and path.read_bytes() == content)
    path.chmod(0o644)
    path.write_bytes(other)


def test_a_release_is_verified(run, released):
    code, out, _ = run("verify")
    assert code == 0
    assert out.startswith("## ✅ Release 0.1.0 in ")
    assert f"record {released.record.digest}\nbundle {released.record.bundle_digest}\n" in out
    for version in ("0.1.0", "v0.1.0", "latest"):
        code, out, _ = run("verify", version, "--json")
        payload = json.loads(out)
        assert (code, payload["outcome"], payload["record_digest"]) == (0, "PASSED", released.record.digest)


def test_a_flipped_bit_is_refused(run, released, project):
    root = project
    damage(root, b"the model", b"the modem")
    code, out, _ = run("verify")
    assert code == 1
    assert "src/models/serving/model.onnx" in out
    assert out.count("sha256:") >= 2
    code, out, _ = run("publish", "--no-register")
    assert code == 1
    assert git(root, "tag") == ""


def test_no_release_and_no_version(run, project):
    for arguments in (("verify",), ("show",), ("verify", "1.0.0"), ("publish", "--no-register")):
        code, out, err = run(*arguments)
        assert (code, out) == (3, "")
        assert "to mend it" in err
    assert run("verify", "one")[0] == 2
    assert run("list")[:2] == (0, "There is no release yet: `gitrain release build` builds one from a clean commit.\n")
    assert run("verify", "--store", "nowhere://x")[0] == 2


def test_a_release_is_shown(run, released):
    code, out, _ = run("show", "--json")
    assert (code, out) == (0, released.record.to_json())
    code, out, _ = run("show", "0.1.0", "--attachment", SBOM)
    assert (code, out.encode()) == (0, released.attachments[SBOM])
    assert run("show", "--attachment", "gone")[0] == 3
    code, out, _ = run("show")
    assert code == 0
    assert f"`{released.record.bundle_digest}`" in out


def test_releases_are_listed(run, released, root):
    (row,) = json.loads(run("list", "--json")[1])
    assert (row["version"], row["tagged"], len(row["stores"])) == ("0.1.0", False, 1)
    assert "0\\.1.0" in run("list")[1] or "0.1.0" in run("list")[1]
    assert json.loads(run("list", "--store", "elsewhere", "--json")[1]) == []


def test_the_settings_name_the_store(root, monkeypatch, tmp_path):
    settings = load_settings(root)
    assert [store.url for store in open_release_stores(settings)] == [str(root / ".gitrain" / "releases")]
    (root / "pyproject.toml").write_text(PYPROJECT + 'release_store = "shared/releases"\n')
    stores = open_release_stores(load_settings(root))
    assert [store.url for store in stores] == [str(root / ".gitrain" / "releases"), str(root / "shared" / "releases")]
    monkeypatch.setenv("GITRAIN_RELEASE_STORE", "memory://team/releases")
    assert open_release_store(load_settings(root)).url == "memory://team/releases"
    assert open_release_store(load_settings(root), (tmp_path / "a b").as_uri()).url == str(tmp_path / "a b")
    monkeypatch.delenv("GITRAIN_RELEASE_STORE")
    (root / "pyproject.toml").write_text(PYPROJECT + 'release_store = ""\n')
    with pytest.raises(SettingsError, match="release_store"):
        load_settings(root)


def test_a_release_as_a_folder(root, released):
    folder = open_release(str(root))
    assert folder.parent == root / ".gitrain" / "unpacked"
    assert (folder / "src" / "release.json").read_text() == released.record.identity.to_json()
    assert open_release(str(root), "v0.1.0", str(root / ".gitrain" / "releases")) == folder


def test_the_folder_that_is_served_is_printed(run, released, root):
    code, out, _ = run("unpack")
    assert code == 0
    assert Path(out.rstrip("\n")) == open_release(str(root))


def test_publishing_again_does_nothing_new(run, project, released, monkeypatch, tmp_path):
    shared = tmp_path / "shared"
    monkeypatch.setenv("GITRAIN_RELEASE_STORE", str(shared))
    code, out, _ = run("publish", "--no-register")
    assert code == 0, out
    assert git(project, "rev-parse", "tumours@v0.1.0^{commit}") == released.record.identity.commit
    assert f"record: {released.record.digest}" in git(project, "tag", "-n99", "-l", "tumours@v0.1.0")
    before = {path: path.stat().st_mtime_ns for path in shared.rglob("*") if path.is_file()}
    code, out, _ = run("publish", "--no-register")
    assert code == 0
    assert "Nothing was new." in out
    payload = json.loads(run("publish", "v0.1.0", "--no-register", "--json")[1])
    assert (payload["changed"], payload["outcome"], payload["tag"]) == (False, "PASSED", "tumours@v0.1.0")
    assert {path: path.stat().st_mtime_ns for path in shared.rglob("*") if path.is_file()} == before
    # Another clone, with nothing of its own.
    shutil.rmtree(project / ".gitrain")
    assert run("verify")[0] == 0
    assert json.loads(run("list", "--json")[1])[0]["tagged"]


def test_what_another_machine_published_is_tagged(run, project, released, tmp_path):
    (project / ".gitrain" / "releases").rename(tmp_path / "shared")
    assert run("publish", "--no-register")[0] == 3
    code, out, _ = run("publish", "--no-register", "--store", str(tmp_path / "shared"), "--json")
    assert code == 0
    assert {step["name"]: step["done"] for step in json.loads(out)["steps"]} == {
        "signature": False,
        "store": False,
        "tag": True,
    }


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_signed_releases(run, project, released, monkeypatch, tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    monkeypatch.setenv("GITRAIN_SIGNING_KEY", str(tmp_path / "key"))
    code, _, err = run("publish", "--no-register")
    assert code == 2
    assert "not in release_keys" in err
    (project / "releases" / "keys").mkdir(parents=True)
    shutil.copy(tmp_path / "key.pub", project / "releases" / "keys" / "ada.pub")
    (project / "pyproject.toml").write_text(PYPROJECT + 'release_keys = ["releases/keys/ada.pub"]\n')
    code, out, _ = run("verify")
    assert code == 1
    assert "it is not signed" in out
    monkeypatch.delenv("GITRAIN_SIGNING_KEY")
    assert run("publish", "--no-register")[0] == 2
    monkeypatch.setenv("GITRAIN_SIGNING_KEY", str(tmp_path / "key"))
    assert run("publish", "--no-register")[0] == 0
    code, out, _ = run("verify")
    assert code == 0
    assert "signed by releases/keys/ada.pub" in out
    (project / "pyproject.toml").write_text(PYPROJECT)
    assert run("verify")[0] == 1
    (project / "pyproject.toml").write_text(PYPROJECT + 'release_keys = ["releases/keys/gone.pub"]\n')
    assert run("verify")[0] == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_publishing_records_the_run_and_registers_its_model(parcels_copy, tmp_path, capsys):
    """The real pipeline, MLflow and Git: the run that was never recorded is recorded, and its model gets the name."""
    root = parcels_copy
    made = make_release(
        tmp_path / "bundle",
        "0.1.0",
        project="parcels",
        commit=git(root, "rev-parse", "HEAD"),
        lock=(root / "dvc.lock").read_bytes(),
        trained=(root / "models" / "model.skops").read_bytes(),
    )
    open_local_releases(load_settings(root)).publish(made.record, made.bundle, made.attachments)
    changes = []
    for _ in range(2):
        assert main(["-C", str(root), "release", "publish", "--json"]) == 0
        payload = json.loads(capsys.readouterr().out)
        changes.append({step["name"]: step["done"] for step in payload["steps"]})
    assert changes == [
        {"signature": False, "store": False, "tag": True, "registry": True},
        {"signature": False, "store": False, "tag": False, "registry": False},
    ]
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    version = client.get_model_version_by_alias("parcels", "v0-1-0")
    assert version.tags["gitrain.release"] == "v0.1.0"
    assert version.tags["gitrain.model_digest"] == made.record.identity.model_digest
    assert json.loads(version.tags["gitrain.release.0.1.0"])["bundle_digest"] == made.record.bundle_digest
    assert git(root, "status", "--porcelain") == ""
