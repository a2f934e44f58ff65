"""Clones in which candidates are made, below `.gitrain`: they share Git's objects, DVC's cache and the memo."""

import collections
import contextlib
import fcntl
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitrain.errors import IntegrationError, PipelineError
from gitrain.integrations.dvc import dvc_environment, dvc_repository, remote_names
from gitrain.integrations.files import LocalWorkspace
from gitrain.integrations.git_program import ELSEWHERE, run_git, without_forge
from gitrain.integrations.git_remote import GitRemote
from gitrain.integrations.process import stop_group
from gitrain.pipeline.candidate import CandidateClone, Finished
from gitrain.pipeline.layout import LOCK, MEMO, PARAMS, RETRAINING
from gitrain.pipeline.lock import Lock

__all__ = ["LocalCandidateClones"]

_OWN_MODULES = ("dvc", "gitrain")
_SHOWN_LINES = 12
_RUN = "run-"
_MAKE_ROOM = "make room, or let this user write there."
_LOCK_TRIES = 5
_NOBODY = {
    "GIT_AUTHOR_NAME": "gitrain",
    "GIT_AUTHOR_EMAIL": "gitrain@localhost",
    "GIT_COMMITTER_NAME": "gitrain",
    "GIT_COMMITTER_EMAIL": "gitrain@localhost",
}


@dataclass(frozen=True)
class LocalCandidateClones:
    """`CandidateClones` of the repository that `remote` belongs to.

    Attributes:
        remote: takes the commits that are made into the user's repository; `remote.root` is the folder of dvc.yaml.
        author: variables that say who commits where Git does not know.
        pause: waits some seconds between tries.
    """

    remote: GitRemote
    author: Mapping[str, str] = field(default_factory=dict)
    pause: Callable[[float], None] = time.sleep

    @property
    def holder(self) -> str:
        """Drawn once for each repository on a machine."""
        file = self._folder / "holder"
        with _disk():
            self._folder.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                descriptor, mine = tempfile.mkstemp(dir=self._folder)
                with os.fdopen(descriptor, "w") as stream:
                    stream.write(secrets.token_hex(8))
                # Of several at once the first one decides.
                with contextlib.suppress(FileExistsError):
                    os.link(mine, file)
                os.unlink(mine)
            return file.read_text(encoding="ascii")

    def busy(self) -> bool:
        """Whether somebody has the lock; nobody notices the question."""
        with self._locked(fcntl.LOCK_SH, tries=1) as free:
            return not free

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """A lock that the system gives back whatever becomes of who holds it."""
        # Whoever asks whether somebody is busy has it for a moment.
        with self._locked(fcntl.LOCK_EX, tries=_LOCK_TRIES) as alone:
            if alone:
                for left in self._folder.glob(f"{_RUN}*"):
                    shutil.rmtree(left, ignore_errors=True)
            yield alone

    @contextlib.contextmanager
    def _locked(self, kind: int, *, tries: int) -> Iterator[bool]:
        with _disk():
            self._folder.mkdir(parents=True, exist_ok=True)
            stream = (self._folder / "lock").open("a")
        with stream:
            for left in reversed(range(tries)):
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(stream, kind | fcntl.LOCK_NB)
                    break
                if left:
                    self.pause(0.05)
            else:
                yield False
                return
            yield True

    @contextlib.contextmanager
    def make(self, commit: str) -> Iterator[CandidateClone]:
        """A clone of a commit; to be called by who is alone."""
        with _disk():
            self._folder.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(dir=self._folder, prefix=_RUN))
        try:
            yield self._clone(folder, commit)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def _folder(self) -> Path:
        return self.remote.root / RETRAINING

    def _clone(self, folder: Path, commit: str) -> "_Clone":
        root, top = self.remote.root, folder / "tree"
        prefix = _git(root, "rev-parse", "--show-prefix").strip()
        whole = _git(root, "rev-parse", "--show-toplevel").strip()
        with _disk(), dvc_repository(root) as repository:
            if repository is None:
                raise PipelineError(f"{root} lies in no DVC repository", fix="run `dvc init` in Git's root.")
            cache = Path(repository.cache.local.path)
            remotes = {name: _texts(repository.config["remote"][name]) for name in remote_names(repository.config)}
            default = repository.config["core"].get("remote")
        _git(root, "clone", "--quiet", "--shared", "--no-checkout", whole, str(top))
        _git(top, "-c", "advice.detachedHead=false", "checkout", "--quiet", "--detach", commit)
        inside = top / prefix
        with _disk(), dvc_repository(inside) as repository:
            if repository is None:
                raise PipelineError(f"commit {commit[:12]} holds no DVC repository", fix="commit the folder .dvc.")
            # Remotes as they are seen from the user's repository: relative addresses and credentials come along. And
            # copies: a stage must not be able to write into the cache through a link.
            with repository.config.edit("local") as edited:
                edited["cache"] = {"dir": str(_cache_folder(cache)), "type": "copy"}
                edited["core"] = {"autostage": False, **({"remote": default} if default else {})}
                edited["remote"] = remotes
        with _disk():
            memo = inside / MEMO
            memo.parent.mkdir(parents=True, exist_ok=True)
            (root / MEMO).mkdir(parents=True, exist_ok=True)
            memo.symlink_to(root / MEMO, target_is_directory=True)
        variables = {"DVC_SITE_CACHE_DIR": str(folder / "site")}
        return _Clone(inside, top, self.remote, bool(remotes), variables, dict(self.author))


