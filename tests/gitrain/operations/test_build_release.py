"""Releases of the parcels' repository: real Git, DVC and BentoML."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import date

import pytest

from gitrain.documents import parse_json
from gitrain.errors import PipelineError, SettingsError, UsageError
from gitrain.operations.build_release import build_release
from gitrain.operations.judge_release import judge_release
from gitrain.pipeline.layout import LOCK, MODEL, MODEL_MANIFEST, SERVED, SERVING_MANIFEST
from gitrain.release.bundle import BundleManifest
from gitrain.release.record import SBOM
from gitrain.serving.manifest import ServingManifest
from gitrain.verdicts import Outcome
from gitrain.wiring.bundles import open_pack_tools, open_release_tools
from gitrain.wiring.releases import open_release

TODAY = date(2026, 1, 2)
# Gitrain is installed from a tree here, so that no index has it: its entry is made up.
GITRAIN = f"gitrain==0.1.0 \\\n    --hash=sha256:{'0' * 64}\n"


def git(root, *arguments):
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def edit(root, path, pattern, replacement):
    text = (root / path).read_text()
    changed, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
    assert count, f"{pattern!r} is not in {path}"
    (root / path).write_text(changed)


def commit(root, message="A change"):
    git(root, "add", "--all")
    git(root, "commit", "-q", "-m", message)
    return git(root, "rev-parse", "HEAD")


def outputs_by_path(root):
    text = (root / LOCK).read_text()
    return dict(re.findall(r"- path: (\S+)\n\s+hash: md5\n\s+md5: (\S+)", text))


def forget(root, md5):
    """Take content out of the cache."""
    (root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]).unlink()


@pytest.fixture(scope="module")
def releasable(parcels, tmp_path_factory):
    """A repository that can be released; leave it as it is."""
    root = tmp_path_factory.mktemp("releasable") / "parcels"
    shutil.copytree(parcels, root, symlinks=True)
    with (root / "requirements.lock").open("a") as stream:
        stream.write(GITRAIN)
    commit(root, "Gitrain is locked")
    return root


@pytest.fixture
def repository(releasable, tmp_path):
    """A copy of it, to be changed at will."""
    shutil.copytree(releasable, tmp_path / "parcels", symlinks=True)
    return tmp_path / "parcels"


@pytest.fixture(scope="module")
def released(releasable, tmp_path_factory):
    """The repository with a release, and what came of building it."""
    root = tmp_path_factory.mktemp("released") / "parcels"
    shutil.copytree(releasable, root, symlinks=True)
    return root, build(root)


def build(root, *, base=None, bump=None, store=None, progress=lambda line: None):
    return build_release(
        open_release_tools(str(root), progress, today=TODAY), open_pack_tools(str(root), store), base=base, bump=bump
    )


def judge(root, folder, *, judge_model=True, **tools):
    """What keeps the commit from being released: the verdicts that have not passed."""
    folder.mkdir()
    made = replace(open_release_tools(str(root), lambda line: None, today=TODAY), **tools)
    verdicts, _ = judge_release(
        made, folder, commit=git(root, "rev-parse", "HEAD"), base=None, previous=None, judge_model=judge_model
    )
    return {verdict.name: verdict for verdict in verdicts if verdict.outcome is not Outcome.PASSED}


class Maker:
    """Gives a tree instead of running stages."""

    def __init__(self, tree):
        self.tree, self.asked = tree, []

    @contextlib.contextmanager
    def make(self, commit, stages, *, progress):
        self.asked.append(tuple(stages))
        yield self.tree


def test_a_commit_becomes_a_release(released):
    root, done = released

    assert done.outcome is Outcome.PASSED, [verdict for verdict in done.verdicts if verdict.outcome.exit_code]
    assert done.published
    record = done.record
    assert (record.version, done.version.reason) == ("0.1.0", "the first release")
    assert record.identity.commit == git(root, "rev-parse", "HEAD")
    assert record.identity.threshold == 0.4
    assert record.committed_at.isoformat() == "2026-01-01T12:00:00+00:00"
    assert set(record.metrics) == {"roc_auc", "log_loss"}
    by_name = {verdict.name: verdict for verdict in record.verdicts}
    assert by_name["champion"].reason.startswith("passed over: there is no earlier release")
    assert {"threshold:roc_auc", "slice:depot", "leak-alarm:roc_auc"} <= by_name.keys()

    folder = open_release(str(root))
    manifest = BundleManifest.of(folder)
    assert manifest.digest == record.bundle_digest
    assert (folder / "src/release.json").read_text() == record.identity.to_json()
    paths = {file.path for file in manifest.files}
    assert {
        "src/parcels.py",
        "src/service.py",
        "src/params.yaml",
        "src/pyproject.toml",
        f"src/{MODEL_MANIFEST}",
    } <= paths
    assert not any(path.endswith(".pyc") or "/reports/" in path or "/data/" in path for path in paths)
    # The model that was judged is not packed where another file is served.
    assert f"src/{MODEL}" not in paths
    serving = parse_json(ServingManifest, (root / SERVING_MANIFEST).read_text(), source=SERVING_MANIFEST)
    assert f"src/{serving.path}" in paths


def test_a_bundle_names_no_place_time_or_person_of_its_build(released):
    root, _ = released
    folder = open_release(str(root))
    text = "\n".join(
        path.read_text(errors="replace")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".onnx"
    )

    assert str(root) not in text
    assert "/tmp/" not in text
    assert os.environ["HOME"] not in text
    assert "2026-01-01T12:00:00" in (folder / "bento.yaml").read_text()


def test_requirements_are_those_of_the_lock_with_their_hashes_and_no_more(released):
    root, _ = released
    folder = open_release(str(root))
    text = (folder / "env/python/requirements.txt").read_text()
    locked = (root / "requirements.lock").read_text()
    names = re.findall(r"^([a-z0-9-]+)==", text, flags=re.MULTILINE)

    assert all(line in locked.splitlines() for line in text.splitlines())
    assert {"bentoml", "onnxruntime", "polars", "pandera", "pydantic"} <= set(names)
    # Several entries of one name have markers of their own; BentoML's own unhashed line is gone.
    assert len(re.findall(r"^bentoml==", text, flags=re.MULTILINE)) == 1
    assert not {"dvc", "mlflow", "skl2onnx", "onnx", "pytest", "hypothesis", "schemathesis"} & set(names)
    assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=\S)", text.strip()))
    assert (folder / "src/requirements.txt").read_text() == text


def test_the_image_is_pinned_and_checks_what_it_holds(released):
    root, _ = released
    folder = open_release(str(root))
    dockerfile = (folder / "env/docker/Dockerfile").read_text()

    assert re.search(r"^FROM \S+@sha256:[0-9a-f]{64} ", dockerfile, flags=re.MULTILINE)
    assert "apt-get" not in dockerfile
    assert "UV_REQUIRE_HASHES" in dockerfile
    assert "--require-hashes --only-binary :all: -r ./env/docker/installer.txt" in dockerfile
    assert re.match(r"uv==\S+ \\\n    --hash=sha256:", (folder / "env/docker/installer.txt").read_text())
    assert "is in the image; exit 1" in dockerfile
    assert re.search(r"^USER bentoml$", dockerfile, flags=re.MULTILINE)


def test_the_bill_of_materials_lists_what_is_installed_and_the_models(released):
    root, done = released
    bill = json.loads(open_pack_tools(str(root)).store.attachment("0.1.0", SBOM))
    components = {component["bom-ref"]: component for component in bill["components"]}
    requirements = (open_release(str(root)) / "src/requirements.txt").read_text()

    assert bill["specVersion"] == "1.6"
    packages = {ref for ref in components if ref.startswith("pkg:pypi/")}
    assert packages == {f"pkg:pypi/{n}@{v}" for n, v in re.findall(r"^([a-z0-9-]+)==(\S+)", requirements, re.MULTILINE)}
    models = [each for each in components.values() if each["type"] == "machine-learning-model"]
    assert {model["hashes"][0]["content"] for model in models} == {
        done.record.identity.model_digest.removeprefix("sha256:"),
        done.record.identity.served_digest.removeprefix("sha256:"),
    }
    assert bill["metadata"]["component"]["version"] == "0.1.0"


@pytest.mark.slow
def test_two_builds_of_a_commit_are_equal_wherever_and_however_they_run(released, tmp_path):
    root, done = released
    clone = tmp_path / "a place with another name" / "clone"
    git(root, "clone", "-q", str(root), str(clone))
    shutil.copytree(root / ".dvc" / "cache", clone / ".dvc" / "cache", symlinks=True)
    # Nothing is checked out: data and models come from the cache.
    script = "import os, sys; os.umask(0o077); from gitrain.cli import main; sys.exit(main())"
    ran = subprocess.run(
        [sys.executable, "-c", script, "release", "build", "--json", "--store", str(tmp_path / "store")],
        cwd=clone,
        env=os.environ | {"PYTHONHASHSEED": "4711", "TZ": "Asia/Kathmandu", "LC_ALL": "C", "BENTOML_HOME": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    again = json.loads(ran.stdout)
    assert again["published"]
    assert again["record"]["bundle_digest"] == done.record.bundle_digest
    assert again["record_digest"] == done.record.digest


@pytest.mark.slow
def test_a_released_commit_is_built_again_and_compared(released):
    root, done = released

    again = build(root)

    assert (again.outcome, again.published, again.record) == (Outcome.PASSED, False, done.record)
    assert again.version.released
    by_name = {verdict.name: verdict for verdict in again.verdicts}
    assert by_name["release:rebuilt"].reason == "built again, 0.1.0 is the same to the last byte"
    # Its model was judged when it was released.
    assert "threshold:roc_auc" not in by_name


@pytest.mark.slow
def test_a_change_of_code_alone_is_a_patch_and_needs_no_better_model(released, tmp_path):
    shutil.copytree(released[0], tmp_path / "parcels", symlinks=True)
    root = tmp_path / "parcels"
    edit(root, "service.py", "Will a parcel arrive late", "Will this parcel arrive late")
    commit(root)

    done = build(root)

    assert done.outcome is Outcome.PASSED
    assert done.record.version == "0.1.1"
    champion = next(verdict for verdict in done.record.verdicts if verdict.name == "champion")
    assert (champion.outcome, champion.reason) == ("PASSED", "the model is the champion's own")
    assert build(root, bump="major").record.version == "0.1.1", "a released commit keeps its version"


def test_nothing_is_written_where_a_commit_is_refused(repository):
    (repository / "notes.txt").write_text("not committed\n")
    edit(repository, "requirements.lock", r"^gitrain==0\.1\.0", "gitrain==9.9.9")
    pack = open_pack_tools(str(repository))
    tools = open_release_tools(str(repository), lambda line: None, today=TODAY)

    done = build_release(
        tools, replace(pack, builder=lambda folder: pytest.fail("it was packed")), base=None, bump=None
    )

    assert (done.outcome, done.record, done.published) == (Outcome.FAILED, None, False)
    assert not list(pack.store.list())
    reason = next(verdict.reason for verdict in done.verdicts if verdict.name == "release:commit")
    assert reason.startswith("notes.txt, requirements.lock differ from commit ")


def break_params(root):
    edit(root, "params.yaml", r"learning_rate: 0\.1", "learning_rate: 0.2")


def break_gates(root):
    edit(root, "params.yaml", r"roc_auc: \{min: 0\.60\}", "roc_auc: {min: 0.90}")


def break_code(root):
    edit(root, "parcels.py", "ROWS = 900", "ROWS = 901")


def break_model(root):
    model = root / MODEL
    content = model.read_bytes()
    model.unlink()
    model.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def break_manifest(root):
    edit(root, MODEL_MANIFEST, r'"model_digest": "sha256:..', '"model_digest": "sha256:00')


def break_served(root):
    edit(root, SERVING_MANIFEST, r'"digest": "sha256:..', '"digest": "sha256:00')


def unlock(root):
    edit(root, "requirements.lock", r"^prometheus-client==", "something-else==")


def unhash(root):
    edit(root, "requirements.lock", r"^(uvicorn==\S+) \\\n(    --hash=\S+( \\)?\n)+", r"\1\n")


def relock(root):
    edit(root, "requirements.lock", r"^uvicorn==\S+", "uvicorn==0.0.1")


def import_more(root):
    edit(root, "service.py", r"^(from gitrain\.service)", r"def more():\n    import networkit\n\n\n\1")


REFUSALS = {
    "parameters that the stages were not run with": (break_params, {"lock:params"}, "learning_rate"),
    "code that the stages were not run with": (break_code, {"lock:inputs"}, "another parcels.py"),
    "a gate that fails": (break_gates, {"threshold:roc_auc"}, "min 0.9"),
    "a model that is not the lock's": (break_model, {"lock:outputs"}, "was changed after stage 'train' wrote it"),
    "a manifest of another model": (break_manifest, {"lock:outputs", "release:models"}, "models/model.json describes"),
    "a served file that is not described": (
        break_served,
        {"lock:outputs", "release:models"},
        "models/serving.json desc",
    ),
    "a package that is not locked": (
        unlock,
        {"release:requirements"},
        r"prometheus-client is not in requirements\.lock, and \S+ needs it",
    ),
    "a package without a hash": (unhash, {"release:requirements"}, "uvicorn .* without a hash"),
    "another version than the locked one": (
        relock,
        {"release:requirements"},
        "is installed, and requirements.lock has",
    ),
    "an import of what nobody has": (import_more, {"release:imports"}, "service.py imports networkit"),
}


@pytest.mark.parametrize("defect", REFUSALS)
def test_a_commit_is_refused_for(repository, tmp_path, defect):
    alter, names, said = REFUSALS[defect]
    alter(repository)
    if git(repository, "status", "--porcelain"):
        commit(repository)

    # Without judging the model where the gates are not what is tried: that takes seconds.
    refused = judge(repository, tmp_path / "judged", judge_model=alter is break_gates)

    assert refused.keys() == names
    assert any(re.search(said, verdict.reason) for verdict in refused.values()), refused
    assert {verdict.outcome for verdict in refused.values()} == {Outcome.FAILED}


def test_all_reasons_are_given_at_once(repository, tmp_path):
    break_gates(repository)
    unlock(repository)
    import_more(repository)
    commit(repository)
    (repository / "left.txt").write_text("left\n")

    refused = judge(repository, tmp_path / "judged")

    assert refused.keys() == {"release:commit", "release:requirements", "release:imports", "threshold:roc_auc"}


def test_a_commit_without_what_a_release_needs_is_an_error(repository, tmp_path):
    git(repository, "rm", "-q", "bentofile.yaml")
    commit(repository)

    with pytest.raises(SettingsError, match=r"has no bentofile\.yaml"):
        judge(repository, tmp_path / "judged")


def test_a_base_that_is_no_commit_is_an_error(repository):
    with pytest.raises(UsageError, match="nowhere"):
        build(repository, base="nowhere")


def test_models_are_taken_from_the_cache_where_the_tree_has_none(repository, tmp_path):
    (repository / MODEL).unlink()
    shutil.rmtree(repository / SERVED)
    shutil.rmtree(repository / "data")
    git(repository, "checkout", "-q", "--", "data")

    assert judge(repository, tmp_path / "judged", maker=Maker(None)) == {}


@pytest.mark.slow
def test_models_are_taken_from_a_remote_where_the_cache_has_none(repository, tmp_path):
    subprocess.run(
        [sys.executable, "-m", "dvc", "remote", "add", "-q", "--default", "elsewhere", str(tmp_path / "remote")],
        cwd=repository,
        check=True,
    )
    subprocess.run([sys.executable, "-m", "dvc", "push", "-q"], cwd=repository, check=True)
    commit(repository)
    shutil.rmtree(repository / ".dvc" / "cache")
    (repository / MODEL).unlink()
    shutil.rmtree(repository / SERVED)

    # What the stages before wrote is in the cache no more, so that nothing tells whether they fit together.
    refused = judge(repository, tmp_path / "judged", maker=Maker(None), judge_model=False)

    assert refused.keys() <= {"lock:chain"}
    assert (tmp_path / "judged" / MODEL).is_file()


def lose_model(root):
    """Nobody has the model any more: neither the tree nor the cache; there is no remote."""
    forget(root, outputs_by_path(root)[MODEL])
    (root / MODEL).unlink()


def test_a_model_that_nobody_has_is_taken_from_stages_that_give_the_very_same(repository, releasable, tmp_path):
    lose_model(repository)
    maker = Maker(releasable)

    assert judge(repository, tmp_path / "judged", maker=maker, judge_model=False) == {}
    assert maker.asked == [("train",)]


def test_a_model_that_was_trained_anew_is_refused(repository, releasable, tmp_path):
    lose_model(repository)
    other = tmp_path / "other"
    shutil.copytree(releasable / "models", other / "models")
    break_model(other)

    refused = judge(repository, tmp_path / "judged", maker=Maker(other), judge_model=False)

    assert refused.keys() == {"release:models"}
    assert "is in neither the cache nor a remote, and running its stage again gives another one" in (
        refused["release:models"].reason
    )
    assert not (tmp_path / "judged" / MODEL).exists()


@pytest.mark.slow
def test_stages_are_really_run_again_for_a_model_that_nobody_has(repository, tmp_path):
    lose_model(repository)
    lines: list[str] = []
    tools = open_release_tools(str(repository), lines.append, today=TODAY)
    (tmp_path / "judged").mkdir()

    verdicts, _ = judge_release(
        tools,
        tmp_path / "judged",
        commit=git(repository, "rev-parse", "HEAD"),
        base=None,
        previous=None,
        judge_model=False,
    )

    reason = next(verdict.reason for verdict in verdicts if verdict.name == "release:models")
    assert reason.endswith("nobody had them, and running train again gave the very same")
    assert any("running train again in a clone" in line for line in lines)
    # The tree is left as it was found.
    assert not (repository / MODEL).exists()
    assert git(repository, "status", "--porcelain") == ""


def test_a_cache_that_was_tampered_with_is_an_error(repository, tmp_path):
    md5 = outputs_by_path(repository)[MODEL]
    stored = repository / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
    content = stored.read_bytes()
    stored.chmod(0o644)
    stored.write_bytes(content[:-1] + b"?")

    with pytest.raises(PipelineError, match="altered or damaged"):
        judge(repository, tmp_path / "judged", judge_model=False)


def test_before_the_first_commit_there_is_nothing_to_release(repository):
    shutil.rmtree(repository / ".git")
    git(repository, "init", "-q")

    with pytest.raises(PipelineError, match="no commit yet"):
        build(repository)
