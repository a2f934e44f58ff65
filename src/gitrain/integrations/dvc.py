"""DVC: its cache and remotes as a store of content by hash, and its pipeline as a command."""

import collections
import configparser
import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitrain.errors import IntegrationError, PipelineError, UsageError
from gitrain.integrations.process import stop_group
from gitrain.pipeline.layout import LOCK, MODEL
from gitrain.pipeline.lock import Lock

__all__ = ["DvcCache", "DvcPipeline", "dvc_environment", "dvc_repository", "remote_names"]

_SHOWN_LINES = 12


@dataclass(frozen=True)
class DvcCache:
    """An `ArtifactCache`: DVC's local cache, then the files of the working tree, then DVC's remotes.

    Every file is hashed before it is handed out: DVC does not notice that a read-only file in its cache was altered.
    The package `dvc` is imported only when a remote has to be asked.

    Attributes:
        root: the folder of dvc.lock; `.dvc` is there or above it.
    """

    root: Path

    def find(self, md5: str) -> Path | None:
        """The path of a file with exactly this content; None if neither cache, nor tree, nor remote has it.

        A file of the working tree is handed out where it lies: read it before a stage replaces it.

        Args:
            md5: 32 hexadecimal digits; ``.dir`` behind them asks for a folder's listing.

        Raises:
            UsageError: `md5` is no MD5.
            PipelineError: what the cache stores under the hash has another content.
            IntegrationError: a remote could not be asked, and nothing else has the content.
        """
        if not re.fullmatch(r"[0-9a-f]{32}(\.dir)?", md5):
            raise UsageError(f"{md5!r} is no MD5", fix="give the 32 hexadecimal digits that dvc.lock has.")
        found = _verified(_path_in(self._cache_folder(), md5), md5)
        return found or self._in_the_tree(md5) or self._fetched(md5)

    def _cache_folder(self) -> Path:
        """The cache as the repository's configuration has it; a user's own configuration is DVC's to read."""
        control = next((f / ".dvc" for f in (self.root, *self.root.parents) if (f / ".dvc").is_dir()), None)
        if control is None:
            return self.root / ".dvc" / "cache"
        for name in ("config.local", "config"):
            parser = configparser.ConfigParser(interpolation=None, strict=False)
            with contextlib.suppress(configparser.Error, UnicodeDecodeError):
                parser.read(control / name, encoding="utf-8")
                folder = parser.get("cache", "dir", fallback="").strip("'\"")
                if folder:
                    return control / folder
        return control / "cache"

    def _in_the_tree(self, md5: str) -> Path | None:
        paths = {MODEL}
        with contextlib.suppress(FileNotFoundError, UnicodeDecodeError, PipelineError):
            outs = Lock.parse((self.root / LOCK).read_text(encoding="utf-8")).outs
            paths |= {path for path, out in outs.items() if out.md5 == md5}
        for path in sorted(paths):
            file = self.root / path
            if file.is_file() and _md5(file) == md5:
                return file
        return None

    def _fetched(self, md5: str) -> Path | None:
        """Ask DVC itself: its cache may be configured outside the repository, and the remotes are its own."""
        with dvc_repository(self.root) as repository:
            if repository is None:
                return None
            found = _verified(Path(repository.cache.local.oid_to_path(md5)), md5)
            if found is not None:
                return found
            problems = []
            for name in remote_names(repository.config):
                try:
                    arrived = _fetch(repository, name, md5)
                except PipelineError:
                    raise
                except Exception as error:  # every kind of remote has its own errors
                    problems.append(f"{name}: {type(error).__name__}: {' '.join(str(error).split())}")
                    continue
                if arrived is not None:
                    return arrived
        if problems:
            raise IntegrationError(
                f"{md5} is not in the DVC cache, and a remote could not be asked ({'; '.join(problems)})",
                fix="check the remote with `dvc remote list` and its credentials, then run `dvc pull`.",
            )
        return None


