"""What every stage of the pipeline is given."""

from collections.abc import Callable
from dataclasses import dataclass

from gitrain.data.batches import batches_between
from gitrain.pipeline.params import Params
from gitrain.pipeline.workspace import BatchMemo, Workspace
from gitrain.project import Project

__all__ = ["Stage"]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The surroundings of a stage.

    Attributes:
        project: what the user handed over.
        params: params.yaml.
        workspace: the repository's files.
        memo: the files of batches that were finished earlier.
        code: the digest of the code and of requirements.lock: what a batch was made with.
        progress: takes a line that tells a waiting person how far the work is.
    """

    project: Project
    params: Params
    workspace: Workspace
    memo: BatchMemo
    code: str
    progress: Callable[[str], None]

    @property
    def batches(self) -> list[str]:
        """All batches, from `data.from` to `data.through`."""
        return batches_between(self.project.batches, self.params.data.first, self.params.data.through)

    @property
    def holdout(self) -> list[str]:
        """The newest batches: judged on, never trained on."""
        return self.batches[-self.params.evaluation.holdout_batches :]

    @property
    def training_batches(self) -> list[str]:
        """The batches before the holdout that the training window covers, in order."""
        before = self.batches[: -self.params.evaluation.holdout_batches]
        window = self.params.training.window
        return before if window == "expanding" else before[-window:]
