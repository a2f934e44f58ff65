"""How an environment is, and how that is told."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.gitrain.deployment.test_plan import LISTEN, NEW, NOW, OLD, desired, observed, replica, under_way

from gitrain.deployment.replicas import Observed, shares_of
from gitrain.deployment.routing import Backend
from gitrain.deployment.status import EnvironmentStatus, status_of
from gitrain.deployment.systemd import render_unit
from gitrain.reports.deployments_markdown import render_environments

URL = f"http://{LISTEN}"


def status(wish, seen):
    return status_of(wish, URL, seen, NOW + timedelta(hours=3))


@pytest.mark.parametrize(
    ("seen", "health", "drift"),
    [
        (observed(), "empty", ["nothing runs, 1.0.0 is desired"]),
        (observed(replica(1, OLD), routed=[(0, 1)]), "up", []),
        (observed(replica(1, NEW), routed=[(0, 1)]), "up", ["1.1.0 runs, 1.0.0 is desired"]),
        (observed(replica(1, OLD), routed=[(0, 1)], proxied=False), "down", []),
        (observed(replica(1, OLD, alive=False), routed=[(0, 1)]), "down", []),
        (observed(replica(1, OLD), replica(2, OLD, ready=False), routed=[(0, 1), (1, 1)]), "degraded", []),
        (
            observed(replica(1, OLD), replica(2, NEW), routed=[(0, 19), (1, 1)]),
            "up",
            ["requests go elsewhere: 5 % to 1.1.0"],
        ),
        (
            observed(replica(1, OLD), routed=[(0, 1)], listen="127.0.0.1:1"),
            "up",
            ["it listens at 127.0.0.1:1, not at 127.0.0.1:8080"],
        ),
    ],
)
def test_health_and_drift(seen, health, drift):
    found = status(desired(OLD), seen)
    assert (found.health, list(found.drift)) == (health, drift)


def test_too_few_replicas_are_no_health():
    assert (
        status(desired(OLD, runtime={"replicas": 2}), observed(replica(1, OLD), routed=[(0, 1)])).health == "degraded"
    )


def test_age_standby_and_what_is_under_way():
    seen = observed(replica(1, OLD), replica(2, NEW), routed=[(1, 1)], under_way=under_way(NEW, OLD))
    found = status(desired(NEW, suspend=True), seen)
    assert (found.standby, found.since, found.age) == (OLD, NOW + timedelta(seconds=2), 3 * 3600 - 2)
    assert (found.suspended, found.under_way, found.ready, found.replicas) == (True, "1.1.0", 1, 1)
    payload = found.to_json()
    assert payload["running"] == {"version": "1.1.0", "digest": NEW.digest}
    assert payload["since"] == "2026-01-01T00:00:02+00:00"


def test_shares_leave_out_what_nobody_knows():
    seen = (replica(1, OLD), replica(2, NEW))
    backends = [Backend(10_001, 1), Backend(10_002, 2), Backend(1, 1)]
    assert shares_of(seen, backends) == {NEW: 0.5, OLD: 0.25}
    assert Observed(replicas=seen).running is None


def test_the_table():
    rows = [
        EnvironmentStatus(
            name="test",
            desired=NEW,
            running=OLD,
            health="up",
            url=URL,
            ready=1,
            replicas=1,
            standby=NEW,
            since=datetime(2026, 1, 1, tzinfo=UTC),
            age=93_784.0,
            memory=300 * 2**20,
            under_way="1.1.0",
            drift=("1.0.0 runs, 1.1.0 is desired",),
        ),
        EnvironmentStatus(name="broken", problem="the file | is <wrong>"),
    ]
    assert render_environments(rows) == (
        "| environment | desired | running | health | ready | age | memory | standby | address |\n"
        "| --- | --- | --- | --- | --- | ---: | ---: | --- | --- |\n"
        "| test | 1.1.0 | 1.0.0 | up | 1/1 | 1.1 d | 300 MiB | 1.1.0 | http://127.0.0.1:8080 |\n"
        "| broken | – | – | unknown | 0/0 | – | – | – | – |\n"
        "\n"
        "* test: 1.0.0 runs, 1.1.0 is desired.\n"
        "* test: a deployment of 1.1.0 has begun and not ended.\n"
        "* broken: the file \\| is \\<wrong\\>\n"
    )
    assert render_environments([]).startswith("There is no environment yet")


def test_a_unit_passes_a_command_on_as_it_is():
    text = render_unit(
        "test",
        "/a/python -m gitrain -C '/srv/50% of $it'",
        folder="/srv/50%",
        user="ada",
        variables={"GITRAIN_STATE": '/var/lib/5% "of" it', "GITRAIN_RELEASE_STORE": "s3://bucket/releases"},
    )
    assert "ExecStart=/a/python -m gitrain -C '/srv/50%% of $$it'\n" in text
    assert "WorkingDirectory=/srv/50%%\n" in text
    assert "User=ada\n" in text
    assert (
        'Environment="GITRAIN_RELEASE_STORE=s3://bucket/releases"\n'
        'Environment="GITRAIN_STATE=/var/lib/5%% \\"of\\" it"\n'
        "ExecStart="
    ) in text
