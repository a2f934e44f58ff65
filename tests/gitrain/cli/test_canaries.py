"""Canaries of real releases: real BentoML behind a real Caddy, users at a steady rate, a bare repository as forge."""

import json
import shutil
from pathlib import Path

import pytest
from tests.gitrain.cli.test_deployments import Users, environment, git, run, status

import gitrain
from gitrain.documents import parse_json
from gitrain.integrations.free_ports import free_port
from gitrain.integrations.prediction_log import read_predictions
from gitrain.pipeline.layout import KNOWN_ANSWERS
from gitrain.probes.payloads import payloads_of
from gitrain.serving.manifest import KnownAnswers

pytestmark = pytest.mark.slow

PREDICTOR = "src/gitrain/serving/predictor.py"
STRATEGY = {
    "kind": "canary",
    "steps": [{"percent": 20, "seconds": 3}, {"percent": 50, "seconds": 3}],
    "judge": {"requests": 300, "wait_seconds": 120, "slow_ms": 300},
    "shadow": {"percent": 30, "seconds": 3},
}
# What is wrong with it says a file, and it shows after some calls alone, so that no probe finds it.
LATER = """

_predict = Predictor.predict
_calls = [0]


def _later(self, frame):
    import dataclasses
    import os
    import pathlib
    import time

    behaviour = pathlib.Path(os.environ["GITRAIN_COPIES"]).with_name("behaviour").read_text()
    _calls[0] += 1
    predictions = _predict(self, frame)
    if _calls[0] < 100 or behaviour == "equal":
        return predictions
    if behaviour == "slow":
        time.sleep(0.4)
        return predictions
    return dataclasses.replace(
        predictions, probabilities=1.0 - predictions.probabilities, decisions=~predictions.decisions
    )


Predictor.predict = _later
"""


class Released:
    """The parcels with a bare origin, and an environment that names a release."""

    def __init__(self, root, capfd):
        self.root, self.capfd = root, capfd
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.origin = root.parent / "origin.git"
        git(root, "init", "-q", "--bare", "-b", "main", str(self.origin))
        git(root, "remote", "add", "origin", str(self.origin))
        shutil.copytree(
            Path(gitrain.__file__).parent, root / "src/gitrain", ignore=shutil.ignore_patterns("__pycache__")
        )
        (root / "environments").mkdir()
        self.commit("With the framework")
        store = root / ".gitrain/environments/test/online.sqlite"
        store.parent.mkdir(parents=True)
        assert self.run("features", "materialize", "--store", f"sqlite:///{store}") == 0
        self.digests = {}

    def run(self, *arguments):
        self.capfd.readouterr()
        code = run(self.root, *arguments)
        self.said = self.capfd.readouterr()
        return code

    def commit(self, message):
        git(self.root, "add", "--all")
        git(self.root, "commit", "-q", "--allow-empty", "-m", message)
        git(self.root, "push", "-q", "origin", "HEAD:main")

    def release(self, change=""):
        """Build a release with more at the end of its code; its version."""
        with (self.root / PREDICTOR).open("a") as stream:
            stream.write(change)
        self.commit("A change")
        assert self.run("release", "build", "--json") == 0, self.said
        record = json.loads(self.said.out)["record"]
        version = record["identity"]["version"]
        self.digests[version] = record["bundle_digest"]
        return version

    def desire(self, version, **strategy):
        runtime = {"listen": f"127.0.0.1:{self.port}", "start_seconds": 90}
        keys = {"release": version, "digest": self.digests[version], "runtime": runtime}
        file = environment(**keys, strategy=STRATEGY | strategy)
        (self.root / "environments/test.yaml").write_text(json.dumps(json.loads(file), indent=1))
        self.commit(f"Desire {version}")

    def behave(self, behaviour):
        (self.root / ".gitrain/environments/test/behaviour").write_text(behaviour)

    def apply(self, *options):
        code = self.run("deploy", "apply", "test", "--json", *options)
        return code, json.loads(self.said.out)

    @property
    def running(self):
        found = status(self.root, self.capfd)
        return found["running"]["version"], found["drift"]


@pytest.fixture
def released(parcels_copy, capfd):
    found = Released(parcels_copy, capfd)
    yield found
    run(parcels_copy, "deploy", "stop", "test")


