#!/usr/bin/env python3
"""Runs what an environment runs again, as often as the next environment's rules ask for. Needs no packages.

.ci/with-token .ci/qualify.py preprod production --outputs "$GITHUB_OUTPUT"

The rules are asked before each run (`gitrain env promote NEXT --dry-run`): what has run often enough runs no more, so
that doing all this again does nothing. Time that a release has to soak is not waited for: until it is over nothing is
to be proposed, and who proposes it then is told how.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Where rules ask for more than that, the rest is for the next run of the workflow.
_MOST = 20

Run = Callable[[Sequence[str]], tuple[int, str]]


def qualify(environment: str, following: str, run: Run) -> tuple[int, bool, str]:
    """The exit code, whether the release has run often enough and long enough, and a sentence.

    Args:
        environment: where it runs.
        following: the environment that is to get it next.
        run: runs a command and gives its exit code and stdout.
    """
    for done in range(_MOST + 1):
        code, text = run(["gitrain", "env", "promote", following, "--dry-run", "--json"])
        if not text:
            return code or 3, False, f"the rules of {following} could not be asked"
        failed = {each["name"]: each["reason"] for each in json.loads(text)["verdicts"] if each["outcome"] != "PASSED"}
        lacking = failed.get(f"{following}:runs")
        if lacking is None:
            often = f"it has run in {environment} as often as {following} asks for ({done} runs were added)"
            soaking = failed.get(f"{following}:soak")
            if soaking is None:
                return 0, True, often
            later = f"gh workflow run propose.yml -f environment={following}"
            return 0, False, f"{often}, and not for as long yet: {soaking}; once it has, propose it: {later}"
        if done == _MOST:
            break
        code, text = run(["gitrain", "deploy", "apply", environment, "--again", "--wait", "900", "--json"])
        applied: dict[str, Any] = json.loads(text) if text else {}
        if code != 0 or not applied:
            return code or 3, False, f"a run in {environment} did not succeed: {applied.get('reason', 'see the log')}"
        if applied["record"] is None:
            return 0, False, f"nothing ran in {environment}: {applied['reason']}"
    return 1, False, f"after {_MOST} more runs {following} still asks for more: {lacking}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and write the output `qualified`."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("environment")
    parser.add_argument("following")
    parser.add_argument("--outputs", type=Path, required=True)
    given = parser.parse_args(arguments)
    code, qualified, said = qualify(given.environment, given.following, _run)
    with given.outputs.open("a", encoding="utf-8") as outputs:
        outputs.write(f"qualified={'true' if qualified else 'false'}\n")
    print("".join(character if character.isprintable() else "?" for character in f"{said}."))
    return code


def _run(command: Sequence[str]) -> tuple[int, str]:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stdout


if __name__ == "__main__":
    sys.exit(main())
