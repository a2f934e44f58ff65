"""The section `retraining` of params.yaml: what asks for a new model, and how often one is tried."""

from typing import Literal

from pydantic import Field

from gitrain.documents import Section

__all__ = ["CandidateCheck", "RetrainingParams"]

#: Groups of checks that a candidate can be asked.
CandidateCheck = Literal["lock", "data", "training", "artifacts", "integration", "behaviour"]


class RetrainingParams(Section):
    """What asks for a retraining, and what holds it back.

    Attributes:
        new_data: a batch that the source has and `data.through` has not asks for one.
        performance: a monitoring report whose performance verdicts failed asks for one.
        data_drift: one whose drift verdicts failed asks for one; off, since data drifts far more often than models err.
        every_days: so many days after the last retraining the schedule asks for one; null: no schedule.
        champion_age_days: a model that is older asks for a new one; null: none is too old.
        settle_hours: how long after its end a batch is taken for whole; labels that come late have come by then.
        monitoring_days: a monitoring report that is older is no evidence.
        cooldown_hours: how long after the beginning of a retraining the next one waits; a person's request need not.
        runs_a_week: how many retrainings may begin within seven days.
        minutes_a_week: how long the retrainings of seven days may take together.
        longest_minutes: a retraining that has not ended after so long is taken for dead, and another may begin.
        checks: the groups of checks that a candidate is asked before the gates.
        merge: "gates-passed" merges a pull request whose checks and gates passed, where the forge allows it; what runs
            in an environment that names its release is not changed by that. "never": people merge.
    """

    new_data: bool = True
    performance: bool = True
    data_drift: bool = False
    every_days: int | None = Field(default=None, ge=1)
    champion_age_days: int | None = Field(default=None, ge=1)
    settle_hours: float = Field(default=24.0, ge=0, allow_inf_nan=False)
    monitoring_days: float = Field(default=3.0, gt=0, allow_inf_nan=False)
    cooldown_hours: float = Field(default=24.0, ge=0, allow_inf_nan=False)
    runs_a_week: int = Field(default=7, ge=1)
    minutes_a_week: float = Field(default=240.0, gt=0, allow_inf_nan=False)
    longest_minutes: float = Field(default=120.0, gt=0, allow_inf_nan=False)
    checks: tuple[CandidateCheck, ...] = ("data", "training", "artifacts")
    merge: Literal["never", "gates-passed"] = "never"
