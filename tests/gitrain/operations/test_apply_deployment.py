"""Deployments of stand-ins: real processes, real Git, a real store; what goes wrong is taken back."""

import json
import os
import random
import signal
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import psutil
import pytest
from tests.gitrain.deployments import BEGINS, Site, ask

from gitrain.deployment.record import Ending
from gitrain.deployment.replicas import UnderWay
from gitrain.deployment.routing import Backend
from gitrain.errors import DeploymentError, IntegrationError, PipelineError, ReleaseError, UsageError
from gitrain.integrations import local_process
from gitrain.verdicts import Outcome, Verdict


@pytest.fixture
def site(tmp_path):
    found = Site(tmp_path / "repository").begin()
    yield found
    found.end()


@pytest.fixture
def running(site):
    """Release 1.0.0 runs, deployed and recorded."""
    site.first = site.release("1.0.0")
    site.desire(site.first)
    assert site.apply().outcome is Outcome.PASSED
    return site


def versions(site):
    """What each backend answers, and with what weight."""
    return {ask(each.port, "/release")["version"]: each.weight for each in site.observe().backends}


def endings(site):
    return [(record.release.version, record.kind, record.ending.value) for record in site.records.list()]


def alive(site):
    return sorted(each.release.version for each in site.observe().replicas if each.alive)


def test_a_first_deployment(running):
    assert versions(running) == {"1.0.0": 1}
    (record,) = running.records.list()
    assert (record.ending, record.former, record.actor, record.kind) == (Ending.SUCCEEDED, None, "Ada", "deploy")
    assert record.desired_by == running.git("rev-parse", "HEAD")
    assert [step.name for step in record.steps] == ["fetch", "start", "await", "probe smoke", "route"]
    assert [verdict.name for verdict in record.steps[0].verdicts] == [
        "release:digests", "release:signature", "release:tag"
    ]  # fmt: skip


def test_a_second_pass_finds_nothing_to_do(running):
    before = running.observe()
    again = running.apply()
    assert (again.plan.kind, again.plan.steps, again.outcome, again.record) == ("none", (), Outcome.PASSED, None)
    assert [each.pid for each in running.observe().replicas] == [each.pid for each in before.replicas]
    assert len(running.records.list()) == 1


def test_blue_green_keeps_the_former_release_warm_and_goes_back_to_it_without_a_start(running):
    second = running.release("1.1.0")
    running.desire(second)
    assert running.apply().record.former.version == "1.0.0"
    assert versions(running) == {"1.1.0": 1}
    assert alive(running) == ["1.0.0", "1.1.0"]
    pids = {each.pid for each in running.observe().replicas}
    running.desire(running.first)
    back = running.apply()
    assert (back.plan.kind, back.record.kind) == ("rollback", "rollback")
    assert [step.name for step in back.record.steps] == ["fetch", "probe smoke", "route"]
    assert versions(running) == {"1.0.0": 1}
    assert {each.pid for each in running.observe().replicas} == pids


def test_the_standby_goes_with_the_next_deployment(running):
    for version in ("1.1.0", "1.2.0"):
        running.desire(running.release(version))
        running.apply()
    assert alive(running) == ["1.1.0", "1.2.0"]


def test_without_standby_the_former_release_ends(running):
    running.desire(running.release("1.1.0"), strategy={"standby": False})
    running.apply()
    assert alive(running) == ["1.1.0"]


@pytest.mark.parametrize(
    ("behaviour", "runtime", "reason"),
    [
        ({"dies": True}, {}, "ended by itself; its log ends with: the model cannot be read"),
        ({"never_ready": True}, {"start_seconds": 0.5}, "was not ready within 0.5 s"),
        ({"fails_smoke": True}, {}, "smoke:stand-in"),
    ],
)
def test_a_release_that_does_not_hold_up_never_gets_a_request(running, behaviour, runtime, reason):
    bad = running.release("1.1.0", **behaviour)
    running.desire(bad, runtime=runtime)
    pid = running.observe().replicas[0].pid
    done = running.apply()
    assert done.outcome is Outcome.FAILED
    assert reason in done.reason
    assert (done.record.ending, done.record.former.version) == (Ending.FAILED, "1.0.0")
    assert reason in done.record.reason
    assert versions(running) == {"1.0.0": 1}
    assert [each.pid for each in running.observe().replicas] == [pid]
    assert running.observe().under_way is None


def test_a_release_that_has_died_before_it_could_be_looked_at_has_failed_like_any_other(running, monkeypatch):
    ended = set()

    def run(*arguments, **options):
        done = subprocess.run(*arguments, **options)  # noqa: PLW1510  (it is among the options)
        wait_for(lambda: gone(int(done.stdout)))
        ended.add(int(done.stdout))
        return done

    class Process(psutil.Process):
        def __init__(self, pid=None):
            # As where the system's first process has taken notice of its end already.
            if pid in ended:
                raise psutil.NoSuchProcess(pid)
            super().__init__(pid)

    monkeypatch.setattr(psutil, "Process", Process)
    running.desire(running.release("1.1.0", dies=True))
    monkeypatch.setattr(local_process, "subprocess", SimpleNamespace(run=run, DEVNULL=subprocess.DEVNULL))
    done = running.apply()
    assert (done.outcome, endings(running)[-1]) == (Outcome.FAILED, ("1.1.0", "deploy", "FAILED"))
    assert "ended by itself; its log ends with: the model cannot be read" in done.reason
    assert versions(running) == {"1.0.0": 1}


