"""Replicas as real processes: found again whatever was killed, ended whole, and behind a real proxy."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any

import psutil
import pytest
from tests.gitrain.deployments import REPOSITORY, Site, ask
from tests.gitrain.integrations.test_caddy import kill, predict, process_of
from tests.gitrain.operations.test_apply_deployment import processes, wait_for

from gitrain.deployment.deployer import Bundle
from gitrain.deployment.record import Ending, RunningRelease
from gitrain.deployment.replicas import Replica
from gitrain.environments.document import Runtime
from gitrain.errors import DeploymentError
from gitrain.integrations.free_ports import free_port
from gitrain.integrations.local_deployer import REPLICA, LocalDeployer, bentoml_command
from gitrain.integrations.local_process import processes_with, start_detached
from gitrain.verdicts import Outcome, Verdict
from gitrain.wiring.canaries import open_watch


@pytest.fixture
def site(tmp_path):
    found = Site(tmp_path / "repository").begin()
    found.record = found.release("1.0.0")
    found.bundle = Bundle(record=found.record, folder=found.root / "built/1.0.0")
    yield found
    found.end()


@pytest.fixture
def deployer(site):
    return site.deployer


def started(site, deployer):
    replica = deployer.start(site.bundle, Runtime())
    wait_for(lambda: deployer.look(replica).ready)
    return deployer.look(replica)


def file_of(deployer, replica):
    return deployer.folder / "replicas" / replica.id / "replica.json"


def edit(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def held_once(folder, pauses, *, released_by):
    """A deployer, and one who holds its environment until the other has paused so often."""
    holding = contextlib.ExitStack()

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == released_by:
            holding.close()

    unused: Any = None
    made = LocalDeployer(folder, "127.0.0.1:1", open_proxy=unused, python=unused, pause=pause)
    holding.enter_context(made.hold("Grace", "2026-01-01T00:00:00+00:00", wait=0))
    return made, holding


@pytest.mark.parametrize("released_by", [1, 10])
def test_who_waits_long_enough_holds_it_as_soon_as_it_is_free(tmp_path, released_by):
    pauses = []
    deployer, holding = held_once(tmp_path / "test", pauses, released_by=released_by)
    with holding, deployer.hold("Ada", "2026-01-01T00:00:01+00:00", wait=1):
        assert pauses == [0.1] * released_by
        with pytest.raises(DeploymentError, match=r"changed by Ada \(process"), deployer.hold("Eve", "later", wait=0):
            raise AssertionError


def test_who_does_not_wait_long_enough_is_told_and_has_waited_as_long_as_was_said(tmp_path):
    pauses = []
    deployer, holding = held_once(tmp_path / "test", pauses, released_by=11)
    with holding:
        with pytest.raises(DeploymentError, match="changed by Grace"), deployer.hold("Ada", "later", wait=1):
            raise AssertionError
        assert sum(pauses) == pytest.approx(1)


def test_a_replica_is_started_and_seen(site, deployer):
    replica = started(site, deployer)
    assert (replica.alive, replica.ready, replica.release.version) == (True, True, "1.0.0")
    assert replica.memory > 1_000_000
    assert ask(replica.port, "/release")["version"] == "1.0.0"
    seen = deployer.observe().replicas[0]
    assert (seen.id, seen.pid, seen.port, seen.alive, seen.ready) == (
        replica.id, replica.pid, replica.port, True, True
    )  # fmt: skip


def test_it_outlives_whoever_started_it_and_belongs_to_no_terminal(site, deployer):
    replica = started(site, deployer)
    assert psutil.Process(replica.pid).ppid() != os.getpid()
    assert os.getsid(replica.pid) != os.getsid(0)


def test_ending_removes_all_but_the_log(site, deployer):
    replica = started(site, deployer)
    deployer.stop([replica], patience=5)
    assert deployer.observe().replicas == ()
    assert processes(site) == 0
    assert list((deployer.folder / "replicas").iterdir()) == []
    assert "serves 1.0.0" in (deployer.folder / "logs" / f"{replica.id}.log").read_text()


def test_ending_twice_is_no_error(site, deployer):
    replica = started(site, deployer)
    deployer.stop([replica], patience=5)
    deployer.stop([replica], patience=5)
    gone = deployer.look(replica)
    assert (gone.alive, gone.ready, gone.pid) == (False, False, None)


def test_old_logs_go(site, deployer):
    logs = deployer.folder / "logs"
    logs.mkdir(parents=True)
    for number in range(30):
        (logs / f"{number:02}.log").touch()
        os.utime(logs / f"{number:02}.log", (number, number))
    deployer.stop([], patience=1)
    assert sorted(path.name for path in logs.iterdir()) == [f"{number:02}.log" for number in range(10, 30)]


def test_a_process_whose_number_nobody_wrote_down_is_found(site, deployer):
    replica = started(site, deployer)
    edit(file_of(deployer, replica), pid=None, started=None)
    found = deployer.observe().replicas[0]
    assert (found.pid, found.ready) == (replica.pid, True)
    deployer.stop([found], patience=5)
    assert processes(site) == 0


def test_a_file_whose_process_never_came(site, deployer):
    replica = started(site, deployer)
    deployer.stop([replica], patience=5)
    never = {
        "schema_version": 1,
        "id": "0" * 12,
        "release": {"version": "1.0.0", "digest": site.record.bundle_digest},
        "port": 1,
        "began": "2026-01-01T00:00:00Z",
    }
    path = deployer.folder / "replicas" / ("0" * 12) / "replica.json"
    path.parent.mkdir()
    path.write_text(json.dumps(never))
    (deployer.folder / "replicas" / "half-made").mkdir()
    (found,) = deployer.observe().replicas
    assert (found.alive, found.pid) == (False, None)
    deployer.stop([found], patience=1)
    assert list((deployer.folder / "replicas").iterdir()) == []


def test_another_process_with_the_same_number_is_left_alone(site, deployer):
    replica = started(site, deployer)
    path = file_of(deployer, replica)
    original = json.loads(path.read_text())["started"]
    bystander = psutil.Process()
    edit(path, pid=bystander.pid, started=original)
    assert not deployer.look(replica).alive
    deployer.stop([replica], patience=1)
    assert bystander.is_running()
    # It was known by its variable all the same.
    assert processes(site) == 0


def test_a_clock_that_was_set_makes_no_replica_dead(site, deployer):
    replica = started(site, deployer)
    path = file_of(deployer, replica)
    edit(path, started=json.loads(path.read_text())["started"] + 3600)
    seen = deployer.look(replica)
    assert (seen.alive, seen.ready, seen.pid) == (True, True, replica.pid)
    deployer.stop([replica], patience=5)
    assert processes(site) == 0


def test_workers_that_outlive_their_parent_are_ended(site, deployer, tmp_path):
    replica = started(site, deployer)
    folder = deployer.folder / "replicas" / replica.id
    orphan = start_detached(
        [sys.executable, "-S", "-c", "import time; time.sleep(60)"],
        folder=tmp_path,
        log=tmp_path / "log",
        environment=dict(os.environ) | {REPLICA: str(folder)},
    )
    os.kill(replica.pid, signal.SIGKILL)
    wait_for(lambda: not deployer.look(replica).alive)
    deployer.stop([replica], patience=1)
    assert not orphan.alive


def test_what_was_killed_is_given_time_to_die(tmp_path, monkeypatch):
    pauses, ended, looks = [], [], iter((1, 1, 1, 0))

    class Dying:
        def end(self, *, patience, pause):
            ended.append(patience)

    monkeypatch.setattr("gitrain.integrations.local_deployer.processes_with", lambda *_, **__: [Dying()] * next(looks))
    unused: Any = None
    deployer = LocalDeployer(tmp_path, "127.0.0.1:1", open_proxy=unused, python=unused, pause=pauses.append)
    release = RunningRelease(version="1.0.0", digest=f"sha256:{'0' * 64}")
    began = datetime(2026, 1, 1, tzinfo=UTC)
    deployer.stop([Replica(id="0" * 12, release=release, port=1, pid=None, began=began)], patience=1)

    assert ended == [0.0] * 3
    assert len(pauses) == 3 and min(pauses) > 0


def test_processes_are_found_by_a_variable(tmp_path):
    mark = str(tmp_path)
    assert processes_with("GITRAIN_TRIED", mark) == []
    found = start_detached(
        [sys.executable, "-S", "-c", "import time; time.sleep(60)"],
        folder=tmp_path,
        log=tmp_path / "log",
        environment=dict(os.environ) | {"GITRAIN_TRIED": mark, "RUNNER_TRACKING_ID": "github_1"},
    )
    wait_for(lambda: [each.pid for each in processes_with("GITRAIN_TRIED", mark)] == [found.pid])
    assert processes_with("GITRAIN_TRIED", mark[:-1]) == []
    # A runner ends after a job what carries its mark.
    assert "RUNNER_TRACKING_ID" not in psutil.Process(found.pid).environ()
    found.end(patience=5, pause=time.sleep)


def test_a_process_that_is_being_replaced_by_its_next_program_is_found(tmp_path, monkeypatch):
    found = start_detached(
        [sys.executable, "-S", "-c", "import time; time.sleep(60)"],
        folder=tmp_path,
        log=tmp_path / "log",
        environment=dict(os.environ) | {"GITRAIN_TRIED": str(tmp_path)},
    )
    environ, looks = psutil.Process.environ, []

    def at_that_moment(process):
        if process.pid == found.pid:
            looks.append(process)
        return {} if process.pid == found.pid and len(looks) == 1 else environ(process)

    monkeypatch.setattr(psutil.Process, "environ", at_that_moment)
    assert [each.pid for each in processes_with("GITRAIN_TRIED", str(tmp_path))] == [found.pid]
    found.end(patience=5, pause=time.sleep)


def test_what_belongs_to_the_job_is_not_the_services(site):
    variables = dict(os.environ) | {
        "GITHUB_TOKEN": "t",
        "GITHUB_ACTIONS": "true",
        "RUNNER_TEMP": "t",
        "AWS_SECRET_ACCESS_KEY": "t",
        "PYPI_PASSWORD": "t",
        "GITRAIN_SIGNING_KEY": "t",
        "BENTOML_PORT": "1",
        "PYTHONHOME_ELSEWHERE": "t",
        "GITRAIN_ONLINE_STORE": "redis://:s3cret@127.0.0.1:6379/0",
        "GITRAIN_PREDICTION_LOG": "elsewhere",
        "GITRAIN_PREDICTION_LOG_PARQUET": "off",
        "LANG": "C",
    }
    opened = site.deployer
    deployer = LocalDeployer(
        opened.folder,
        site.listen,
        open_proxy=opened._open_proxy,
        python=opened._python,
        command=opened._command,
        variables=variables,
    )
    replica = started(site, deployer)
    found = psutil.Process(replica.pid).environ()
    assert not {
        "GITHUB_TOKEN", "GITHUB_ACTIONS", "RUNNER_TEMP", "AWS_SECRET_ACCESS_KEY", "PYPI_PASSWORD",
        "GITRAIN_SIGNING_KEY", "BENTOML_PORT", "PYTHONHOME_ELSEWHERE",
    } & set(found)  # fmt: skip
    assert found["GITRAIN_ONLINE_STORE"] == variables["GITRAIN_ONLINE_STORE"]
    assert found["GITRAIN_PREDICTION_LOG"] == str(deployer.folder / "predictions")
    assert found["GITRAIN_PREDICTION_LOG_PARQUET"] == "off"
    assert found["LANG"] == "C"
    assert found["PYTHONPATH"] == str(site.bundle.folder / "src")
    assert found["BENTOML_HOME"].startswith(str(deployer.folder / "replicas" / replica.id))
    # Nothing of it is written down.
    assert "s3cret" not in "".join(path.read_text() for path in deployer.folder.rglob("*.json"))


def test_a_store_and_a_log_of_the_environments_own(site, deployer):
    found = psutil.Process(started(site, deployer).pid).environ()
    assert found["GITRAIN_ONLINE_STORE"] == f"sqlite:///{deployer.folder}/online.sqlite"
    assert found["GITRAIN_PREDICTION_LOG"] == str(deployer.folder / "predictions")


def test_the_end_of_a_log_tells_no_password(site, deployer):
    replica = started(site, deployer)
    with (deployer.folder / "replicas" / replica.id / "log").open("a") as log:
        log.write("cannot reach redis://:s3cret@store:6379/0\n" + "x" * 100)
    said = deployer.log(replica)
    assert "redis://:***@store" in said
    assert "s3cret" not in said
    assert "\n" not in said
    deployer.stop([replica], patience=1)
    assert deployer.log(replica) == ""


@pytest.mark.parametrize("text", ["", "{", '{"schema_version": 1}', '{"schema_version": 2}', "\xff"])
def test_a_damaged_file_is_named_and_nothing_is_guessed(site, deployer, text):
    replica = started(site, deployer)
    path = file_of(deployer, replica)
    kept = path.read_bytes()
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DeploymentError, match=str(path)):
        deployer.observe()
    path.write_bytes(kept)


def test_the_lock_ends_with_its_holder(site, deployer):
    program = (
        "import sys, time; from pathlib import Path; from tests.gitrain.deployments import Site\n"
        "with Site(Path(sys.argv[1])).deployer.hold('Grace', 'now', wait=0): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(site.root)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(DeploymentError, match=rf"by Grace \(process {holder.pid}, since now\)"):
        deployer.hold("Ada", "now", wait=0).__enter__()
    holder.kill()
    holder.communicate()
    with deployer.hold("Ada", "now", wait=0):
        pass


def test_nothing_is_seen_and_nothing_made_where_nothing_was_deployed(site, deployer):
    seen = deployer.observe()
    assert (seen.replicas, seen.backends, seen.proxied, seen.listen) == ((), (), False, None)
    assert not deployer.folder.exists()


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        ("[::]:80", "http://127.0.0.1:80"),
        ("[::1]:80", "http://[::1]:80"),
        ("models.example.com:8080", "http://models.example.com:8080"),
    ],
)
def test_where_users_reach_it(site, listen, url):
    site.listen = listen
    assert site.deployer.url == url


def test_a_program_that_cannot_be_started(site, deployer):
    deployer._command = lambda python, bundle, port: ("/nowhere/python",)
    # The shell that was to start it may be gone before it can be looked at, or right after that: it is the same.
    deployer.start(site.bundle, Runtime())
    wait_for(lambda: not deployer.observe().replicas[0].alive)
    (replica,) = deployer.observe().replicas
    assert "/nowhere/python" in deployer.log(replica)
    deployer.stop([replica], patience=1)
    assert deployer.observe().replicas == ()


def test_a_hanging_service_is_not_ready(site, deployer):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        replica = started(site, deployer)
        edit(file_of(deployer, replica), port=listening.getsockname()[1])
        seen = deployer.look(replica)
        assert (seen.alive, seen.ready) == (True, False)


def test_bentoml_serves_on_this_machine_alone(tmp_path):
    assert bentoml_command(tmp_path / "python", tmp_path / "bundle", 1234) == (
        str(tmp_path / "python"), "-m", "bentoml", "serve", str(tmp_path / "bundle"), "--host", "127.0.0.1",
        "--port", "1234",
    )  # fmt: skip


@pytest.fixture
def behind_caddy(tmp_path):
    found = Site(tmp_path / "behind", listen=f"127.0.0.1:{free_port()}", caddy=True).begin()
    found.another = f"127.0.0.1:{free_port()}"
    found.desire(found.release("1.0.0"))
    found.apply()
    yield found
    found.end()


def answered(listen):
    return ask(int(listen.rpartition(":")[2]), "/release")["version"]


@pytest.mark.slow
def test_a_proxy_that_was_killed_comes_back(behind_caddy):
    site = behind_caddy
    assert answered(site.listen) == "1.0.0"
    kill(process_of(int(site.listen.rpartition(":")[2])))
    seen = site.observe()
    assert (seen.proxied, len(seen.backends)) == (False, 1)
    assert site.apply().plan.kind == "heal"
    assert answered(site.listen) == "1.0.0"


@pytest.mark.slow
def test_a_machine_that_reboots_serves_again_what_ran_before_an_aborted_release(behind_caddy):
    """Neither the proxy nor a replica is left, and the file still names what must not be tried."""
    site = behind_caddy
    bad = [Verdict(name="canary:errors", outcome=Outcome.FAILED, reason="too many")]
    site.tools_given = {"watch": lambda stretch: bad}
    site.desire(site.release("1.1.0"), strategy={"kind": "canary", "steps": [{"percent": 10, "seconds": 1}]})
    assert site.apply().record.ending is Ending.ABORTED
    replicas = [psutil.Process(each.pid) for each in site.observe().replicas]
    for process in (process_of(int(site.listen.rpartition(":")[2])), *replicas):
        kill(process)
    seen = site.observe()
    assert (seen.proxied, [each.alive for each in seen.replicas]) == (False, [False])
    done = site.apply()
    assert (done.plan.kind, done.outcome) == ("refused", Outcome.FAILED)
    assert answered(site.listen) == "1.0.0"
    assert site.apply().plan.steps == ()


@pytest.mark.slow
def test_users_are_led_to_another_address(behind_caddy):
    site = behind_caddy
    former, site.listen = site.listen, site.another
    site.desire(site.store.find("1.0.0"))
    assert site.apply().plan.kind == "heal"
    assert answered(site.another) == "1.0.0"
    with pytest.raises(OSError, match="refused"):
        answered(former)
    assert site.apply().plan.kind == "none"
    assert len(list((site.deployer.folder / "proxy").iterdir())) == 1


@pytest.mark.slow
def test_a_canary_is_watched_where_users_are_led_also_if_the_file_names_another_address(behind_caddy):
    site = behind_caddy
    seen: list[object] = []

    def watch(stretch):
        seen.append((site.deployer.proxy_folder, site.observe().listen))
        with open_watch(site.desired, site.deployer, print).proxied() as requests:
            predict(int(site.former.rpartition(":")[2]))
            end = time.monotonic() + 60
            while not (found := requests()):
                assert time.monotonic() < end
            seen.append(len(found))
        seen.append(site.observe().listen)
        return [Verdict(name="canary:errors", outcome=Outcome.FAILED, reason="too many")]

    site.former, site.listen = site.listen, site.another
    site.tools_given = {"watch": watch}
    site.desire(site.release("1.1.0"), strategy={"kind": "canary", "steps": [{"percent": 10, "seconds": 1}]})
    site.apply()
    folder = site.deployer.folder / "proxy" / site.former.replace(":", "-")
    assert seen == [(folder, site.former), 1, site.former]


@pytest.mark.slow
def test_a_release_that_fails_under_a_canary_leaves_no_trace_at_the_proxy(behind_caddy):
    site = behind_caddy
    seen = []

    def watch(stretch):
        seen.append({answered(site.listen) for _ in range(40)})
        return [Verdict(name="canary:errors", outcome=Outcome.FAILED, reason="too many")]

    site.tools_given = {"watch": watch}
    site.desire(site.release("1.1.0"), strategy={"kind": "canary", "steps": [{"percent": 10, "seconds": 1}]})
    assert site.apply().record.ending.value == "ABORTED"
    assert seen == [{"1.0.0", "1.1.0"}]
    assert {answered(site.listen) for _ in range(40)} == {"1.0.0"}
