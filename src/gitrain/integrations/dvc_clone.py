"""Stages run again in a clone of a commit, for outputs that nobody has any more."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gitrain.errors import IntegrationError, PipelineError
from gitrain.integrations.dvc import DvcPipeline, dvc_repository, remote_names
from gitrain.integrations.git_program import ELSEWHERE

__all__ = ["DvcClone"]


@dataclass(frozen=True)
class DvcClone:
    """An `OutputMaker`: a clone that borrows Git's objects and reads DVC's cache, but links to nothing in it.

    What the stages write enters the cache under its own hash: an output that comes out as the lock has it is at hand
    from then on, and any other is never asked for.

    Attributes:
        root: the folder of dvc.yaml.
    """

    root: Path

    @contextlib.contextmanager
    def make(self, commit: str, stages: Sequence[str], *, progress: Callable[[str], None]) -> Iterator[Path]:
        """The root of a clone of the commit in which these stages, and those before them, are up to date."""
        prefix = self._git(self.root, "rev-parse", "--show-prefix").strip()
        whole = self._git(self.root, "rev-parse", "--show-toplevel").strip()
        with dvc_repository(self.root) as repository:
            if repository is None:
                raise PipelineError(f"{self.root} lies in no DVC repository", fix="run `dvc init` in Git's root.")
            cache = Path(repository.cache.local.path)
            remotes = bool(remote_names(repository.config))
            control = Path(repository.dvc_dir).relative_to(repository.root_dir)
        with tempfile.TemporaryDirectory(prefix="gitrain-clone-") as folder:
            top = Path(folder) / "tree"
            self._git(self.root, "clone", "--quiet", "--shared", "--no-checkout", whole, str(top))
            self._git(top, "-c", "advice.detachedHead=false", "checkout", "--quiet", "--detach", commit)
            inside = top / prefix
            dvc_root = next(f for f in (inside, *inside.parents) if (f / control).is_dir())
            # type = copy: a stage must not be able to write into the cache through a link.
            (dvc_root / control / "config.local").write_text(
                f"[cache]\n    dir = {_cache_folder(cache)}\n    type = copy\n[core]\n    autostage = false\n",
                encoding="utf-8",
            )
            DvcPipeline(inside).repro(
                stages,
                progress=progress,
                pull=remotes,
                allow_missing=False,
                environment={"DVC_SITE_CACHE_DIR": str(Path(folder) / "site")},
            )
            yield inside

    @staticmethod
    def _git(folder: Path, *arguments: str) -> str:
        environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
        try:
            done = subprocess.run(
                ["git", *arguments],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError as error:
            raise IntegrationError("the program `git` is not on PATH", fix="install Git.") from error
        if done.returncode != 0:
            raise PipelineError(
                f"`git {arguments[0]}` failed in {folder}: {' '.join(done.stderr.split())}",
                fix="run `git status` there and mend what it reports.",
            )
        return done.stdout


def _cache_folder(objects: Path) -> Path:
    """The folder of the cache that holds these objects: DVC keeps them in ``files/md5`` below it."""
    return objects.parent.parent if objects.parts[-2:] == ("files", "md5") else objects
