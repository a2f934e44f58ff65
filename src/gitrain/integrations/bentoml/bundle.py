"""Bundles built with BentoML, and made such that equal inputs give equal bytes."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gitrain.errors import IntegrationError, ReleaseError
from gitrain.lineage import digest_of_file
from gitrain.release.bentofile import BENTOFILE
from gitrain.release.packing import BuiltBundle, BundlePlan

__all__ = ["BentoBuilder"]

_PROGRAM = Path(__file__).with_name("build_program.py")
_REQUIREMENTS = "requirements.txt"
_INSTALLER = "env/docker/installer.txt"
# BentoML installs uv with pip as it comes; from here on it is what requirements.lock has, or nothing.
_INSTALL = "pip install --no-cache-dir --require-hashes --only-binary :all: -r ./env/docker/installer.txt"
# An image that holds a compiler is not built.
_NO_COMPILER = "for each in cc gcc g++ clang; do if command -v $each; then echo $each is in the image; exit 1; fi; done"
_IN_IMAGES = {"UV_PYTHON_DOWNLOADS": "never", "UV_REQUIRE_HASHES": "1", "UV_NO_CACHE": "1"}
_SHOWN_LINES = 12
# Made by BentoML on the way to requirements.txt.
_LEFT_OVER = ("env/python/requirements.in",)


@dataclass(frozen=True)
class BentoBuilder:
    """A `BundleBuilder` on BentoML.

    BentoML runs in a process of its own, with a store of its own that is thrown away: it imports the service, which
    has to find its own files and no others. Then what differs from build to build is made equal: the time of creation,
    the times and rights of files, and the requirements, to which BentoML adds itself once more, without a hash.

    Attributes:
        scratch: an empty folder for the store.
    """

    scratch: Path

    def build(self, plan: BundlePlan, folder: Path) -> BuiltBundle:
        """Build a bundle in an empty folder."""
        (plan.context / _REQUIREMENTS).write_text(plan.requirements, encoding="utf-8")
        (plan.context / BENTOFILE).write_text(_bentofile(plan), encoding="utf-8")
        given = _contents(plan.context)
        answer = self._run(plan)
        shutil.move(answer["path"], folder)
        _compare(given, _contents(folder / "src"))
        _normalise(plan, folder)
        _refuse_paths(folder, (plan.context, self.scratch))
        return BuiltBundle(folder=folder, modules={name: Path(file) for name, file in answer["modules"].items()})

    def _run(self, plan: BundlePlan) -> dict[str, Any]:
        task, answer = self.scratch / "task.json", self.scratch / "answer.json"
        task.write_text(
            json.dumps(
                {
                    "context": str(plan.context.resolve()),
                    "service": plan.bentofile.service,
                    "version": plan.version,
                    "base_image": plan.base_image,
                    "python": plan.python,
                    "commands": [_INSTALL] if plan.installer else [],
                    "post_commands": [_NO_COMPILER],
                }
            ),
            encoding="utf-8",
        )
        done = subprocess.run(
            # -P: the program's folder is no place to import from. -B: no bytecode, which would be packed.
            [sys.executable, "-P", "-B", str(_PROGRAM), str(task), str(answer)],
            cwd=plan.context,
            env=_environment(self.scratch / "bentoml"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode == 0:
            found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
            return found
        said = "\n".join(f"    {line}" for line in done.stdout.strip().splitlines()[-_SHOWN_LINES:])
        if "No module named 'bentoml'" in done.stdout:
            raise IntegrationError("BentoML is not installed", fix="install it: pip install 'gitrain[release]'.")
        raise ReleaseError(
            f"BentoML could not build the service {plan.bentofile.service}; the last that it printed:\n{said}",
            fix="try `bentoml serve .` in a fresh clone of the commit; what the service imports has to be committed.",
        )


def _environment(home: Path) -> dict[str, str]:
    """Nothing of the caller's decides what the service finds or what BentoML writes."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("BENTOML_", "PYTHON", "VIRTUAL_ENV"))
    }
    return kept | {
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True",
        "DO_NOT_TRACK": "1",
        # The order of sets does not get into a bundle.
        "PYTHONHASHSEED": "0",
    }


def _bentofile(plan: BundlePlan) -> str:
    """The bentofile that BentoML is given: the project's, with what a release decides."""
    own = plan.bentofile
    envs = {each.name: each.value for each in own.envs}
    content: dict[str, Any] = {
        "service": own.service,
        **({"name": own.name} if own.name else {}),
        "description": own.description
        or f"Release {plan.version} of {plan.labels.get('gitrain.project', 'a project')}.",
        "labels": dict(sorted({**own.labels, **plan.labels}.items())),
        "envs": [{"name": name, "value": value} for name, value in sorted((_IN_IMAGES | envs).items())],
        "python": {"lock_packages": False, "pack_git_packages": False},
    }
    return str(yaml.safe_dump(content, sort_keys=False, width=4096))


def _normalise(plan: BundlePlan, folder: Path) -> None:
    for name in _LEFT_OVER:
        (folder / name).unlink(missing_ok=True)
    (folder / "env/python" / _REQUIREMENTS).write_text(plan.requirements, encoding="utf-8")
    if plan.installer:
        (folder / _INSTALLER).write_text(plan.installer, encoding="utf-8")
    description = folder / "bento.yaml"
    content = yaml.safe_load(description.read_text(encoding="utf-8"))
    content["creation_time"] = plan.at.isoformat()
    content["image"]["python_requirements"] = plan.requirements
    description.write_text(yaml.safe_dump(content, sort_keys=False, width=4096), encoding="utf-8")
    time = plan.at.timestamp()
    for path in sorted(folder.rglob("*"), reverse=True):
        # Who may read and write a file is the business of where it is put; who may run it is the file's own.
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        os.utime(path, (time, time))
    folder.chmod(0o755)
    os.utime(folder, (time, time))


def _compare(wanted: Mapping[str, str], found: Mapping[str, str]) -> None:
    """BentoML leaves out what its own patterns say: nothing of the context may be among it, and nothing added."""
    if wanted != found:
        different = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        raise ReleaseError(
            f"BentoML did not pack what it was given: {', '.join(different[:5])}",
            fix="look for a .bentoignore in the commit, and for a service that writes files when it is imported.",
        )


def _contents(folder: Path) -> Mapping[str, str]:
    return {path.relative_to(folder).as_posix(): digest_of_file(path) for path in folder.rglob("*") if path.is_file()}


def _refuse_paths(folder: Path, places: tuple[Path, ...]) -> None:
    """No file may name the place that it was built in: it would be another one elsewhere."""
    names = [str(each).encode() for place in places for each in {place, place.resolve()}]
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            if any(name in content for name in names):
                raise ReleaseError(
                    f"{path.relative_to(folder).as_posix()} in the bundle names the folder that it was built in",
                    fix="let the service's schema and settings hold no absolute path.",
                )