@dataclass(frozen=True)
class DvcPipeline:
    """`dvc.yaml` in the folder `root`, run by DVC as a command of this Python.

    The folder of this Python comes first on the PATH of the stages, so that they find the `gitrain` and the `python` of
    this environment. DVC's telemetry is off.
    """

    root: Path

    def repro(
        self,
        targets: Sequence[str] = (),
        *,
        progress: Callable[[str], None],
        pull: bool = False,
        allow_missing: bool = True,
        force: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Run the stages whose inputs have changed.

        Args:
            targets: stages to bring up to date, with those before them; all if empty.
            progress: takes each line that DVC and the stages print, as it comes.
            pull: fetch what unchanged stages need from the remote instead of running them.
            allow_missing: with `pull`, leave unchanged stages alone whose outputs nobody has; else they are run.
            force: run the stages even if nothing has changed.
            environment: variables to set for DVC and the stages.

        Raises:
            PipelineError: a stage failed; the message holds the last lines that were printed.
        """
        flags = [
            *(["--pull"] if pull else []),
            *(["--allow-missing"] if pull and allow_missing else []),
            *(["--force"] if force else []),
        ]
        last: collections.deque[str] = collections.deque(maxlen=_SHOWN_LINES)
        with self._started("repro", *flags, "--", *targets, environment=environment) as process:
            for line in process.stdout or ():
                text = line.rstrip()
                if text:
                    last.append(text)
                    progress(text)
            code = process.wait()
        if code != 0:
            raise _failed("dvc repro", code, "\n".join(last))

    def status(self) -> dict[str, Any]:
        """What has changed since the stages were last run, by stage; empty if everything is up to date.

        Raises:
            PipelineError: DVC cannot tell, e.g. because dvc.yaml or dvc.lock is broken.
        """
        command = [sys.executable, "-m", "dvc", "status", "--json"]
        done = subprocess.run(
            command,
            cwd=self.root,
            env=dvc_environment(None),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise _failed("dvc status", done.returncode, done.stderr.decode(errors="replace"))
        changes = json.loads(done.stdout)
        return changes if isinstance(changes, dict) else {}

    @contextlib.contextmanager
    def _started(self, *arguments: str, environment: Mapping[str, str] | None) -> Iterator[subprocess.Popen[str]]:
        """DVC in a process group of its own: leaving early stops the stage that it runs too."""
        process = subprocess.Popen(
            [sys.executable, "-m", "dvc", *arguments],
            cwd=self.root,
            env=dvc_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        with process:
            try:
                yield process
            except BaseException:
                stop_group(process)
                raise


def dvc_environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    """The environment of a DVC process: this Python's programs first on the PATH, no telemetry, `extra` on top."""
    here = str(Path(sys.executable).parent)
    return os.environ | {
        "DVC_NO_ANALYTICS": "1",
        "PATH": os.pathsep.join([here, os.environ.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
        **(extra or {}),
    }


def _failed(command: str, code: int, said: str) -> PipelineError:
    fix = "read the lines above, mend the stage, and run `dvc repro` again: finished stages are kept."
    if "Unable to acquire lock" in said:
        fix = "another DVC process works in this repository: wait for it, or stop it."
    elif "No module named dvc" in said:
        fix = "install it: pip install 'gitrain[dvc]'."
    shown = "\n".join(f"    {line}" for line in said.strip().splitlines()[-_SHOWN_LINES:])
    return PipelineError(f"`{command}` failed with exit code {code}; the last that it printed:\n{shown}", fix=fix)


def _path_in(cache: Path, md5: str) -> Path:
    return cache / "files" / "md5" / md5[:2] / md5[2:]


def _verified(path: Path, md5: str) -> Path | None:
    if not path.is_file():
        return None
    actual = _md5(path)
    if actual != md5.removesuffix(".dir"):
        raise PipelineError(
            f"{path} in the DVC cache should have the MD5 {md5} and has {actual}: it was altered or damaged",
            fix="delete that file, then run `dvc pull` to fetch it again, or `dvc repro` to make it anew.",
        )
    return path


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


@contextlib.contextmanager
def dvc_repository(root: Path) -> Iterator[Any]:
    """DVC's own view of the repository; None if there is none."""
    try:
        from dvc.exceptions import DvcException, NotDvcRepoError
        from dvc.repo import Repo
    except ImportError as error:
        raise IntegrationError(
            "the DVC cache lacks what is asked for, and DVC, which knows the remotes, is not installed",
            fix="install it: pip install 'gitrain[dvc]'.",
        ) from error
    try:
        repository = Repo(str(root))
    except NotDvcRepoError:
        yield None
        return
    except DvcException as error:
        raise IntegrationError(f"DVC cannot open {root}: {error}", fix="run `dvc doctor` there.") from error
    try:
        yield repository
    finally:
        repository.close()


def remote_names(config: Any) -> list[str]:
    """The names of the remotes, the default one first."""
    default = config["core"].get("remote")
    names = list(config["remote"])
    return sorted(names, key=lambda name: (name != default, name))


def _fetch(repository: Any, remote: str, md5: str) -> Path | None:
    """Copy a file from a remote into the local cache; None if the remote does not have it.

    The copy is hashed before it enters the cache: DVC would take it for good from then on. It is asked for itself,
    since `exists` of an HTTP remote says no when the server is down.
    """
    store = repository.cloud.get_remote_odb(remote, "fetch")
    cache = repository.cache.local
    with tempfile.TemporaryDirectory(prefix="gitrain-") as folder:
        copy = Path(folder) / "copy"
        try:
            store.fs.get_file(store.oid_to_path(md5), str(copy))
        except FileNotFoundError:
            return None
        actual = _md5(copy)
        if actual != md5.removesuffix(".dir"):
            raise PipelineError(
                f"the remote {remote!r} stores content with the MD5 {actual} under {md5}: it was altered or damaged",
                fix=f"delete it there, then run `dvc push -r {remote}` in a clone that has it.",
            )
        cache.add(str(copy), cache.fs, md5)
    return Path(cache.oid_to_path(md5))
