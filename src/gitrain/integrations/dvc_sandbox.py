"""One stage run again in a temporary copy of the tree, its inputs taken from the cache by their hashes."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gitrain.errors import IntegrationError, PipelineError
from gitrain.integrations.dvc import DvcCache, dvc_environment
from gitrain.integrations.git import GitRepository
from gitrain.integrations.git_program import ELSEWHERE
from gitrain.pipeline.layout import LOCK
from gitrain.pipeline.lock import Lock
from gitrain.pipeline.stages import Execution, StageDefinition

__all__ = ["DvcSandbox"]


@dataclass(frozen=True, kw_only=True)
class DvcSandbox:
    """A `StageSandbox`: a clone beside the repository's objects, with a cache of its own.

    The stage finds the files of the tree as they are (uncommitted changes too) and its inputs, and nothing else: no
    memo, no other output, no cache. What it writes stays in the copy, which is removed.

    Attributes:
        root: the folder of dvc.yaml.
    """

    root: Path

    def execute(
        self,
        stage: StageDefinition,
        lock: Lock,
        *,
        tracked: Mapping[str, str | None],
        progress: Callable[[str], None],
    ) -> Execution:
        """Run `stage` on inputs taken from the cache by the hashes of `lock`, and of `tracked` for other files."""
        with tempfile.TemporaryDirectory(prefix="gitrain-sandbox-") as folder:
            top = Path(folder) / "tree"
            inside = self._copy(top)
            try:
                self._place_inputs(stage, lock, tracked, top / inside)
            except (PipelineError, IntegrationError) as error:
                return Execution(unavailable=error.what)
            # The state that DVC keeps outside of a repository belongs into the copy too.
            environment = {"DVC_SITE_CACHE_DIR": str(Path(folder) / "site")}
            started = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-m", "dvc", "repro", "--single-item", "--force", "--no-commit", "--", stage.name],
                cwd=top / inside,
                env=_without_git(dvc_environment(environment)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
                check=False,
            )
            seconds = time.perf_counter() - started
            for line in done.stdout.splitlines():
                progress(f"  {line}")
            if done.returncode != 0:
                said = " / ".join(line.strip() for line in done.stdout.strip().splitlines()[-4:])
                return Execution(failure=said.replace(str(top / inside), "."), seconds=seconds)
            entry = Lock.parse((top / inside / LOCK).read_text(encoding="utf-8")).stages[stage.name]
            return Execution(entry=entry, seconds=seconds)

    def _copy(self, top: Path) -> Path:
        """The tree as it is: the commit, then what differs from it. Returns the root's place inside."""
        prefix = Path(_git(self.root, "rev-parse", "--show-prefix").strip())
        whole = Path(_git(self.root, "rev-parse", "--show-toplevel").strip())
        _git(self.root, "clone", "--quiet", "--shared", str(whole), str(top))
        for path in GitRepository(whole).changed():
            source, target = whole / path, top / path
            with contextlib.suppress(FileNotFoundError):
                target.unlink()
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        control = next(f / ".dvc" for f in ((top / prefix), *(top / prefix).parents) if (f / ".dvc").is_dir())
        # Neither the shared cache nor links into it: a stage must not be able to alter them.
        (control / "config.local").write_text(
            f"[cache]\n    dir = {Path(top).parent / 'cache'}\n    type = copy\n[core]\n    autostage = false\n",
            encoding="utf-8",
        )
        return prefix

    def _place_inputs(self, stage: StageDefinition, lock: Lock, tracked: Mapping[str, str | None], root: Path) -> None:
        """Put the outputs of other stages that this one reads where it reads them."""
        available = {**tracked, **{path: out.md5 for path, out in lock.outs.items()}}
        own = {out.path for out in stage.outs}
        for dep in stage.deps.values():
            for path, md5 in available.items():
                related = dep is not None and (_within(dep, path) or _within(path, dep))
                if related and md5 is not None and path not in own and not (root / path).is_file():
                    self._place(md5, root / path, path)

    def _place(self, md5: str, target: Path, path: str) -> None:
        found = DvcCache(self.root).find(md5)
        if found is None:
            raise PipelineError(
                f"its input {path} ({md5}) is in neither the cache nor a remote",
                fix="run `dvc pull`, or `dvc repro` to make it again.",
            )
        if not md5.endswith(".dir"):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found, target)
            return
        for entry in json.loads(found.read_bytes()):
            name = Path(entry["relpath"])
            if name.is_absolute() or ".." in name.parts:
                raise PipelineError(
                    f"the listing {md5} of {path} names {entry['relpath']!r}, which lies outside of the folder",
                    fix="delete it from the cache, and run `dvc repro`.",
                )
            self._place(entry["md5"], target / name, f"{path}/{name.as_posix()}")


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=_without_git(dict(os.environ)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise PipelineError(
            f"`git {arguments[0]}` failed in {folder}: {' '.join(done.stderr.split())}",
            fix="run `git status` there and mend what it reports.",
        )
    return done.stdout


def _without_git(environment: dict[str, str]) -> dict[str, str]:
    """A hook that called us must not point Git at its own repository, wherever it runs."""
    return {name: value for name, value in environment.items() if name not in ELSEWHERE}
