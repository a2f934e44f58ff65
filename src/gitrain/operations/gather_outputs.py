"""Outputs of the pipeline by the hashes in dvc.lock: from the cache, the tree, a remote, or made again."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gitrain.errors import PipelineError
from gitrain.pipeline.lock import Lock, listing_md5
from gitrain.pipeline.repository import ArtifactCache
from gitrain.pipeline.workspace import Workspace
from gitrain.release.outputs import OutputMaker

__all__ = ["Gathered", "gather_outputs"]


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """What was found of the outputs that were asked for.

    Attributes:
        remade: stages that were run again, since nobody had what they wrote.
        problems: sentences: what nobody has and the stages do not give again.
    """

    remade: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def gather_outputs(
    lock: Lock,
    wanted: Sequence[str],
    folder: Path,
    *,
    cache: ArtifactCache,
    workspace: Workspace,
    maker: OutputMaker,
    commit: str,
    progress: Callable[[str], None],
) -> Gathered:
    """Copy outputs below a folder, at their own paths. Each file has the hash of dvc.lock, or is not there.

    No stage is run for what can be had. What stages give again is taken only if its hash is the lock's: a model that
    was trained anew is another one, whatever it scores.

    Args:
        lock: of the commit.
        wanted: outputs, or files in outputs that are folders.
        folder: where to.
        cache: content by its hash.
        workspace: the tree, for folders that were never put into the cache.
        maker: runs stages of the commit again.
        commit: the full hash.
        progress: takes a line that tells a waiting person how far the work is.

    Raises:
        PipelineError: the lock has no such output, the cache holds something else than it says, or a stage failed.
        IntegrationError: a remote could not be asked.
    """
    missing = [path for path in wanted if not _take(lock, path, folder, cache, workspace)]
    if not missing:
        return Gathered()
    stages = _stages_of(lock, missing)
    progress(f"nobody has {', '.join(missing)}: running {', '.join(stages)} again in a clone")
    problems = []
    with maker.make(commit, stages, progress=progress) as root:
        for path in missing:
            problem = _take_remade(lock, path, folder, root)
            if problem is not None:
                problems.append(problem)
    return Gathered(remade=stages, problems=tuple(problems))


def _take(lock: Lock, path: str, folder: Path, cache: ArtifactCache, workspace: Workspace) -> bool:
    output, inside = _output(lock, path)
    md5 = lock.md5_of(output)
    if not md5.endswith(".dir"):
        return _take_file(md5, path, folder, cache, workspace)
    members = _listing(md5, output, cache, workspace)
    if members is None:
        return False
    if inside:
        return inside in members and _take_file(members[inside], path, folder, cache, workspace)
    return all(_take_file(each, f"{output}/{name}", folder, cache, workspace) for name, each in members.items())


def _take_file(md5: str, path: str, folder: Path, cache: ArtifactCache, workspace: Workspace) -> bool:
    found = cache.find(md5)
    if found is not None:
        content = found.read_bytes()
    elif workspace.exists(path):
        content = workspace.read_bytes(path)
    else:
        return False
    # A file may have changed since the cache looked at it.
    if _md5(content) != md5:
        return False
    _write(folder / path, content)
    return True


def _take_remade(lock: Lock, path: str, folder: Path, root: Path) -> str | None:
    """Take what a stage gave again; the sentence that says why not, if it is none of the lock's."""
    output, inside = _output(lock, path)
    wanted, source = lock.md5_of(output), root / output
    members = {output: source} if source.is_file() else {}
    if source.is_dir():
        members = {file.relative_to(root).as_posix(): file for file in sorted(source.rglob("*")) if file.is_file()}
        md5 = listing_md5({name[len(output) + 1 :]: _md5(file.read_bytes()) for name, file in members.items()})
    else:
        md5 = _md5(source.read_bytes()) if source.is_file() else "nothing"
    if md5 != wanted:
        return (
            f"{output} ({wanted}) is in neither the cache nor a remote, and running its stage again gives another one "
            f"({md5}): push it with `dvc push` where it was made, or commit what `dvc repro` gives and have it judged"
        )
    for name, file in members.items():
        if not inside or name == path:
            _write(folder / name, file.read_bytes())
    return None


def _output(lock: Lock, path: str) -> tuple[str, str]:
    """The output that a path is or lies in, and the rest of it."""
    for output in (path, *(parent.as_posix() for parent in PurePosixPath(path).parents)):
        if output in lock.outs:
            return output, path[len(output) + 1 :]
    lock.md5_of(path)
    raise AssertionError(path)


def _listing(md5: str, output: str, cache: ArtifactCache, workspace: Workspace) -> Mapping[str, str] | None:
    found = cache.find(md5)
    if found is not None:
        try:
            members = {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(found.read_bytes())}
        except (ValueError, KeyError, TypeError) as error:
            raise PipelineError(f"the listing {md5} of {output} is none: {error}", fix="run `dvc repro`.") from error
        outside = [name for name in members if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]
        if outside:
            raise PipelineError(
                f"the listing {md5} of {output} names {outside[0]!r}, which lies outside of the folder",
                fix="delete it from the cache, and run `dvc repro`.",
            )
        return members
    files = {file[len(output) + 1 :]: _md5(workspace.read_bytes(file)) for file in workspace.files(output)}
    return files if files and listing_md5(files) == md5 else None


def _stages_of(lock: Lock, paths: Iterable[str]) -> tuple[str, ...]:
    outputs = {_output(lock, path)[0] for path in paths}
    return tuple(name for name, stage in lock.stages.items() if any(out.path in outputs for out in stage.outs))


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
