"""The scripts of `.ci`, which no package holds, as modules."""

import importlib.util
from pathlib import Path
from types import ModuleType

CI = Path(__file__).parents[2] / ".ci"


def load_script(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, CI / f"{name}.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
