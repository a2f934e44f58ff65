"""What is known when it is decided whether to train again: values alone."""

from dataclasses import dataclass, field
from datetime import datetime

from gitrain.lineage import digest_of_value
from gitrain.monitoring.report import MonitoringReport
from gitrain.pipeline.lock import Lock
from gitrain.pipeline.params import Params
from gitrain.triggers.forge import OpenProposal
from gitrain.triggers.record import RetrainingRecord

__all__ = ["RetrainingFacts", "digest_of_pipeline"]


@dataclass(frozen=True, kw_only=True)
class RetrainingFacts:
    """What is known.

    Attributes:
        now: the time, in UTC.
        base: the newest commit of the default branch, a full hash.
        branch: the default branch.
        through: `data.through` there.
        batches: those that the sources have and `data.through` has not, in order.
        unreadable: how a source failed on the last of them; None where none did.
        pipeline: the digest of the base's stages, their code and parameters, and of the rules for models.
        data: the digest of the sources' fingerprints of all batches, the new ones among them.
        champion_since: when the base's model came to be; None if it has none.
        monitoring: the newest report; None if none was handed over.
        request: why a person asks for a retraining; None if nobody does.
        records: of former retrainings, as `last_words` gives them.
        proposals: pull requests of retrainings that wait for review.
        holder: this clone.
        busy: whether another process of this clone is at a retraining.
        notes: what was not there or could not be asked, a sentence each.
    """

    now: datetime
    base: str
    branch: str
    through: str
    batches: tuple[str, ...]
    pipeline: str
    data: str
    unreadable: str | None = None
    champion_since: datetime | None = None
    monitoring: MonitoringReport | None = None
    request: str | None = None
    records: tuple[RetrainingRecord, ...] = ()
    proposals: tuple[OpenProposal, ...] = ()
    holder: str = "0" * 16
    busy: bool = False
    notes: tuple[str, ...] = field(default=())

    @property
    def target(self) -> str:
        """What `data.through` is to be: the newest batch that is there."""
        return self.batches[-1] if self.batches else self.through

    @property
    def inputs(self) -> str:
        """The digest of what a model is made from and judged by. What else the default branch holds is not in it."""
        return digest_of_value({"pipeline": self.pipeline, "data": self.data, "through": self.target})

    @property
    def digest(self) -> str:
        """The same with the kind of reason: what was tried by itself can be asked for again by a person."""
        kind = "automatic" if self.request is None else f"request: {' '.join(self.request.split())}"
        return digest_of_value({"inputs": self.inputs, "kind": kind})


def digest_of_pipeline(lock: Lock, params: Params) -> str:
    """The digest of what makes and judges models, apart from the data.

    Commands, code and pinned packages of the stages by their hashes in dvc.lock, and params.yaml as values without
    `data.through` and without what decides whether to retrain.
    """
    rules = params.model_dump(mode="json", by_alias=True)
    rules.pop("retraining")
    rules["data"].pop("through")
    stages = {
        name: {
            "cmd": stage.cmd,
            "deps": sorted((dep.path, dep.md5 or "") for dep in stage.deps if dep.path not in lock.outs),
        }
        for name, stage in lock.stages.items()
    }
    return digest_of_value({"params": rules, "stages": stages})
