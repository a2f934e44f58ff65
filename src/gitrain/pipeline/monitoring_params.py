"""The section `monitoring` of params.yaml: when labels are there, and what is no longer good."""

from typing import Literal, get_args

from pydantic import Field, field_validator

from gitrain.documents import Section

__all__ = ["DriftParams", "MonitoringParams", "PerformanceParams", "ServiceParams", "VerdictFamily"]

VerdictFamily = Literal["service", "data", "drift", "performance", "calibration", "skew"]


class ServiceParams(Section):
    """What users may meet.

    Attributes:
        errors: the share of requests that may be answered with a 5xx.
        p99_ms: ninety-nine in a hundred requests are answered by then; null: latency is reported and not judged.
        missing: how far the share of values of a feature that are not known may lie above the largest that as many days
            of training showed; that of a single day, above the largest of any.
        stale: the share of predictions that may have been made from stale features, of all and of each day.
        unreadable: the share of the log's lines that may be no records.
        clock_seconds: predictions may be so far ahead of the clock that judges them.
    """

    errors: float = Field(default=0.01, ge=0, le=1)
    p99_ms: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    missing: float = Field(default=0.05, ge=0, le=1)
    stale: float = Field(default=0.05, ge=0, le=1)
    unreadable: float = Field(default=0.001, ge=0, le=1)
    clock_seconds: float = Field(default=60.0, ge=0, allow_inf_nan=False)


class PerformanceParams(Section):
    """When the model is worse than it was on its holdout.

    Attributes:
        alpha: the probability of any alarm without a change, over all looks of two years and all slices together.
        tolerated: how much the mean of the daily log loss over the day's base-rate log loss may rise before it counts.
        minimum_days: with fewer days nothing is decided: INCONCLUSIVE.
        minimum_rows: days with fewer labelled rows are taken together with the next ones.
        minimum_coverage: a day whose outcomes are known for a smaller share of its predictions does not count yet.
        calibration: how far the mean difference of outcome and probability may move from that of the holdout.
    """

    alpha: float = Field(default=0.05, ge=0.001, le=0.2)
    tolerated: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    minimum_days: int = Field(default=5, ge=2)
    minimum_rows: int = Field(default=30, ge=2)
    minimum_coverage: float = Field(default=0.9, gt=0, le=1)
    calibration: float = Field(default=0.03, ge=0, le=1)


class DriftParams(Section):
    """When a feature has moved.

    Attributes:
        alpha: the probability that any feature is said to have moved in a window like those of the reference.
        naive: the PSI above which the usual rule sees drift; reported beside, and never decides.
        windows: windows of the reference that are compared with the rest of it, at most.
    """

    alpha: float = Field(default=0.05, ge=0.001, le=0.5)
    naive: float = Field(default=0.2, gt=0, allow_inf_nan=False)
    windows: int = Field(default=200, ge=20, le=2000)


class MonitoringParams(Section):
    """How predictions in service are judged.

    Attributes:
        recent_days: service, data, skew and drift are judged by the last so many days: 24 hours each, counted back from
            the newest prediction; those without predictions do not count. Where the units of a project are no dates,
            and with `--since`, all that was predicted is judged.
        label_delay_hours: so long after a prediction was due (the decision time, else when it was answered) its label
            should have come; until then it is not missed.
        decides: the families of verdicts that the outcome is made of; the others explain.
        service: what users may meet.
        performance: when the model is worse than it was.
        drift: when a feature has moved.
        skew_rows: so many logged rows are computed again, the newest first; 0: none.
    """

    recent_days: int = Field(default=7, ge=1, le=366, strict=True)
    label_delay_hours: float = Field(default=24.0, ge=0, allow_inf_nan=False)
    decides: tuple[VerdictFamily, ...] = Field(default=("service", "data", "skew", "performance"), min_length=1)
    service: ServiceParams = ServiceParams()
    performance: PerformanceParams = PerformanceParams()
    drift: DriftParams = DriftParams()
    skew_rows: int = Field(default=20_000, ge=0, le=1_000_000)

    @field_validator("decides")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"it names each family once: {', '.join(get_args(VerdictFamily))}")
        return value
