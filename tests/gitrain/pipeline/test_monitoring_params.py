import pytest
from pydantic import ValidationError

from gitrain.pipeline.monitoring_params import MonitoringParams


def test_the_last_days_are_a_week():
    assert MonitoringParams().recent_days == 7
    assert [MonitoringParams(recent_days=days).recent_days for days in (1, 366)] == [1, 366]


@pytest.mark.parametrize("days", [0, -7, 367, 7.0, 7.5, "7", True, None, [7]])
def test_days_are_whole_and_of_a_year(days):
    with pytest.raises(ValidationError, match="recent_days"):
        MonitoringParams.model_validate({"recent_days": days})
