"""A year lived again, as values: what `gitrain rehearse --year --json` prints and reports show. Public API.

A project's batches are lived through in order. The first ones bootstrap a model; from then on every resampling unit (a
day, as a rule) is predicted by the model that is deployed at that moment, and beside it by the bootstrap model, which
shows the year without the loop.
"""

import json
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field

from gitrain.documents import Document, Section
from gitrain.verdicts import Outcome

__all__ = ["Decision", "ReplayReport", "ReplayedBatch", "ReplayedDay", "ReplayedRelease", "ReplayedVerdict"]

#: What became of a batch's candidate.
Decision = Literal["promoted", "same", "refused", "waited"]


class ReplayedVerdict(Section):
    """A gate that kept a candidate from being promoted."""

    name: str
    outcome: Outcome
    reason: str


class ReplayedDay(Section):
    """One resampling unit that was predicted. What needs labels is None where no row has one.

    Attributes:
        day: its name.
        batch: the batch that it lies in.
        release: the release that answered.
        predictions: how many.
        labelled: those whose label came in the end.
        log_loss: the mean log loss of the answers.
        log_loss_without: of the bootstrap model on the same rows.
        base_loss: the log loss of the share of positives itself: what a model without skill reaches at best.
        positive_share: the share of positives.
        looked: when the labels of the whole day were known and monitoring looked at it, UTC; None if never.
        estimate: the mean of the statistic of performance over the release's days so far.
        lower: its lower limit, valid at all looks together.
        upper: its upper limit.
        threshold: what `lower` is not to lie above.
        alarm: whether it does, at this look or at an earlier one of the same release.
        naive_alarm: whether the test that is meant for one look has raised one, likewise.
    """

    day: str
    batch: str
    release: str
    predictions: int = Field(ge=0)
    labelled: int = Field(ge=0)
    log_loss: float | None = None
    log_loss_without: float | None = None
    base_loss: float | None = None
    positive_share: float | None = None
    looked: AwareDatetime | None = None
    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None
    threshold: float | None = None
    alarm: bool = False
    naive_alarm: bool = False


class ReplayedBatch(Section):
    """One batch that was predicted, and what came of it when it was over.

    Attributes:
        batch: its name.
        predictions: its rows.
        labelled: those with a label.
        releases: those that answered, in order.
        metrics: of the answers, by metric; what is undefined is left out.
        metrics_without: of the bootstrap model on the same rows.
        metrics_candidate: of the model that was trained on the batches before this one; empty where none was.
        evidence: why it was retrained, or not, when the batch was over; a sentence each.
        decision: ``promoted``; ``same`` (the candidate is the champion); ``refused`` by gates; ``waited`` (no
            retraining).
        release: the name of the promoted candidate.
        verdicts: the gates that did not pass.
        champion_reason: what the comparison with the champion said.
        decided: when, on the clock of the replay, UTC; None where the replay ended first.
        alarms: days of the batch on which a release's performance was first found worse.
        naive_alarms: the same of the naive test.
        drifted: features whose distribution the usual rule (PSI above 0.2) says has moved from the bootstrap's.
        moved: those that have moved further than days of the bootstrap differ from each other.
        features: how many were looked at.
        training_rows: rows that the candidate was fitted on.
        training_seconds: what training and measuring it took.
        gates_seconds: what judging it took.
        monitoring_seconds: what the looks and the comparison of distributions took.
        serving_seconds: what predicting the batch took.
        logging_seconds: what writing and reading its records took.
        log_bytes: the length of these records.
        reused: whether candidate and verdicts are those of an earlier run.
    """

    batch: str
    predictions: int = Field(ge=0)
    labelled: int = Field(ge=0)
    releases: tuple[str, ...]
    metrics: dict[str, float]
    metrics_without: dict[str, float]
    metrics_candidate: dict[str, float] = Field(default_factory=dict)
    evidence: tuple[str, ...] = ()
    decision: Decision = "waited"
    release: str | None = None
    verdicts: tuple[ReplayedVerdict, ...] = ()
    champion_reason: str | None = None
    decided: AwareDatetime | None = None
    alarms: tuple[str, ...] = ()
    naive_alarms: tuple[str, ...] = ()
    drifted: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    features: int = Field(default=0, ge=0)
    training_rows: int = Field(default=0, ge=0)
    training_seconds: float = Field(default=0.0, ge=0)
    gates_seconds: float = Field(default=0.0, ge=0)
    monitoring_seconds: float = Field(default=0.0, ge=0)
    serving_seconds: float = Field(default=0.0, ge=0)
    logging_seconds: float = Field(default=0.0, ge=0)
    log_bytes: int = Field(default=0, ge=0)
    reused: bool = False


class ReplayedRelease(Section):
    """A model that was deployed.

    Attributes:
        name: its version within the replay.
        model_digest: of the stored model.
        trained_on: its batches.
        judged_on: the batches whose performance it is measured against in service.
        first_day: the first unit that it answered.
        last_day: the last one; both None if it answered none.
        days: how many it answered.
        alarm: the unit at which its performance was first found worse.
        days_to_alarm: units that it had answered by then, labels known.
        naive_alarm: the same of the naive test.
        days_to_naive_alarm: likewise.
    """

    name: str
    model_digest: str
    trained_on: tuple[str, ...]
    judged_on: tuple[str, ...]
    first_day: str | None = None
    last_day: str | None = None
    days: int = Field(default=0, ge=0)
    alarm: str | None = None
    days_to_alarm: int | None = None
    naive_alarm: str | None = None
    days_to_naive_alarm: int | None = None


class ReplayReport(Document):
    """The whole year.

    Attributes:
        project: the project's name.
        target: what is predicted.
        unit: the name of the resampling unit.
        metrics: the names of the metrics, in the project's order.
        bootstrap: the batches that the first model was trained on.
        batches: those that were predicted, in order.
        days: their units, in order.
        releases: what was deployed, in order.
        overall: the answers' metrics over all batches.
        overall_without: the bootstrap model's.
        difference: the mean difference of log loss a row, answers less bootstrap model, and its interval over whole
            units: value, low, high; negative where the loop is better. Empty without labels.
        confidence: of that interval.
        notes: what a reader should know, a sentence each.
        seconds: how long the replay took.
        training_seconds: how long training took, by all candidates together, whenever they were trained.
        log_bytes: of all records.
    """

    project: str
    target: str
    unit: str
    metrics: tuple[str, ...]
    bootstrap: tuple[str, ...]
    batches: tuple[ReplayedBatch, ...]
    days: tuple[ReplayedDay, ...]
    releases: tuple[ReplayedRelease, ...]
    overall: dict[str, float]
    overall_without: dict[str, float]
    difference: tuple[float, ...] = ()
    confidence: float
    notes: tuple[str, ...] = ()
    seconds: float = Field(ge=0)
    training_seconds: float = Field(ge=0)
    log_bytes: int = Field(ge=0)

    def to_json(self) -> str:
        """The text of the file."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @property
    def promoted(self) -> tuple[str, ...]:
        """The batches whose candidate was promoted."""
        return tuple(each.batch for each in self.batches if each.decision == "promoted")

    @property
    def refused(self) -> tuple[str, ...]:
        """The batches whose candidate was refused."""
        return tuple(each.batch for each in self.batches if each.decision == "refused")

    @property
    def ended(self) -> datetime | None:
        """When the last look was, on the clock of the replay."""
        return max((day.looked for day in self.days if day.looked is not None), default=None)
