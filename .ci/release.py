#!/usr/bin/env python3
"""What the release workflow goes on with, from what `gitrain release build --json` printed. Needs git and no packages.

.ci/release.py build.json --outputs "$GITHUB_OUTPUT" --summary "$GITHUB_STEP_SUMMARY"
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def outputs_of(build: dict[str, Any], tagged: str | None) -> dict[str, str]:
    """The outputs of the step.

    Args:
        build: what was printed.
        tagged: the commit that the release's tag is on, if there is such a tag: the tag is pushed last.
    """
    identity = build["record"]["identity"]
    return {
        "version": identity["version"],
        "tag": tag_of(build),
        "bundle": build["record"]["bundle_digest"],
        "published": "true" if tagged == build["commit"] else "false",
    }


def tag_of(build: dict[str, Any]) -> str:
    """The tag in GTO's form."""
    identity = build["record"]["identity"]
    return f"{identity['project']}@v{identity['version']}"


def refusals_of(build: dict[str, Any]) -> list[str]:
    """One line for each verdict that did not pass; printable, for a block of indented code."""
    lines = [
        f"{verdict['outcome']} {verdict['name']}: {verdict['reason']}"
        for verdict in build["verdicts"]
        if verdict["outcome"] != "PASSED" and not verdict.get("waived")
    ]
    return ["".join(character if character.isprintable() else "?" for character in line) for line in lines]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the outputs and the summary; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("build", type=Path)
    parser.add_argument("--outputs", type=Path, required=True)
    parser.add_argument("--summary", type=Path, required=True)
    given = parser.parse_args(arguments)
    text = given.build.read_text(encoding="utf-8") if given.build.exists() else ""
    if not text:
        return _say(given.summary, "### No release\n\nNothing was built: the log of the step before says why.\n", 1)
    build = json.loads(text)
    if build["record"] is None:
        refusals = "".join(f"    {line}\n" for line in refusals_of(build))
        return _say(given.summary, f"### No release\n\n{refusals}", 1)
    command = ["git", "rev-parse", "--verify", "--quiet", f"refs/tags/{tag_of(build)}^{{commit}}"]
    tagged = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None
    outputs = outputs_of(build, tagged)
    with given.outputs.open("a", encoding="utf-8") as stream:
        stream.writelines(f"{name}={value}\n" for name, value in outputs.items())
    said = "was published before" if outputs["published"] == "true" else "goes on to be checked and published"
    text = f"### Release {outputs['version']}\n\n`{outputs['tag']}` {said}: bundle `{outputs['bundle']}`.\n"
    return _say(given.summary, text, 0)


def _say(summary: Path, text: str, code: int) -> int:
    with summary.open("a", encoding="utf-8") as stream:
        stream.write(text)
    print(text, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
