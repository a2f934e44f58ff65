"""What a worker of a service sets for itself, in a process of its own: it is of the whole process."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import gc, json, sys
from gitrain.integrations.bentoml.service import make_service

opened = []


class Application:
    def open(self):
        # What is there when it is frozen has been loaded by then.
        opened.append([[] for _ in range(1000)])


service = make_service(Application, name="made-up", description="Made up.", workers=1)
before = {"switch": sys.getswitchinterval(), "frozen": gc.get_freeze_count(), "opened": len(opened)}
service.inner()
after = {"switch": sys.getswitchinterval(), "frozen": gc.get_freeze_count(), "opened": len(opened)}
envs = {each.name: each.value for each in service.envs}
found = {"before": before, "after": after, "tracked": len(gc.get_objects()), "environment": envs}
print(json.dumps(found, default=str))
"""


@pytest.fixture(scope="module")
def found():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_making_a_service_changes_nothing(found):
    assert found["before"] == {"switch": 0.005, "frozen": 0, "opened": 0}


def test_a_request_waits_half_a_millisecond_for_a_thread(found):
    assert found["after"]["switch"] == 0.0005


def test_all_that_was_loaded_is_out_of_the_garbage_collector_s_sight(found):
    assert found["after"]["opened"] == 1
    assert found["after"]["frozen"] > 50_000
    assert found["tracked"] < found["after"]["frozen"] / 20


def test_one_worker_is_one_core_s(found):
    assert found["environment"] == {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "POLARS_MAX_THREADS": "1"}