def test_a_first_release_that_does_not_hold_up_leaves_nothing(site):
    site.desire(site.release("1.0.0", dies=True))
    assert site.apply().outcome is Outcome.FAILED
    assert site.observe().replicas == ()
    assert site.observe().backends == ()
    assert endings(site) == [("1.0.0", "deploy", "FAILED")]


def test_a_probe_that_breaks_is_an_error_and_is_taken_back(running):
    def broken(kind, url, bundle):
        raise IntegrationError("no route", fix="mend it.")

    running.desire(running.release("1.1.0"))
    running.tools_given = {"probe": broken}
    done = running.apply()
    assert (done.outcome, done.reason) == (Outcome.ERROR, "probe smoke: no route")
    assert endings(running)[-1] == ("1.1.0", "deploy", "FAILED")
    assert versions(running) == {"1.0.0": 1}
    running.tools_given = {}
    assert running.apply().outcome is Outcome.PASSED
    assert versions(running) == {"1.1.0": 1}


def test_every_required_probe_is_asked_before_a_request_arrives(running):
    asked = []

    def probe(kind, url, bundle):
        asked.append((kind, versions(running)))
        return [Verdict(name=kind, outcome=Outcome.PASSED, reason="asked")]

    running.tools_given = {"probe": probe}
    running.desire(running.release("1.1.0"), probes={"required": ["smoke", "contract", "load"]})
    running.apply()
    assert asked == [(kind, {"1.0.0": 1}) for kind in ("smoke", "contract", "load")]


def test_a_changed_byte_in_the_store_starts_nothing(running):
    bad = running.release("1.1.0")
    running.desire(bad)
    (running.root / ".gitrain/releases/blobs").chmod(0o755)
    for path in (running.root / ".gitrain/releases/blobs").rglob("*"):
        if path.is_file() and path.read_bytes().find(b'"1.1.0"') >= 0:
            path.chmod(0o644)
            path.write_bytes(path.read_bytes().replace(b'"1.1.0"', b'"1.1.1"'))
    done = running.apply()
    assert done.outcome is Outcome.FAILED
    assert "release.json" in done.reason
    assert [step.name for step in done.record.steps] == ["fetch"]
    assert alive(running) == ["1.0.0"]


def test_a_digest_that_is_not_the_stored_one_is_refused(running):
    second = running.release("1.1.0")
    running.desire(second.model_copy(update={"bundle_digest": running.first.bundle_digest}))
    with pytest.raises(ReleaseError, match=r"wants release 1\.1\.0 with the bundle sha256:"):
        running.apply()


def test_what_only_the_working_tree_says_does_not_count(running):
    path = running.root / "environments/test.yaml"
    path.write_text(path.read_text().replace("1.0.0", "9.9.9"))
    assert running.apply().plan.kind == "none"


def test_the_newest_release_of_a_branch_is_followed(site):
    site.release("1.0.0")
    site.desire("main")
    assert site.desired.release.version == "1.0.0"
    site.release("1.10.0")
    site.release("1.9.0")
    assert site.desired.release.version == "1.10.0"
    site.git("checkout", "-q", "-b", "aside")
    site.commit("Not on main")
    site.release("2.0.0")
    site.release("3.0.0", commit="0" * 40)
    assert site.desired.release.version == "1.10.0"
    site.git("checkout", "-q", "main")
    site.git("merge", "-q", "--ff-only", "aside")
    assert site.desired.release.version == "2.0.0"


def test_a_shared_branch_counts_as_it_is_shared(site, tmp_path):
    site.release("1.0.0")
    site.desire("main")
    site.git("init", "-q", "--bare", str(tmp_path / "forge"))
    site.git("remote", "add", "origin", str(tmp_path / "forge"))
    site.git("push", "-q", "origin", "main")
    site.commit("Not pushed")
    site.release("2.0.0")
    assert site.desired.release.version == "1.0.0"
    site.git("push", "-q", "origin", "main")
    assert site.desired.release.version == "2.0.0"


def test_a_branch_without_a_release_leaves_all_as_it_is(running):
    running.git("checkout", "-q", "--orphan", "other")
    running.desire("main", follows="other")
    done = running.apply()
    assert (done.plan.kind, done.plan.steps) == ("none", ())
    assert versions(running) == {"1.0.0": 1}


def test_a_suspended_environment_is_left_alone(running):
    running.desire(running.release("1.1.0"), suspend=True)
    done = running.apply()
    assert (done.plan.kind, done.outcome, done.plan.steps) == ("refused", Outcome.INCONCLUSIVE, ())
    assert versions(running) == {"1.0.0": 1}


