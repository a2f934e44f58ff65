"""Container images, by BentoML and whatever engine this machine has: docker, podman or buildah."""

import collections
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gitrain.errors import IntegrationError, ReleaseError, UsageError
from gitrain.release.images import BuiltImage

__all__ = ["ENGINES", "BentoImages", "find_engine"]

#: In the order in which they are tried.
ENGINES = ("docker", "podman", "buildah")

_SHOWN_LINES = 20
_SECONDS = 30


def find_engine(name: str | None = None) -> str:
    """The engine of that name, or the first that works. The program alone is not enough: docker's needs a daemon.

    Raises:
        UsageError: `name` is no engine.
        IntegrationError: it does not work here, or none does; each with what it said.
    """
    if name is not None and name not in ENGINES:
        raise UsageError(f"{name!r} is no engine", fix=f"give one of {', '.join(ENGINES)}.")
    said = {}
    for engine in (name,) if name is not None else ENGINES:
        problem = _problem(engine)
        if problem is None:
            return engine
        said[engine] = problem
    raise IntegrationError(
        f"no container engine works here: {'; '.join(f'{engine}: {problem}' for engine, problem in said.items())}",
        fix="install podman or buildah, or start the daemon of docker; a release runs without an image, too.",
    )


def _problem(engine: str) -> str | None:
    if shutil.which(engine) is None:
        return "it is not on PATH"
    try:
        done = subprocess.run(
            [engine, "info"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"`{engine} info` gave no answer: {error}"
    if done.returncode == 0:
        return None
    lines = (done.stderr or done.stdout).strip().splitlines()
    return f"`{engine} info` failed: {' '.join(lines[-1].split()) if lines else f'exit code {done.returncode}'}"


@dataclass(frozen=True)
class BentoImages:
    """An `ImageBuilder`: ``bentoml containerize`` in a process and a store of its own.

    Attributes:
        engine: docker, podman or buildah.
    """

    engine: str

    def build(
        self,
        bundle: Path,
        *,
        tags: Sequence[str],
        labels: Mapping[str, str],
        base_image: str | None,
        options: Sequence[str],
        progress: Callable[[str], None],
    ) -> BuiltImage:
        """Build the image of a bundle, which is left as it is."""
        with tempfile.TemporaryDirectory(prefix="gitrain-image-") as folder:
            home = Path(folder)
            description = yaml.safe_load((bundle / "bento.yaml").read_text(encoding="utf-8"))
            bento = f"{description['name']}:{description['version']}"
            copy = home / "bentos" / description["name"] / str(description["version"])
            # Without bytecode that serving it from the folder may have left.
            shutil.copytree(bundle, copy, ignore=shutil.ignore_patterns("__pycache__"))
            if base_image is not None:
                description["image"]["base_image"] = base_image
                (copy / "bento.yaml").write_text(
                    yaml.safe_dump(description, sort_keys=False, width=4096), encoding="utf-8"
                )
            self._containerize(bento, home, tags, labels, options, progress)
        image = self._inspect(tags[0])
        if image["user"] in {"", "root", "0"}:
            raise ReleaseError(f"the image {tags[0]} would run as root", fix="name another base image.")
        return BuiltImage(
            engine=self.engine,
            tags=tuple(tags),
            digest=image["digest"],
            size=image["size"],
            base_image=str(description["image"]["base_image"]),
            user=image["user"],
        )

    def _containerize(
        self,
        bento: str,
        home: Path,
        tags: Sequence[str],
        labels: Mapping[str, str],
        options: Sequence[str],
        progress: Callable[[str], None],
    ) -> None:
        chosen = [*(f"label={name}={value}" for name, value in sorted(labels.items())), *options]
        line = [
            *(sys.executable, "-m", "bentoml", "containerize", bento, "--backend", self.engine),
            *(part for tag in tags for part in ("--image-tag", tag)),
            *(part for option in chosen for part in ("--opt", option)),
        ]
        last: collections.deque[str] = collections.deque(maxlen=_SHOWN_LINES)
        environment = os.environ | {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True", "DO_NOT_TRACK": "1"}
        with subprocess.Popen(
            line,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        ) as process:
            for text in process.stdout or ():
                if text.strip():
                    last.append(text.rstrip())
                    progress(text.rstrip())
            code = process.wait()
        # BentoML logs the failure of an engine, and ends with 0.
        if code != 0 or any("Encountered exception while trying to building image" in text for text in last):
            said = "\n".join(f"    {text}" for text in last)
            raise IntegrationError(
                f"{self.engine} could not build the image; the last that was printed:\n{said}",
                fix="read the lines above; --engine names another engine, --base-image another image to build on, and "
                "--opt goes to the engine (e.g. isolation=chroot where it may make no namespaces).",
            )

    def _inspect(self, tag: str) -> dict[str, Any]:
        kind = ["inspect", "--type", "image"]
        done = subprocess.run(
            [self.engine, *kind, tag], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise IntegrationError(
                f"{self.engine} was to build {tag}, and has no such image: {' '.join(done.stderr.split())}",
                fix="read what it printed above.",
            )
        found = json.loads(done.stdout)
        first = found[0] if isinstance(found, list) else found
        # buildah nests what docker and podman have at the top.
        config = first.get("Config") or {}
        nested = (first.get("OCIv1") or {}).get("config") or {}
        if isinstance(config, str):
            config = {}
        digest = first.get("Id") or first.get("FromImageID") or ""
        size = first.get("Size")
        return {
            "user": str(config.get("User") or nested.get("User") or ""),
            "digest": f"sha256:{str(digest).removeprefix('sha256:')}",
            "size": int(size) if size is not None else None,
        }
