#!/usr/bin/env python3
"""What CI has to do for a change: everything, or little for documentation and environments. Needs git and no packages.

.ci/plan.py --base origin/main
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

_DOCUMENTATION = re.compile(r"docs/.*|.*\.md|LICENSE|NOTICE|CITATION\.cff")
# A .md file there is an input, an output or a test's.
_NEVER = ("data", "models", "reports", "src", "tests", ".ci", ".github")
# The name of an environment; what else lies there is none, and is judged all the same.
_ENVIRONMENT = re.compile(r"environments/([a-z][a-z0-9-]{0,39})\.yaml")
_FOLDER = "environments/"
_SHOWN = 10


def scope_of(changed: Sequence[str], pipeline: str) -> tuple[str, str]:
    """The scope, "documentation", "environments" or "everything", and why.

    Args:
        changed: paths that differ from the base, relative to the root.
        pipeline: the text of dvc.yaml. Whatever path it names is no documentation; it is searched for words, not
            parsed, so that a doubt ends in "everything".
    """
    if not changed:
        return "everything", "nothing differs from the base, so nothing says what may be left out"
    named = {word.strip("./") for word in re.findall(r"[^\s\[\]{},:\"']+", pipeline)} - {""}
    # What runs somewhere is another question than what is built: a promotion builds and trains nothing.
    environments = [path for path in changed if _ENVIRONMENT.fullmatch(path)]
    for path in changed:
        above = {str(parent) for parent in PurePosixPath(path).parents} | {path}
        if path not in environments and (not _DOCUMENTATION.fullmatch(path) or path.split("/")[0] in _NEVER):
            return "everything", f"{path} is no documentation"
        if above & named:
            return "everything", f"dvc.yaml names {path}"
    if environments:
        return (
            "environments",
            "only files of environments differ: the change is judged, and nothing is built or trained",
        )
    return "documentation", "only documentation differs: no data is moved, nothing is trained or judged again"


def touched_by(changed: Sequence[str]) -> list[str]:
    """The environments whose files differ; ``?`` stands for whatever else lies beside them."""
    found = [_ENVIRONMENT.fullmatch(path) for path in changed if path.startswith(_FOLDER)]
    return sorted({match[1] if match else "?" for match in found})


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the plan as KEY=VALUE lines; the reasons go to stderr."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default="", help="the commit to compare with (default, and if unknown: HEAD^1)")
    parser.add_argument("--outputs", type=Path, help="append the KEY=VALUE lines to this file instead")
    parser.add_argument("--summary", type=Path, help="append the plan as Markdown to this file")
    options = parser.parse_args(arguments)

    base = _commit(options.base) or _commit("HEAD^1")
    start = _git("merge-base", base, "HEAD") if base else ""
    if start:
        listed = _git("diff", "--name-only", "--no-renames", "-z", start, "HEAD")
        changed = sorted(name for name in listed.split("\0") if name)
        pipeline = Path("dvc.yaml")
        scope, reason = scope_of(changed, pipeline.read_text(encoding="utf-8") if pipeline.is_file() else "")
    else:
        changed, scope, reason = [], "everything", "there is no base to compare with"

    plan = {
        "scope": scope,
        "base": base,
        "lock": _lock("HEAD"),
        "base_lock": _lock(base) if base else "none",
        "touched": json.dumps(touched_by(changed) if start else _all()),
    }
    lines = "".join(f"{key}={value}\n" for key, value in plan.items())
    print(f"{scope}: {reason} ({len(changed)} files since {base[:12] or 'nothing'})", file=sys.stderr)
    if options.summary:
        with options.summary.open("a", encoding="utf-8") as summary:
            summary.write(_markdown(scope, reason, changed))
    if options.outputs:
        with options.outputs.open("a", encoding="utf-8") as outputs:
            outputs.write(lines)
    else:
        print(lines, end="")
    return 0


def _markdown(scope: str, reason: str, changed: Sequence[str]) -> str:
    """The plan for people. File names are a stranger's: indented code can neither be left nor hold markup."""
    shown = "".join(f"    {_printable(path)}\n" for path in changed[:_SHOWN])
    more = f"    and {len(changed) - _SHOWN} more\n" if len(changed) > _SHOWN else ""
    return f"### Plan: {scope}\n\n    {_printable(reason)}\n\nChanged files:\n\n{shown}{more}\n"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _all() -> list[str]:
    """The environments that there are, where nothing says which of them differ."""
    return touched_by(_git("ls-tree", "-r", "--name-only", "HEAD", "--", _FOLDER).splitlines())


def _commit(name: str) -> str:
    return _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}") if name else ""


def _lock(commit: str) -> str:
    """The name that Git has for the content of dvc.lock: what the cache of the pipeline's outputs is kept under."""
    return _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}:dvc.lock") or "none"


def _git(*arguments: str) -> str:
    """What git prints, or nothing where it fails."""
    done = subprocess.run(["git", *arguments], capture_output=True, check=False)
    return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n") if done.returncode == 0 else ""


if __name__ == "__main__":
    sys.exit(main())
