"""`MlflowRunStore` on real SQLite databases and a real server."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from sklearn.ensemble import HistGradientBoostingClassifier

import gitrain.integrations.mlflow
from gitrain.errors import IntegrationError, UsageError
from gitrain.integrations.free_ports import free_port
from gitrain.integrations.mlflow import MlflowRunStore
from gitrain.integrations.mlflow_database import local_database
from gitrain.integrations.skops import TRUSTED, SkopsFormat
from gitrain.lineage import digest_of_bytes
from gitrain.tracking.runs import CurvePoint, RunRecord

# MLflow's own use of SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

FILES = {"reports/validation.json": b"{}\n", "params.yaml": b"seed: 1\n"}
RUN = RunRecord(
    key=f"sha256:{'a' * 64}",
    project="toy-project",
    commit="c" * 40,
    dirty=False,
    recorded_at=datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC),
    params={"training.seed": "0", "estimators.hgb.max_iter": "200"},
    metrics={"roc_auc": 0.75, "roc_auc_low": -0.1, "rows": 28_000.0},
    curves={"loss": tuple(CurvePoint(step=step, value=1 / step) for step in range(1, 201))},
    outputs={"models/model.skops": f"md5:{'d' * 32}", "data/raw": f"md5:{'e' * 32}.dir"},
    model_digest=digest_of_bytes(b"model"),
    durations={"train": 12.5},
    validation="PASSED",
)


@pytest.fixture(scope="module")
def fresh_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as MLflow makes it, without runs: migrating takes seconds, copying does not."""
    folder = tmp_path_factory.mktemp("database")
    database = local_database("sqlite:///mlflow.db", folder)
    assert database is not None
    with database.held(0):
        database.prepare(5)
    return database.path


@pytest.fixture
def root(fresh_database: Path, tmp_path: Path) -> Path:
    """A repository with a space in its name and an empty database."""
    folder = tmp_path / "the repository"
    folder.mkdir()
    shutil.copy(fresh_database, folder / "mlflow.db")
    return folder


@pytest.fixture
def store(root: Path) -> MlflowRunStore:
    return MlflowRunStore("sqlite:///mlflow.db", root, patience=5)


