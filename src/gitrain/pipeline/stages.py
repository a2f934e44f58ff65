"""dvc.yaml as values, and what operations ask of the pipeline that it describes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from gitrain.pipeline.lock import Lock, LockedFile, LockedStage

__all__ = ["Execution", "PipelineTree", "StageDefinition", "StageOutput", "StageParameter", "StageSandbox", "Storage"]


@dataclass(frozen=True, kw_only=True)
class StageOutput:
    """One output of a stage.

    Attributes:
        name: as dvc.yaml and dvc.lock have it.
        path: relative to the root, with slashes; None if it lies outside of the repository.
        cached: whether DVC keeps it; what DVC does not keep is in Git.
        pushed: whether `dvc push` takes it to a remote.
        kind: under which key of dvc.yaml it stands.
        columns: of a plot, the columns that it is drawn from.
    """

    name: str
    path: str | None
    cached: bool = True
    pushed: bool = True
    kind: Literal["out", "metric", "plot"] = "out"
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StageParameter:
    """One parameter that a stage reads; equal values have equal texts.

    Attributes:
        file: the file's name, as dvc.lock has it.
        key: the dotted key; empty where a stage depends on a whole file.
        locked: the value in dvc.lock as JSON; None if it has none.
        current: the value in the file, likewise.
    """

    file: str
    key: str
    locked: str | None
    current: str | None


@dataclass(frozen=True, kw_only=True)
class StageDefinition:
    """One stage of dvc.yaml, with what stands in it for `${...}`.

    Attributes:
        name: the stage's name.
        cmd: the command or commands.
        deps: what it reads: the name in dvc.lock to the path relative to the root (None outside of the repository).
        outs: what it writes.
        params: the parameters that it reads.
        frozen: whether `dvc repro` passes it over.
        platform_dependent: why its outputs differ from machine to machine, if the author says so under
            ``meta: {gitrain: {platform_dependent: REASON}}``.
    """

    name: str
    cmd: str | list[str]
    deps: Mapping[str, str | None]
    outs: tuple[StageOutput, ...]
    params: tuple[StageParameter, ...] = ()
    frozen: bool = False
    platform_dependent: str | None = None


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Where the content is that a lock names, as far as asking without moving data can tell.

    Attributes:
        objects: how many files were asked for, listings of folders among them.
        missing: MD5 of what is in neither the cache nor a remote.
        damaged: sentences on files of the cache that are not what their hash says.
        unlisted: MD5 of folders whose listing is in a remote alone: their files were not asked for one by one.
        remotes: the remotes' names.
        problems: sentences on remotes that could not be asked.
    """

    objects: int
    missing: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    remotes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class PipelineTree(Protocol):
    """The pipeline of a working tree. Asking moves no data and changes nothing."""

    def stages(self) -> Sequence[StageDefinition]:
        """The stages of dvc.yaml in the root, in order. Raises PipelineError if dvc.yaml or dvc.lock is broken."""

    def tracked(self) -> Mapping[str, str | None]:
        """What DVC tracks besides these stages' outputs (`.dvc` files): path to MD5."""

    def md5(self, path: str) -> str | None:
        """The MD5 of a file or a folder of the tree, as DVC computes it and always anew; None if it is not there."""

    def changed_outputs(self) -> Mapping[str, str]:
        """Outputs that are in the tree and are not what dvc.lock says: name to what DVC says of them."""

    def listing(self, md5: str) -> Mapping[str, str] | None:
        """The files of a folder: relative path to MD5; None if its listing is not in the local cache."""

    def locate(self, files: Sequence[LockedFile], *, unpushed: Sequence[str] = ()) -> Storage:
        """Ask the cache, then the remotes, for the content of files; `unpushed` names paths that no remote gets."""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """What a stage did when it was run on the inputs that the lock names.

    Attributes:
        entry: what DVC would write into dvc.lock for it; None if it failed.
        failure: the last lines that it printed, if it failed.
        unavailable: why it could not be run at all: an input that nobody has.
        seconds: it took.
    """

    entry: LockedStage | None = None
    failure: str | None = None
    unavailable: str | None = None
    seconds: float = field(default=0.0, compare=False)


class StageSandbox(Protocol):
    """Runs one stage in a temporary copy of the tree; neither the tree nor the cache is written to."""

    def execute(
        self,
        stage: StageDefinition,
        lock: Lock,
        *,
        tracked: Mapping[str, str | None],
        progress: Callable[[str], None],
    ) -> Execution:
        """Run `stage` on inputs taken from the cache by the hashes of `lock`, and of `tracked` for other files."""