def test_dead_replicas_are_replaced_and_that_is_no_deployment(running):
    running.desire(running.first, runtime={"replicas": 2})
    assert running.apply().plan.kind == "heal"
    pids = {each.pid for each in running.observe().replicas}
    victim = min(pids)
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: alive(running) == ["1.0.0"])
    healed = running.apply()
    assert (healed.plan.kind, healed.outcome) == ("heal", Outcome.PASSED)
    after = {each.pid for each in running.observe().replicas}
    assert victim not in after
    assert len(after) == 2
    assert len(running.observe().backends) == 2
    assert len(running.records.list()) == 1


def test_what_was_there_before_a_reboot_comes_back(running):
    for replica in running.observe().replicas:
        os.kill(replica.pid, signal.SIGKILL)
    wait_for(lambda: alive(running) == [])
    assert running.apply().plan.kind == "heal"
    assert versions(running) == {"1.0.0": 1}


def test_fewer_replicas(running):
    running.desire(running.first, runtime={"replicas": 3})
    running.apply()
    assert len(running.observe().backends) == 3
    running.desire(running.first, runtime={"replicas": 1})
    running.apply()
    assert len(running.observe().backends) == 1
    assert alive(running) == ["1.0.0"]


def test_probing_again_is_recorded_as_a_run(running):
    done = running.apply(again=True)
    assert (done.plan.kind, done.outcome) == ("probe", Outcome.PASSED)
    assert endings(running) == [("1.0.0", "deploy", "SUCCEEDED")] * 2
    assert [step.name for step in running.records.list()[-1].steps] == ["fetch", "probe smoke"]


def test_probing_again_changes_nothing_where_it_fails(running):
    pid = running.observe().replicas[0].pid
    failed = Verdict(name="smoke:stand-in", outcome=Outcome.FAILED, reason="wrong")
    running.tools_given = {"probe": lambda kind, url, bundle: [failed]}
    assert running.apply(again=True).outcome is Outcome.FAILED
    assert endings(running)[-1] == ("1.0.0", "deploy", "FAILED")
    assert [each.pid for each in running.observe().replicas] == [pid]
    assert versions(running) == {"1.0.0": 1}


CANARY = {"kind": "canary", "steps": [{"percent": 10, "seconds": 1}, {"percent": 50, "seconds": 2}]}


def test_a_canary_goes_step_by_step(running):
    seen = []

    def watch(stretch):
        seen.append((stretch.percent, stretch.seconds, versions(running)))
        assert [each.release.version for each in (*stretch.challenger, *stretch.champion)] == ["1.1.0", "1.0.0"]
        return [Verdict(name="canary:errors", outcome=Outcome.PASSED, reason="no worse")]

    running.desire(running.release("1.1.0"), strategy=CANARY)
    running.tools_given = {"watch": watch}
    done = running.apply()
    assert seen == [(10, 1.0, {"1.0.0": 9, "1.1.0": 1}), (50, 2.0, {"1.0.0": 1, "1.1.0": 1})]
    assert [step.name for step in done.record.steps][4:] == ["canary 10 %", "canary 50 %", "route"]
    assert versions(running) == {"1.1.0": 1}


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.INCONCLUSIVE])
def test_a_canary_that_does_not_pass_is_aborted_and_not_tried_again(running, outcome):
    seen = []

    def watch(stretch):
        seen.append(stretch.percent)
        if len(seen) == 1:
            return [Verdict(name="canary:errors", outcome=Outcome.PASSED, reason="no worse")]
        return [Verdict(name="canary:errors", outcome=outcome, reason="5 % of 300 requests")]

    bad = running.release("1.1.0")
    running.desire(bad, strategy=CANARY)
    running.tools_given = {"watch": watch}
    done = running.apply()
    assert (done.outcome, done.record.ending) == (outcome, Ending.ABORTED)
    assert done.record.reason == "canary:errors: 5 % of 300 requests"
    assert seen == [10, 50]
    assert versions(running) == {"1.0.0": 1}
    assert alive(running) == ["1.0.0"]
    refused = running.apply()
    assert (refused.plan.kind, refused.outcome) == ("refused", Outcome.FAILED)
    assert "5 % of 300 requests" in refused.reason
    assert len(running.records.list()) == 2
    running.tools_given = {"watch": lambda stretch: [Verdict(name="c", outcome=Outcome.PASSED, reason="fine")]}
    assert running.apply(again=True).outcome is Outcome.PASSED
    assert versions(running) == {"1.1.0": 1}