def client_of(root: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{root}/mlflow.db")


def kept_runs(root: Path) -> list[mlflow.entities.Run]:
    client = client_of(root)
    experiment = client.get_experiment_by_name(RUN.project)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def register(store: MlflowRunStore, run: RunRecord, model: bytes = b"model") -> int:
    return store.register(run, model, python="3.11", requirements=["scikit-learn==1.9.0"]).version


def test_a_record_comes_back_as_it_was(store: MlflowRunStore) -> None:
    kept = store.record(RUN, FILES)
    assert kept == replace(RUN, artifacts=("params.yaml", "reports/validation.json"), run_id=kept.run_id)
    assert kept.run_id
    assert store.get(RUN.project, RUN.key) == kept
    assert store.list(RUN.project) == [replace(kept, curves={})]


def test_recording_again_changes_nothing(store: MlflowRunStore, root: Path) -> None:
    kept = store.record(RUN, FILES)
    later = replace(RUN, recorded_at=RUN.recorded_at + timedelta(days=1), durations={"train": 99.0}, dirty=True)
    assert store.record(later, FILES) == kept
    (run,) = kept_runs(root)
    assert run.info.status == "FINISHED"
    assert len(client_of(root).get_metric_history(run.info.run_id, "curve/loss")) == 200


def test_files_lie_beside_the_database_wherever_we_are(
    store: MlflowRunStore, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    kept = store.record(RUN, FILES)
    assert kept.run_id is not None
    folder = root / "mlruns" / RUN.project / kept.run_id / "artifacts"
    assert (folder / "reports" / "validation.json").read_bytes() == b"{}\n"
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_run_that_was_dirty_takes_over_the_commit_of_a_clean_one(store: MlflowRunStore, root: Path) -> None:
    store.record(replace(RUN, commit=None, dirty=True), FILES)
    clean = store.record(RUN, FILES)
    assert (clean.commit, clean.dirty) == (RUN.commit, False)
    assert store.record(replace(RUN, commit="d" * 40), FILES).commit == RUN.commit
    (run,) = kept_runs(root)
    assert run.data.tags["mlflow.source.git.commit"] == RUN.commit


def test_names_and_values_that_mlflow_would_refuse(store: MlflowRunStore) -> None:
    names = ["slice[origin=JFK]", "über", "a:b", "..", "/x", "a//b", "tab\t", "x" * 150, "emoji 🛫", ":2f:"]
    values = dict.fromkeys(names, "1")
    kept = store.record(replace(RUN, params=values, metrics=dict.fromkeys(names, 0.5), outputs=values), FILES)
    assert kept.params == values
    assert kept.metrics == dict.fromkeys(names, 0.5)
    assert kept.outputs == values


def test_long_values_end_in_their_digest(store: MlflowRunStore) -> None:
    long = {"one": "x" * 6001, "other": "x" * 6000 + "y", "fits": "x" * 6000, "n" * 300: "1"}
    kept = store.record(replace(RUN, params=long), FILES).params
    assert kept["fits"] == long["fits"]
    assert len(kept["one"]) == len(kept["other"]) == 6000
    assert kept["one"] != kept["other"]
    assert "6001 characters" in kept["one"][-60:]
    assert len(kept) == 4


def test_more_than_one_request_can_hold(store: MlflowRunStore) -> None:
    many = replace(
        RUN,
        params={f"p{index:03}": str(index) for index in range(230)},
        outputs={f"o{index:03}": "md5:0" for index in range(230)},
        curves={"loss": tuple(CurvePoint(step=step, value=float(step)) for step in range(2300))},
    )
    kept = store.record(many, FILES)
    assert (kept.params, kept.outputs, kept.curves) == (many.params, many.outputs, many.curves)


@pytest.mark.parametrize("call", ["log_batch", "log_artifacts", "set_terminated", "set_tag"])
def test_an_unfinished_record_does_not_count_and_is_completed(
    store: MlflowRunStore, root: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    class PowerCut(BaseException):
        pass

    def cut(*arguments: object, **options: object) -> None:
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, call, cut)
        with pytest.raises(PowerCut):
            store.record(RUN, FILES)
    assert store.list(RUN.project) == []
    assert store.get(RUN.project, RUN.key) is None
    later = replace(RUN, recorded_at=RUN.recorded_at + timedelta(hours=1), durations={"train": 1.0})
    kept = store.record(later, FILES)
    (run,) = kept_runs(root)
    assert run.info.status == "FINISHED"
    assert run.info.run_id == kept.run_id
    assert kept.curves == RUN.curves
    history = client_of(root).get_metric_history(run.info.run_id, "roc_auc")
    assert [point.value for point in history] == [0.75]


# The run is written into the code: importing this module would cost a child more than its work.
_CHILD = f"""\
import datetime, os, signal, sys
from pathlib import Path
from mlflow import MlflowClient
from gitrain.integrations.mlflow import MlflowRunStore
from gitrain.tracking.runs import CurvePoint, RunRecord
if sys.argv[2] == "kill":
    MlflowClient.log_artifacts = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
store = MlflowRunStore("sqlite:///mlflow.db", Path(sys.argv[1]), patience=300)
kept = store.record({RUN!r}, {FILES!r})
store.register(kept, b"model", python="3.11", requirements=[])
print(kept.run_id)
"""


def child(root: Path, what: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", _CHILD, str(root), what]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_kill_9_in_the_middle_then_again_gives_one_whole_run(store: MlflowRunStore, root: Path) -> None:
    with child(root, "kill") as killed:
        killed.communicate(timeout=300)
    assert killed.returncode == -signal.SIGKILL
    (half,) = kept_runs(root)
    assert half.info.status == "RUNNING"
    assert store.list(RUN.project) == []
    kept = store.record(RUN, FILES)
    assert kept == replace(RUN, artifacts=kept.artifacts, run_id=half.info.run_id)
    assert [run.info.status for run in kept_runs(root)] == ["FINISHED"]


@pytest.mark.slow
def test_three_processes_that_find_no_database_make_one_with_one_run(tmp_path: Path) -> None:
    children = [child(tmp_path, "record") for _ in range(3)]
    said = {process.communicate(timeout=300)[0] for process in children}
    assert [process.returncode for process in children] == [0, 0, 0]
    (run,) = kept_runs(tmp_path)
    assert said == {f"{run.info.run_id}\n"}
    (version,) = client_of(tmp_path).search_model_versions("name = 'toy-project'")
    assert version.tags["gitrain.model_digest"] == RUN.model_digest


def test_of_two_that_record_one_run_at_once_the_older_stays(
    store: MlflowRunStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a server, where nobody waits: the search before writing finds nothing yet."""
    first = store.record(RUN, FILES)
    real, calls = gitrain.integrations.mlflow._runs_of, iter([True])
    monkeypatch.setattr(
        gitrain.integrations.mlflow, "_runs_of", lambda *given: [] if next(calls, False) else real(*given)
    )
    later = replace(RUN, recorded_at=RUN.recorded_at + timedelta(seconds=1))
    assert store.record(later, FILES).run_id == first.run_id
    assert [run.info.run_id for run in kept_runs(root)] == [first.run_id]


def test_of_two_that_register_one_model_at_once_the_older_version_stays(
    store: MlflowRunStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = store.record(RUN, FILES)
    assert register(store, kept) == 1
    real, calls = gitrain.integrations.mlflow._version_of, iter([True])
    monkeypatch.setattr(
        gitrain.integrations.mlflow, "_version_of", lambda *given: None if next(calls, False) else real(*given)
    )
    assert register(store, kept) == 1
    assert len(client_of(root).search_model_versions(f"name = '{RUN.project}'")) == 1


def test_two_stores_in_one_process_do_not_mix(
    store: MlflowRunStore, fresh_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    (tmp_path / "other").mkdir()
    shutil.copy(fresh_database, tmp_path / "other" / "tracking.db")
    other = MlflowRunStore(f"sqlite:///{tmp_path}/other/tracking.db", store.root)
    before = mlflow.get_tracking_uri()
    one = store.record(RUN, FILES)
    two = other.record(replace(RUN, key=f"sha256:{'b' * 64}"), FILES)
    assert [run.run_id for run in store.list(RUN.project)] == [one.run_id]
    assert [run.run_id for run in other.list(RUN.project)] == [two.run_id]
    assert register(store, one) == register(other, two) == 1
    assert (tmp_path / "other" / "mlruns" / RUN.project).is_dir()
    assert mlflow.get_tracking_uri() == before
    assert mlflow.active_run() is None


def test_the_newest_run_comes_first_and_foreign_runs_are_left_out(store: MlflowRunStore, root: Path) -> None:
    for day, letter in enumerate("bdc"):
        run = replace(RUN, key=f"sha256:{letter * 64}", recorded_at=RUN.recorded_at + timedelta(days=day))
        store.record(run, {})
    client = client_of(root)
    experiment = client.get_experiment_by_name(RUN.project)
    assert experiment is not None
    client.create_run(experiment.experiment_id, run_name="somebody's notebook")
    assert [run.short_key for run in store.list(RUN.project)] == ["c" * 12, "d" * 12, "b" * 12]
    assert store.list("another-project") == []


def test_reading_makes_no_database(tmp_path: Path) -> None:
    store = MlflowRunStore("sqlite:///mlflow.db", tmp_path)
    assert store.list("toy") == []
    assert store.get("toy", RUN.key) is None
    assert store.find("toy", RUN.model_digest) is None
    assert list(tmp_path.iterdir()) == []


def test_a_model_is_registered_once_by_its_digest(store: MlflowRunStore) -> None:
    first = store.record(RUN, FILES)
    assert register(store, first) == 1
    assert register(store, first) == 1
    # Another run with the same model, then one with another.
    second = store.record(replace(RUN, key=f"sha256:{'b' * 64}"), FILES)
    assert register(store, second) == 1
    third = store.record(replace(RUN, key=f"sha256:{'f' * 64}", model_digest=digest_of_bytes(b"new")), FILES)
    assert register(store, third, b"new") == 2
    found = store.find(RUN.project, RUN.model_digest)
    assert found is not None
    assert (found.version, found.run_key, found.run_id, found.commit) == (1, RUN.key, first.run_id, RUN.commit)
    assert store.find(RUN.project, digest_of_bytes(b"unknown")) is None
    assert store.find("unknown", RUN.model_digest) is None
    loaded = store.get(RUN.project, third.key)
    assert loaded is not None
    assert loaded.model_version == 2


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_registered_model_loads_with_mlflow_and_holds_the_very_bytes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(200, 3))
    fitted = HistGradientBoostingClassifier(max_iter=5).fit(rows, rows[:, 0] > 0)
    content = SkopsFormat().dump(fitted)
    store = MlflowRunStore("sqlite:///mlflow.db", root, TRUSTED)
    kept = store.record(replace(RUN, model_digest=digest_of_bytes(content)), FILES)
    model = store.register(kept, content, python="3.11", requirements=["scikit-learn==1.9.0", "skops==0.16.0"])
    folder = Path(urllib.request.url2pathname(model.source.removeprefix("file://")))
    assert digest_of_bytes((folder / "model.skops").read_bytes()) == model.model_digest
    assert not list(folder.glob("*.pkl"))
    expected = fitted.predict_proba(rows)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db")
    np.testing.assert_array_equal(mlflow.sklearn.load_model("models:/toy-project/1").predict_proba(rows), expected)
    np.testing.assert_array_equal(mlflow.pyfunc.load_model(model.source).predict(rows), expected)


def test_a_model_of_types_that_are_not_trusted_does_not_load(root: Path) -> None:
    rows = np.arange(40.0).reshape(20, 2)
    content = SkopsFormat().dump(HistGradientBoostingClassifier(max_iter=2).fit(rows, rows[:, 0] > 15))
    store = MlflowRunStore("sqlite:///mlflow.db", root, trusted_types=())
    kept = store.record(replace(RUN, model_digest=digest_of_bytes(content)), FILES)
    model = store.register(kept, content, python="3.11", requirements=[])
    with pytest.raises(Exception, match="TreePredictor"):
        mlflow.sklearn.load_model(model.source)


def test_a_locked_database_is_an_error_within_our_patience(store: MlflowRunStore, root: Path) -> None:
    impatient = replace(store, patience=0.05)
    with sqlite3.connect(root / "mlflow.db", isolation_level=None) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(IntegrationError, match=r"mlflow\.db is locked") as raised:
            impatient.record(RUN, FILES)
        connection.execute("ROLLBACK")
    assert "again" in raised.value.fix
    database = local_database(store.uri, root)
    assert database is not None
    with database.held(0), pytest.raises(IntegrationError, match="is locked"):
        impatient.record(RUN, FILES)
    assert impatient.record(RUN, FILES).run_id


def test_a_damaged_database(store: MlflowRunStore, root: Path) -> None:
    (root / "mlflow.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(IntegrationError, match="is no SQLite database"):
        store.record(RUN, FILES)


def test_a_database_of_another_version_of_mlflow(store: MlflowRunStore, root: Path) -> None:
    with sqlite3.connect(root / "mlflow.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    with pytest.raises(IntegrationError, match="out-of-date database schema") as raised:
        store.record(RUN, FILES)
    assert "mlflow db upgrade" in raised.value.fix


def test_a_copied_database_does_not_write_beside_the_original(store: MlflowRunStore, root: Path) -> None:
    store.record(RUN, FILES)
    copy = root.parent / "copy"
    shutil.copytree(root, copy)
    with pytest.raises(IntegrationError, match="was made as"):
        MlflowRunStore(store.uri, copy).record(replace(RUN, key=f"sha256:{'b' * 64}"), FILES)


def test_a_deleted_experiment(store: MlflowRunStore, root: Path) -> None:
    store.record(RUN, FILES)
    client = client_of(root)
    experiment = client.get_experiment_by_name(RUN.project)
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    with pytest.raises(IntegrationError, match="was deleted"):
        store.record(RUN, FILES)


@pytest.mark.parametrize("uri", ["sqlite:///:memory:", "sqlite:///", "mlruns", "file:///tmp/mlruns"])
def test_addresses_that_keep_no_runs(tmp_path: Path, uri: str) -> None:
    with pytest.raises(UsageError, match="tracking URI"):
        MlflowRunStore(uri, tmp_path).record(RUN, FILES)


def test_a_dead_server_is_an_error_at_once(tmp_path: Path) -> None:
    # MLflow itself would try again for minutes.
    start = time.monotonic()
    for uri in ("http://user:secret@127.0.0.1:9", "http://127.0.0.1:9/mlflow"):
        with pytest.raises(IntegrationError, match="no MLflow server answers at http://127") as raised:
            MlflowRunStore(uri, tmp_path).list("toy")
        assert "secret" not in str(raised.value)
    assert time.monotonic() - start < 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, fresh_database: Path) -> Iterator[str]:
    """A real MLflow server on a free port of the loopback interface."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(fresh_database, folder / "mlflow.db")
    port = free_port()
    options = ["--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "./artifacts", "--workers", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), *options],
        cwd=folder,
        env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(1200):
            assert process.poll() is None, "the server ended"
            try:
                urllib.request.urlopen(f"{address}/health", timeout=1).close()  # noqa: S310
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        else:
            pytest.fail("the server did not start within minutes")
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_a_server_by_its_address(server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = MlflowRunStore(server, tmp_path)
    kept = store.record(RUN, FILES)
    assert kept == replace(RUN, artifacts=kept.artifacts, run_id=kept.run_id)
    assert store.record(replace(RUN, dirty=True), FILES) == kept
    assert register(store, kept) == register(store, kept) == 1
    assert [run.model_version for run in store.list(RUN.project)] == [1]
    found = store.find(RUN.project, RUN.model_digest)
    assert found is not None
    assert found.source.startswith("mlflow-artifacts:")
    fetched = MlflowClient(server).download_artifacts(found.run_id, "model/model.skops", str(tmp_path))
    assert Path(fetched).read_bytes() == b"model"
    # Results alone go to stdout.
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "mlruns").exists()