@pytest.fixture
def users(released):
    known = parse_json(KnownAnswers, (released.root / KNOWN_ANSWERS).read_text(), source=KNOWN_ANSWERS)
    arrived = []

    def arrive():
        arrived.append(Users(released.url, payloads_of(known, "parcels")))
        return arrived[-1]

    yield arrive
    for each in arrived:
        each.leave()


def test_a_release_that_is_slow_or_wrong_is_aborted_and_its_revert_opened_and_an_equal_one_passes(released, users):
    first, second = released.release(), released.release(LATER)
    released.desire(first)
    assert released.apply()[0] == 0, released.said
    asking = users()
    released.desire(second)

    for behaviour, rules in (("slow", {"slow", "replicas"}), ("wrong", {"distance", "disagreement", "positive"})):
        released.behave(behaviour)
        code, applied = released.apply("--again")
        assert (code, applied["outcome"]) == (1, "FAILED"), released.said
        assert applied["record"]["ending"] == "ABORTED"
        verdicts = [each for step in applied["record"]["steps"] for each in step["verdicts"]]
        failed = {each["name"].partition(":")[2] for each in verdicts if each["outcome"] == "FAILED"}
        assert failed, applied
        assert failed <= rules, applied
        assert released.running == (first, [f"{first} runs, {second} is desired"])
        branch = applied["revert"]["proposal"]["branch"]
        assert branch == f"rollback/test/{first}"
        shown = git(released.origin, "show", f"{branch}:environments/test.yaml")
        assert json.loads(shown)["digest"] == released.digests[first]
        # It is not tried again by itself, and what is proposed stays proposed.
        code, again = released.apply()
        assert (code, again["kind"], again["record"]) == (1, "refused", None)
        assert again["revert"]["proposal"]["created"] is False
        git(released.origin, "branch", "-D", branch)

    assert released.apply("--no-revert")[1]["revert"] is None
    git(released.root, "remote", "rename", "origin", "elsewhere")
    code, alone = released.apply()
    assert (code, alone["revert"]) == (1, None)
    assert "the revert could not be opened" in released.said.err
    assert f"name release {first} again" in released.said.err
    git(released.root, "remote", "rename", "elsewhere", "origin")

    released.behave("equal")
    code, applied = released.apply("--again")
    assert code == 0, released.said
    steps = {step["name"]: step for step in applied["record"]["steps"]}
    assert [name for name in steps if name.startswith(("shadow", "canary"))] == ["shadow", "canary 20 %", "canary 50 %"]
    judged = {verdict["name"].partition(":")[2]: verdict["figures"] for verdict in steps["canary 50 %"]["verdicts"]}
    assert {"errors", "refused", "slow", "positive", "missing", "distance", "disagreement"} <= set(judged)
    assert (judged["disagreement"]["rate"], judged["distance"]["rate"]) == (0, 0)
    assert released.running == (second, [])
    assert applied["revert"] is None

    # What the copies were answered is logged apart, under the names of the requests that they are copies of.
    log = released.root / ".gitrain/environments/test/predictions"
    told, copied = read_predictions(log).frame, read_predictions(log / "copies").frame
    assert set(copied["release"]) == {second}
    assert copied.height > 50
    assert copied.join(told.filter(told["release"] == first), on=("request_id", "row"), how="anti").height == 0
    assert not (released.root / ".gitrain/environments/test/copies.json").exists()

    # The replicas that serve are asked what they say of themselves, and it is judged with what they logged.
    assert released.run("monitor", "run", "--environment", "test", "--json") in (0, 1, 4), released.said
    report = json.loads(released.said.out)
    judged = {verdict["name"]: verdict for verdict in report["verdicts"] if verdict["name"].startswith("service:")}
    assert judged["service:errors"]["outcome"] == "PASSED", judged
    assert judged["service:errors"]["figures"]["requests"] > 0
    assert judged["service:latency"]["outcome"] != "INCONCLUSIVE", judged
    assert report["labels"]["predictions"] > 0
    assert [each["version"] for each in report["releases"]] == [first, second]

    answered = asking.leave()
    assert set(answered) == {200}