@dataclass(frozen=True)
class _Clone:
    """A `CandidateClone`."""

    inside: Path
    top: Path
    remote: GitRemote
    has_remotes: bool
    variables: dict[str, str]
    author: dict[str, str]

    @property
    def workspace(self) -> LocalWorkspace:
        return LocalWorkspace(self.inside)

    def run(self, command: Sequence[str], *, progress: Callable[[str], None]) -> Finished:
        program, *arguments = command
        line = [sys.executable, "-m", program, *arguments] if program in _OWN_MODULES else list(command)
        # Stages are code of the repository, and the packages that it names: none of it speaks to the forge.
        given = without_forge(dvc_environment(self.variables))
        environment = {name: value for name, value in given.items() if name not in ELSEWHERE}
        last: collections.deque[str] = collections.deque(maxlen=_SHOWN_LINES)
        with tempfile.TemporaryFile() as printed:
            try:
                process = subprocess.Popen(
                    line,
                    cwd=self.inside,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=printed,
                    stderr=subprocess.PIPE,
                    # A group of its own: who leaves early stops the stage that it runs too.
                    start_new_session=True,
                )
            except FileNotFoundError as error:
                raise IntegrationError(f"{program!r} is not on this machine", fix=f"install {program}.") from error
            with process:
                try:
                    for raw in process.stderr or ():
                        text = raw.decode(errors="replace").rstrip()
                        if text:
                            last.append(text)
                            progress(text)
                    code = process.wait()
                except BaseException:
                    stop_group(process)
                    raise
            printed.seek(0)
            return Finished(exit_code=code, stdout=printed.read().decode(errors="replace"), said="\n".join(last))

    def commit(self, message: str) -> str | None:
        lock = Lock.parse(self.workspace.read_text(LOCK))
        chosen = [path for path in self._changed() if _is_written(path, lock)]
        if not chosen:
            return None
        names = "".join(f"{path}\0" for path in chosen)
        _git(self.inside, "add", "--all", "--pathspec-from-file=-", "--pathspec-file-nul", text=names)
        _git(
            self.inside,
            *("commit", "--quiet", "--no-verify", "--no-gpg-sign", "--file=-"),
            text=message,
            variables=self._author(),
        )
        commit = _git(self.inside, "rev-parse", "HEAD").strip()
        self.remote.take(self.top, commit)
        return commit

    def push_data(self, *, progress: Callable[[str], None]) -> bool:
        if not self.has_remotes:
            return False
        done = self.run(("dvc", "push", "--quiet"), progress=progress)
        if done.exit_code != 0:
            raise PipelineError(
                f"`dvc push` failed with exit code {done.exit_code}: {' '.join(done.said.split())[-600:]}",
                fix="see that the remote of DVC can be written to; the next run goes on from here.",
            )
        return True

    def _changed(self) -> list[str]:
        """Files of the clone that differ from its commit, relative to the folder of dvc.yaml."""
        prefix = _git(self.inside, "rev-parse", "--show-prefix").strip()
        flags = ("--porcelain=v1", "-z", "--untracked-files=all", "--no-renames")
        listing = _git(self.inside, "status", *flags, "--", ".")
        return sorted(entry[3:].removeprefix(prefix) for entry in listing.split("\0") if entry)

    def _author(self) -> dict[str, str]:
        """Who commits, where Git itself would not know."""
        try:
            for variable in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
                _git(self.inside, "-c", "user.useConfigOnly=true", "var", variable)
        except PipelineError:
            return _NOBODY | self.author
        return {}


def _is_written(path: str, lock: Lock) -> bool:
    """Whether a run of the pipeline changes this file: nothing else is proposed, whatever a stage does to the tree."""
    if path in (PARAMS, LOCK) or path.endswith((".dvc", "/.gitignore")):
        return not path.startswith((".dvc/", ".gitrain/"))
    return any(path == out or path.startswith(f"{out}/") for out in lock.outs)


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Addresses and credentials of a remote; the rest of what DVC tells of it are its own defaults."""
    return {name: str(value) for name, value in values.items() if isinstance(value, str)}


def _cache_folder(objects: Path) -> Path:
    """The folder of the cache that holds these objects: DVC keeps them in ``files/md5`` below it."""
    return objects.parent.parent if objects.parts[-2:] == ("files", "md5") else objects


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise IntegrationError(
            f"{error.filename or RETRAINING} cannot be written: {error.strerror}",
            fix=_MAKE_ROOM,
        ) from error
    except sqlite3.Error as error:
        # DVC keeps its own state in databases.
        raise IntegrationError(f"DVC's state cannot be written: {error}", fix=_MAKE_ROOM) from error


def _git(folder: Path, *arguments: str, text: str = "", variables: Mapping[str, str] | None = None) -> str:
    done = run_git(folder, *arguments, text=os.fsencode(text), variables=variables)
    if done.returncode != 0:
        verb = next((each for each in arguments if not each.startswith("-") and "=" not in each), "")
        raise PipelineError(
            f"`git {verb}` failed in {folder}: {' '.join(done.stderr.decode(errors='replace').split())[:600]}",
            fix="look at what Git says; the next run begins anew.",
        )
    return os.fsdecode(done.stdout)
