"""`gitrain retrain plan | open` as they are typed, on a project with real data, real DVC and a real forge of Git."""

import contextlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from tests.gitrain.fake_github import REPOSITORY, FakeGitHub, serving
from tests.gitrain.forge import git

# The candidate is no better than the champion, and it is the way to a pull request that is tried; of all that a
# candidate can be asked the shortest.
POLICY = """\
  waivers:
    - {{gate: champion, reason: what is tried is the way to a proposal, expires: "{expires:%Y-%m-%d}"}}
retraining: {{checks: [data]}}
"""

RENAMED = """
class _Renamed(Counter):
    def fingerprint(self, batch):
        return "counter-2"

    def read(self, batch):
        frame = super().read(batch)
        return frame.rename({"depot": "depot_name"}) if batch == "2024-05" else frame


from dataclasses import replace
PROJECT = replace(
    PROJECT, tables=(replace(PROJECT.tables[0], source=_Renamed()), *PROJECT.tables[1:])
)
"""


@pytest.fixture
def parcels_repository(parcels_copy, tmp_path):
    """Parcels with an origin and a DVC remote that the repository names relatively."""
    origin = tmp_path / "origin.git"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(origin))
    git(parcels_copy, "branch", "-M", "main")
    config = parcels_copy / ".dvc/config"
    config.write_text(
        config.read_text() + "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../storage\n"
    )
    params = parcels_copy / "params.yaml"
    policy = POLICY.format(expires=datetime.now(UTC) + timedelta(days=30))
    params.write_text(params.read_text() + policy)
    git(parcels_copy, "remote", "add", "origin", str(origin))
    return parcels_copy


def commit(repository):
    git(repository, "commit", "-q", "-a", "-m", "Retraining")
    git(repository, "push", "-q", "origin", "main")


def retrain(repository, *arguments, **variables):
    command = [sys.executable, "-m", "gitrain", "-C", str(repository), "retrain", *arguments, "--json"]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)


@contextlib.contextmanager
def locked(database):
    """A SQLite database that another process holds for itself alone."""
    program = "import sqlite3, sys\nheld = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
    program += "held.execute('BEGIN EXCLUSIVE')\nprint('held', flush=True)\nsys.stdin.read()\n"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program, str(database)], stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        yield
        holder.communicate()


def record_run(repository, **variables):
    command = [sys.executable, "-m", "gitrain", "-C", str(repository), "run", "record"]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_new_months_become_one_pull_request(parcels_repository, tmp_path):
    """Although the server of runs is down: Git is the truth, and what is recorded there is recorded afterwards."""
    commit(parcels_repository)
    down = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    git(parcels_repository, "remote", "set-url", "origin", f"https://github.test/{REPOSITORY}.git")
    address = f"https://github.test/{REPOSITORY}.git"
    git(parcels_repository, "config", f"url.{tmp_path / 'origin.git'}.insteadOf", address)
    with serving(FakeGitHub(tmp_path / "origin.git")) as fake:
        given = {
            "GITHUB_SERVER_URL": "https://github.test",
            "GITHUB_API_URL": fake.url,
            "GH_TOKEN": "ghs_secret",
        } | down
        planned = json.loads(retrain(parcels_repository, "plan", **given).stdout)
        assert (planned["decision"], planned["data"]["through"]) == ("RETRAIN", "2024-06")
        done = retrain(parcels_repository, "open", **given)
        assert done.returncode == 0, done.stderr
        record = json.loads(done.stdout)["record"]
        assert (record["ending"], record["number"]) == ("PROPOSED", 1)
        assert fake.pulls[1]["state"] == "open"
        assert fake.pulls[1]["title"].startswith("Retrain on data through 2024-06")
        # The report that any other pull request has, and why this one is there.
        assert "new-data: 2024-05, 2024-06 are there, and the model knows 2024-04" in fake.pulls[1]["body"]
        assert "threshold:roc\\_auc" in fake.pulls[1]["body"] or "threshold:roc_auc" in fake.pulls[1]["body"]
        again = retrain(parcels_repository, "open", **given)
        assert again.returncode == 0
        assert json.loads(again.stdout)["plan"]["hindrance"] == "open"
        assert list(fake.pulls) == [1]
        assert fake.issues == {}
    branch = record["branch"]
    changed = git(tmp_path / "origin.git", "diff", "--name-only", "main", branch).splitlines()
    assert {"dvc.lock", "params.yaml", "models/model.json", "reports/metrics.json"} <= set(changed)
    assert not [path for path in changed if path.startswith((".dvc/", ".gitrain/")) or path.endswith(".py")]
    assert git(parcels_repository, "status", "--porcelain") == ""
    # Whoever has the branch can have its data.
    git(tmp_path, "clone", "-q", "-b", branch, str(tmp_path / "origin.git"), "reviewer")
    command = [sys.executable, "-m", "dvc", "pull", "-q"]
    pulled = subprocess.run(command, cwd=tmp_path / "reviewer", capture_output=True, text=True, check=False)
    assert pulled.returncode == 0, pulled.stderr
    assert (tmp_path / "reviewer/data/raw/parcels/2024-06.parquet").exists()
    assert "ghs_secret" not in done.stdout + done.stderr
    told = record_run(parcels_repository, **down)
    assert told.returncode == 3
    assert "no MLflow server answers at http://127.0.0.1:9" in told.stderr
    assert record_run(parcels_repository).returncode == 0


@pytest.mark.slow
def test_a_month_with_a_column_renamed_ends_in_an_issue(parcels_repository, tmp_path):
    source = parcels_repository / "parcels.py"
    source.write_text(source.read_text() + RENAMED)
    commit(parcels_repository)
    # The database of runs is none of its business.
    with locked(parcels_repository / "mlflow.db"):
        done = retrain(parcels_repository, "open")
    assert done.returncode == 1, done.stderr
    record = json.loads(done.stdout)["record"]
    assert record["ending"] == "BAD_DATA"
    assert "parcels 2024-05 breaks its contract" in record["reason"]
    issue = git(tmp_path / "origin.git", "show", "issues:retraining.md")
    assert "depot" in issue
    branches = git(tmp_path / "origin.git", "branch", "--format=%(refname:short)").splitlines()
    assert branches == ["issues", "main", "retraining"]
    assert json.loads(retrain(parcels_repository, "open").stdout)["plan"]["hindrance"] == "tried"


def test_a_report_that_is_none_is_told(parcels_repository, tmp_path):
    commit(parcels_repository)
    (tmp_path / "report.json").write_text('{"schema_version": 1}')
    done = retrain(parcels_repository, "plan", "--monitoring", str(tmp_path / "report.json"))
    assert done.returncode == 2
    assert "report.json: the key" in done.stderr
