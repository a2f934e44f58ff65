import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from gitrain.integrations.bentoml.metrics import ServiceMetrics
from gitrain.monitoring.logged import LoggedPredictions, MonitoredRows
from gitrain.monitoring.quality import judge_log, judge_missing, judge_service, service_figures
from gitrain.pipeline.monitoring_params import ServiceParams
from gitrain.verdicts import Outcome


def replica(*answers: tuple[int, float]) -> str:
    metrics = ServiceMetrics(CollectorRegistry())
    for status, seconds in answers:
        metrics.answered(status, seconds)
    return metrics.text()[0].decode()


def outcomes(figures, **limits) -> list[Outcome]:
    return [each.outcome for each in judge_service(figures, ServiceParams(**limits))]


def test_what_replicas_say_is_added_up():
    figures = service_figures([replica(*[(200, 0.0005)] * 98), replica((503, 0.2), (422, 0.0005))])

    assert (figures.replicas, figures.total, figures.failed) == (2, 100, 1)
    assert figures.quantile(0.5) < figures.quantile(0.995)
    assert outcomes(figures, errors=0.01) == [Outcome.PASSED, Outcome.PASSED]
    assert outcomes(figures, errors=0.005)[0] is Outcome.FAILED


def test_slow_answers_fail_where_there_is_a_limit():
    figures = service_figures([replica(*[(200, 0.08)] * 50)])

    assert outcomes(figures) == [Outcome.PASSED, Outcome.PASSED]
    assert outcomes(figures, p99_ms=20)[1] is Outcome.FAILED


def test_without_requests_or_with_silent_replicas_nothing_is_decided():
    assert outcomes(service_figures([replica()])) == [Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE]
    assert outcomes(service_figures([replica((200, 0.001))], silent=1))[0] is Outcome.INCONCLUSIVE
    assert outcomes(service_figures([replica((500, 0.001))], silent=1))[0] is Outcome.FAILED


def test_where_nobody_answers_users_get_no_answer():
    assert outcomes(service_figures([], silent=2)) == [Outcome.FAILED, Outcome.INCONCLUSIVE]
    assert outcomes(service_figures([])) == [Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE]


@given(text=st.text(max_size=200))
def test_hostile_figures_are_passed_over(text):
    lines = f'{text}\ngitrain_requests_total{{status="{text}"}} 1e999\ngitrain_request_seconds_bucket{{le="x"}} NaN\n'

    figures = service_figures([lines])

    assert math.isfinite(figures.total)


def test_the_most_missing_feature_is_named():
    found = judge_missing({"a": 0.1, "b": 0.5, "c": 0.9}, {"a": 0.1, "b": 0.2, "c": 0.88}, 0.05)

    assert found.outcome is Outcome.FAILED and found.reason.startswith("b:")
    assert found.figures["features"] == 1
    assert judge_missing({"a": 0.1}, {"a": 0.08}, 0.05).outcome is Outcome.PASSED
    assert judge_missing({}, {}, 0.05).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("share", [0.0, 0.02, 1.0])
def test_quantiles_of_nothing_are_none(share):
    assert service_figures([]).quantile(share) is None


def judged_log(predictions: int, *, unreadable: int = 0, impossible: int = 0, foreign: int = 0, limit: float = 0.01):
    frame = pl.DataFrame({"probability": [0.5] * predictions})
    rows = MonitoredRows(
        frame=frame,
        known=frame.clear(),
        days=(),
        repeated=0,
        asked_again=0,
        early=0,
        ahead=0,
        farthest=None,
        unreadable=unreadable,
        impossible=impossible,
        foreign=foreign,
        lines=predictions + unreadable + impossible + foreign,
    )
    return judge_log(LoggedPredictions(frame=frame.clear(), files=1, torn=0), rows, limit)[0]


@pytest.mark.parametrize("lines", [{"unreadable": 10}, {"impossible": 10}, {"unreadable": 1, "foreign": 9}])
def test_a_log_of_which_nothing_can_be_read_fails(lines):
    found = judged_log(0, **lines)

    assert found.outcome is Outcome.FAILED
    assert "of 10 lines are no records" in found.reason


def test_a_log_of_nothing_is_no_verdict():
    assert judged_log(0).outcome is Outcome.INCONCLUSIVE
    assert judged_log(0, foreign=3).outcome is Outcome.INCONCLUSIVE
    assert judged_log(99, unreadable=1).outcome is Outcome.PASSED
