"""Candidates of a replay: trained, measured and judged by the operations of the pipeline, once for the same inputs.

Each has a folder that is named by the digest of everything that it is made from. What is finished says so in a file
that is written last: after ``kill -9`` a folder without it is made anew.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TypeVar

from pydantic import Field

from gitrain.documents import Document, parse_json
from gitrain.errors import GitrainError
from gitrain.evaluation.document import Evaluation
from gitrain.gates.report import GateReport
from gitrain.lineage import digest_of_value
from gitrain.operations.check_gates import check_gates
from gitrain.operations.evaluate import evaluate
from gitrain.operations.replay.batches import stage_through
from gitrain.operations.stage import Stage
from gitrain.operations.train import train
from gitrain.pipeline.layout import EVALUATION, FEATURES, MODEL, MODEL_MANIFEST, partition
from gitrain.pipeline.repository import ArtifactCache, Repository
from gitrain.pipeline.workspace import Workspace
from gitrain.training.manifest import ModelManifest
from gitrain.training.model_format import ModelFormat

__all__ = ["Candidate", "Trials", "judge"]

_FINISHED = "finished.json"
_JUDGED = "gates"

_DocumentT = TypeVar("_DocumentT", bound=Document)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A trained model with what was measured of it.

    Attributes:
        stage: the surroundings in which it was made: a folder of its own, and the batches of that day.
        content: the stored model.
        file: where it is stored.
        manifest: what it was made from.
        evaluation: what it reached on its holdout.
        seconds: what training and measuring took when it was done.
        reused: whether that was in an earlier run.
    """

    stage: Stage
    content: bytes
    file: Path
    manifest: ModelManifest
    evaluation: Evaluation
    seconds: float
    reused: bool

    @property
    def digest(self) -> str:
        """The model's."""
        return self.manifest.model_digest


class _Finished(Document):
    """The last file of a candidate's folder."""

    model_digest: str
    seconds: float = Field(ge=0)


class _Judged(Document):
    """Verdicts on a candidate."""

    report: GateReport
    seconds: float = Field(ge=0)


@dataclass(frozen=True, kw_only=True)
class Trials:
    """Makes candidates.

    Attributes:
        stage: the surroundings of the replay, whose features hold all batches.
        model_format: stores and reads models.
        open_folder: a folder for one candidate, by its name, in which ``data/features`` is that of the replay.
        stopwatch: seconds that pass, from any start.
        made: those of this run, by the name of their folder.
    """

    stage: Stage
    model_format: ModelFormat
    open_folder: Callable[[str], Workspace]
    stopwatch: Callable[[], float]
    made: dict[str, Candidate] = field(default_factory=dict)

    def candidate(self, batch: str) -> Candidate:
        """The candidate that is judged on `batch`, and trained on those before it.

        Raises:
            TrainingError: a model that cannot be fitted. Others as `train` and `evaluate` have them.
        """
        stage = stage_through(self.stage, batch)
        params = stage.params
        inputs = {
            "code": stage.code,
            "training": params.training.model_dump(mode="json"),
            "estimator": params.estimators.get(params.training.estimator, {}),
            "evaluation": params.evaluation.model_dump(mode="json"),
            "features": [[each, stage.workspace.digest(partition(FEATURES, None, each))] for each in stage.batches],
        }
        name = f"{batch}-{digest_of_value(inputs).removeprefix('sha256:')[:16]}"
        if name not in self.made:
            self.made[name] = self._made(replace(stage, workspace=self.open_folder(name)))
        return self.made[name]

    def _made(self, stage: Stage) -> Candidate:
        finished = _finished(stage.workspace)
        if finished is not None:
            return self._read(stage, finished.seconds, reused=True)
        start = self.stopwatch()
        train(stage, self.model_format)
        measured = evaluate(stage, self.model_format)
        seconds = self.stopwatch() - start
        done = _Finished(schema_version=1, model_digest=measured.model_digest, seconds=seconds)
        stage.workspace.write_text(_FINISHED, done.model_dump_json() + "\n")
        return self._read(stage, seconds, reused=False)

    @staticmethod
    def _read(stage: Stage, seconds: float, *, reused: bool) -> Candidate:
        workspace = stage.workspace
        return Candidate(
            stage=stage,
            content=workspace.read_bytes(MODEL),
            file=workspace.root / MODEL,
            manifest=parse_json(ModelManifest, workspace.read_text(MODEL_MANIFEST), source=MODEL_MANIFEST),
            evaluation=parse_json(Evaluation, workspace.read_text(EVALUATION), source=EVALUATION),
            seconds=seconds,
            reused=reused,
        )


def judge(
    candidate: Candidate,
    model_format: ModelFormat,
    main: Repository,
    cache: ArtifactCache,
    *,
    today: date,
    stopwatch: Callable[[], float],
) -> tuple[GateReport, float, bool]:
    """What the gates say of a candidate beside the champion of `main`; the seconds; whether an earlier run said it.

    Raises:
        SettingsError: a gate is missing, trivial or misspelt.
    """
    stage = candidate.stage
    inputs = {
        "code": stage.code,
        "candidate": candidate.digest,
        "base": main.commit("main"),
        "gates": stage.params.gates.model_dump(mode="json"),
        "today": today.isoformat(),
    }
    path = f"{_JUDGED}/{digest_of_value(inputs).removeprefix('sha256:')}.json"
    known = _parsed(_Judged, stage.workspace, path)
    if known is not None:
        return known.report, known.seconds, True
    start = stopwatch()
    report = check_gates(stage, model_format, main, cache, base="main", today=today)
    seconds = stopwatch() - start
    judged = _Judged(schema_version=1, report=report, seconds=seconds)
    stage.workspace.write_text(path, judged.model_dump_json() + "\n")
    return report, seconds, False


def _finished(workspace: Workspace) -> _Finished | None:
    finished = _parsed(_Finished, workspace, _FINISHED)
    if finished is None or not workspace.exists(MODEL) or workspace.digest(MODEL) != finished.model_digest:
        return None
    return finished


def _parsed(model: type[_DocumentT], workspace: Workspace, path: str) -> _DocumentT | None:
    """A file of an earlier run; None where there is none, or none that is whole."""
    if not workspace.exists(path):
        return None
    try:
        return parse_json(model, workspace.read_text(path), source=path)
    except GitrainError:
        return None
