"""Whether to train again: each reason and each hindrance alone, and what holds for all of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.monitoring.report import LabelCounts, MonitoringReport, Window, outcome_of
from gitrain.pipeline.retraining_params import RetrainingParams
from gitrain.release.record import RecordedVerdict
from gitrain.triggers.decision import Decision, Hindrance, Reason, decide
from gitrain.triggers.facts import RetrainingFacts
from gitrain.triggers.forge import OpenProposal
from gitrain.triggers.record import RetrainingEnding, RetrainingRecord

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
POLICY = RetrainingParams()
ME, OTHER = "1" * 16, "2" * 16


def facts(**values):
    values_of: dict[str, Any] = {
        "now": NOW,
        "base": "c" * 40,
        "branch": "main",
        "through": "2026-01",
        "batches": ("2026-02",),
        "pipeline": f"sha256:{'1' * 64}",
        "data": f"sha256:{'2' * 64}",
        "champion_since": NOW - timedelta(days=20),
        "holder": ME,
    }
    return RetrainingFacts(**values_of | values)


def record(ending, *, ago=timedelta(days=3), minutes=5.0, of=None, holder=OTHER, number=0, digest=None):
    of = of or facts()
    began = NOW - ago
    return RetrainingRecord(
        schema_version=1,
        id=f"{number:016x}",
        project="parcels",
        digest=digest or of.digest,
        inputs=of.inputs,
        base="c" * 40,
        through=of.target,
        reasons=("new-data",),
        holder=holder,
        began=began,
        ended=began + timedelta(minutes=minutes) if ending else None,
        ending=ending,
        reason="so it was" if ending else "",
        branch=f"retrain/{(digest or of.digest)[7:19]}",
    )


def report(*verdicts, ago=timedelta(hours=2)):
    made = tuple(RecordedVerdict(name=name, outcome=outcome, reason="it moved") for name, outcome in verdicts)
    decides = ("service", "data", "skew", "performance")
    return MonitoringReport(
        schema_version=1,
        project="parcels",
        target="late",
        unit="day",
        environment="production",
        generated=NOW - ago,
        window=Window(since=NOW - timedelta(days=30), through=NOW, days=30),
        outcome=outcome_of(made, decides),
        decides=decides,
        verdicts=made,
        labels=LabelCounts(),
    )


def reasons(plan):
    return [each.reason for each in plan.evidence]


def test_new_data_asks_for_one():
    plan = decide(facts(), POLICY)
    assert (plan.decision, plan.hindrance, reasons(plan)) == (Decision.RETRAIN, None, [Reason.NEW_DATA])
    assert (plan.former, plan.through, plan.batches) == ("2026-01", "2026-02", ("2026-02",))
    assert plan.branch == f"retrain/{plan.digest[7:19]}"


def test_nothing_asks_for_nothing():
    plan = decide(facts(batches=()), POLICY)
    assert (plan.decision, plan.evidence, plan.hindrance) == (Decision.NOTHING, (), None)


@pytest.mark.parametrize(
    ("policy", "asks"),
    [
        ({"new_data": False, "every_days": 20}, [Reason.SCHEDULE]),
        ({"new_data": False, "every_days": 21}, []),
        ({"new_data": False, "champion_age_days": 20}, [Reason.AGE]),
        ({"new_data": False, "champion_age_days": 21}, []),
        ({"every_days": 7, "champion_age_days": 7}, [Reason.NEW_DATA, Reason.SCHEDULE, Reason.AGE]),
    ],
)
def test_schedule_and_age(policy, asks):
    assert reasons(decide(facts(), RetrainingParams(**policy))) == asks


def test_the_schedule_counts_from_the_last_retraining_that_came_to_something():
    policy = RetrainingParams(new_data=False, every_days=10)
    concluded = record(RetrainingEnding.REFUSED, ago=timedelta(days=9), digest=f"sha256:{'9' * 64}")
    assert reasons(decide(facts(records=(concluded,)), policy)) == []
    for ending in (RetrainingEnding.ERROR, RetrainingEnding.LOST, RetrainingEnding.BAD_DATA):
        failed = record(ending, ago=timedelta(days=9))
        assert reasons(decide(facts(records=(failed,)), policy)) == [Reason.SCHEDULE]


def test_performance_decides_and_drift_explains():
    found = report(("performance:log_loss", "FAILED"), ("drift:temperature", "FAILED"), ("drift:zone", "PASSED"))
    plan = decide(facts(monitoring=found), POLICY)
    assert reasons(plan) == [Reason.NEW_DATA, Reason.PERFORMANCE]
    assert plan.evidence[1].sentence == "performance:log_loss of production failed: it moved"
    plan = decide(facts(monitoring=found), RetrainingParams(performance=False, data_drift=True))
    assert reasons(plan) == [Reason.NEW_DATA, Reason.DATA_DRIFT]
    assert plan.evidence[1].sentence == "data of production has moved: drift:temperature"


@pytest.mark.parametrize("outcome", ["PASSED", "INCONCLUSIVE", "ERROR"])
def test_only_a_failure_is_evidence(outcome):
    found = report(("performance:log_loss", outcome))
    assert reasons(decide(facts(monitoring=found), POLICY)) == [Reason.NEW_DATA]


def test_an_old_report_is_no_evidence():
    found = report(("performance:log_loss", "FAILED"), ago=timedelta(days=4))
    assert reasons(decide(facts(monitoring=found), POLICY)) == [Reason.NEW_DATA]


def test_without_new_data_the_same_model_would_come_out():
    found = report(("performance:log_loss", "FAILED"))
    plan = decide(facts(batches=(), monitoring=found), POLICY)
    assert (plan.decision, plan.hindrance) == (Decision.WAIT, Hindrance.SAME_INPUTS)
    assert decide(facts(batches=(), request="try it"), POLICY).decision is Decision.RETRAIN


@pytest.mark.parametrize("ending", list(RetrainingEnding))
def test_what_was_tried_is_not_tried_again_unless_it_broke(ending):
    plan = decide(facts(records=(record(ending),)), POLICY)
    again = ending in (RetrainingEnding.ERROR, RetrainingEnding.LOST)
    assert plan.decision is (Decision.RETRAIN if again else Decision.WAIT)
    assert plan.hindrance is (None if again else Hindrance.TRIED)
    assert plan.tried == (None if again else record(ending))


def test_other_data_or_rules_are_another_try():
    tried = (record(RetrainingEnding.REFUSED),)
    assert decide(facts(records=tried), POLICY).decision is Decision.WAIT
    for other in ({"data": f"sha256:{'3' * 64}"}, {"pipeline": f"sha256:{'3' * 64}"}, {"request": "please"}):
        assert decide(facts(records=tried, **other), POLICY).decision is Decision.RETRAIN, other
    # The base and the clock are none of it.
    assert decide(facts(records=tried, base="d" * 40), POLICY).hindrance is Hindrance.TRIED


def test_who_asks_again_is_told_what_would_be_another_try():
    tried = record(RetrainingEnding.REFUSED, of=facts(request="please"))
    asked = decide(facts(records=(tried,), request="please"), POLICY)
    assert asked.hindrance is Hindrance.TRIED
    assert asked.sentence.endswith("give another reason to try them again")
    assert "another reason" not in decide(facts(records=(record(RetrainingEnding.REFUSED),)), POLICY).sentence


def test_one_at_a_time():
    running = record(None, ago=timedelta(minutes=119), digest=f"sha256:{'9' * 64}")
    plan = decide(facts(records=(running,)), POLICY)
    assert (plan.hindrance, plan.until) == (Hindrance.RUNNING, NOW + timedelta(minutes=1))
    # Longer than any may take: it is dead.
    assert decide(facts(records=(record(None, ago=timedelta(minutes=120)),)), POLICY).decision is Decision.RETRAIN
    # This clone's own: whoever asks has the lock, so it is dead.
    assert decide(facts(records=(record(None, ago=timedelta(0), holder=ME),)), POLICY).decision is Decision.RETRAIN
    assert decide(facts(busy=True), POLICY).hindrance is Hindrance.RUNNING


def test_a_clock_that_was_an_hour_ahead_holds_nothing_up_for_ever():
    running = record(None, ago=-timedelta(hours=1))
    plan = decide(facts(records=(running,)), POLICY)
    assert (plan.hindrance, plan.until) == (Hindrance.RUNNING, NOW + timedelta(hours=3))
    assert decide(facts(records=(running,), now=NOW + timedelta(hours=3)), POLICY).decision is Decision.RETRAIN


def test_an_open_pull_request_of_the_same_inputs_is_waited_for():
    mine = OpenProposal(branch=f"retrain/{facts().digest[7:19]}", commit="e" * 40, number=7)
    older = OpenProposal(branch="retrain/0123456789ab", commit="f" * 40, number=3)
    plan = decide(facts(proposals=(mine, older)), POLICY)
    assert (plan.hindrance, plan.waiting, plan.superseded) == (Hindrance.OPEN, mine, (older,))
    plan = decide(facts(proposals=(older,)), POLICY)
    assert (plan.decision, plan.superseded) == (Decision.RETRAIN, (older,))
    # A request of the same inputs has another digest, and the pull request is as good for it.
    made = record(RetrainingEnding.PROPOSED)
    assert decide(facts(proposals=(mine,), records=(made,), request="now"), POLICY).hindrance is Hindrance.OPEN


def test_a_run_that_was_cut_short_is_made_an_end_of():
    mine = OpenProposal(branch=f"retrain/{facts().digest[7:19]}", commit="e" * 40, number=7)
    for ending in (RetrainingEnding.LOST, RetrainingEnding.ERROR):
        plan = decide(facts(proposals=(mine,), records=(record(ending),)), POLICY)
        assert (plan.decision, plan.superseded) == (Decision.RETRAIN, ())


def test_cooldown_is_for_programs():
    last = record(RetrainingEnding.REFUSED, ago=timedelta(hours=23), digest=f"sha256:{'9' * 64}")
    plan = decide(facts(records=(last,)), POLICY)
    assert (plan.hindrance, plan.until) == (Hindrance.COOLDOWN, NOW + timedelta(hours=1))
    assert decide(facts(records=(last,), request="now"), POLICY).decision is Decision.RETRAIN
    for ending in (RetrainingEnding.ERROR, RetrainingEnding.LOST, RetrainingEnding.BAD_DATA):
        short = replace(facts(records=(record(ending, ago=timedelta(hours=1), digest=last.digest),)))
        assert decide(short, POLICY).decision is Decision.RETRAIN


def test_the_budget_is_for_all():
    many = tuple(
        record(RetrainingEnding.ERROR, ago=timedelta(days=6, hours=-number), number=number) for number in range(7)
    )
    plan = decide(facts(records=many, request="now"), POLICY)
    assert (plan.hindrance, plan.until) == (Hindrance.BUDGET, NOW + timedelta(days=1))
    assert decide(facts(records=many[1:]), POLICY).decision is Decision.RETRAIN
    long = record(RetrainingEnding.ERROR, ago=timedelta(days=6), minutes=240)
    assert decide(facts(records=(long,)), POLICY).hindrance is Hindrance.BUDGET
    old = record(RetrainingEnding.ERROR, ago=timedelta(days=7), minutes=240)
    assert decide(facts(records=(old,)), POLICY).decision is Decision.RETRAIN


RECORDS = st.lists(
    st.tuples(
        st.sampled_from([*RetrainingEnding, None]),
        st.floats(-2, 400),
        st.floats(0, 300),
        st.sampled_from([ME, OTHER]),
        st.sampled_from([facts().digest, f"sha256:{'9' * 64}"]),
    ),
    max_size=12,
)


@given(RECORDS, st.booleans(), st.booleans())
def test_what_holds_for_all_of_them(drawn, asked, new):
    records = tuple(
        record(ending, ago=timedelta(hours=hours), minutes=minutes, holder=holder, digest=digest, number=number)
        for number, (ending, hours, minutes, holder, digest) in enumerate(sorted(drawn, key=lambda each: -each[1]))
    )
    known = facts(records=records, request="please" if asked else None, batches=("2026-02",) if new else ())
    plan = decide(known, POLICY)
    assert plan == decide(known, POLICY)
    assert (plan.decision is Decision.NOTHING) == (not plan.evidence) == (not asked and not new)
    assert (plan.decision is Decision.WAIT) == (plan.hindrance is not None)
    if plan.decision is Decision.RETRAIN:
        week = [each for each in records if NOW - each.began < timedelta(days=7)]
        assert len(week) < POLICY.runs_a_week
        assert not any(each.digest == known.digest and each.ending is RetrainingEnding.REFUSED for each in records)
        # Once it has begun nobody else begins one.
        begun = record(None, ago=timedelta(0), digest=plan.digest, number=99)
        assert decide(replace(known, records=(*records, begun)), POLICY).hindrance is Hindrance.RUNNING
    if plan.until is not None:
        assert plan.until > NOW
