"""The program `git`, run so that nothing but its arguments decides what it does."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from gitrain.errors import IntegrationError

__all__ = ["ELSEWHERE", "OVERTAKEN", "run_git", "without_forge", "workflow_author"]

#: What `git rev-parse --local-env-vars` names: set inside hooks and aliases, they would point us at another repository.
ELSEWHERE = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)

#: What Git says to whoever changes a name at the same time as somebody else, and is not the first.
OVERTAKEN = ("[rejected]", "cannot lock ref", "failed to update ref", "incorrect old value")

_TOKENS = ("GH_ENTERPRISE_TOKEN", "GH_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "GITHUB_TOKEN")
_SETTINGS = ("GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_VALUE_")


def without_forge(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without what may write to the forge: its tokens, and settings of Git, which may be headers."""
    return {
        name: value for name, value in environment.items() if name not in _TOKENS and not name.startswith(_SETTINGS)
    }


def run_git(
    folder: Path, *arguments: str, text: bytes = b"", variables: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[bytes]":
    """Git's answer, whatever it is. No hook is run, no monitor of files, and nothing is asked at a terminal.

    Args:
        folder: where.
        arguments: without the program.
        text: for its stdin.
        variables: for it alone, e.g. credentials.

    Raises:
        IntegrationError: there is no Git.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    environment |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **(variables or {})}
    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", *arguments]
    try:
        return subprocess.run(command, cwd=folder, env=environment, input=text, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise IntegrationError("the program `git` is not on PATH", fix="install Git.") from error


def workflow_author() -> dict[str, str]:
    """Variables that name who started a workflow as who commits: on a runner nobody has told Git. Else none."""
    actor = os.environ.get("GITHUB_ACTOR")
    if not actor:
        return {}
    number = os.environ.get("GITHUB_ACTOR_ID")
    address = f"{number}+{actor}@users.noreply.github.com" if number else f"{actor}@users.noreply.github.com"
    return {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", actor), ("EMAIL", address))
    }
