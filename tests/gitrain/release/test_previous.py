from types import SimpleNamespace

import pytest

from gitrain.gates.names import CHAMPION
from gitrain.release.previous import Previous, pass_over_champion, previous_release
from gitrain.verdicts import Outcome, Verdict

A, B, C = (letter * 40 for letter in "abc")


def record(version, commit):
    return SimpleNamespace(version=version, identity=SimpleNamespace(commit=commit))


def find(tags=None, records=(), *, commit=C, history=(A, B)):
    return previous_release("app", tags or {}, records, commit=commit, contains=lambda other: other in history)


def test_the_newest_version_in_the_history_comes_before():
    tags = {"app@v0.9.0": A, "app@v0.10.0": B, "other@v7.0.0": A, "app@v1.0.0-rc1": B}

    assert find(tags) == Previous(version="0.10.0", commit=B)
    assert find(tags, history=(A,)) == Previous(version="0.9.0", commit=A)
    assert find(tags, history=()) is None


def test_a_release_that_is_not_tagged_yet_counts_and_this_commit_does_not():
    assert find({}, [record("0.1.0", A), record("0.2.0", C)], history=(A, C)) == Previous(version="0.1.0", commit=A)


def test_a_tag_goes_before_a_record():
    assert find({"app@v0.1.0": B}, [record("0.1.0", A)]) == Previous(version="0.1.0", commit=B)


BEFORE = Previous(version="0.1.0", commit=A)


@pytest.mark.parametrize(
    ("previous", "named", "unchanged", "passes"),
    [
        (None, False, False, True),
        (BEFORE, False, True, True),
        (BEFORE, False, False, False),
        (None, True, False, False),
        (BEFORE, True, True, False),
    ],
)
def test_the_champion_is_passed_over_only_where_there_is_none_or_nothing_has_changed(
    previous, named, unchanged, passes
):
    unknown = Verdict(name=CHAMPION, outcome=Outcome.INCONCLUSIVE, reason="nobody has it")

    (judged,) = pass_over_champion([unknown], previous, named=named, unchanged=unchanged)

    assert (judged.outcome is Outcome.PASSED) is passes
    assert judged.reason.startswith("passed over: ") is passes


def test_a_champion_that_wins_is_not_passed_over_nor_is_another_gate():
    lost = Verdict(name=CHAMPION, outcome=Outcome.FAILED, reason="worse")
    other = Verdict(name="threshold:roc_auc", outcome=Outcome.INCONCLUSIVE, reason="too few")

    assert pass_over_champion([lost, other], None, named=False, unchanged=True) == [lost, other]
