"""What an environment on this machine is, for monitoring: what runs there, and who does not answer."""

import json
import subprocess

import pytest

from gitrain.monitoring.quality import judge_service
from gitrain.pipeline.monitoring_params import ServiceParams
from gitrain.verdicts import Outcome
from gitrain.wiring.monitoring import open_monitoring

NOBODY = 9


@pytest.fixture
def machine(parcels_copy, tmp_path, monkeypatch):
    """A repository with an environment, and a state folder in which two replicas of 1.0.0 have died."""
    (parcels_copy / "environments").mkdir()
    (parcels_copy / "environments/test.yaml").write_text("schema_version: 1\nfollows: main\n", encoding="utf-8")
    for command in (("add", "environments"), ("commit", "-q", "-m", "An environment")):
        subprocess.run(["git", *command], cwd=parcels_copy, check=True, capture_output=True)
    monkeypatch.setenv("GITRAIN_STATE", str(tmp_path / "state"))
    folder = tmp_path / "state/environments/test"
    for number, (version, port) in enumerate([("1.0.0", 40001), ("1.0.0", 40002), ("0.9.0", 40003)]):
        identity = f"{number:012x}"
        replica = {
            "schema_version": 1,
            "id": identity,
            "release": {"version": version, "digest": f"sha256:{version[0] * 64}"},
            "port": port,
            "began": "2024-05-01T00:00:00Z",
            "pid": None,
        }
        (folder / "replicas" / identity).mkdir(parents=True)
        (folder / "replicas" / identity / "replica.json").write_text(json.dumps(replica), encoding="utf-8")
    backends = [{"port": 40001, "weight": 1}, {"port": 40002, "weight": 1}]
    route = {"schema_version": 1, "listen": f"127.0.0.1:{NOBODY}", "backends": backends}
    (folder / "route.json").write_text(json.dumps(route), encoding="utf-8")
    return parcels_copy


def test_an_environment_whose_replicas_have_died_has_failed(machine):
    tools = open_monitoring(str(machine), "test", lambda _: None)

    assert tools.running == "1.0.0"
    assert tools.figures is not None
    # What is left of a release that does not run is missed by nobody.
    assert (tools.figures.replicas, tools.figures.silent) == (0, 2)
    (errors, _) = judge_service(tools.figures, ServiceParams())
    assert (errors.outcome, errors.reason) == (Outcome.FAILED, "none of 2 replicas answered")


def test_on_another_machine_nothing_is_known_of_them(machine, monkeypatch, tmp_path):
    monkeypatch.setenv("GITRAIN_STATE", str(tmp_path / "elsewhere"))

    tools = open_monitoring(str(machine), "test", lambda _: None)

    assert (tools.running, tools.figures) == (None, None)
