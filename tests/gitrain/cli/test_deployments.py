"""`gitrain deploy` and `gitrain env list` on real releases: real BentoML behind a real Caddy, under load."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

import gitrain
from gitrain.cli.main import main
from gitrain.documents import parse_json
from gitrain.integrations.free_ports import free_port
from gitrain.integrations.http_load import HttpLoad
from gitrain.pipeline.layout import KNOWN_ANSWERS
from gitrain.probes.arrivals import arrival_times
from gitrain.probes.payloads import payloads_of
from gitrain.serving.manifest import KnownAnswers

RATE = 150.0


def git(root, *arguments):
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def run(root, *arguments):
    return main(["-C", str(root), *arguments])


def environment(**keys):
    return json.dumps({"schema_version": 1, "probes": {"required": ["smoke"]}, **keys})


@pytest.fixture
def repository(git_repository):
    """A repository with two environments and no release."""
    (git_repository / "pyproject.toml").write_text('[tool.gitrain]\nproject = "parcels:PROJECT"\n')
    (git_repository / ".gitignore").write_text(".gitrain/\n")
    folder = git_repository / "environments"
    folder.mkdir()
    (folder / "test.yaml").write_text(environment(follows="main", runtime={"listen": "127.0.0.1:1"}))
    (folder / "production.yaml").write_text(environment(runtime={"listen": "0.0.0.0:2"}, suspend=True))
    git(git_repository, "add", "--all")
    git(git_repository, "commit", "-q", "-m", "Environments")
    return git_repository


def test_a_plan_of_nothing(repository, capsys):
    assert run(repository, "deploy", "plan", "test") == 0
    assert capsys.readouterr().out == (
        "## test: none\n\nmain has no release yet: what runs is left alone.\n\nNothing is to be done.\n"
    )
    assert run(repository, "deploy", "plan", "test", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "environment": "test",
        "kind": "none",
        "reason": "main has no release yet: what runs is left alone",
        "release": None,
        "former": None,
        "steps": [],
    }


def test_planning_leaves_no_trace(repository):
    run(repository, "deploy", "plan", "test")
    run(repository, "env", "list")
    assert not (repository / ".gitrain").exists()
    assert git(repository, "branch", "--list", "deployments") == ""


def test_applying_nothing(repository, capsys):
    assert run(repository, "deploy", "apply", "test") == 0
    assert capsys.readouterr().out.startswith("## ✅ test: none: PASSED\n")
    assert run(repository, "deploy", "apply", "production") == 0
    assert "suspended" in capsys.readouterr().out


def test_environments_are_listed_and_one_that_is_wrong_hides_no_other(repository, capsys):
    assert run(repository, "env", "list") == 0
    assert capsys.readouterr().out == (
        "| environment | desired | running | health | ready | age | memory | standby | address |\n"
        "| --- | --- | --- | --- | --- | ---: | ---: | --- | --- |\n"
        "| production | – | – | empty, suspended | 0/1 | – | – | – | http://127.0.0.1:2 |\n"
        "| test | – | – | empty | 0/1 | – | – | – | http://127.0.0.1:1 |\n"
    )
    (repository / "environments/production.yaml").write_text("schema_version: 1\nreplica: 3\n")
    git(repository, "commit", "-q", "-a", "-m", "A slip")
    assert run(repository, "env", "list", "--json") == 3
    production, test = json.loads(capsys.readouterr().out)
    assert production["problem"] == "environments/production.yaml: unknown key 'replica'"
    assert (test["health"], test["problem"]) == ("empty", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("deploy", "apply", "nowhere"), "name one of these: production, test"),
        (("deploy", "plan", "../x"), "is no name of an environment"),
        (("deploy", "apply", "test", "--wait", "-1"), "--wait is -1"),
        (("deploy", "stop", "test", "--wait", "-1"), "--wait is -1"),
        (("deploy", "stop", "test", "--wait", "nan"), "--wait is nan"),
        (("deploy", "stop", "test", "--wait", "inf"), "--wait is inf"),
        (("deploy", "unit", "X"), "is no name of an environment"),
    ],
)
def test_mistakes_are_told(repository, capsys, arguments, message):
    assert run(repository, *arguments) == 2
    assert message in capsys.readouterr().err


def test_another_deployer_is_refused(repository, capsys):
    (repository / "environments/test.yaml").write_text(environment(runtime={"deployer": "kubernetes"}))
    git(repository, "commit", "-q", "-a", "-m", "Kubernetes")
    assert run(repository, "deploy", "apply", "test") == 2
    assert "kubernetes" in capsys.readouterr().err


def test_a_unit_for_systemd(repository, capsys, monkeypatch):
    monkeypatch.setenv("GITRAIN_PREDICTION_LOG_PARQUET", "off")
    monkeypatch.setenv("GITRAIN_PREDICTION_LOG_FILE_MB", "8")
    monkeypatch.setenv("GITRAIN_RUN", "of this shell")
    assert run(repository, "deploy", "unit", "test") == 0
    text = capsys.readouterr().out
    assert f"WorkingDirectory={repository}\n" in text
    assert f"-m gitrain -C {repository} deploy apply test --wait 600\n" in text
    assert "KillMode=process\n" in text
    assert 'Environment="GITRAIN_PREDICTION_LOG_PARQUET=off"\n' in text
    assert 'Environment="GITRAIN_PREDICTION_LOG_FILE_MB=8"\n' in text
    assert "GITRAIN_RUN" not in text


@pytest.mark.parametrize("command", ["deploy apply test", "deploy plan test", "env list"])
def test_what_is_to_be_done_is_decided_without_what_trains_and_serves(repository, command):
    program = (
        f"import sys; from gitrain.cli.main import main; code = main({command.split()})\n"
        "heavy = {'pandas', 'pandera', 'polars', 'sklearn', 'bentoml', 'numpy', 'dvc', 'mlflow', 'onnxruntime'}\n"
        "loaded = heavy & set(sys.modules)\n"
        "sys.exit(f'loaded: {loaded}' if loaded else code)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Users:
    """Requests at a steady rate until they leave, and what came of them; whoever makes some has them leave."""

    def __init__(self, url, payloads):
        self.statuses = []
        self.leaving = threading.Event()
        self.thread = threading.Thread(target=self.ask, args=(url, payloads))
        self.thread.start()

    def ask(self, url, payloads):
        while not self.leaving.is_set():
            due = arrival_times(RATE, 3.0, seed=1)
            seen = HttpLoad().run(url, due, payloads, timeout=60.0, progress=lambda line: None)
            self.statuses += [lost or status for lost, status in zip(seen.lost, seen.status.tolist(), strict=True)]

    def leave(self):
        self.leaving.set()
        self.thread.join()
        return Counter(self.statuses)


@pytest.fixture
def released(parcels_copy, capfd):
    """The parcels as a repository with a release of main, an environment that follows it, and its store filled."""
    root, port = parcels_copy, free_port()
    shutil.copytree(Path(gitrain.__file__).parent, root / "src/gitrain", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "environments").mkdir()
    runtime = {"listen": f"127.0.0.1:{port}", "start_seconds": 90}
    (root / "environments/test.yaml").write_text(environment(follows="main", runtime=runtime))
    git(root, "add", "--all")
    git(root, "commit", "-q", "-m", "With an environment")
    state = root / ".gitrain/environments/test"
    state.mkdir(parents=True)
    assert run(root, "features", "materialize", "--store", f"sqlite:///{state}/online.sqlite") == 0
    assert run(root, "release", "build") == 0, capfd.readouterr()
    yield root, f"http://127.0.0.1:{port}"
    run(root, "deploy", "stop", "test")


@pytest.fixture
def users(released):
    root, url = released
    known = parse_json(KnownAnswers, (root / KNOWN_ANSWERS).read_text(), source=KNOWN_ANSWERS)
    arrived = []

    def arrive():
        arrived.append(Users(url, payloads_of(known, "parcels")))
        return arrived[-1]

    yield arrive
    for each in arrived:
        each.leave()


def status(root, capfd):
    capfd.readouterr()
    run(root, "env", "list", "--json")
    return json.loads(capfd.readouterr().out)[0]


@pytest.mark.slow
def test_a_real_release_is_deployed_switched_under_load_and_rolled_back_without_a_start(released, users, capfd):
    root, _ = released
    assert run(root, "deploy", "apply", "test") == 0, capfd.readouterr()
    first = status(root, capfd)
    assert (first["running"]["version"], first["health"], first["drift"]) == ("0.1.0", "up", [])
    assert first["memory_bytes"] > 50_000_000

    with (root / "service.py").open("a") as stream:
        stream.write("# A change of code alone.\n")
    git(root, "commit", "-q", "-a", "-m", "A change")
    assert run(root, "release", "build") == 0, capfd.readouterr()
    second = status(root, capfd)
    assert second["drift"] == ["0.1.0 runs, 0.1.1 is desired"]

    asking = users()
    assert run(root, "deploy", "apply", "test") == 0, capfd.readouterr()
    switched = status(root, capfd)
    assert switched["running"]["version"] == "0.1.1"
    assert switched["standby"]["version"] == "0.1.0"

    path = root / "environments/test.yaml"
    wanted = json.loads(path.read_text())
    del wanted["follows"]
    path.write_text(json.dumps(wanted | {"release": "0.1.0", "digest": first["running"]["digest"]}))
    git(root, "commit", "-q", "-a", "-m", "Back")
    before = pids(root)
    assert run(root, "deploy", "apply", "test") == 0, capfd.readouterr()
    back = status(root, capfd)
    assert (back["running"]["version"], back["standby"]["version"]) == ("0.1.0", "0.1.1")
    assert pids(root) == before

    # What dies beside it is cleared away.
    os.kill(before["0.1.1"], signal.SIGKILL)
    assert run(root, "deploy", "apply", "test") == 0
    answered = asking.leave()
    assert set(answered) == {200}
    assert answered[200] >= 3 * RATE

    names = git(root, "ls-tree", "-r", "--name-only", "deployments").splitlines()
    records = [json.loads(git(root, "show", f"deployments:{name}")) for name in names]
    assert [record["kind"] for record in records] == ["deploy", "deploy", "rollback"]
    # Going back is a matter of seconds, as nothing is started for it.
    assert [step["name"] for step in records[2]["steps"]] == ["fetch", "probe smoke", "route"]


def pids(root):
    """The process of each version's replica."""
    files = (root / ".gitrain/environments/test/replicas").glob("*/replica.json")
    found = [json.loads(path.read_text()) for path in files]
    return {each["release"]["version"]: each["pid"] for each in found}
