"""Builds one Bento: a program of its own, run by its path.

It imports nothing of Gitrain, so that the service in the build context finds the Gitrain that is packed with it and no
other. It reads its task from the first file that it is given, as JSON, and writes what it did to the second.
"""

import json
import sys
from pathlib import Path
from typing import Any

__all__: list[str] = []


def _build(task: dict[str, Any]) -> dict[str, Any]:
    context = task["context"]
    # Before anything that is installed, as BentoML will have it when it serves the bundle.
    sys.path.insert(0, context)
    before = set(sys.modules)
    import bentoml
    from bentoml.images import Image

    module_name, _, attribute = task["service"].partition(":")
    module = __import__(module_name, fromlist=["_"])
    service = getattr(module, attribute)
    modules = _places(set(sys.modules) - before)
    # The one way to an image without a compiler: options of a bentofile have BentoML install one.
    service.image = Image(
        base_image=task["base_image"],
        distro="none",
        python_version=task["python"],
        lock_python_packages=False,
        pack_git_packages=False,
        commands=list(task["commands"]),
        python_requirements=Path(context, "requirements.txt").read_text(encoding="utf-8"),
        post_commands=list(task["post_commands"]),
    )
    # bentoml.build takes no variables of the environment, whatever its documentation says; a bentofile does.
    bento = bentoml.bentos.build_bentofile(
        str(Path(context) / "bentofile.yaml"), version=task["version"], build_ctx=context
    )
    return {"path": str(bento.path), "modules": modules}


def _places(names: set[str]) -> dict[str, str]:
    """The file of each module; built-in ones and namespaces have none."""
    files = {name: getattr(sys.modules.get(name), "__file__", None) for name in sorted(names)}
    return {name: str(Path(file).resolve()) for name, file in files.items() if file}


def _main(task: str, answer: str) -> int:
    result = _build(json.loads(Path(task).read_text(encoding="utf-8")))
    Path(answer).write_text(json.dumps(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