@pytest.mark.parametrize("outcome", [Outcome.PASSED, Outcome.FAILED])
def test_copies_are_asked_for_during_a_canary_and_not_after_it(running, outcome):
    seen = []

    def watch(stretch):
        order = json.loads((stretch.folder / "copies.json").read_text())
        seen.append((stretch.percent, order["release"], order["percent"], versions(running)))
        assert order["port"] == stretch.challenger[0].port
        found = Outcome.PASSED if stretch.percent == 0 else outcome
        return [Verdict(name="canary:errors", outcome=found, reason="asked")]

    shadow = {"percent": 20, "seconds": 1}
    running.desire(running.release("1.1.0"), strategy=CANARY | {"shadow": shadow})
    running.tools_given = {"watch": watch}
    assert running.apply().outcome is outcome
    # Nobody is sent to it while it gets copies alone.
    assert seen[:2] == [(0, "1.1.0", 20, {"1.0.0": 1}), (10, "1.1.0", 20, {"1.0.0": 9, "1.1.0": 1})]
    assert not (running.deployer.folder / "copies.json").exists()


def test_copies_that_a_killed_run_left_end_with_what_they_went_to(running):
    replica = running.observe().replicas[0]
    running.deployer.copy_requests(replica, 20)
    running.desire(running.release("1.1.0"))
    running.apply()
    assert not (running.deployer.folder / "copies.json").exists()
    running.deployer.copy_requests(replica, 20)
    running.deployer.stop_proxy()
    assert not (running.deployer.folder / "copies.json").exists()


def killed_while(site, **strategy):
    """A run that ends by SIGKILL, as far as the site can tell, while a canary is watched."""

    class KilledError(Exception):
        pass

    def watch(stretch):
        raise KilledError

    site.desire(site.release("1.1.0"), strategy=CANARY | strategy)
    site.tools_given = {"watch": watch}
    with pytest.raises(KilledError):
        site.apply()
    site.tools_given = {}


@pytest.mark.parametrize("strategy", [{}, {"shadow": {"percent": 20, "seconds": 1}}])
def test_a_canary_that_was_killed_leaves_nothing_once_the_file_is_put_back(running, strategy):
    """Neither copies, nor a share, nor a release on standby that has never passed."""
    killed_while(running, **strategy)
    assert (running.deployer.folder / "copies.json").exists() == bool(strategy)
    assert alive(running) == ["1.0.0", "1.1.0"]
    running.desire(running.first)
    assert running.apply().outcome is Outcome.PASSED
    assert not (running.deployer.folder / "copies.json").exists()
    assert versions(running) == {"1.0.0": 1}
    assert alive(running) == ["1.0.0"]
    assert endings(running)[-1] == ("1.1.0", "deploy", "FAILED")


def test_copies_end_with_the_record_where_nobody_is_left_to_end(running):
    replica = running.observe().replicas[0]
    running.deployer.note(under_way(running, running.release("1.1.0"), running.first))
    running.deployer.copy_requests(replica, 20)
    running.apply()
    assert not (running.deployer.folder / "copies.json").exists()


def test_a_canary_without_anybody_to_watch_it_is_refused_before_anything_starts(running):
    running.desire(running.release("1.1.0"), strategy=CANARY)
    with pytest.raises(UsageError, match="nobody here watches"):
        running.apply()
    assert alive(running) == ["1.0.0"]
    assert running.observe().under_way is None


def test_two_at_once_and_the_holder_is_named(running):
    named = r"being changed by Grace \(process \d+, since 2026-01-01"
    held = running.deployer.hold("Grace", "2026-01-01T00:00:00+00:00", wait=0)
    with held, pytest.raises(DeploymentError, match=named):
        running.apply()
    assert running.apply().plan.kind == "none"


def test_a_second_run_waits_and_then_finds_nothing_to_do(running):
    running.desire(running.release("1.1.0"))
    # Both come while somebody else is at it, so both wait.
    with running.deployer.hold("Grace", "2026-01-01T00:00:00+00:00", wait=0):
        runs = [running.apply_elsewhere(wait=120) for _ in range(2)]
        assert [run.stdout.readline().decode().strip() for run in runs] == [BEGINS, BEGINS]
    told = [run.communicate(timeout=180)[0].decode() for run in runs]
    # One applied; the other came while it did, and found nothing to do afterwards.
    assert [run.returncode for run in runs] == [0, 0], told
    assert sorted(json.loads(said.splitlines()[-1])["kind"] for said in told) == ["deploy", "none"]
    assert endings(running).count(("1.1.0", "deploy", "SUCCEEDED")) == 1
    assert running.apply(wait=60).plan.kind == "none"


def test_a_record_that_cannot_be_kept_is_kept_by_the_next_run(running):
    class Refusing:
        def list(self, environment=None):
            return running.records.list(environment)

        def add(self, record):
            raise PipelineError("no", fix="mend it.")

    running.desire(running.release("1.1.0"))
    running.tools_given = {"records": Refusing()}
    with pytest.raises(PipelineError):
        running.apply()
    assert versions(running) == {"1.1.0": 1}
    pids = [each.pid for each in running.observe().replicas]
    running.tools_given = {}
    done = running.apply()
    assert done.outcome is Outcome.PASSED
    assert endings(running) == [("1.0.0", "deploy", "SUCCEEDED"), ("1.1.0", "deploy", "SUCCEEDED")]
    assert [each.pid for each in running.observe().replicas] == pids
    assert "probe smoke" in [step.name for step in done.record.steps]
    assert running.apply().plan.kind == "none"


