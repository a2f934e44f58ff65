"""params.yaml: the parameters of the stages and the thresholds of the gates."""

from datetime import date
from typing import Annotated, Any, Literal, Self, cast

from pydantic import Field, model_validator

from gitrain.documents import Document, Section
from gitrain.pipeline.monitoring_params import MonitoringParams
from gitrain.pipeline.retraining_params import RetrainingParams

__all__ = [
    "ChampionParams",
    "ChecksParams",
    "DataParams",
    "EvaluationParams",
    "GatesParams",
    "MonitoringParams",
    "Params",
    "RetrainingParams",
    "ServingParams",
    "SliceThreshold",
    "Threshold",
    "TrainingParams",
    "Waiver",
]


class DataParams(Section):
    """Which batches there are.

    Attributes:
        first: the first batch (`from` in the file).
        through: the last batch; moving it on is how new data enters.
    """

    first: str = Field(alias="from")
    through: str


class TrainingParams(Section):
    """How the model is trained.

    Attributes:
        estimator: a name of the project's estimators.
        window: "expanding" trains on every batch before the holdout, a number on that many.
        validation_units: the last so many resampling units (days) of the training window give the validation loss of
            the curve; the final model is fitted on all of the window.
        early_stopping: stop at the iteration with the best validation loss.
        seed: of everything random.
    """

    estimator: str
    window: Literal["expanding"] | int = "expanding"
    validation_units: int = Field(default=14, ge=1)
    early_stopping: bool = True
    seed: int = Field(default=0, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _window_is_positive(self) -> Self:
        if isinstance(self.window, int) and self.window < 1:
            raise ValueError("training.window is 'expanding' or a number of batches, 1 or more")
        return self


class EvaluationParams(Section):
    """How the holdout, the newest batches, is judged.

    Attributes:
        holdout_batches: so many of the newest batches are judged on and never trained on.
        replicates: draws of the bootstrap over resampling units.
        confidence: of the intervals.
        calibration_bins: bins of equal width for the expected calibration error and the calibration curve.
        seed: of the bootstrap.
    """

    holdout_batches: int = Field(default=1, ge=1)
    replicates: int = Field(default=2000, ge=200)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    calibration_bins: int = Field(default=10, ge=2)
    seed: int = Field(default=0, ge=0, lt=2**32)


class Threshold(Section):
    """A bound: `min` for metrics of which more is better, `max` for the others; leak alarms have it the other way.

    Attributes:
        min: the least value that passes.
        max: the largest value that passes; either this or `min` is given.
    """

    min: float | None = Field(default=None, allow_inf_nan=False)
    max: float | None = Field(default=None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.min is None) == (self.max is None):
            raise ValueError("a threshold has either min or max")
        return self

    @property
    def bound(self) -> float:
        """The number of `min` or of `max`, whichever is given."""
        return self.min if self.min is not None else cast(float, self.max)

    @property
    def side(self) -> Literal["min", "max"]:
        """Which of the two is given."""
        return "min" if self.min is not None else "max"

    def admits(self, value: float) -> bool:
        """Whether `value` is on the right side; the bound itself is."""
        return value >= self.bound if self.side == "min" else value <= self.bound


class SliceThreshold(Threshold):
    """A bound for every group of a slice that has enough rows.

    Attributes:
        metric: what the groups are measured by.
    """

    metric: str


class ChampionParams(Section):
    """How a challenger has to beat the champion, on the same rows, by a paired bootstrap over whole units.

    Attributes:
        improve: the metric that must improve: the whole interval of its difference lies beyond `minimum_effect`.
        minimum_effect: the least improvement worth a promotion, in units of the metric.
        keep: metrics that must not get worse: metric to the margin that its interval must stay within.
    """

    improve: str
    minimum_effect: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    keep: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(default_factory=dict)


class Waiver(Section):
    """Lets one gate through, with a reason, up to and including a date.

    Attributes:
        gate: the gate's name, as its verdict has it.
        reason: why, for those who review it.
        expires: the last day on which it counts.
    """

    gate: str
    reason: str = Field(min_length=10)
    expires: date


class GatesParams(Section):
    """The thresholds that a model is judged by.

    Attributes:
        thresholds: metric to bound; every metric of the project needs one.
        leak_alarm: metric to the value that is too good to be true.
        slices: slice to bound; every slice of the project needs one.
        champion: the comparison with the champion.
        minimum_units: with fewer resampling units (days) in the holdout nothing is decided: INCONCLUSIVE.
        waivers: exceptions, each with a reason and a date.
    """

    thresholds: dict[str, Threshold] = Field(default_factory=dict)
    leak_alarm: dict[str, Threshold] = Field(default_factory=dict)
    slices: dict[str, SliceThreshold] = Field(default_factory=dict)
    champion: ChampionParams | None = None
    minimum_units: int = Field(default=10, ge=5)
    waivers: list[Waiver] = Field(default_factory=list)


class ChecksParams(Section):
    """The bounds of the training checks.

    Attributes:
        generalisation_gap: how far the validation loss, relative to the base rate's, may lie above the training loss.
        rising_loss: how far the validation loss at the model's iteration may lie above its least, as a share of it.
        tiny_batch_rows: how many rows a model has to learn by heart; one with few parameters (a linear one of few
            features) can learn few.
        tiny_batch_loss: the largest log loss on them when they were fitted alone.
        shuffled_auc: how far the AUC of models that were taught shuffled labels may lie from one half beyond chance.
        single_feature_auc: the AUC at which one feature alone is suspect; by default the leak alarm of roc_auc, and
            0.99 where there is none.
        rows: checks that fit more than once, and need not see all rows for it, take so many.
    """

    generalisation_gap: float = Field(default=0.25, gt=0, allow_inf_nan=False)
    rising_loss: float = Field(default=0.02, ge=0, allow_inf_nan=False)
    tiny_batch_rows: int = Field(default=64, ge=2, le=1000)
    tiny_batch_loss: float = Field(default=0.1, gt=0, lt=0.6)
    shuffled_auc: float = Field(default=0.05, gt=0, lt=0.5)
    single_feature_auc: float | None = Field(default=None, gt=0.5, le=1)
    rows: int = Field(default=20_000, ge=100)


class ServingParams(Section):
    """How the model is served.

    Attributes:
        threshold: predictions at or above it are decided as true.
        tolerance: how far a probability of the ONNX model may lie from that of the model that was judged; beyond it
            the judged model itself is served.
    """

    threshold: float = Field(default=0.5, gt=0, lt=1)
    tolerance: float = Field(default=1e-6, gt=0, lt=0.01)


class Params(Document):
    """The whole of params.yaml.

    Attributes:
        data: which batches there are.
        training: how the model is trained.
        estimators: the parameters of each of the project's estimators, by its name; its factory checks them.
        evaluation: how the holdout is judged.
        gates: what the model is judged by.
        checks: the bounds of the training checks.
        serving: how the model is served.
        monitoring: how predictions in service are judged.
        retraining: what asks for a new model, and how often one is tried.
    """

    data: DataParams
    training: TrainingParams
    estimators: dict[str, dict[str, Any]]
    evaluation: EvaluationParams = EvaluationParams()
    gates: GatesParams = GatesParams()
    checks: ChecksParams = ChecksParams()
    serving: ServingParams = ServingParams()
    monitoring: MonitoringParams = MonitoringParams()
    retraining: RetrainingParams = RetrainingParams()
