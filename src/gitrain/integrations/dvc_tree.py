"""DVC's view of a working tree: dvc.yaml with its templates filled in, hashes, and where content is stored."""

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gitrain.errors import PipelineError
from gitrain.integrations.dvc import dvc_repository, remote_names
from gitrain.pipeline.lock import LockedFile, listing_md5
from gitrain.pipeline.stages import StageDefinition, StageOutput, StageParameter, Storage

__all__ = ["DvcTree", "open_dvc_tree"]

_DVC_YAML = "dvc.yaml"
_JOBS = 8


@contextlib.contextmanager
def open_dvc_tree(root: Path) -> Iterator["DvcTree"]:
    """The pipeline of `root/dvc.yaml`; DVC is started when it is asked something, and closed at the end.

    What the tree is asked raises PipelineError where there is no DVC repository, no dvc.yaml, or none that DVC can read
    (a dvc.lock with conflict markers stops DVC too), and IntegrationError where DVC is not installed.
    """
    with contextlib.ExitStack() as opened:
        yield DvcTree(root=root.resolve(), opened=opened)


@dataclass(frozen=True, kw_only=True)
class DvcTree:
    """A `PipelineTree` on DVC's own objects; `open_dvc_tree` makes one.

    Attributes:
        root: the folder of dvc.yaml.
        opened: closes DVC.
    """

    root: Path
    opened: contextlib.ExitStack
    _hashes: dict[str, str | None] = field(default_factory=dict)

    def stages(self) -> Sequence[StageDefinition]:
        """The stages of dvc.yaml in the root, in its order."""
        return [self._definition(stage) for stage in self._own()]

    def tracked(self) -> Mapping[str, str | None]:
        """What DVC tracks besides: outputs of `.dvc` files and of other folders' pipelines."""
        own = {id(stage) for stage in self._own()}
        found = {}
        for stage in self.index.stages:
            for out in stage.outs if id(stage) not in own else ():
                path = self._path(out)
                if path is not None:
                    found[path] = out.hash_info.value if out.hash_info else None
        return found

    def md5(self, path: str) -> str | None:
        """The MD5 of a file or folder, as DVC computes it but without DVC's memory of earlier hashes."""
        if path not in self._hashes:
            self._hashes[path] = self._computed(self.root / path)
        return self._hashes[path]

    def changed_outputs(self) -> Mapping[str, str]:
        """Cached outputs that are in the tree and differ from dvc.lock; by what `dvc status` knows of them."""
        found = {}
        for stage in self._own():
            for out in stage.outs:
                if out.use_cache and out.hash_info and out.exists:
                    changes = out.workspace_status()
                    if changes:
                        found[out.def_path] = ", ".join(sorted(set(map(str, changes.values()))))
        return found

    def listing(self, md5: str) -> Mapping[str, str] | None:
        """The files of a folder by their relative path; None if the local cache lacks the listing, or it is damaged."""
        if not md5.endswith(".dir"):
            return None
        try:
            content = self._local(md5).read_bytes()
        except FileNotFoundError:
            return None
        if _digest(content) != md5.removesuffix(".dir"):
            return None
        try:
            return {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(content)}
        except (ValueError, KeyError, TypeError):
            return None

    def locate(self, files: Sequence[LockedFile], *, unpushed: Sequence[str] = ()) -> Storage:
        """Ask the cache by file names and sizes, and the remotes by whether they have what the cache lacks."""
        asked: set[str] = set()
        absent: dict[str, bool] = {}
        damaged: list[str] = []
        for file in files:
            if file.md5 is None:
                continue
            wanted = self._wanted(file)
            asked |= wanted.keys()
            damaged += self._damage(file, wanted)
            for md5, there in wanted.items():
                if not there:
                    absent[md5] = absent.get(md5, False) or file.path not in unpushed
        remote = {md5 for md5, pushed in absent.items() if pushed}
        found, problems, names = self._in_remotes(remote)
        return Storage(
            objects=len(asked),
            missing=tuple(sorted(absent.keys() - found)),
            damaged=tuple(damaged),
            unlisted=tuple(sorted(md5 for md5 in absent.keys() & found if md5.endswith(".dir"))),
            remotes=tuple(names),
            problems=tuple(problems),
        )

    @functools.cached_property
    def repository(self) -> Any:
        """DVC's own object: a `dvc.repo.Repo`."""
        if not (self.root / _DVC_YAML).is_file():
            raise PipelineError(
                f"{self.root} has no {_DVC_YAML}", fix="write one: the stages of the pipeline stand there."
            )
        repository = self.opened.enter_context(dvc_repository(self.root))
        if repository is None:
            raise PipelineError(f"{self.root} lies in no DVC repository", fix="run `dvc init` in Git's root folder.")
        return repository

    @functools.cached_property
    def index(self) -> Any:
        """All stages that DVC knows of."""
        repository = self.repository
        try:
            return repository.index
        except Exception as error:  # DVC, its schemas and its YAML readers each have their own
            raise PipelineError(
                f"DVC cannot read the pipeline: {' '.join(str(error).split())}",
                fix="run `dvc status` and mend what it reports.",
            ) from error

    def _own(self) -> list[Any]:
        return [stage for stage in self.index.stages if Path(stage.path) == self.root / _DVC_YAML]

    def _definition(self, stage: Any) -> StageDefinition:
        params = [dep for dep in stage.deps if hasattr(dep, "read_params")]
        meta = (stage.meta or {}).get("gitrain") or {}
        return StageDefinition(
            name=stage.name,
            cmd=stage.cmd,
            deps={dep.def_path: self._path(dep) for dep in stage.deps if dep not in params},
            outs=tuple(self._output(out) for out in stage.outs),
            params=tuple(parameter for dep in params for parameter in _parameters(dep)),
            frozen=bool(stage.frozen),
            platform_dependent=str(meta["platform_dependent"]) if "platform_dependent" in meta else None,
        )

    def _output(self, out: Any) -> StageOutput:
        kind: Literal["out", "metric", "plot"] = "plot" if out.plot else "metric" if out.metric else "out"
        return StageOutput(
            name=out.def_path,
            path=self._path(out),
            cached=bool(out.use_cache),
            pushed=bool(out.can_push),
            kind=kind,
            columns=_plot_columns(out.plot),
        )

    def _path(self, item: Any) -> str | None:
        """A dependency or output relative to the root; None if it lies outside of it or is no local file."""
        if item.protocol != "local":
            return None
        relative = os.path.relpath(item.fs_path, self.root)
        return None if relative.split(os.sep)[0] == os.pardir else Path(relative).as_posix()

    def _computed(self, path: Path) -> str | None:
        if path.is_file():
            with path.open("rb") as stream:
                return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if not path.is_dir():
            return None
        entries = []
        for folder, _, names in self.repository.dvcignore.walk(self.repository.fs, str(path)):
            for name in names:
                file = Path(folder) / name
                entries.append({"md5": self._computed(file), "relpath": file.relative_to(path).as_posix()})
        return listing_md5({str(entry["relpath"]): str(entry["md5"]) for entry in entries})

    def _wanted(self, file: LockedFile) -> dict[str, bool]:
        """What has to be there for a file or folder: MD5 to whether the local cache has it."""
        md5 = str(file.md5)
        members = (self.listing(md5) or {}).values() if file.is_folder else ()
        return {each: self._local(each).is_file() for each in (md5, *members)}

    def _damage(self, file: LockedFile, wanted: Mapping[str, bool]) -> list[str]:
        """What names and sizes alone can tell of damage; content is not read, but for the listings of folders."""
        md5 = str(file.md5)
        if not all(wanted.values()):
            return []
        if not file.is_folder:
            size = self._local(md5).stat().st_size
        else:
            members = self.listing(md5)
            if members is None:
                return [f"the listing of {file.path} ({md5}) in the cache was altered or is none"]
            size = sum(self._local(each).stat().st_size for each in members.values())
        if file.size is None or size == file.size:
            return []
        return [f"{file.path} ({md5}) has {size:,} bytes in the cache and {file.size:,} in dvc.lock"]

    def _local(self, md5: str) -> Path:
        return Path(self.repository.cache.local.oid_to_path(md5))

    def _in_remotes(self, md5s: set[str]) -> tuple[set[str], list[str], list[str]]:
        """Which of them a remote has, what went wrong in asking, and the remotes' names."""
        names = remote_names(self.repository.config)
        found: set[str] = set()
        problems = []
        for name in names:
            left = md5s - found
            if not left:
                break
            try:
                store = self.repository.cloud.get_remote_odb(name, "status")
                there = left & set(store.oids_exist(left, jobs=_JOBS))
            except Exception as error:  # every kind of remote has its own errors
                problems.append(f"{name}: {type(error).__name__}: {' '.join(str(error).split())}")
                continue
            if not there and store.fs.protocol in ("http", "https"):
                # A web server that is down and one that has nothing look alike to DVC.
                problems.append(f"{name}: it has nothing of this, or does not answer")
            found |= there
        return found, problems, names


def _digest(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _parameters(dep: Any) -> Iterator[StageParameter]:
    locked = dep.hash_info.value if dep.hash_info and isinstance(dep.hash_info.value, dict) else {}
    try:
        current = dep.read_params() or {}
    except Exception as error:  # the file is no YAML, JSON or TOML
        raise PipelineError(f"{dep.def_path} cannot be read: {error}", fix="correct the file.") from error
    for key in dep.params or sorted({*locked, *current}):
        before, now = locked.get(key, _ABSENT), current.get(key, _ABSENT)
        text = _text(now)
        # Equal for DVC (1 and 1.0) is equal here.
        yield StageParameter(
            file=dep.def_path, key=str(key), locked=text if before == now else _text(before), current=text
        )


_ABSENT = object()


def _text(value: object) -> str | None:
    return None if value is _ABSENT else json.dumps(value, sort_keys=True, default=str)


def _plot_columns(plot: Any) -> tuple[str, ...]:
    if not isinstance(plot, dict):
        return ()
    named = [plot.get("x"), *(plot["y"] if isinstance(plot.get("y"), list) else [plot.get("y")])]
    return tuple(dict.fromkeys(name for name in named if isinstance(name, str)))
