"""Recording, listing and showing runs: a real repository and its files; the store is a dictionary."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from gitrain.documents import parse_yaml
from gitrain.errors import PipelineError, SettingsError, UsageError
from gitrain.integrations.files import LocalWorkspace
from gitrain.integrations.git import GitRepository
from gitrain.lineage import digest_of_bytes
from gitrain.operations.list_runs import list_runs
from gitrain.operations.record_run import record_run
from gitrain.operations.show_run import show_run
from gitrain.pipeline.params import Params
from gitrain.project import Project, load_project
from gitrain.registry.models import RegisteredModel
from gitrain.tracking.runs import CurvePoint, RunRecord

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MODEL = b"a model in the skops format"
MANIFEST = {
    "schema_version": 1,
    "project": "tumours",
    "estimator": "logistic_regression",
    "parameters": {"C": 1.0},
    "features": ["area"],
    "categorical": [],
    "target": "malignant",
    "training_batches": ["0001"],
    "validation_units": ["1"],
    "seed": 0,
    "early_stopping": False,
    "iterations": 10,
    "converged": True,
    "rows": 100,
    "positives": 40,
    "model_digest": digest_of_bytes(MODEL),
    "libraries": {"python": "3.12", "scikit-learn": "1.9.0", "skops": "0.16.0"},
}
VALIDATION = {
    "schema_version": 1,
    "project": "tumours",
    "outcome": "PASSED",
    "batches": [
        {"table": "patients", "batch": "0001", "outcome": "PASSED", "rows": 100, "quarantined": 0, "findings": []}
    ],
}
METRICS = {"roc_auc": 0.75, "roc_auc_low": None, "rows": 28000, "exact": True, "slices": {"size": 0.5}}
PARAMS = """\
schema_version: 1
data: {from: "0001", through: "0003"}
training: {estimator: logistic_regression, seed: 0}
estimators:
  logistic_regression: {C: 1, tol: 1e-5}
