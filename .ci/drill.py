#!/usr/bin/env python3
"""Rehearses a rollback: an environment goes back to its former release, and to the present one again.

.ci/with-token .ci/drill.py preprod --within 60 --out drill.json --summary "$GITHUB_STEP_SUMMARY"

The way is the real one, but for the review: the file is changed in a commit that nobody else ever sees, and
`gitrain deploy apply` brings it about and records it. What is measured is the time to recover: from the start of the
command until the former release has all requests. It takes a checkout that nobody works in; that is left as it was.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gitrain.environments.document import environment_path
from gitrain.environments.edit import with_values

_WHO = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "gitrain-drill"), ("EMAIL", "gitrain-drill@localhost"))
}


class DrillError(Exception):
    """A drill that could not be held, or went wrong."""


def recovery_seconds(record: Mapping[str, Any]) -> float:
    """From the beginning of a deployment until all requests went to its release: its steps up to the last routing."""
    names = [step["name"] for step in record["steps"]]
    last = max((place for place, name in enumerate(names) if name.startswith("route")), default=len(names) - 1)
    return float(sum(step["seconds"] for step in record["steps"][: last + 1]))


def drill(environment: str) -> dict[str, Any]:
    """Go back and come again; what was measured.

    Raises:
        DrillError: there is nothing to go back to, or one of the two did not succeed.
    """
    present = _git("rev-parse", "HEAD")
    before = _apply(environment)
    if before["outcome"] != "PASSED" or before["release"] is None:
        raise DrillError(f"{environment} does not run what its file says: {before['reason']}")
    former = _former(environment)
    path = Path(environment_path(environment))
    text = path.read_text(encoding="utf-8")
    try:
        path.write_text(with_values(text, environment, former), encoding="utf-8")
        _git("checkout", "--quiet", "--detach")
        _git("commit", "--quiet", "--no-verify", "-m", f"Drill: {environment} goes back", "--", str(path))
        back = _succeeded(environment, _apply(environment), former["release"])
    finally:
        _git("checkout", "--quiet", "--force", present)
    again = _succeeded(environment, _apply(environment), before["release"]["version"])
    return {
        "environment": environment,
        "present": before["release"]["version"],
        "former": former["release"],
        "recovery_seconds": round(recovery_seconds(back), 3),
        "return_seconds": round(recovery_seconds(again), 3),
        "records": [back["id"], again["id"]],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Hold the drill; 1 if it could not be held, or took too long."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("environment")
    parser.add_argument("--within", type=float, default=60.0, help="seconds to recover in (default 60)")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--summary", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        found = drill(given.environment)
    except DrillError as error:
        return _say(given.summary, "The drill failed", str(error), 1)
    late = found["recovery_seconds"] > given.within
    found |= {"within_seconds": given.within, "outcome": "FAILED" if late else "PASSED"}
    given.out.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    said = (
        f"{found['environment']} went back from {found['present']} to {found['former']} in "
        f"{found['recovery_seconds']:.1f} s (at most {given.within:g} s are wanted), and came again in "
        f"{found['return_seconds']:.1f} s."
    )
    return _say(given.summary, "The drill took too long" if late else "The drill passed", said, 1 if late else 0)


def _former(environment: str) -> dict[str, str | bool]:
    """What a rollback would propose, if its rules let it."""
    command = ["gitrain", "env", "rollback", environment, "--dry-run", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise DrillError(f"{environment} cannot go back: {done.stderr.strip()}")
    proposed = json.loads(done.stdout)
    refused = [f"{each['name']}: {each['reason']}" for each in proposed["verdicts"] if each["outcome"] != "PASSED"]
    if refused or proposed["release"] is None:
        raise DrillError(f"{environment} may not go back: {'; '.join(refused)}")
    return {"release": proposed["release"]["version"], "digest": proposed["release"]["digest"]}


def _apply(environment: str) -> dict[str, Any]:
    command = ["gitrain", "deploy", "apply", environment, "--wait", "900", "--no-revert", "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout:
        raise DrillError(f"`gitrain deploy apply {environment}` ended with {done.returncode}: its log says why")
    return dict(json.loads(done.stdout))


def _succeeded(environment: str, applied: Mapping[str, Any], version: str | bool) -> Mapping[str, Any]:
    record: Mapping[str, Any] | None = applied["record"]
    if applied["outcome"] != "PASSED" or record is None or record["release"]["version"] != version:
        raise DrillError(f"{environment} did not come to {version}: {applied['reason']}")
    return record


def _git(*arguments: str) -> str:
    command = ["git", "-c", "core.hooksPath=/dev/null", *arguments]
    done = subprocess.run(command, env={**os.environ, **_WHO}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DrillError(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def _say(summary: Path, title: str, text: str, code: int) -> int:
    line = "".join(character if character.isprintable() else " " for character in text)
    with summary.open("a", encoding="utf-8") as stream:
        stream.write(f"### {title}\n\n    {line}\n")
    print(f"{'::error::' if code else ''}{line}")
    return code


if __name__ == "__main__":
    sys.exit(main())
