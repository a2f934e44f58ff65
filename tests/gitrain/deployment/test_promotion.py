"""The rules of promotion: each one broken alone, all told at once, and the way back."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gitrain.deployment_records import START, deployed, digest, running

from gitrain.deployment.promotion import (
    PromotionCase,
    goes_back,
    judge_promotion,
    judge_rollback,
    previous_release,
    soaked,
)
from gitrain.deployment.record import Ending
from gitrain.environments.document import Environment, EnvironmentGates
from gitrain.release.record import RecordedVerdict
from gitrain.testing.releases import make_release
from gitrain.verdicts import Outcome, Verdict

TEST = Environment(schema_version=1, follows="main")
PREPROD = Environment(
    schema_version=1, promotes_from="test", gates=EnvironmentGates(successful_runs=2, soak_minutes=30)
)
SOUND = [Verdict(name="release:digests", outcome=Outcome.PASSED, reason="they are")]
RULES = ["suspended", "order", "release", "digest", "runs", "soak", "gates"]


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    made = make_release(tmp_path_factory.mktemp("bundle"), "1.4.0").record
    return made.model_copy(update={"bundle_digest": digest("1.4.0")})


def runs():
    return [deployed("test", "1.4.0", minute=0), deployed("test", "1.4.0", minute=40)]


@pytest.fixture
def case(record):
    def case(**other):
        given = {
            "environment": "preprod",
            "environments": {"test": TEST, "preprod": PREPROD},
            "release": running("1.4.0"),
            "record": record,
            "verified": SOUND,
            "missing": None,
            "records": runs(),
            "now": START + timedelta(minutes=60),
        }
        return PromotionCase(**(given | other))

    return case


def failed(verdicts):
    return {each.name.partition(":")[2] for each in verdicts if each.outcome is not Outcome.PASSED}


def test_a_release_that_has_shown_all_of_it_is_promoted(case):
    verdicts = judge_promotion(case())
    assert [each.name for each in verdicts] == [f"preprod:{rule}" for rule in RULES]
    assert failed(verdicts) == set()


def verdict_of(record, **other):
    (first,) = record.verdicts
    return record.model_copy(update={"verdicts": (first, RecordedVerdict.model_validate(first.model_dump() | other))})


@pytest.mark.parametrize(
    ("other", "wrong"),
    [
        ({"environments": {"test": TEST, "preprod": PREPROD.model_copy(update={"suspend": True})}}, "suspended"),
        ({"environments": {"preprod": PREPROD}}, "order"),
        ({"missing": "there is no release 1.4.0"}, "release"),
        ({"verified": []}, "release"),
        ({"verified": [Verdict(name="release:tag", outcome=Outcome.FAILED, reason="moved")]}, "release"),
        ({"verified": [Verdict(name="release:tag", outcome=Outcome.INCONCLUSIVE, reason="who knows")]}, "release"),
        ({"records": [*runs(), deployed("production", "1.4.0", bundle=digest("other"))]}, "digest"),
        ({"records": runs()[:1]}, "runs"),
        ({"records": [runs()[0], runs()[1].model_copy(update={"kind": "rollback"})]}, "runs"),
        ({"records": [*runs(), deployed("test", "1.4.0", minute=45, ending=Ending.ABORTED)]}, "runs"),
        ({"records": [*runs(), deployed("test", "1.4.0", minute=45, ending=Ending.FAILED)]}, "runs"),
        ({"now": START + timedelta(minutes=30, seconds=59)}, "soak"),
        # A clock that goes wrong counts for nothing.
        ({"now": START - timedelta(days=1)}, "soak"),
    ],
)
def test_each_rule_can_fail_alone(case, other, wrong):
    assert failed(judge_promotion(case(**other))) == {wrong}


@pytest.mark.parametrize("outcome", ["FAILED", "INCONCLUSIVE", "ERROR"])
def test_a_gate_that_did_not_pass_has_to_be_waived(case, record, outcome):
    assert failed(judge_promotion(case(record=verdict_of(record, outcome=outcome)))) == {"gates"}
    waived = verdict_of(record, outcome=outcome, waived="known since May (until 2026-06-01)")
    verdicts = judge_promotion(case(record=waived))
    assert failed(verdicts) == set()
    assert "known since May" in verdicts[-1].reason


def test_a_release_that_no_gate_judged_stays(case, record):
    assert failed(judge_promotion(case(record=record.model_copy(update={"verdicts": ()})))) == {"gates"}


def test_another_digest_than_the_builds_is_told_with_all_that_follows(case):
    other = running("1.4.0", digest("swapped"))
    assert failed(judge_promotion(case(release=other))) == {"digest", "runs", "soak"}


def test_runs_of_other_releases_and_in_other_environments_do_not_count(case):
    others = [
        deployed("preprod", "1.4.0", minute=1),
        deployed("test", "1.3.0", minute=2),
        deployed("test", "1.4.0", minute=3, ending=Ending.FAILED),
    ]
    verdicts = judge_promotion(case(records=others))
    assert failed(verdicts) == {"runs", "soak"}
    assert verdicts[4].figures == {"succeeded": 0, "wanted": 2, "all": 1}


def test_all_that_is_wrong_is_told_at_once(case):
    alone = {"preprod": PREPROD.model_copy(update={"suspend": True})}
    nothing = case(environments=alone, record=None, verified=[], missing="there is none", records=[])
    assert failed(judge_promotion(nothing)) == set(RULES)


def test_the_first_environment_asks_for_no_runs(case):
    first = Environment(schema_version=1)
    assert failed(judge_promotion(case(environments={"preprod": first}, records=[]))) == set()


def test_time_runs_until_another_release_succeeds():
    records = [
        deployed("test", "1.4.0", minute=0),
        deployed("test", "1.5.0", minute=5, ending=Ending.ABORTED),
        deployed("test", "1.4.0", minute=8),
        deployed("test", "1.5.0", minute=10),
        deployed("test", "1.4.0", minute=20),
    ]
    now = START + timedelta(minutes=25)
    assert soaked(records, digest("1.4.0"), now) == timedelta(minutes=10 + 4)
    assert soaked(records, digest("1.5.0"), now) == timedelta(minutes=10)
    assert soaked(records, digest("1.6.0"), now) == timedelta()


stories = st.lists(
    st.tuples(st.sampled_from(["1.0.0", "1.1.0", "1.2.0"]), st.sampled_from(list(Ending))), min_size=0, max_size=8
)


def told(story):
    return [
        deployed("preprod", version, minute=place * 10, ending=ending) for place, (version, ending) in enumerate(story)
    ]


@given(stories)
def test_the_times_of_all_releases_add_up(story):
    records = told(story)
    now = START + timedelta(minutes=100)
    firsts = [each.ended for each in records if each.ending is Ending.SUCCEEDED]
    whole = now - firsts[0] if firsts else timedelta()
    assert sum((soaked(records, digest(f"1.{minor}.0"), now) for minor in range(3)), timedelta()) == whole


@given(stories)
def test_going_back_ends_and_never_returns(story):
    records = told(story)
    seen = []
    present = None
    while (target := previous_release(records, present)) is not None:
        assert goes_back(records, present, target)
        assert present is None or not goes_back(records, target, present)
        assert target not in seen
        assert any(each.release == target and each.ending is Ending.SUCCEEDED for each in records)
        seen.append(target)
        present = target
        # It succeeds here again, as the last of all.
        minute = 200 + 10 * len(seen)
        records = [*records, deployed("preprod", target.version, minute=minute)]
    assert len(seen) <= 3


def test_the_way_back_passes_by_what_was_rolled_back_from():
    records = told([("1.0.0", Ending.SUCCEEDED), ("1.1.0", Ending.SUCCEEDED), ("1.0.0", Ending.SUCCEEDED)])
    records.append(deployed("preprod", "1.2.0", minute=40))
    # 1.1.0 was bad: what ran before 1.2.0 came is 1.0.0.
    assert previous_release(records, running("1.2.0")) == running("1.0.0")
    assert previous_release(records, running("1.0.0")) is None
    # What never succeeded has not displaced anything.
    assert previous_release(records, running("1.3.0")) == running("1.2.0")
    assert previous_release([], running("1.0.0")) is None


def back(case, **other):
    present = PREPROD.model_copy(update={"release": "1.5.0", "digest": digest("1.5.0")})
    records = [deployed("preprod", "1.4.0", minute=0), deployed("preprod", "1.5.0", minute=10)]
    given = {"environments": {"test": TEST, "preprod": present}, "records": records, "verified": SOUND}
    return judge_rollback(case(**(given | other)))


def test_going_back_asks_for_neither_runs_nor_time(case):
    assert failed(back(case)) == set()
    assert [each.name for each in back(case)] == [
        f"preprod:{rule}" for rule in ("suspended", "rollback", "release", "digest")
    ]


@pytest.mark.parametrize(
    ("other", "wrong"),
    [
        ({"records": []}, {"rollback"}),
        ({"records": [deployed("preprod", "1.4.0", ending=Ending.FAILED)]}, {"rollback"}),
        ({"records": [deployed("production", "1.4.0")]}, {"rollback"}),
        # It first ran after the present one: that is no way back.
        ({"records": [deployed("preprod", "1.5.0"), deployed("preprod", "1.4.0", minute=5)]}, {"rollback"}),
        ({"missing": "gone"}, {"release"}),
        ({"release": running("1.5.0")}, {"rollback", "digest"}),
        ({"release": running("1.4.0", digest("other"))}, {"rollback", "digest"}),
    ],
)
def test_what_is_no_way_back(case, other, wrong):
    assert failed(back(case, **other)) == wrong