def under_way(site, record, former=None, **values):
    return UnderWay(
        schema_version=1,
        id="0123456789abcdef",
        project="conformance",
        kind="deploy",
        release={"version": record.version, "digest": record.bundle_digest},
        former=former and {"version": former.version, "digest": former.bundle_digest},
        desired_by="a" * 40,
        actor="Grace",
        began=datetime(2026, 1, 1, tzinfo=UTC),
        **values,
    )


def test_an_abort_that_was_killed_is_finished_and_the_release_gets_no_more_requests(running):
    bad = running.release("1.1.0")
    running.desire(bad)
    running.apply()
    ports = {each.release.version: each.port for each in running.observe().replicas}
    # As a canary leaves it: a tenth of the requests, found worse, and then a kill.
    running.deployer.route(running.listen, [Backend(ports["1.0.0"], 9), Backend(ports["1.1.0"], 1)])
    running.deployer.note(under_way(running, bad, running.first, ending="ABORTED", reason="it is slow"))
    commit = running.git("rev-parse", "HEAD")
    note = running.observe().under_way
    running.deployer.note(note.model_copy(update={"desired_by": commit, "began": datetime.now(UTC)}))
    done = running.apply()
    assert (done.plan.kind, done.outcome) == ("refused", Outcome.FAILED)
    assert versions(running) == {"1.0.0": 1}
    assert alive(running) == ["1.0.0"]
    assert endings(running)[-1] == ("1.1.0", "deploy", "ABORTED")


def ended(site, version):
    """Kill the replicas of a release, and wait until that is seen."""
    for replica in site.observe().replicas:
        if replica.release.version == version:
            os.kill(replica.pid, signal.SIGKILL)
    wait_for(lambda: version not in alive(site))


SLOW = [Verdict(name="canary:slow", outcome=Outcome.FAILED, reason="it is slow")]


def test_a_former_release_that_died_meanwhile_is_started_to_take_its_requests_back(running):
    def watch(stretch):
        ended(running, "1.0.0")
        return SLOW

    running.desire(running.release("1.1.0"), strategy=CANARY)
    running.tools_given = {"watch": watch}
    done = running.apply()
    assert (done.outcome, done.record.ending) == (Outcome.FAILED, Ending.ABORTED)
    assert versions(running) == {"1.0.0": 1}
    assert alive(running) == ["1.0.0"]
    assert processes(running) == 1


def test_a_former_release_that_misses_one_look_is_waited_for(running):
    deployer = running.deployer
    pid = running.observe().replicas[0].pid

    def watch(stretch):
        seen = deployer.observe

        def observe():
            found = seen()
            busy = [replace(each, ready=each.release.version != "1.0.0") for each in found.replicas]
            return replace(found, replicas=tuple(busy))

        deployer.observe = observe
        return SLOW

    running.desire(running.release("1.1.0"), strategy=CANARY)
    running.tools_given = {"watch": watch, "deployer": deployer}
    done = running.apply()
    assert (done.outcome, done.record.ending) == (Outcome.FAILED, Ending.ABORTED)
    assert versions(running) == {"1.0.0": 1}
    assert [each.pid for each in running.observe().replicas] == [pid]


@pytest.fixture
def aborted(running):
    """The canary of 1.1.0 was found worse, and 1.0.0 has all requests again."""
    running.desire(running.release("1.1.0"), strategy=CANARY)
    running.tools_given = {"watch": lambda stretch: SLOW}
    assert running.apply().record.ending is Ending.ABORTED
    return running


def test_what_runs_in_place_of_an_aborted_release_comes_back_and_the_refusal_stays(aborted):
    said = aborted.apply()
    assert (said.plan.kind, said.plan.steps) == ("refused", ())
    ended(aborted, "1.0.0")
    healed = aborted.apply()
    assert (healed.plan.kind, healed.outcome, healed.reason) == ("refused", Outcome.FAILED, said.reason)
    assert "it is slow" in healed.reason
    assert versions(aborted) == {"1.0.0": 1}
    assert alive(aborted) == ["1.0.0"]
    assert processes(aborted) == 1
    assert aborted.apply().plan.steps == ()
    assert len(aborted.records.list()) == 2


def test_an_environment_that_was_stopped_after_an_abort_is_begun_with_what_ran_before(aborted):
    aborted.end()
    assert aborted.observe().shares == {}
    assert (aborted.apply().plan.kind, versions(aborted)) == ("refused", {"1.0.0": 1})