evaluation: {confidence: 0.95}
"""
LOCKED_PARAMS = {
    "data": {"from": "0001", "through": "0003"},
    "training": {"estimator": "logistic_regression", "seed": 0},
    # As ruamel.yaml, which DVC reads with, understands 1e-5.
    "estimators.logistic_regression": {"C": 1, "tol": 1e-05},
    "evaluation.confidence": 0.95,
}


@dataclass
class Store:
    """A `RecordStore` that remembers."""

    runs: dict[str, RunRecord] = field(default_factory=dict)
    files: dict[str, Mapping[str, bytes]] = field(default_factory=dict)
    models: list[RegisteredModel] = field(default_factory=list)
    requirements: list[Sequence[str]] = field(default_factory=list)

    def record(self, run: RunRecord, files: Mapping[str, bytes]) -> RunRecord:
        self.files.setdefault(run.key, files)
        return self.runs.setdefault(
            run.key, replace(run, artifacts=tuple(sorted(files)), run_id=f"run-{run.short_key}")
        )

    def list(self, project: str) -> list[RunRecord]:
        runs = [replace(run, curves={}) for run in self.runs.values() if run.project == project]
        return sorted(runs, key=lambda run: run.recorded_at, reverse=True)

    def get(self, project: str, key: str) -> RunRecord | None:
        return self.runs.get(key)

    def register(self, run: RunRecord, model: bytes, *, python: str, requirements: Sequence[str]) -> RegisteredModel:
        assert digest_of_bytes(model) == run.model_digest
        self.requirements.append([python, *requirements])
        found = self.find(run.project, run.model_digest)
        if found is None:
            found = RegisteredModel(
                name=run.project,
                version=len(self.models) + 1,
                model_digest=run.model_digest,
                run_key=run.key,
                run_id=run.run_id or "",
                commit=run.commit,
                source="memory",
            )
            self.models.append(found)
        return found

    def find(self, name: str, model_digest: str) -> RegisteredModel | None:
        return next((model for model in self.models if model.model_digest == model_digest), None)


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "projects" / "tumours"))
    loaded = load_project("tumours:PROJECT")
    sys.modules.pop("tumours", None)
    return loaded


@pytest.fixture
def root(git_repository: Path) -> Path:
    """A repository whose pipeline was run and committed."""
    files = {
        "models/model.skops": MODEL,
        "models/model.json": json.dumps(MANIFEST).encode(),
        "reports/metrics.json": json.dumps(METRICS).encode(),
        "reports/validation.json": json.dumps(VALIDATION).encode(),
        "reports/training_curve.csv": b"iteration,training_loss,validation_loss\n1,0.7,0.8\n5,0.5,\n9,0.4,0.6\n",
        "requirements.lock": b"scikit-learn==1.9.0\n",
    }
    for path, content in files.items():
        (git_repository / path).parent.mkdir(exist_ok=True)
        (git_repository / path).write_bytes(content)
    (git_repository / "params.yaml").write_text(PARAMS)
    write_lock(git_repository)
    commit(git_repository)
    return git_repository


def commit(root: Path) -> None:
    subprocess.run(["git", "add", "-A"], cwd=root, check=True)
    subprocess.run(["git", "commit", "-q", "-m", "The pipeline was run"], cwd=root, check=True)


def entry(root: Path, path: str) -> dict[str, object]:
    return {"path": path, "hash": "md5", "md5": hashlib.md5((root / path).read_bytes()).hexdigest()}  # noqa: S324


def write_lock(root: Path) -> None:
    """What DVC would write."""
    outs = ["models/model.skops", "models/model.json", "reports/training_curve.csv"]
    stages = {
        "validate": {"cmd": "gitrain data validate", "outs": [entry(root, "reports/validation.json")]},
        "train": {
            "cmd": "gitrain train",
            "deps": [entry(root, "requirements.lock"), entry(root, "reports/validation.json")],
            "params": {"params.yaml": LOCKED_PARAMS},
            "outs": [entry(root, path) for path in outs],
        },
        "evaluate": {"cmd": "gitrain evaluate", "outs": [entry(root, "reports/metrics.json")]},
    }
    (root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}, sort_keys=False))


def record(project: Project, root: Path, store: Store, now: datetime = NOW) -> RunRecord:
    params = parse_yaml(Params, (root / "params.yaml").read_text(), source="params.yaml")
    durations = {"train": 12.5, "gone": 1.0}
    return record_run(project, params, LocalWorkspace(root), GitRepository(root), store, durations=durations, now=now)


def test_what_is_recorded(project: Project, root: Path) -> None:
    store = Store()
    run = record(project, root, store)
    assert run.key == digest_of_bytes((root / "dvc.lock").read_bytes())
    assert run.project == "tumours"
    assert run.commit == GitRepository(root).head()
    assert not run.dirty
    assert run.recorded_at == NOW
    assert run.params["estimators.logistic_regression.C"] == "1"
    assert run.params["data.from"] == "0001"
    assert run.metrics == {"roc_auc": 0.75, "rows": 28000.0, "slices.size": 0.5}
    assert run.curves == {
        "training_loss": (CurvePoint(step=1, value=0.7), CurvePoint(step=5, value=0.5), CurvePoint(step=9, value=0.4)),
        "validation_loss": (CurvePoint(step=1, value=0.8), CurvePoint(step=9, value=0.6)),
    }
    assert run.outputs["models/model.skops"] == f"md5:{hashlib.md5(MODEL).hexdigest()}"  # noqa: S324
    assert run.model_digest == digest_of_bytes(MODEL)
    assert run.durations == {"train": 12.5}
    assert run.validation == "PASSED"
    assert run.model_version == 1
    assert store.requirements == [["3.12", "scikit-learn==1.9.0", "skops==0.16.0"]]
    assert list(run.artifacts) == [
        "dvc.lock",
        "models/model.json",
        "params.yaml",
        "reports/metrics.json",
        "reports/training_curve.csv",
        "reports/validation.json",
        "requirements.lock",
    ]
    assert store.files[run.key]["dvc.lock"] == (root / "dvc.lock").read_bytes()
    json.dumps(run.to_json())


def test_recording_again_gives_the_same_run_and_model(project: Project, root: Path) -> None:
    store = Store()
    first = record(project, root, store)
    assert record(project, root, store, NOW + timedelta(days=1)) == first
    assert len(store.runs) == len(store.models) == 1


def test_a_tree_that_is_not_committed_is_recorded_as_such(project: Project, root: Path) -> None:
    (root / "notes.txt").write_text("not committed")
    assert record(project, root, Store()).dirty


@pytest.mark.parametrize(
    "path",
    [
        "models/model.skops",
        "models/model.json",
        "reports/metrics.json",
        "reports/validation.json",
        "reports/training_curve.csv",
        "requirements.lock",
    ],
)
def test_files_that_dvc_lock_does_not_describe_are_refused(project: Project, root: Path, path: str) -> None:
    store = Store()
    with (root / path).open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(PipelineError, match=f"{path} has the MD5") as raised:
        record(project, root, store)
    assert "dvc repro" in raised.value.fix
    (root / path).unlink()
    with pytest.raises(PipelineError, match=f"{path} is missing"):
        record(project, root, store)
    assert not store.runs
    assert not store.models


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("seed: 0", "seed: 1", r"training\.seed = 1, and dvc\.lock was made with 0"),
        ("1e-5", "1e-4", r"tol = 1e-4"),
        ('through: "0003"', 'through: "0004"', r"data\.through = 0004"),
    ],
)
def test_parameters_that_dvc_lock_does_not_describe_are_refused(
    project: Project, root: Path, old: str, new: str, says: str
) -> None:
    (root / "params.yaml").write_text(PARAMS.replace(old, new))
    with pytest.raises(PipelineError, match=says):
        record(project, root, Store())


def test_equal_numbers_in_another_spelling_are_equal(project: Project, root: Path) -> None:
    (root / "params.yaml").write_text(PARAMS.replace("1e-5", "0.00001").replace("C: 1,", "C: 1.0,"))
    assert record(project, root, Store()).params["estimators.logistic_regression.tol"] == "1e-05"


def test_parameters_that_no_stage_reads_may_change(project: Project, root: Path) -> None:
    store = Store()
    first = record(project, root, store)
    (root / "params.yaml").write_text(PARAMS + "gates:\n  thresholds: {roc_auc: {min: 0.7}}\n")
    assert record(project, root, store).key == first.key


def test_a_lock_whose_stages_disagree_is_refused(project: Project, root: Path) -> None:
    lock = yaml.safe_load((root / "dvc.lock").read_text())
    lock["stages"]["train"]["deps"][1]["md5"] = "0" * 32
    (root / "dvc.lock").write_text(yaml.safe_dump(lock))
    with pytest.raises(PipelineError, match=r"'train' read reports/validation\.json"):
        record(project, root, Store())


def test_no_lock_and_no_model(project: Project, root: Path) -> None:
    (root / "dvc.lock").write_text("schema: '2.0'\n")
    with pytest.raises(PipelineError, match=r"no output 'models/model\.skops'"):
        record(project, root, Store())
    (root / "dvc.lock").unlink()
    with pytest.raises(PipelineError, match=r"dvc\.lock is missing"):
        record(project, root, Store())


@pytest.mark.parametrize(
    ("path", "content", "kind", "says"),
    [
        ("models/model.json", json.dumps(MANIFEST | {"model_digest": f"sha256:{'0' * 64}"}), PipelineError, "another"),
        ("models/model.json", json.dumps(MANIFEST | {"project": "flights"}), PipelineError, "another model"),
        ("models/model.json", "{}", SettingsError, "is missing"),
        ("reports/metrics.json", "{", PipelineError, "not valid JSON"),
        ("reports/training_curve.csv", "iteration,loss\n1,low\n", PipelineError, "no table of numbers"),
        ("reports/training_curve.csv", "iteration,loss\n1\n", PipelineError, "no table of numbers"),
        ("reports/validation.json", '{"outcome": "PASSED"}', SettingsError, r"reports/validation\.json"),
    ],
)
def test_files_that_are_not_in_their_format(
    project: Project, root: Path, path: str, content: str, kind: type[Exception], says: str
) -> None:
    (root / path).write_text(content)
    write_lock(root)
    with pytest.raises(kind, match=says):
        record(project, root, Store())


def store_of(*runs: tuple[str, str | None]) -> Store:
    """A store with runs by key and commit; each was recorded a day after the one before it."""
    store = Store()
    for day, (key, made_from) in enumerate(runs):
        run = RunRecord(
            key=f"sha256:{key.ljust(64, '0')}",
            project="tumours",
            commit=made_from,
            dirty=False,
            recorded_at=NOW + timedelta(days=day),
            curves={"loss": (CurvePoint(step=1, value=0.5),)},
            model_digest=digest_of_bytes(MODEL),
        )
        store.record(run, {})
    return store


def test_runs_are_listed_newest_first(project: Project) -> None:
    store = store_of(("aaaa", None), ("bbbb", None))
    assert [run.short_key[0] for run in list_runs(project, store)] == ["b", "a"]


@pytest.mark.parametrize("start", ["aaaa1", "sha256:aaaa1", "AAAA1", "cccc1", "c" * 4 + "1" + "0" * 35])
def test_a_run_is_found_by_the_start_of_its_key_or_commit(project: Project, start: str) -> None:
    store = store_of(("aaaa1", "cccc1".ljust(40, "0")), ("aaaa2", "cccc2".ljust(40, "0")), ("ffff", None))
    run = show_run(project, store, start)
    assert run.short_key.startswith("aaaa1")
    assert run.curves


def test_a_start_that_fits_several_runs_lists_them(project: Project) -> None:
    store = store_of(("aaaa1", "c" * 40), ("aaaa2", "c" * 40))
    for start in ("aaaa", "cccc"):
        with pytest.raises(UsageError, match="2 recorded runs begin") as raised:
            show_run(project, store, start)
        assert "aaaa10000000" in raised.value.fix
        assert "aaaa20000000" in raised.value.fix


def test_no_such_run(project: Project) -> None:
    with pytest.raises(UsageError, match="no recorded run") as raised:
        show_run(project, store_of(("aaaa", None)), "bbbb")
    assert "aaaa00000000 (commit none)" in raised.value.fix
    with pytest.raises(UsageError, match="gitrain run record"):
        show_run(project, Store(), "bbbb")
    with pytest.raises(UsageError, match="too short"):
        show_run(project, store_of(("aaaa", None)), "aaa")
