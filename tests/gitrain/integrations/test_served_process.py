"""Releases as processes: bound, watched, stopped, and gone afterwards."""

import os
import sys
import time
from pathlib import Path

import pytest

from gitrain.environments.document import Resources
from gitrain.errors import IntegrationError
from gitrain.integrations.served_process import ServedProcess, memory_of, tree_of
from gitrain.probes.started import BuiltFor, ServedRelease

linux = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the system has no /proc")

# A process that takes memory, and a child in a session of its own that does too.
PROGRAM = """
import os, signal, subprocess, sys, time
kept = os.urandom({own} * 2**20)
other = "import os, time; kept = os.urandom({child} * 2**20); print('up', flush=True); time.sleep(99)"
child = subprocess.Popen([sys.executable, "-c", other], start_new_session=True)
if {deaf}:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
said = *map(os.environ.get, ("WHO", "GITRAIN_ONLINE_STORE", "REPO_TOKEN")), len(os.sched_getaffinity(0))
print("ready", *said, flush=True)
time.sleep(99)
"""


def release(tmp_path, program):
    return ServedRelease(
        name="release 1.4.0",
        folder=tmp_path,
        command=(sys.executable, "-c", program.replace("{", "{{").replace("}", "}}"), "{port}"),
        paths=(),
        facts={},
        built_for=BuiltFor(python="3.12", machine="x86_64", libraries={}),
    )


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def program(own=1, child=1, deaf=False):
    return PROGRAM.format(own=own, child=child, deaf=deaf)


@linux
def test_the_memory_of_all_its_processes_is_measured(tmp_path):
    with ServedProcess().start(release(tmp_path, program(40, 60)), Resources(), {}) as service:
        wait_for(lambda: "up" in service.log() and (found := service.memory()) and found.total > 100 * 2**20)
        most = service.memory()

    assert most is not None
    assert most.processes == 2
    assert most.total < 160 * 2**20


@linux
def test_it_is_gone_afterwards_with_all_that_it_started(tmp_path, monkeypatch):
    monkeypatch.setenv("GITRAIN_ONLINE_STORE", "redis://somewhere")
    monkeypatch.setenv("REPO_TOKEN", "ghp_secret")
    with ServedProcess().start(release(tmp_path, program()), Resources(cpu=1), {"WHO": "me"}) as service:
        wait_for(lambda: "up" in service.log() and "ready" in service.log())
        log = service.log()
        children = tree_of(os.getpid())
        assert service.gone() == ""
        assert service.cpu_enforced
    # One processor of those that this process may use.
    assert "ready me None None 1" in log
    # A process that was killed is gone once the system has reaped it.
    own = set(tree_of(os.getpid()))
    wait_for(lambda: not any(set(tree_of(each.pid)) & {each} for each in children if each not in own))


def test_stopping_is_waited_for(tmp_path):
    with ServedProcess().start(release(tmp_path, program()), Resources(), {}) as service:
        wait_for(lambda: "ready" in service.log())
        stopped = service.stop(30)
        # It was told to.
        assert service.gone() == ""

    assert (stopped.exit_code, stopped.forced) == (-15, False)
    assert stopped.seconds < 30


def test_who_does_not_stop_is_killed(tmp_path):
    with ServedProcess().start(release(tmp_path, program(deaf=True)), Resources(), {}) as service:
        wait_for(lambda: "ready" in service.log())
        stopped = service.stop(0.3)

    assert (stopped.exit_code, stopped.forced) == (-9, True)
    assert stopped.seconds >= 0.3


def test_who_ends_by_itself_says_why_without_passwords(tmp_path):
    failing = "import sys; print('x' * 9000); sys.exit('no store at redis://:s3cret@host/0')"
    with ServedProcess().start(release(tmp_path, failing), Resources(), {}) as service:
        wait_for(lambda: service.gone() != "")
        said = service.gone()

    assert said.startswith("the service ended with 1: ")
    assert said.endswith("no store at redis://:***@host/0")
    assert len(said) < 700


def test_a_program_that_is_not_there(tmp_path):
    missing = ServedRelease(
        name="release 1.4.0",
        folder=tmp_path,
        command=("no-such-program-anywhere",),
        paths=(),
        facts={},
        built_for=BuiltFor(python="3.12", machine="x86_64", libraries={}),
    )
    with (
        pytest.raises(IntegrationError, match=r"release 1\.4\.0 cannot be started"),
        ServedProcess().start(missing, Resources(), {}),
    ):
        pass


@linux
def test_processors_that_cannot_be_enforced_are_told(tmp_path):
    for cpu, enforced in ((0.5, False), (1, True), (4096 / 4, False)):
        with ServedProcess().start(release(tmp_path, "pass"), Resources(cpu=cpu), {}) as service:
            assert service.cpu_enforced is enforced


@linux
def test_memory_of_nobody_is_not_known():
    assert memory_of([]) is None
    assert tree_of(2**31 - 1) == []
    own = memory_of(tree_of(os.getpid()))
    assert own is not None
    assert own.total > 2**20
