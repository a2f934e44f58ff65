"""The verdict in words."""

import pytest
from tests.gitrain.reports.monitored import alarmed, drifting, healthy, hostile, unlabelled
from tests.gitrain.reports.monitored_parts import compose, verdict

from gitrain.reports.monitoring_words import (
    alarmed_slices,
    day_name,
    mean_loss,
    ordered_families,
    ordered_verdicts,
    overall_sequences,
    percent,
    span,
    words_of,
)
from gitrain.verdicts import Outcome


def judged(*verdicts):
    """A healthy report with other verdicts."""
    content = {name: value for name, value in healthy() if name not in ("outcome", "verdicts", "decides")}
    return compose(content, verdicts)


@pytest.mark.parametrize(
    ("case", "title"),
    [
        (healthy, "Healthy"),
        (drifting, "Healthy"),
        (alarmed, "Alarm: the model has become worse (and 2 more alarms)"),
        (unlabelled, "No verdict yet"),
    ],
)
def test_the_title_says_what_happened(case, title):
    assert words_of(case()).title == title


def test_the_worst_for_users_is_named_first_and_each_family_once():
    lead = words_of(alarmed()).lead

    assert [each.split(":")[0] for each in lead[:3]] == ["performance", "skew", "data"]
    assert lead[-1] == "1 more verdict is FAILED."


def test_what_explains_alone_is_no_alarm():
    words = words_of(
        judged(
            verdict("performance:log_loss", "PASSED", "as on the holdout"), verdict("drift:temp", "FAILED", "PSI 1.2")
        )
    )

    assert words.title == "Healthy"
    assert words.advice == ("Look at what moved. Drift alone is no reason to retrain as long as performance holds.",)


def test_an_error_says_what_could_not_be_judged():
    words = words_of(judged(verdict("performance:log_loss", "ERROR", "the table of labels cannot be read")))

    assert words.title == "Monitoring could not judge"
    assert words.lead == ("performance:log_loss: the table of labels cannot be read.",)
    assert any("monitor run" in each for each in words.advice)


def test_without_a_verdict_nothing_is_known():
    words = words_of(judged())

    assert (words.title, words.lead) == ("No verdict yet", ("Nothing of what decides was judged.",))


def test_retraining_is_not_the_answer_to_a_broken_feature():
    advice = words_of(judged(verdict("skew:temp", "FAILED", "temp differs"))).advice

    assert len(advice) == 1
    assert "Retraining does not mend it" in advice[0]


@pytest.mark.parametrize(
    ("family", "command"),
    [("performance", "`gitrain retrain plan`"), ("service", "`gitrain deploy plan production`")],
)
def test_advice_names_the_command(family, command):
    assert any(command in each for each in words_of(judged(verdict(f"{family}:x", "FAILED", "worse"))).advice)


def test_a_new_release_may_be_the_reason():
    assert any("gitrain env rollback production" in each for each in words_of(alarmed()).advice)


def test_labels_that_never_come_are_another_matter_than_a_young_release():
    lost = judged(verdict("performance:log_loss", "INCONCLUSIVE", "no labels"))

    assert "why labels do not come" in words_of(lost).advice[0]
    assert "Wait for more labels" in words_of(unlabelled()).advice[0]


def test_only_our_own_words_stand_between_backticks():
    advice = words_of(hostile("a `rm -rf ~` b")).advice

    assert all("`rm" not in each for each in advice)


def test_what_decides_comes_first():
    assert ordered_families(healthy()) == ["performance", "skew", "data", "service", "calibration", "drift"]
    outcomes = [(each.name.split(":")[0] in alarmed().decides, each.outcome) for each in ordered_verdicts(alarmed())]
    assert outcomes[0] == (True, "FAILED")
    assert outcomes == sorted(
        outcomes, key=lambda each: (not each[0], ["FAILED", "INCONCLUSIVE", "PASSED"].index(each[1]))
    )


def test_the_newest_release_is_what_the_verdict_is_about():
    found = overall_sequences(alarmed())

    assert [(each.name, each.release) for each in found[:3]] == [
        ("performance:log_loss", "1.4.1"),
        ("performance:log_loss", "1.4.0"),
        ("performance:log_loss", "1.3.2"),
    ]
    assert all("=" not in each.name for each in found)


def test_groups_that_became_worse():
    assert [each.group for each in alarmed_slices(alarmed())] == ["LGA"]
    assert alarmed_slices(healthy()) == []


def test_the_mean_loss_weighs_days_by_their_rows():
    report = healthy()
    content = {name: value for name, value in report if name != "days"}
    first, second = report.days[0], report.days[1]
    two = (
        first.model_copy(update={"labelled": 30, "loss": 0.5, "base_loss": 1.0}),
        second.model_copy(update={"labelled": 10, "loss": 0.1, "base_loss": None}),
    )

    loss, base = mean_loss(compose({**content, "days": two}, report.verdicts))
    assert loss == pytest.approx(0.4)
    assert base == pytest.approx(1.0)
    assert mean_loss(unlabelled()) == (None, None)


@pytest.mark.parametrize(
    ("unit", "shown"),
    [("2013-10-04", "4 Oct"), ("2013-13-04", "2013-13-04"), ("patient 17", "patient 17"), ("x" * 30, "xxxxxxxxx…")],
)
def test_an_axis_has_room_for_short_names(unit, shown):
    assert day_name(unit) == shown


def test_shares_and_windows_in_words():
    assert (percent(0.1234), percent(None), percent(0.5, digits=0)) == ("12.3\u00a0%", "–", "50\u00a0%")
    assert span(healthy()) == "2013-10-01 to 2013-11-01 (31 days)"
    assert healthy().outcome is Outcome.PASSED