def test_what_cannot_be_healed_in_place_of_an_aborted_release_is_told_with_the_refusal(aborted):
    def broken(release):
        raise ReleaseError("the store is away", fix="mend it.")

    ended(aborted, "1.0.0")
    aborted.tools_given = {"fetch": broken}
    done = aborted.apply()
    assert (done.plan.kind, done.outcome) == ("refused", Outcome.ERROR)
    assert "it is slow" in done.reason
    assert done.reason.endswith("meanwhile what runs could not be mended: fetch: the store is away")
    aborted.tools_given = {}
    assert (aborted.apply().outcome, versions(aborted)) == (Outcome.FAILED, {"1.0.0": 1})


def test_a_former_release_that_had_died_serves_again_after_each_release_that_fails(running):
    running.desire(running.release("1.1.0", fails_smoke=True))
    for attempt in range(2):
        ended(running, "1.0.0")
        done = running.apply()
        assert (done.outcome, done.record.ending) == (Outcome.FAILED, Ending.FAILED), attempt
        assert done.record.former.version == "1.0.0"
        assert versions(running) == {"1.0.0": 1}
        assert processes(running) == len(running.observe().replicas) == 1


def unfetched(site, answer):
    """Fetches all but 1.0.0."""
    return lambda release: answer() if release.version == "1.0.0" else site.fetch(release)


def away():
    raise IntegrationError("the store is away", fix="mend it.")


def changed():
    return [Verdict(name="release:digests", outcome=Outcome.FAILED, reason="a byte was changed")], None


@pytest.mark.parametrize(("answer", "outcome"), [(away, Outcome.ERROR), (changed, Outcome.FAILED)])
def test_a_former_release_that_cannot_be_had_is_not_forgotten(running, answer, outcome):
    running.desire(running.release("1.1.0", fails_smoke=True))
    ended(running, "1.0.0")
    running.tools_given = {"fetch": unfetched(running, answer)}
    done = running.apply()
    assert (done.outcome, done.record is None) == (outcome, outcome is Outcome.ERROR)
    assert processes(running) == 0
    running.tools_given = {}
    assert running.apply().record.former.version == "1.0.0"
    assert versions(running) == {"1.0.0": 1}


def test_a_share_that_nobody_can_take_back_stays_what_it_was(running):
    """The former release died and cannot be had any more: the aborted one answers some, and is never given all."""

    def watch(stretch):
        ended(running, "1.0.0")
        return SLOW

    running.desire(running.release("1.1.0"), strategy=CANARY)
    running.tools_given = {"watch": watch, "fetch": unfetched(running, changed)}
    shares = {"1.0.0": 0.9, "1.1.0": 0.1}
    for _ in range(2):
        assert running.apply().outcome is Outcome.FAILED
        assert {release.version: share for release, share in running.observe().shares.items()} == shares
        assert alive(running) == ["1.1.0"]
        assert endings(running)[1:] == [("1.1.0", "deploy", "ABORTED")]
    # An order has it judged beside the former one, as soon as that can be had again.
    stretches, watch = watched(running)
    running.tools_given = {"watch": watch}
    assert running.apply(again=True).record.ending is Ending.SUCCEEDED
    assert stretches == [10, 50]


@pytest.mark.parametrize("asked_since", [False, True])
def test_what_broke_while_a_release_is_taken_back_is_tried_again(running, asked_since):
    """A store that is away for a second: the release keeps its share until the next pass, and nothing is recorded."""

    def watch(stretch):
        ended(running, "1.0.0")
        return SLOW

    running.desire(running.release("1.1.0"), strategy=CANARY)
    running.tools_given = {"watch": watch, "fetch": unfetched(running, away)}
    for _ in range(2):
        done = running.apply()
        assert (done.outcome, done.record) == (Outcome.ERROR, None)
        assert "it is slow; it could not be taken back" in done.reason
        assert "the store is away" in done.reason
        assert running.observe().under_way.ending is Ending.ABORTED
        assert alive(running) == ["1.1.0"]
    if asked_since:
        # Whatever is broken keeps nobody from another release.
        running.desire(running.release("1.2.0"))
        assert running.apply().outcome is Outcome.PASSED
        assert versions(running) == {"1.2.0": 1}
        assert endings(running)[1:] == [("1.1.0", "deploy", "ABORTED"), ("1.2.0", "deploy", "SUCCEEDED")]
        return
    running.tools_given = {}
    assert running.apply().plan.kind == "refused"
    assert versions(running) == {"1.0.0": 1}
    assert alive(running) == ["1.0.0"]
    assert endings(running)[1:] == [("1.1.0", "deploy", "ABORTED")]


def watched(site):
    """The percents of the stretches that are watched beside 1.0.0, and what watches them; all pass."""
    stretches = []

    def watch(stretch):
        assert [each.release.version for each in (*stretch.challenger, *stretch.champion)] == ["1.1.0", "1.0.0"]
        stretches.append(stretch.percent)
        return [Verdict(name="canary:errors", outcome=Outcome.PASSED, reason="no worse")]

    return stretches, watch


