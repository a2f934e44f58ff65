"""The composition root: settings and files become the arguments of operations, one module a subject.

What commands need of a repository is in `gitrain.wiring.repository`. It is found here by its name as well, and imported
on first use: it brings data contracts with it, and what only starts and stops services has no second to spare for them.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gitrain.wiring.repository import (
        Surroundings,
        empty_folder,
        open_artifact_cache,
        open_check_tools,
        open_git,
        open_model_format,
        open_params_file,
        open_repository,
        open_run_store,
        open_scratch,
        open_shell,
        open_stage,
        open_workspace,
        read_batch_file,
        write_report,
    )

__all__ = [
    "Surroundings",
    "empty_folder",
    "open_artifact_cache",
    "open_check_tools",
    "open_git",
    "open_model_format",
    "open_params_file",
    "open_repository",
    "open_run_store",
    "open_scratch",
    "open_shell",
    "open_stage",
    "open_workspace",
    "read_batch_file",
    "write_report",
]


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(importlib.import_module("gitrain.wiring.repository"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
