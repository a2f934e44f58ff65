import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from gitrain.integrations.bentoml.metrics import ServiceMetrics
from gitrain.monitoring.logged import LoggedPredictions, MonitoredRows
from gitrain.monitoring.quality import judge_log, judge_missing, judge_service, judge_stale, service_figures
from gitrain.monitoring.report import FeatureDrift, Histogram
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


DAYS = pl.Series(["1"] * 500 + ["2"] * 500, dtype=pl.Enum(["1", "2", "3"]))


def missing(shares: dict[str, tuple[float, float]], usual: dict[str, tuple[float | None, float | None]] | None = None):
    """The verdict of features with these shares of unknown values on two days; `usual` of windows, and of a day."""
    rows = np.arange(500) / 500
    columns = pl.DataFrame(
        {
            name: pl.Series(np.concatenate([rows, rows])).set(
                pl.Series(np.concatenate([rows < day for day in days])), None
            )
            for name, days in shares.items()
        }
    )
    features = [
        FeatureDrift(
            name=name,
            kind="number",
            psi=0.0,
            moved=False,
            naive=False,
            missing=sum(days) / 2,
            reference_missing=0.02,
            usual_missing=(usual or {}).get(name, (0.02, None))[0],
            usual_missing_day=(usual or {}).get(name, (None, 0.02))[1],
            histogram=Histogram(reference=(), current=()),
        )
        for name, days in shares.items()
    ]
    return judge_missing(features, columns, DAYS, 0.05)


def test_the_most_missing_feature_is_named_with_its_worst_day():
    # Whatever features are called.
    found = missing({"rows": (0.1, 0.1), "day": (0.0, 1.0), "c": (0.9, 0.9)}, {"rows": (0.1, 0.1), "c": (0.88, 0.9)})

    assert found.outcome is Outcome.FAILED
    assert found.reason.startswith("day: not known for 50.0% of predictions, and at most 2.0% in as many days of")
    assert found.reason.endswith(", most on 2 (100.0% of 500)")
    assert (found.figures["features"], found.figures["worst_day"]) == (1, "2")


def test_what_is_missing_on_a_day_fails_where_all_days_together_pass():
    found = missing({"a": (0.0, 0.12), "b": (0.0, 0.01)})

    assert found.outcome is Outcome.FAILED
    assert found.reason == "a: not known for 12.0% of the predictions of 2, and at most 2.0% on any day of training"
    assert missing({"a": (0.0, 0.12)}, {"a": (0.02, 0.1)}).outcome is Outcome.PASSED, "there were such days"
    assert missing({"a": (0.0, 0.09)}).outcome is Outcome.PASSED, "it may be chance"


def test_nothing_is_missing_of_nothing():
    assert missing({"a": (0.04, 0.04)}, {"a": (None, None)}).outcome is Outcome.PASSED
    assert missing({"a": (0.08, 0.08)}, {"a": (None, None)}).outcome is Outcome.FAILED
    assert judge_missing([], pl.DataFrame(), DAYS, 0.05).outcome is Outcome.INCONCLUSIVE


def stale(*days: int, limit: float = 0.05):
    """The verdict where of five hundred predictions of each day so many were made from stale features."""
    named = [["road"] if row % 500 < days[row // 500] else [] for row in range(1000)]
    frame = pl.DataFrame({"stale": pl.Series(named, dtype=pl.List(pl.String)), "day": DAYS})
    return judge_stale(rows_of(frame, days=("1", "2", "3")), limit)


def test_stale_features_of_a_day_fail_where_all_days_together_pass():
    assert stale(0, 49).outcome is Outcome.FAILED
    assert "4.90% of predictions were made from stale features (behind: road), most on 2 (9.8% of 500)" in (
        stale(0, 49).reason
    )
    assert stale(20, 29).outcome is Outcome.PASSED, "it may be chance"
    assert stale(26, 26).outcome is Outcome.FAILED
    assert stale(0, 0).figures == {"stale": 0, "share": 0.0, "limit": 0.05}


def rows_of(frame: pl.DataFrame, **more) -> MonitoredRows:
    nothing = dict.fromkeys(("repeated", "asked_again", "early", "ahead", "unreadable", "impossible", "foreign"), 0)
    whole = {"known": frame.clear(), "days": (), "dated": True, "farthest": None, "lines": frame.height, **nothing}
    return MonitoredRows(frame=frame, **whole | more)


@pytest.mark.parametrize("share", [0.0, 0.02, 1.0])
def test_quantiles_of_nothing_are_none(share):
    assert service_figures([]).quantile(share) is None


def judged_log(predictions: int, *, unreadable: int = 0, impossible: int = 0, foreign: int = 0, limit: float = 0.01):
    frame = pl.DataFrame({"probability": [0.5] * predictions})
    lines = predictions + unreadable + impossible + foreign
    rows = rows_of(frame, unreadable=unreadable, impossible=impossible, foreign=foreign, lines=lines)
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