def test_a_canary_is_judged_beside_a_release_that_has_died_before_it(running):
    ended(running, "1.0.0")
    running.desire(running.release("1.1.0"), strategy=CANARY)
    stretches, watch = watched(running)
    running.tools_given = {"watch": watch}
    done = running.apply()
    assert (done.outcome, done.record.former.version, stretches) == (Outcome.PASSED, "1.0.0", [10, 50])
    assert versions(running) == {"1.1.0": 1}
    assert processes(running) == len(running.observe().replicas) == 2
    assert len(running.records.list()) == 2


def test_a_canary_is_judged_beside_a_release_that_misses_one_look(running):
    deployer, looks = running.deployer, []
    pid, seen = running.observe().replicas[0].pid, deployer.observe

    def observe():
        found = seen()
        looks.append(found)
        return replace(found, replicas=tuple(replace(each, ready=len(looks) > 1) for each in found.replicas))

    deployer.observe = observe
    running.desire(running.release("1.1.0"), strategy=CANARY)
    stretches, watch = watched(running)
    running.tools_given = {"watch": watch, "deployer": deployer}
    assert running.apply().outcome is Outcome.PASSED
    assert stretches == [10, 50]
    assert pid in [each.pid for each in running.observe().replicas]


def test_a_canary_that_a_reboot_ended_begins_anew(running):
    killed_while(running)
    ended(running, "1.0.0")
    ended(running, "1.1.0")
    stretches, watch = watched(running)
    running.tools_given = {"watch": watch}
    assert running.apply().outcome is Outcome.PASSED
    assert stretches == [10, 50]
    assert endings(running)[1:] == [("1.1.0", "deploy", "SUCCEEDED")]
    assert processes(running) == len(running.observe().replicas) == 2


def test_a_release_that_mends_one_that_cannot_start_comes_without_a_canary_and_the_record_says_so(running):
    ended(running, "1.0.0")
    running.desire(running.release("1.1.0"), strategy=CANARY)
    stretches, watch = watched(running)
    running.tools_given = {"watch": watch, "fetch": unfetched(running, changed)}
    done = running.apply()
    assert (done.outcome, stretches, versions(running)) == (Outcome.PASSED, [], {"1.1.0": 1})
    said = "without a canary, as 1.0.0 ran and cannot be put back (release:digests: a byte was changed)"
    assert said in done.reason
    assert said in done.record.reason
    assert alive(running) == ["1.1.0"]


def test_no_release_comes_without_a_canary_because_something_is_broken(running):
    ended(running, "1.0.0")
    running.desire(running.release("1.1.0"), strategy=CANARY)
    stretches, watch = watched(running)
    running.tools_given = {"watch": watch, "fetch": unfetched(running, away)}
    done = running.apply()
    assert (done.plan.kind, done.outcome, done.record) == ("heal", Outcome.ERROR, None)
    assert "the store is away" in done.reason
    assert processes(running) == 0
    running.tools_given = {"watch": watch}
    assert (running.apply().outcome, stretches) == (Outcome.PASSED, [10, 50])


def test_a_proxy_that_refuses_leaves_the_rest_of_taking_back_to_the_next_pass(running):
    """Nobody ends whom requests are sent to, and nothing is recorded that did not happen."""
    deployer, refusals = running.deployer, []

    def watch(stretch):
        def refuse(listen, backends):
            refusals.append(backends)
            raise DeploymentError("the proxy refuses", fix="look at its log.")

        deployer.route = refuse
        return [Verdict(name="canary:errors", outcome=Outcome.FAILED, reason="5 % of 300 requests")]

    running.desire(running.release("1.1.0"), strategy=CANARY)
    running.tools_given = {"watch": watch, "deployer": deployer}
    done = running.apply()
    assert (done.outcome, done.record) == (Outcome.ERROR, None)
    assert "5 % of 300 requests; it could not be taken back" in done.reason
    assert "the proxy refuses" in done.reason
    assert versions(running) == {"1.0.0": 9, "1.1.0": 1}
    # As often as it is refused.
    again = running.apply()
    assert (again.plan.kind, again.outcome, len(refusals)) == ("undo", Outcome.ERROR, 2)
    left = running.observe().under_way
    assert (left.ending, left.reason) == (Ending.ABORTED, "canary:errors: 5 % of 300 requests")
    running.tools_given = {}
    assert running.apply().plan.kind == "refused"
    assert versions(running) == {"1.0.0": 1}
    assert alive(running) == ["1.0.0"]
    assert endings(running)[-1] == ("1.1.0", "deploy", "ABORTED")


def test_an_interrupted_deployment_is_recorded_where_another_release_is_desired_since(running):
    given_up = running.release("1.1.0")
    running.deployer.note(under_way(running, given_up, running.first))
    running.desire(running.release("1.2.0"))
    assert running.apply().outcome is Outcome.PASSED
    assert versions(running) == {"1.2.0": 1}
    assert sorted(endings(running)) == [
        ("1.0.0", "deploy", "SUCCEEDED"),
        ("1.1.0", "deploy", "FAILED"),
        ("1.2.0", "deploy", "SUCCEEDED"),
    ]


