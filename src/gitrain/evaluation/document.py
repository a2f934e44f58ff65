"""`reports/evaluation.json` and `reports/metrics.json`: how good the model is on the holdout. Both are public API."""

import json
import math
from typing import Literal, Self

from pydantic import Field, model_validator

from gitrain.documents import Document, Section

__all__ = [
    "CalibrationBin",
    "Estimate",
    "Evaluation",
    "MetricEstimate",
    "SliceEvaluation",
    "SliceGroup",
    "significant",
]

_DIGITS = 6


def significant(value: float | None) -> float | None:
    """`value` to six significant digits; None for None and for NaN.

    Sums in another order (another processor, another BLAS) differ around the fifteenth digit: reports that are kept in
    Git must not, and nobody reads more than six.
    """
    return None if value is None or math.isnan(value) else float(f"{value:.{_DIGITS}g}")


class Estimate(Section):
    """A metric with its interval.

    Attributes:
        value: the metric on the rows as they are; None where it is undefined.
        low: the lower end of the interval; None if there is none.
        high: the upper end, likewise.
        undefined_draws: the draws of the bootstrap that left the metric undefined and were passed over.
        reason: why there is no value or no interval.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    undefined_draws: int = Field(default=0, ge=0)
    reason: str | None = None

    @model_validator(mode="after")
    def _what_is_missing_has_a_reason(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval has both ends or none")
        if (self.value is None or self.low is None) and self.reason is None:
            raise ValueError("a value or interval that is missing needs a reason")
        return self


class MetricEstimate(Estimate):
    """A metric on the whole holdout.

    Attributes:
        direction: which values are better.
        no_skill: what a model without skill reaches.
        judged: whether a gate has a threshold for it; else it is only reported.
    """

    direction: Literal["higher", "lower"]
    no_skill: float
    judged: bool


class SliceGroup(Section):
    """The rows of the holdout that lie in one group of a slice.

    Attributes:
        group: the group's name; None holds the rows that have none.
        rows: how many there are.
        units: the resampling units that they lie in.
        positives: those whose label is true.
        judged: whether there are enough rows; groups that are not judged have no intervals.
        metrics: those that models are judged by, by name.
    """

    group: str | None
    rows: int = Field(ge=1)
    units: int = Field(ge=1)
    positives: int = Field(ge=0)
    judged: bool
    metrics: dict[str, Estimate]


class SliceEvaluation(Section):
    """A slice: its groups by name, that of the rows without one last."""

    min_rows: int = Field(ge=0)
    groups: tuple[SliceGroup, ...]


class CalibrationBin(Section):
    """The rows whose score lies in one bin; a bin without rows is left out.

    Attributes:
        low: the least score of the bin.
        high: the end of the bin, which belongs to the next one except at 1.
        rows: how many there are.
        predicted: the mean score.
        observed: the share of positives.
        observed_low: the lower end of the interval of `observed`; None if there is none.
        observed_high: the upper end, likewise.
    """

    low: float
    high: float
    rows: int = Field(ge=1)
    predicted: float
    observed: float
    observed_low: float | None
    observed_high: float | None


class Evaluation(Document):
    """The whole file. Numbers have six significant digits, so that equal runs give equal text on every machine.

    Attributes:
        project: the project's name.
        target: what is predicted.
        estimator: the model's estimator, by its name in params.yaml.
        model_digest: ``sha256:`` and the digest of `models/model.skops`.
        predictions_digest: the same of `data/predictions/holdout.parquet`.
        batches: the batches of the holdout, in order.
        unit: the name of what was resampled.
        rows: those with a label; all figures are about these.
        unlabelled: those without one.
        units: how many units the rows lie in.
        positives: the rows whose label is true.
        base_rate: their share.
        confidence: of the intervals.
        replicates: the draws of the bootstrap.
        seed: of the draws.
        metrics: by name, in the project's order.
        slices: by name.
        calibration: the bins that have rows, ascending.
    """

    project: str
    target: str
    estimator: str
    model_digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    predictions_digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    batches: tuple[str, ...] = Field(min_length=1)
    unit: str
    rows: int = Field(ge=1)
    unlabelled: int = Field(ge=0)
    units: int = Field(ge=1)
    positives: int = Field(ge=0)
    base_rate: float = Field(ge=0, le=1)
    confidence: float = Field(gt=0.5, lt=1)
    replicates: int = Field(ge=1)
    seed: int
    metrics: dict[str, MetricEstimate]
    slices: dict[str, SliceEvaluation]
    calibration: tuple[CalibrationBin, ...]

    def to_json(self) -> str:
        """The text of `reports/evaluation.json`."""
        return _text(self.model_dump(mode="json"))

    def metrics_json(self) -> str:
        """The text of `reports/metrics.json`, flat for `dvc metrics diff`; what is undefined is left out.

        Each metric under its name, the ends of its interval under ``NAME_low`` and ``NAME_high``; besides them
        ``rows``, ``units`` and ``base_rate``.
        """
        flat: dict[str, float] = {"rows": self.rows, "units": self.units, "base_rate": self.base_rate}
        for name, estimate in self.metrics.items():
            for key, value in ((name, estimate.value), (f"{name}_low", estimate.low), (f"{name}_high", estimate.high)):
                if value is not None:
                    flat[key] = value
        return _text(flat)


def _text(payload: object) -> str:
    return json.dumps(payload, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
