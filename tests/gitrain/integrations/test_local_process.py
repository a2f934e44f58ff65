"""Who carries a variable is found, also in the middle of becoming another program."""

import os
import subprocess
import sys

import psutil
import pytest

from gitrain.integrations.local_process import LocalProcess, processes_with


@pytest.fixture
def alone(monkeypatch):
    """This process is the only one, and so the last that is looked at."""
    me = psutil.Process()
    monkeypatch.setattr(psutil, "process_iter", lambda: iter([me]))
    return LocalProcess(pid=me.pid, started=me.create_time())


@pytest.mark.parametrize("moments", [1, 2])
def test_the_last_one_looked_at_is_given_the_time_to_have_variables(alone, monkeypatch, moments):
    waited: list[float] = []
    monkeypatch.setattr(psutil.Process, "environ", lambda _: {"WHOSE": "mine"} if len(waited) == moments else {})
    assert processes_with("WHOSE", "mine", pause=waited.append) == [alone]
    assert len(waited) == moments
    assert all(0 < seconds <= 0.05 for seconds in waited)


def test_who_never_has_variables_is_waited_for_twice(alone, monkeypatch):
    waited: list[float] = []
    monkeypatch.setattr(psutil.Process, "environ", lambda _: {})
    assert processes_with("WHOSE", "mine", pause=waited.append) == []
    assert len(waited) == 2


def _nobody(seconds):
    raise AssertionError("waited for nobody")


def test_nobody_is_waited_for_where_all_have_variables(alone, monkeypatch):
    monkeypatch.setattr(psutil.Process, "environ", lambda _: {"WHOSE": "another's"})
    assert processes_with("WHOSE", "mine", pause=_nobody) == []
    assert processes_with("WHOSE", "another's", pause=_nobody) == [alone]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process that has ended cannot be looked at")
def test_who_has_ended_and_nobody_has_noticed_is_not_waited_for(monkeypatch):
    child = subprocess.Popen([sys.executable, "-S", "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    monkeypatch.setattr(psutil, "process_iter", lambda: iter([psutil.Process(child.pid)]))
    assert processes_with("WHOSE", "mine", pause=_nobody) == []
    child.wait()
