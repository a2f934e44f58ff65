"""The Python that has what a release requires: this one, or an environment of its own made with uv."""

import fcntl
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from gitrain.deployment.deployer import Bundle
from gitrain.errors import DeploymentError
from gitrain.release.requirements import Installed, parse_requirements

__all__ = ["ReleasePython", "find_uv"]

# The part of requirements.lock that a bundle installs; its digest is in the record.
_REQUIREMENTS = "src/requirements.txt"
_COMPLETE = ".complete"


def find_uv() -> str:
    """The program: the one on PATH, else the one beside this interpreter.

    Raises:
        DeploymentError: there is none.
    """
    found = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if found is None:
        raise DeploymentError(
            "uv is not on this machine, and the release needs an environment of Python of its own",
            fix="pip install uv, or deploy with an interpreter that has what the release requires.",
        )
    return found


class ReleasePython:
    """Gives the interpreter for a bundle.

    Args:
        folder: of environments, each named by the digest of the requirements that it was made from.
        installed: what is installed beside this interpreter.
        program: finds uv.
        progress: is told what goes on.
    """

    def __init__(
        self,
        folder: Path,
        installed: Installed,
        *,
        program: Callable[[], str] = find_uv,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._folder = folder
        self._installed = installed
        self._program = program
        self._progress = progress

    def __call__(self, bundle: Bundle) -> Path:
        """The interpreter.

        Raises:
            SettingsError: the bundle's requirements cannot be read.
            DeploymentError: an environment cannot be made.
        """
        if self.difference(bundle) is None:
            return Path(sys.executable)
        digest = bundle.record.requirements_digest.removeprefix("sha256:")
        return self._made(self._folder / f"{bundle.record.python}-{digest}", bundle)

    def difference(self, bundle: Bundle) -> str | None:
        """What the release requires and this interpreter has not; None if it has everything."""
        here = ".".join(platform.python_version_tuple()[:2])
        if here != bundle.record.python:
            return f"Python {bundle.record.python}, and this is {here}"
        text = (bundle.folder / _REQUIREMENTS).read_text(encoding="utf-8")
        for entry in parse_requirements(text, source=_REQUIREMENTS):
            if entry.marker is None or self._installed.applies(entry.marker):
                found = self._installed.version(entry.name)
                if found != entry.version:
                    return f"{entry.name} {entry.version}, and {found or 'none'} is installed"
        return None

    def _made(self, folder: Path, bundle: Bundle) -> Path:
        python = folder / "bin" / "python"
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"{folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (folder / _COMPLETE).exists():
                # Used just now: what nobody has used for long is discarded some day.
                os.utime(folder / _COMPLETE)
                return python
            # An environment does not survive being moved: it is made in its place, and finished by a mark.
            shutil.rmtree(folder, ignore_errors=True)
            self._progress(
                f"making an environment for release {bundle.record.version} (it needs {self.difference(bundle)})"
            )
            uv = self._program()
            self._run([uv, "venv", "--quiet", "--python", bundle.record.python, str(folder)])
            requirements = bundle.folder / _REQUIREMENTS
            install = ["pip", "install", "--quiet", "--compile-bytecode", "--require-hashes", "--no-deps"]
            self._run([uv, *install, "--python", str(python), "--requirement", str(requirements)])
            (folder / _COMPLETE).touch()
        return python

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = " ".join(done.stderr.split())[-600:]
            raise DeploymentError(
                f"the release's own environment cannot be made: {said}",
                fix="mend what uv says; the release's requirements are in its bundle, src/requirements.txt.",
            )
