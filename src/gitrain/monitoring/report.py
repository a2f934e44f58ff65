"""What `gitrain monitor run` found: its JSON verdict, which reports are rendered from and triggers read. Public API.

Verdicts are named ``FAMILY:WHAT``. The families:

* ``service``: ``service:errors`` and ``service:latency`` (where figures of the replicas are given),
  ``service:missing``, ``service:stale``, ``service:clock``, ``service:log``;
* ``data``: ``data:contract`` (live inputs by the contract), ``data:features`` (what was made of them, by theirs),
  ``data:labels`` (how many came, and whether they agree);
* ``drift``: ``drift:FEATURE`` and ``drift:prediction``;
* ``performance``: ``performance:METRIC`` and ``performance:SLICE=GROUP``;
* ``calibration``: ``calibration:all``;
* ``skew``: ``skew:FEATURE``, and ``skew:all`` where nothing could be compared or everything is equal.

The outcome is the worst of the families that decide: drift and calibration explain, by default.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from gitrain.documents import Document, Section
from gitrain.release.record import RecordedVerdict
from gitrain.verdicts import Outcome, Verdict, worst

__all__ = [
    "FAMILIES",
    "CalibrationRow",
    "DayRow",
    "Family",
    "FeatureDrift",
    "Histogram",
    "LabelCounts",
    "Look",
    "LookSequence",
    "MonitoringReport",
    "RecentDays",
    "SeenRelease",
    "SliceRow",
    "Window",
    "family_of",
    "outcome_of",
]

#: What verdicts are about.
Family = Literal["service", "data", "drift", "performance", "calibration", "skew"]
FAMILIES: tuple[Family, ...] = ("service", "data", "skew", "performance", "calibration", "drift")


def family_of(name: str) -> str:
    """The family of a verdict, by its name."""
    return name.partition(":")[0]


def outcome_of(verdicts: Sequence[Verdict | RecordedVerdict], decides: Sequence[str]) -> Outcome:
    """The worst outcome of the families that decide; INCONCLUSIVE where none of them said anything."""
    return worst(
        each.outcome if isinstance(each, Verdict) else Outcome(each.outcome)
        for each in verdicts
        if family_of(each.name) in decides
    )


class Window(Section):
    """What was looked at.

    Attributes:
        since: predictions from this moment on, UTC.
        through: predictions before this moment, UTC.
        days: resampling units with predictions.
    """

    since: AwareDatetime
    through: AwareDatetime
    days: int = Field(ge=0)


class RecentDays(Section):
    """The last days of the window, by which service, data and drift are judged.

    Attributes:
        since: predictions from this moment on, UTC; each of them counts, whichever unit it is of.
        through: the newest of them, UTC.
        predictions: how many, each counted once.
        days: resampling units with predictions; the first and the last may be cut.
    """

    since: AwareDatetime
    through: AwareDatetime
    predictions: int = Field(ge=1)
    days: int = Field(ge=1)


class SeenRelease(Section):
    """A release that answered.

    Attributes:
        version: as the log has it.
        predictions: how many in the window.
        first: its first prediction.
        last: its last one.
    """

    version: str
    predictions: int = Field(ge=1)
    first: AwareDatetime
    last: AwareDatetime


class LabelCounts(Section):
    """What became of the labels.

    Attributes:
        predictions: in the window, each counted once.
        mature: those whose label should be known by now.
        labelled: mature ones with a label.
        coverage: the share of mature ones whose row has come, labelled or undefined; None without a mature one.
        never_came: mature ones that the entity's table does not have at all.
        undefined: mature ones that it has, and for which the target is null (it never happened).
        duplicates: records of the log that repeat one: the same request and row, or the same entity again.
        repeated: rows of the table that stand there again and are equal.
        contradictory: entities that the table has several and different labels of; they are left out.
    """

    predictions: int = Field(default=0, ge=0)
    mature: int = Field(default=0, ge=0)
    labelled: int = Field(default=0, ge=0)
    coverage: float | None = None
    never_came: int = Field(default=0, ge=0)
    undefined: int = Field(default=0, ge=0)
    duplicates: int = Field(default=0, ge=0)
    repeated: int = Field(default=0, ge=0)
    contradictory: int = Field(default=0, ge=0)


class DayRow(Section):
    """One resampling unit, a day as a rule. What needs labels is None where there are none.

    Attributes:
        day: its name, e.g. ``2013-10-04``.
        predictions: how many.
        labelled: those with a label.
        loss: their mean log loss.
        base_loss: the mean log loss of the day's own share of positives, as a constant probability.
        excess: what performance is tested by: the day's loss / base loss.
        probability: the mean probability of all predictions.
        positive_share: the share of positives.
        missing_share: of feature values that were not known, over all features.
    """

    day: str
    predictions: int = Field(ge=0)
    labelled: int = Field(ge=0)
    loss: float | None = None
    base_loss: float | None = None
    excess: float | None = None
    probability: float | None = None
    positive_share: float | None = None
    missing_share: float | None = None


class Histogram(Section):
    """A feature's values in the reference and now, in the same bins.

    Attributes:
        edges: of numbers, ascending, one more than there are bins; the outer bins hold what lies beyond as well.
        categories: of categories, one a bin; the last may be ``(other)``.
        reference: the share of each bin, and last the share of values that are not known.
        current: likewise.
    """

    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    reference: tuple[float, ...]
    current: tuple[float, ...]


class FeatureDrift(Section):
    """How far a feature, or the prediction, has moved from the reference.

    Attributes:
        name: the feature; ``prediction`` is the probability.
        kind: number or category.
        psi: the population stability index.
        wasserstein: the Wasserstein-1 distance in standard deviations of the reference; None for categories.
        threshold: what `psi` reaches by chance between days of the reference, at the level of the test.
        p_value: the share of windows of the reference whose distance is as large; whole days are drawn.
        moved: whether it has moved beyond chance.
        naive: whether the usual rule (PSI above 0.2) would say so.
        missing: the share of values that are not known now.
        reference_missing: the same of the reference.
        usual_missing: the largest share in any window of the reference that is as long as what is judged.
        usual_missing_day: the largest share of any single day of the reference.
        farthest_day: where it has moved: the day that lies farthest from the reference.
        farthest_psi: the index of that day.
        histogram: both distributions.
    """

    name: str
    kind: Literal["number", "category"]
    psi: float
    wasserstein: float | None = None
    threshold: float | None = None
    p_value: float | None = None
    moved: bool
    naive: bool
    missing: float
    reference_missing: float
    usual_missing: float | None = None
    usual_missing_day: float | None = None
    farthest_day: str | None = None
    farthest_psi: float | None = None
    histogram: Histogram


class SliceRow(Section):
    """A group of a slice.

    Attributes:
        slice: the slice's name.
        group: the group's name; None holds the rows that have none.
        predictions: how many.
        labelled: those with a label.
        coverage: of mature predictions.
        loss: the mean log loss.
        reference_loss: of the same group on the holdout.
        excess: the mean of the days' loss / base loss.
        excess_low: the lower limit of that mean, valid at all looks together.
        excess_high: the upper limit.
        threshold: what `excess_low` is not to lie above.
        roc_auc: where both classes are there.
        positive_share: the share of positives.
        probability: the mean probability of those with a label.
        judged: whether there are enough rows and days to judge it.
    """

    slice: str
    group: str | None
    predictions: int = Field(ge=0)
    labelled: int = Field(ge=0)
    coverage: float | None = None
    loss: float | None = None
    reference_loss: float | None = None
    excess: float | None = None
    excess_low: float | None = None
    excess_high: float | None = None
    threshold: float | None = None
    roc_auc: float | None = None
    positive_share: float | None = None
    probability: float | None = None
    judged: bool


class CalibrationRow(Section):
    """Predictions whose probability lies in one bin; a bin without any is left out.

    Attributes:
        low: the least probability of the bin.
        high: its end.
        rows: how many have a label.
        predicted: the mean probability.
        observed: the share of positives.
        reference: the share of positives of the bin on the holdout; None where it had none.
    """

    low: float
    high: float
    rows: int = Field(ge=1)
    predicted: float
    observed: float
    reference: float | None = None


class Look(Section):
    """One look at the sequence, after one more day.

    Attributes:
        day: the newest day that it knew.
        days: how many it knew.
        estimate: the mean of the statistic so far.
        lower: its lower limit, valid at all looks together; None where nothing is known yet.
        upper: its upper limit, likewise.
        alarm: whether the lower limit is above the threshold.
        naive_alarm: whether the test that is meant for one look would raise one.
    """

    day: str
    days: int = Field(ge=1)
    estimate: float
    lower: float | None
    upper: float | None
    alarm: bool
    naive_alarm: bool


class LookSequence(Section):
    """A quantity that is looked at after every day.

    Attributes:
        name: of the verdict that it belongs to, e.g. ``performance:log_loss``.
        release: whose predictions these are.
        threshold: the reference and what is tolerated beyond it: the mean is not to lie above.
        reference: the mean on the holdout.
        reference_days: the days of the holdout.
        alpha: the probability, over all looks, of an alarm without a change.
        looks: in order.
        alarm: the day of the first alarm.
        naive_alarm: the day of the naive test's first.
    """

    name: str
    release: str
    threshold: float
    reference: float
    reference_days: int
    alpha: float
    looks: tuple[Look, ...] = ()
    alarm: str | None = None
    naive_alarm: str | None = None


class MonitoringReport(Document):
    """The whole verdict.

    Attributes:
        project: the project's name.
        target: what is predicted.
        unit: the name of the resampling unit, ``day`` as a rule.
        environment: the one that was looked at.
        generated: when, UTC.
        window: which predictions.
        recent: those by which service, data and drift are judged; None: by all of them.
        releases: those that answered, in the order in which they began to.
        outcome: the worst of the families that decide.
        decides: those families.
        verdicts: in the order of `FAMILIES`.
        labels: what became of the labels.
        days: one row a unit, in order.
        features: how far each has moved, the farthest first; the prediction is one of them.
        slices: by slice and group.
        calibration: the bins, ascending.
        sequences: what was tested at every look.
        notes: what a reader should know, a sentence each.
        inputs_digest: of what was read: the log's records in the window, labels, reference and parameters.
        seconds: how long it took.
    """

    project: str
    target: str
    unit: str
    environment: str
    generated: AwareDatetime
    window: Window
    recent: RecentDays | None = None
    releases: tuple[SeenRelease, ...] = ()
    outcome: Outcome
    decides: tuple[Family, ...]
    verdicts: tuple[RecordedVerdict, ...] = ()
    labels: LabelCounts
    days: tuple[DayRow, ...] = ()
    features: tuple[FeatureDrift, ...] = ()
    slices: tuple[SliceRow, ...] = ()
    calibration: tuple[CalibrationRow, ...] = ()
    sequences: tuple[LookSequence, ...] = ()
    notes: tuple[str, ...] = ()
    inputs_digest: str = Field(default="", pattern=r"^(sha256:[0-9a-f]{64})?$")
    seconds: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _outcome_is_that_of_the_verdicts(self) -> Self:
        if self.outcome is not outcome_of(self.verdicts, self.decides):
            raise ValueError("the outcome is not the worst of the verdicts that decide")
        return self

    def family(self, name: Family) -> tuple[RecordedVerdict, ...]:
        """The verdicts of one family."""
        return tuple(each for each in self.verdicts if family_of(each.name) == name)

    def outcome_of_family(self, name: Family) -> Outcome:
        """The worst outcome of one family; INCONCLUSIVE where it said nothing."""
        return outcome_of(self.verdicts, (name,))

    def to_json(self) -> str:
        """The text of the file."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @property
    def last_day(self) -> str | None:
        """The newest unit with predictions."""
        return self.days[-1].day if self.days else None

    @property
    def first_prediction(self) -> datetime | None:
        """When the first prediction of the window was made."""
        return min((each.first for each in self.releases), default=None)
