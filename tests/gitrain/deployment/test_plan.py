"""Plans as data: what follows from what is desired and what was seen, for any state that a killed run can leave."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.deployment.plan import plan_deployment, plan_stop, plan_undo
from gitrain.deployment.record import DeploymentRecord, Ending, RunningRelease
from gitrain.deployment.replicas import Desired, Observed, Replica, UnderWay
from gitrain.deployment.routing import Backend
from gitrain.deployment.steps import (
    AwaitStep,
    CanaryStretch,
    FetchStep,
    ProbeStep,
    RecordStep,
    RouteStep,
    StartStep,
    StopStep,
)
from gitrain.environments.document import Environment
from gitrain.verdicts import Outcome

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW, OTHER = (RunningRelease(version=f"1.{number}.0", digest=f"sha256:{str(number) * 64}") for number in range(3))
LISTEN = "127.0.0.1:8080"


def desired(release=NEW, **keys):
    content = {"schema_version": 1, "release": "1.0.0", "digest": f"sha256:{'0' * 64}", **keys}
    return Desired(name="test", file=Environment.model_validate(content), commit="c" * 40, release=release)


def replica(number, release, *, alive=True, ready=True):
    return Replica(
        id=f"{number:012x}",
        release=release,
        port=10_000 + number,
        pid=number,
        began=NOW + timedelta(seconds=number),
        alive=alive,
        ready=ready and alive,
    )


def observed(*replicas, routed=(), proxied=True, under_way=None, listen=LISTEN):
    return Observed(
        replicas=replicas,
        backends=tuple(Backend(replicas[index].port, weight) for index, weight in routed),
        proxied=proxied and bool(routed),
        listen=listen if routed else None,
        under_way=under_way,
    )


def under_way(release, former=None, **values):
    given_values = {"kind": "deploy", **values}
    return UnderWay(
        schema_version=1,
        id="0" * 16,
        project="parcels",
        release=release,
        former=former,
        desired_by="c" * 40,
        actor="Ada",
        began=NOW,
        **given_values,
    )


def record(release, ending=Ending.SUCCEEDED, *, commit="c" * 40, minutes=0):
    return DeploymentRecord(
        schema_version=1,
        id="1" * 16,
        project="parcels",
        environment="test",
        release=release,
        desired_by=commit,
        actor="Ada",
        reason="it was slow.",
        began=NOW + timedelta(minutes=minutes),
        ended=NOW + timedelta(minutes=minutes + 1),
        ending=ending,
    )


def names(plan):
    return [step.name for step in plan.steps]


RUNNING = observed(replica(1, OLD), routed=[(0, 1)])


def test_the_texts_of_a_plan():
    canary = {"kind": "canary", "steps": [{"percent": 5, "seconds": 120}]}
    plan = plan_deployment(
        desired(runtime={"replicas": 2}, strategy=canary),
        observed(replica(1, OLD), replica(2, OTHER), routed=[(0, 1)]),
    )
    assert plan.reason == "release 1.1.0 is to run, 1.0.0 runs"
    assert [step.text for step in plan.steps] == [
        "stop 1 replica of 1.2.0",
        f"fetch release 1.1.0 ({'1' * 12}) and verify it",
        "start 2 replicas of 1.1.0",
        "wait until 1.1.0 is ready, for 30 s at most",
        "probe smoke of 1.1.0",
        "probe contract of 1.1.0",
        "probe load of 1.1.0",
        "send 5 % to 1.1.0 and the rest to 1.0.0 for 120 s, and judge",
        "send all requests at 127.0.0.1:8080 to 1.1.0",
        "record that it SUCCEEDED",
    ]


def test_copies_come_before_any_user():
    shadow = {"percent": 20, "seconds": 30}
    canary = {"kind": "canary", "steps": [{"percent": 5, "seconds": 120}], "shadow": shadow}
    plan = plan_deployment(desired(strategy=canary), observed(replica(1, OLD), routed=[(0, 1)]))
    assert [(step.name, step.text) for step in plan.steps][-4:-2] == [
        ("shadow", "send copies of requests alone to 1.1.0 for 30 s, and judge"),
        ("canary 5 %", "send 5 % to 1.1.0 and the rest to 1.0.0 for 120 s, and judge"),
    ]
    shadow["seconds"] = 0
    plan = plan_deployment(desired(strategy=canary), observed(replica(1, OLD), routed=[(0, 1)]))
    assert "shadow" not in [step.name for step in plan.steps]


def test_a_first_deployment_has_no_canary():
    canary = {"kind": "canary", "steps": [{"percent": 5, "seconds": 120}]}
    plan = plan_deployment(desired(strategy=canary), observed())
    assert not any(isinstance(step, CanaryStretch) for step in plan.steps)
    assert plan.former is None


CANARY = {"kind": "canary", "steps": [{"percent": 5, "seconds": 120}]}


@pytest.mark.parametrize("strategy", [CANARY, CANARY | {"shadow": {"percent": 20, "seconds": 30}}])
@pytest.mark.parametrize(
    ("seen", "steps"),
    [
        (observed(replica(1, OLD, ready=False), routed=[(0, 1)]), "await route"),
        (observed(replica(1, OLD, alive=False), routed=[(0, 1)]), "fetch start await route stop"),
        (observed(replica(1, OLD, alive=False), routed=[(0, 1)], proxied=False), "fetch start await route stop"),
        # A share that could not be taken back, or a canary that a kill or a reboot has ended.
        (
            observed(replica(1, OLD, alive=False), replica(2, NEW), routed=[(0, 9), (1, 1)]),
            "fetch start await route stop",
        ),
        (
            observed(
                replica(1, OLD, ready=False), replica(2, NEW), routed=[(0, 9), (1, 1)], under_way=under_way(NEW, OLD)
            ),
            "await route",
        ),
        (
            observed(
                replica(1, OLD, alive=False),
                replica(2, NEW, alive=False),
                routed=[(0, 9), (1, 1)],
                proxied=False,
                under_way=under_way(NEW, OLD),
            ),
            "fetch start await route stop",
        ),
    ],
)
def test_who_a_canary_is_judged_beside_is_put_back_first(strategy, seen, steps):
    failed = [record(NEW, Ending.FAILED)]
    plan = plan_deployment(desired(strategy=strategy), seen, failed)
    assert (plan.kind, " ".join(names(plan))) == ("heal", steps)
    assert (plan.release, plan.recorded, plan.outcome) == (OLD, False, Outcome.INCONCLUSIVE)
    assert plan.reason.startswith(
        "release 1.1.0 is to run, and 1.0.0, which its canary is judged beside, answers nobody"
    )
    assert all(each.release == OLD and not each.alive for each in plan.replicas)
    back = carried_out(plan, seen)
    assert list(back.shares) == [OLD]
    then = plan_deployment(desired(strategy=strategy), back, failed)
    assert (then.kind, then.former) == ("deploy", OLD)
    assert "canary 5 %" in names(then)
    # What cannot even start must not keep its own repair away.
    without = plan_deployment(desired(strategy=strategy), seen, failed, lost="it ended by itself")
    assert (without.kind, without.former) == ("deploy", OLD)
    assert not any(isinstance(step, CanaryStretch) for step in without.steps)
    assert "without a canary, as 1.0.0 ran and cannot be put back (it ended by itself)" in without.reason
    # Where it is there by then, it is judged beside.
    assert "canary 5 %" in names(plan_deployment(desired(strategy=strategy), back, failed, lost="it ended by itself"))


def test_without_a_canary_nobody_needs_to_be_put_back():
    dead = observed(replica(1, OLD, alive=False), routed=[(0, 1)])
    assert plan_deployment(desired(), dead).kind == "deploy"
    assert plan_deployment(desired(strategy=CANARY), dead, [record(NEW)]).kind == "rollback"


def test_going_back_takes_a_look_and_no_canary():
    canary = {"kind": "canary", "steps": [{"percent": 5, "seconds": 120}]}
    seen = observed(replica(1, OLD), replica(2, NEW), routed=[(0, 1)])
    plan = plan_deployment(desired(strategy=canary), seen, [record(NEW)])
    assert (plan.kind, names(plan)) == ("rollback", ["fetch", "probe smoke", "route", "record"])
    # What has never succeeded here is not gone back to.
    assert plan_deployment(desired(strategy=canary), seen, [record(NEW, Ending.FAILED)]).kind == "deploy"


def test_what_was_left_behind_comes_again_as_a_new_release_does():
    canary = {"kind": "canary", "steps": [{"percent": 5, "seconds": 120}]}
    history = [record(OLD), record(NEW, minutes=5), record(OLD, minutes=10)]
    plan = plan_deployment(desired(strategy=canary), RUNNING, history)
    assert plan.kind == "deploy"
    assert {"probe contract", "probe load", "canary 5 %"} <= set(names(plan))
    # The way back stays a way back, however often it was gone.
    back = plan_deployment(desired(OLD, strategy=canary), observed(replica(1, NEW), routed=[(0, 1)]), history)
    assert back.kind == "rollback"


def test_nothing_is_to_be_done():
    plan = plan_deployment(desired(OLD), RUNNING)
    assert (plan.kind, plan.steps, plan.outcome) == ("none", (), Outcome.PASSED)


@pytest.mark.parametrize(
    ("seen", "steps", "reason"),
    [
        (observed(replica(1, OLD, alive=False), routed=[(0, 1)]), "fetch start await probe smoke route stop", "0 of 1"),
        (observed(replica(1, OLD, ready=False), routed=[(0, 1)]), "fetch start await probe smoke route stop", "0 of 1"),
        (observed(replica(1, OLD), routed=[(0, 1)], proxied=False), "route", "proxy does not run"),
        (observed(replica(1, OLD), routed=[(0, 1)], listen="127.0.0.1:1"), "route", "are to reach it at"),
        (observed(replica(1, OLD), replica(2, OLD), routed=[(0, 1), (1, 1)]), "route stop", "requests go elsewhere"),
        (observed(replica(1, OLD), replica(2, OLD), routed=[(0, 1)]), "stop", "1 replica is of no use"),
        (observed(replica(1, OLD), replica(2, NEW, alive=False), routed=[(0, 1)]), "stop", "1 replica is of no use"),
        (observed(replica(1, OLD), replica(2, NEW), routed=[(0, 9), (1, 1)]), "route", "requests go elsewhere"),
    ],
)
def test_healing(seen, steps, reason):
    plan = plan_deployment(desired(OLD), seen)
    assert plan.kind == "heal"
    assert " ".join(names(plan)) == steps
    assert reason in plan.reason
    assert not plan.recorded


def test_one_release_stays_warm_and_no_more():
    seen = observed(replica(1, OTHER), replica(2, NEW), replica(3, OLD), routed=[(2, 1)])
    assert [each.release for each in plan_deployment(desired(OLD), seen).replicas] == [OTHER]
    alone = plan_deployment(desired(OLD, strategy={"standby": False}), seen)
    assert [each.release for each in alone.replicas] == [OTHER, NEW]


def test_what_was_aborted_waits_for_another_commit_or_an_order():
    aborted = [record(OLD), record(NEW, Ending.ABORTED, minutes=5)]
    refused = plan_deployment(desired(), RUNNING, aborted)
    assert (refused.kind, refused.steps, refused.outcome) == ("refused", (), Outcome.FAILED)
    assert "it was slow." in refused.reason
    assert plan_deployment(desired(), RUNNING, aborted, again=True).kind == "deploy"
    moved = [record(NEW, Ending.ABORTED, commit="d" * 40)]
    assert plan_deployment(desired(), RUNNING, moved).kind == "deploy"
    mended = [*aborted, record(NEW, Ending.FAILED, minutes=9)]
    assert plan_deployment(desired(), RUNNING, mended).kind == "deploy"


def aborted(former=OLD):
    """The canary of a release was found worse; another one ran before it, or none did."""
    return [record(OLD), record(NEW, Ending.ABORTED, minutes=5).model_copy(update={"former": former})]


@pytest.mark.parametrize(
    ("seen", "steps"),
    [
        (RUNNING, ""),
        (observed(replica(1, OLD, alive=False), routed=[(0, 1)]), "fetch start await probe smoke route stop"),
        (
            observed(replica(1, OLD, alive=False), routed=[(0, 1)], proxied=False),
            "fetch start await probe smoke route stop",
        ),
        (observed(replica(1, OLD), routed=[(0, 1)], proxied=False), "route"),
        # Where users reach it is not for a file that asks for what was aborted.
        (observed(replica(1, OLD), routed=[(0, 1)], listen="127.0.0.1:1"), ""),
        # What was aborted is not kept warm; whoever was before is.
        (observed(replica(1, OLD), replica(2, NEW), routed=[(0, 1), (1, 9)]), "route stop"),
        (observed(replica(1, OLD), replica(2, NEW), routed=[(0, 1)]), "stop"),
        (observed(replica(1, OLD), replica(2, OTHER), routed=[(0, 1)]), ""),
        (observed(), "fetch start await probe smoke route"),
    ],
)
def test_what_runs_in_place_of_what_was_aborted_is_healed(seen, steps):
    plan = plan_deployment(desired(strategy={"standby": True}), seen, aborted())
    assert " ".join(names(plan)) == steps
    assert (plan.kind, plan.outcome, plan.recorded) == ("refused", Outcome.FAILED, False)
    assert plan.reason.startswith("release 1.1.0 was aborted here: it was slow. It is tried again once")
    assert {step.release for step in plan.steps if not isinstance(step, StopStep | RecordStep)} <= {OLD}
    assert {step.listen for step in plan.steps if isinstance(step, RouteStep)} <= {LISTEN}


def test_where_nothing_ran_before_what_was_aborted_nothing_is_healed():
    plan = plan_deployment(desired(), observed(), aborted(former=None))
    assert (plan.kind, plan.steps, plan.outcome) == ("refused", (), Outcome.FAILED)


def test_suspended():
    assert plan_deployment(desired(suspend=True), RUNNING).outcome is Outcome.INCONCLUSIVE
    assert plan_deployment(desired(OLD, suspend=True), RUNNING).outcome is Outcome.PASSED
    dead = observed(replica(1, OLD, alive=False), routed=[(0, 1)])
    assert plan_deployment(desired(OLD, suspend=True), dead).steps == ()


def test_taking_back():
    note = under_way(NEW, OLD, ending=Ending.ABORTED, reason="it is slow")
    seen = observed(replica(1, OLD), replica(2, NEW), routed=[(0, 9), (1, 1)], under_way=note)
    plan = plan_undo(desired(), seen)
    assert [step.text for step in plan.steps] == [
        "send all requests at 127.0.0.1:8080 to 1.0.0",
        "stop 1 replica of 1.1.0",
        "record that it ABORTED",
    ]
    assert plan == plan_deployment(desired(), seen)


@pytest.mark.parametrize(
    ("former", "steps"),
    [
        (replica(1, OLD, alive=False), "fetch start await route stop record"),
        (replica(1, OLD, ready=False), "await route stop record"),
    ],
)
def test_the_former_release_is_waited_for_or_started_before_it_is_given_up(former, steps):
    note = under_way(NEW, OLD, ending=Ending.ABORTED, reason="it is slow")
    seen = observed(former, replica(2, NEW), routed=[(0, 9), (1, 1)], under_way=note)
    plan = plan_undo(desired(), seen)
    assert " ".join(names(plan)) == steps
    assert {step.release for step in plan.steps if isinstance(step, FetchStep | AwaitStep | RouteStep)} == {OLD}
    assert all(each.release == NEW or not each.alive for each in plan.replicas)


@pytest.mark.parametrize(
    ("former", "proxied", "steps"),
    [
        (replica(1, OLD), True, "stop record"),
        (replica(1, OLD), False, "stop route record"),
        (replica(1, OLD, ready=False), False, "stop await route record"),
        (replica(1, OLD, alive=False), True, "stop fetch start await route stop record"),
        (replica(1, OLD, alive=False), False, "stop fetch start await route stop record"),
    ],
)
def test_users_are_served_again_by_what_had_died_before_a_release_that_failed(former, proxied, steps):
    note = under_way(NEW, OLD, ending=Ending.FAILED, reason="it is slow")
    seen = observed(former, replica(2, NEW), routed=[(0, 1)], proxied=proxied, under_way=note)
    plan = plan_undo(desired(), seen)
    assert " ".join(names(plan)) == steps
    assert {step.release for step in plan.steps if isinstance(step, FetchStep | AwaitStep | RouteStep)} <= {OLD}
    assert list(carried_out(plan, seen).shares) == [OLD]


def test_whoever_else_had_a_share_has_none_once_a_release_that_failed_is_taken_back():
    note = under_way(NEW, OLD, ending=Ending.FAILED, reason="it is slow")
    seen = observed(replica(1, OLD), replica(2, OTHER), replica(3, NEW), routed=[(0, 9), (1, 1)], under_way=note)
    plan = plan_undo(desired(), seen)
    assert (names(plan), [each.release for each in plan.replicas]) == (["stop", "route", "record"], [NEW])
    assert list(carried_out(plan, seen).shares) == [OLD]


def test_a_replica_that_a_killed_run_started_to_take_requests_back_is_waited_for():
    note = under_way(NEW, OLD, ending=Ending.FAILED, reason="it is slow")
    seen = observed(replica(1, OLD, alive=False), replica(3, OLD, ready=False), routed=[(0, 1)], under_way=note)
    assert names(plan_undo(desired(), seen)) == ["await", "route", "stop", "record"]


def test_a_former_release_that_died_is_known_until_another_has_its_requests():
    seen = observed(replica(1, OLD, alive=False), replica(2, OTHER), routed=[(0, 1)])
    plan = plan_deployment(desired(), seen)
    order = names(plan)
    assert (plan.former, order[0], order[-3:]) == (OLD, "stop", ["route", "stop", "record"])
    first, last = (step for step in plan.steps if isinstance(step, StopStep))
    assert [each.release for each in first.replicas] == [OTHER]
    assert [each.release for each in last.replicas] == [OLD]
    # Before that, whoever plans anew still sees what ran.
    assert carried_out(plan, seen, steps=order.index("route")).running == OLD


def test_what_failed_keeps_on_where_nothing_else_could_answer():
    note = under_way(NEW, ending=Ending.FAILED, reason="it is slow")
    assert names(plan_undo(desired(), observed(replica(2, NEW), routed=[(0, 1)], under_way=note))) == ["record"]


@pytest.mark.parametrize(
    ("ending", "commit", "again", "kind"),
    [
        (Ending.ABORTED, "c" * 40, False, "refused"),
        (Ending.ABORTED, "c" * 40, True, "deploy"),
        (Ending.ABORTED, "d" * 40, False, "deploy"),
        (Ending.FAILED, "c" * 40, False, "deploy"),
        (Ending.SUCCEEDED, "c" * 40, False, "heal"),
    ],
)
def test_a_share_that_could_not_be_taken_back_never_becomes_all_without_a_canary(ending, commit, again, kind):
    canary = {"kind": "canary", "steps": [{"percent": 5, "seconds": 120}]}
    for weights in ((9, 1), (1, 9)):
        seen = observed(replica(1, OLD), replica(2, NEW), routed=list(enumerate(weights)))
        plan = plan_deployment(desired(strategy=canary), seen, [record(NEW, ending, commit=commit)], again=again)
        assert plan.kind == kind
        if kind == "deploy":
            assert plan.former == OLD
            assert "canary 5 %" in names(plan)


def test_what_an_order_began_goes_on_after_a_kill():
    seen = observed(replica(1, OLD), replica(2, NEW), routed=[(0, 9), (1, 1)], under_way=under_way(NEW, OLD))
    assert plan_deployment(desired(), seen, [record(NEW, Ending.ABORTED)]).kind == "deploy"


def test_only_what_ends_badly_is_taken_back():
    with pytest.raises(ValueError, match="no deployment"):
        plan_undo(desired(), RUNNING)


def test_a_run_that_was_killed_before_it_was_recorded_is_finished():
    seen = observed(replica(1, OLD), replica(2, NEW), routed=[(1, 1)], under_way=under_way(NEW, OLD))
    plan = plan_deployment(desired(), seen)
    assert (plan.kind, names(plan), plan.former) == ("deploy", ["route", "record"], OLD)
    plan = plan_deployment(desired(strategy={"standby": False}), seen)
    assert names(plan) == ["route", "stop", "record"]


@pytest.mark.parametrize(
    ("routed", "steps"),
    [([(0, 1)], ["stop", "record"]), ([(0, 9), (1, 1)], ["route", "stop", "record"]), ([(1, 1)], ["record"])],
)
def test_what_was_interrupted_and_is_not_desired_any_more_goes(routed, steps):
    note = under_way(NEW, OLD)
    plan = plan_deployment(desired(OLD), observed(replica(1, OLD), replica(2, NEW), routed=routed, under_way=note))
    assert (plan.kind, names(plan)) == ("undo", steps)
    # Who had all requests already had passed, and stays warm.
    assert [each.release for each in plan.replicas] == [NEW] * ("stop" in steps)
    assert plan.steps[-1] == RecordStep(ending=Ending.FAILED if "stop" in steps else Ending.SUCCEEDED)


def test_ending_everything():
    plan = plan_stop(desired(), observed(replica(1, OLD), replica(2, NEW, alive=False), routed=[(0, 1)]))
    assert [step.text for step in plan.steps] == ["stop 1 replica of 1.0.0; 1 replica of 1.1.0, gone already"]
    assert plan_stop(desired(), observed()).steps == ()


replicas = st.lists(st.tuples(st.sampled_from([OLD, NEW, OTHER]), st.booleans(), st.booleans()), max_size=6)
states = st.builds(
    lambda found, weights, proxied, note: observed(
        *(replica(number, release, alive=alive, ready=ready) for number, (release, alive, ready) in enumerate(found)),
        routed=[(index, weight) for index, weight in zip(range(len(found)), weights, strict=False) if weight],
        proxied=proxied,
        under_way=note,
    ),
    replicas,
    st.lists(st.integers(0, 3), min_size=6, max_size=6),
    st.booleans(),
    st.sampled_from(
        [
            None,
            under_way(NEW, OLD),
            under_way(NEW),
            under_way(OTHER, OLD),
            under_way(OLD, kind="probe"),
            under_way(NEW, OLD, ending=Ending.FAILED, reason="x"),
            under_way(NEW, kind="probe", ending=Ending.FAILED, reason="x"),
        ]
    ),
)
wishes = st.builds(
    lambda release, number, standby, canary: desired(
        release,
        runtime={"replicas": number},
        probes={"required": ["smoke"]},
        strategy={"standby": standby, "kind": "canary", "steps": [{"percent": 5, "seconds": 1}]}
        if canary
        else {"standby": standby},
    ),
    st.sampled_from([OLD, NEW]),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
)


def carried_out(plan, seen, *, steps=None):
    """What is seen after (the first `steps` of) a plan that goes well."""
    found, backends, proxied, listen, note = (
        list(seen.replicas), seen.backends, seen.proxied, seen.listen, seen.under_way
    )  # fmt: skip
    fresh = itertools.count(max((int(each.id, 16) for each in found), default=0) + 1)
    if plan.recorded and note is None:
        kind = plan.kind if plan.kind in ("rollback", "probe") else "deploy"
        note = under_way(plan.release, plan.former if kind != "probe" else None, kind=kind)
    started = []

    def serving(release):
        return [
            each
            for each in found
            if each.release == release and each.usable and (each in started or each.id not in plan.retired)
        ]

    for step in plan.steps[:steps]:
        match step:
            case StartStep():
                started = [replica(next(fresh), step.release) for _ in range(step.number)]
                found += started
            case AwaitStep():
                assert [each for each in found if each.release == step.release and each.alive], "nobody to wait for"
                found = [
                    replace(each, ready=True) if each.release == step.release and each.alive else each for each in found
                ]
            case FetchStep() | ProbeStep():
                assert isinstance(step, FetchStep) or serving(step.release), "nobody to ask"
            case CanaryStretch():
                ports = {True: serving(step.release), False: serving(step.champion)}
                assert all(ports.values())
                backends = tuple(
                    Backend(each.port, step.percent if new else 100 - step.percent)
                    for new, chosen in ports.items()
                    for each in chosen
                )
                proxied, listen = True, listen or LISTEN
            case RouteStep():
                assert serving(step.release), "requests are sent to nobody"
                backends = tuple(Backend(each.port, 1) for each in serving(step.release))
                proxied, listen = True, step.listen
            case StopStep():
                found = [each for each in found if each not in step.replicas]
            case RecordStep():
                note = None
    return Observed(replicas=tuple(found), backends=backends, proxied=proxied, listen=listen, under_way=note)


def settle(wish, seen, records=()):
    """What nothing is to be done about any more, after four passes at most."""
    for _ in range(4):
        plan = plan_deployment(wish, seen, records)
        if not plan.steps:
            return plan, seen
        seen = carried_out(plan, seen)
    plan = plan_deployment(wish, seen, records)
    assert not plan.steps, f"still to be done: {plan}"
    return plan, seen


@given(wish=wishes, seen=states)
def test_from_any_state_a_few_passes_end_in_what_is_desired(wish, seen):
    plan, seen = settle(wish, seen)
    assert plan.kind == "none"
    assert list(seen.shares) == [wish.release]
    routed = [each for each in seen.replicas if seen.routed(each)]
    assert len(routed) == len(seen.backends) == wish.file.runtime.replicas
    assert all(each.usable for each in seen.replicas)
    assert len({each.release for each in seen.replicas}) <= (2 if wish.file.strategy.standby else 1)
    assert seen.under_way is None


@given(wish=wishes, seen=states, steps=st.integers(0, 12))
def test_a_pass_that_ends_after_any_step_leaves_a_state_that_the_next_one_mends(wish, seen, steps):
    _, seen = settle(wish, seen)
    other = desired(OTHER, strategy={"kind": "canary", "steps": [{"percent": 5, "seconds": 1}]})
    halfway = carried_out(plan_deployment(other, seen), seen, steps=steps)
    # The former release is served until the new one has all of it.
    usable = {each.port for each in halfway.replicas if each.usable}
    assert {backend.port for backend in halfway.backends} <= usable
    for chosen in (other, wish):
        plan, end = settle(chosen, halfway)
        assert (plan.kind, list(end.shares)) == ("none", [chosen.release])


@given(wish=wishes, seen=states)
def test_whatever_was_aborted_somebody_else_answers(wish, seen):
    wish, seen = replace(wish, release=NEW), replace(seen, under_way=None)
    alone = list(seen.shares) == [NEW]
    plan, end = settle(wish, seen, aborted())
    # It has all requests only where it had all of them, and nothing else could answer.
    assert plan.kind == ("none" if alone else "refused")
    assert len(end.shares) == 1
    assert (end.running == NEW) == alone
    routed = [each for each in end.replicas if end.routed(each)]
    assert len(routed) == len(end.backends) == wish.file.runtime.replicas
    assert end.proxied
    assert all(each.usable for each in end.replicas)


histories = st.sampled_from([(), (record(NEW),), (record(NEW, Ending.FAILED),), tuple(aborted())])


def ended_too_soon(plan, seen):
    """Who is ended though requests are sent to it until then."""
    before = itertools.takewhile(lambda step: not isinstance(step, RouteStep), plan.steps)
    ended = [each for step in before if isinstance(step, StopStep) for each in step.replicas]
    return [each for each in ended if each.usable and seen.routed(each)]


@given(wish=wishes, seen=states, records=histories)
def test_no_plan_ends_a_replica_before_its_requests_go_elsewhere(wish, seen, records):
    assert not ended_too_soon(plan_deployment(wish, seen, records), seen)


@pytest.mark.parametrize("strategy", [{}, {"standby": False}, CANARY])
@pytest.mark.parametrize("note", [None, under_way(NEW, OLD), under_way(NEW, OLD, ending=Ending.FAILED, reason="x")])
def test_nobody_of_several_that_answer_users_is_ended_before_its_requests_go_elsewhere(strategy, note):
    for releases in itertools.product([OLD, NEW, OTHER], repeat=3):
        found = (replica(number, release) for number, release in enumerate(releases))
        seen = observed(*found, routed=[(0, 1), (1, 1), (2, 1)], under_way=note)
        for wished, records in itertools.product(
            [OLD, NEW], [(), [record(NEW)], [record(NEW, Ending.FAILED)], aborted()]
        ):
            plan = plan_deployment(desired(wished, strategy=strategy), seen, records)
            assert not ended_too_soon(plan, seen), plan
            # In the end it goes all the same.
            assert list(carried_out(plan, seen).shares) == [plan.release], plan


@given(seen=states, records=histories)
def test_no_release_gets_all_requests_beside_another_without_a_canary(seen, records):
    """Whatever was seen at one look: unless it has them already, was here before, or is the first."""
    wish = desired(strategy=CANARY, probes={"required": ["smoke"]})
    for _ in range(4):
        plan = plan_deployment(wish, seen, records)
        if plan.kind == "deploy" and plan.former is not None and list(seen.shares) != [NEW]:
            assert "canary 5 %" in names(plan), plan
        seen = carried_out(plan, seen)
    assert plan_deployment(wish, seen, records).kind in ("none", "refused")