def test_a_service_that_does_not_listen_to_signals_is_ended(running):
    deaf = running.release("1.1.0", deaf=True)
    running.desire(deaf, runtime={"stop_seconds": 0.2})
    running.apply()
    running.desire(running.first, strategy={"standby": False}, runtime={"stop_seconds": 0.2})
    running.apply()
    assert alive(running) == ["1.0.0"]
    assert processes(running) == 1


def processes(site):
    """How many processes serve the site's bundles."""
    found = 0
    for process in psutil.process_iter():
        try:
            found += str(site.root) in process.environ().get("GITRAIN_REPLICA", "")
        except psutil.Error:
            continue
    return found


def gone(pid):
    """Whether a process has ended; who has to take notice of that is another process, which may never do."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def settled(site, first, second):
    """Whether requests go to one release, whole."""
    shares = site.observe().shares
    return len(shares) == 1 and next(iter(shares)).version in (first, second)


KILLS = int(os.environ.get("GITRAIN_KILLS", "20"))


@pytest.mark.slow
def test_runs_that_are_killed_anywhere_are_healed_by_the_next(site):
    """Killed before an effect that is drawn, then applied again; the releases take turns, so each run has all to do."""
    draw = random.Random(17)
    records = [site.release(f"1.{number}.0") for number in range(3)]
    site.desire(records[0])
    assert site.apply().outcome is Outcome.PASSED
    killed = 0
    for attempt in range(KILLS):
        former, wanted = site.observe().running.version, records[(attempt + 1) % 3]
        site.desire(wanted, strategy={"standby": draw.random() < 0.5})
        child = site.apply_elsewhere(kill_at=draw.randrange(60))
        said = child.communicate(timeout=180)[0].decode()
        killed += child.returncode == -signal.SIGKILL
        assert child.returncode in (0, -signal.SIGKILL), said
        # Users are served all the time, by the one or by the other.
        assert settled(site, former, wanted.version), attempt
        (share,) = site.observe().backends
        assert ask(share.port, "/release")["version"] in (former, wanted.version)
        assert site.apply().outcome is Outcome.PASSED, attempt
        assert versions(site) == {wanted.version: 1}
        assert site.apply().plan.kind == "none"
        # Nobody is forgotten: as many processes as replicas are known.
        assert processes(site) == len(site.observe().replicas) <= 2
        last = site.records.list()[-1]
        assert (last.release.version, last.ending) == (wanted.version, Ending.SUCCEEDED)
    assert killed > KILLS // 3
    # One record a deployment, however often it was begun.
    assert len(site.records.list()) == 1 + KILLS


@pytest.mark.slow
@pytest.mark.parametrize("aborted_before", [False, True])
def test_runs_that_are_killed_anywhere_lose_no_former_release_that_had_died(running, aborted_before):
    """Of a release that fails, or that was aborted and is refused: the next pass has the former one serve again."""
    draw = random.Random(29)
    running.desire(running.release("1.1.0", fails_smoke=True), strategy=CANARY if aborted_before else {})
    if aborted_before:
        running.tools_given = {"watch": lambda stretch: SLOW, "probe": lambda kind, url, bundle: []}
        assert running.apply().record.ending is Ending.ABORTED
    running.tools_given = {}
    killed = 0
    for attempt in range(max(6, KILLS // 4)):
        ended(running, "1.0.0")
        child = running.apply_elsewhere(kill_at=draw.randrange(50))
        said = child.communicate(timeout=180)[0].decode()
        killed += child.returncode == -signal.SIGKILL
        assert child.returncode in (0, -signal.SIGKILL), said
        done = running.apply()
        assert done.outcome is Outcome.FAILED, attempt
        assert (done.plan.kind == "refused") == aborted_before
        assert versions(running) == {"1.0.0": 1}
        assert processes(running) == len(running.observe().replicas) == 1
        assert running.observe().under_way is None
    assert killed > attempt // 3


@pytest.mark.slow
def test_runs_that_are_killed_at_any_time_are_healed_by_the_next(site):
    draw = random.Random(23)
    records = [site.release(f"1.{number}.0") for number in range(2)]
    site.desire(records[0])
    begun = time.monotonic()
    site.apply()
    # About as long as each of the runs takes that are killed; they have more to do.
    takes, killed = time.monotonic() - begun, 0
    for attempt in range(max(4, KILLS // 4)):
        former, wanted = site.observe().running.version, records[(attempt + 1) % 2]
        site.desire(wanted, strategy={"standby": False})
        child = site.apply_elsewhere()
        assert child.stdout.readline().decode().strip() == BEGINS
        try:
            child.wait(draw.uniform(0, takes))
        except subprocess.TimeoutExpired:
            child.kill()
        said = child.communicate(timeout=180)[0].decode()
        assert child.returncode in (0, -signal.SIGKILL), said
        killed += child.returncode == -signal.SIGKILL
        assert settled(site, former, wanted.version)
        assert site.apply(wait=60).outcome is Outcome.PASSED
        assert versions(site) == {wanted.version: 1}
        assert processes(site) == 1
    assert killed
