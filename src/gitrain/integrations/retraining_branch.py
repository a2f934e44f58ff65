"""Records of retrainings as files of the branch `retraining`: one begins on exactly the records it was decided on."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gitrain.errors import PipelineError
from gitrain.integrations.orphan_branch import BranchChange, BranchState, OrphanBranch
from gitrain.triggers.record import RetrainingRecord

__all__ = ["BRANCH", "RetrainingBranch"]

#: Where records are kept.
BRANCH = "retraining"

# Whoever is overtaken finds out what the quicker one did, and mostly has nothing to add any more.
_TRIES = 40


@dataclass(frozen=True)
class RetrainingBranch:
    """`RetrainingRecords` in a Git repository.

    Attributes:
        root: a folder of the repository.
        remote: where the branch is kept; a repository without it keeps the branch itself.
        variables: for Git alone: credentials.
        pause: waits some seconds between tries.
    """

    root: Path
    remote: str = "origin"
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    pause: Callable[[float], None] = time.sleep

    def list(self) -> Sequence[RetrainingRecord]:
        """All records."""
        return _records(self._branch.state())

    def add(
        self, judge: Callable[[Sequence[RetrainingRecord]], Sequence[RetrainingRecord]]
    ) -> Sequence[RetrainingRecord]:
        """Add records to exactly those that they were judged by."""
        added: list[RetrainingRecord] = []

        def change(state: BranchState) -> BranchChange | None:
            there = _records(state)
            paths = {record.path: record for record in there}
            added[:] = [record for record in judge(there) if paths.get(record.path) != record]
            changed = next((record.path for record in added if record.path in paths), None)
            if changed is not None:
                raise PipelineError(
                    f"{BRANCH}:{changed} has another content", fix="a record is never changed: restore the branch."
                )
            if not added:
                return None
            return BranchChange(files={each.path: each.to_json().encode() for each in added}, message=_message(added))

        self._branch.change(change)
        return tuple(added)

    @property
    def _branch(self) -> OrphanBranch:
        return OrphanBranch(
            self.root,
            BRANCH,
            "records of retrainings",
            remote=self.remote,
            variables=self.variables,
            pause=self.pause,
            tries=_TRIES,
        )


def _records(state: BranchState) -> list[RetrainingRecord]:
    records = [
        RetrainingRecord.from_json(content.decode(errors="replace"), source=f"{BRANCH}:{path}")
        for path, content in state.files(lambda path: path.startswith("runs/") and path.endswith(".json")).items()
    ]
    return sorted(records, key=lambda record: (record.began, record.id, record.ending is not None))


def _message(added: Sequence[RetrainingRecord]) -> str:
    newest = added[-1]
    what = newest.ending.value if newest.ending is not None else "begins"
    said = newest.reason or "; ".join(newest.evidence)
    return f"{newest.project}: data through {newest.through} {what}\n\n{said}\n"
