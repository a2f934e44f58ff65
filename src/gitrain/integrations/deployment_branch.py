"""Deployment records as files of the branch `deployments`: never the same, so that nothing can conflict."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gitrain.deployment.record import DeploymentRecord
from gitrain.errors import PipelineError
from gitrain.integrations.orphan_branch import BranchChange, BranchState, OrphanBranch

__all__ = ["BRANCH", "DeploymentBranch"]

#: Where records are kept.
BRANCH = "deployments"


@dataclass(frozen=True)
class DeploymentBranch:
    """`DeploymentRecords` in a Git repository.

    Attributes:
        root: a folder of the repository.
        remote: where the branch is kept; a repository without it keeps the branch itself.
        pause: waits some seconds between tries.
    """

    root: Path
    remote: str = "origin"
    pause: Callable[[float], None] = time.sleep

    def add(self, record: DeploymentRecord) -> None:
        """Keep a record, once."""
        content = record.to_json().encode()

        def judge(state: BranchState) -> BranchChange | None:
            there = state.read(record.path)
            if there is None:
                message = f"{record.environment}: {record.kind} {record.release.version} {record.ending.value}"
                return BranchChange(files={record.path: content}, message=f"{message}\n\n{record.reason}\n")
            if there != content:
                raise PipelineError(
                    f"{BRANCH}:{record.path} has another content",
                    fix="a record is never changed: restore the branch.",
                )
            return None

        self._branch.change(judge)

    def list(self, environment: str | None = None) -> Sequence[DeploymentRecord]:
        """The records of an environment, or of all, by the time at which they began."""

        def chosen(path: str) -> bool:
            return path.endswith(".json") and (environment is None or path.startswith(f"{environment}/"))

        records = [
            DeploymentRecord.from_json(content.decode(errors="replace"), source=f"{BRANCH}:{path}")
            for path, content in self._branch.state().files(chosen).items()
        ]
        return sorted(records, key=lambda record: (record.began, record.id))

    @property
    def _branch(self) -> OrphanBranch:
        return OrphanBranch(self.root, BRANCH, "records of deployments", remote=self.remote, pause=self.pause)
