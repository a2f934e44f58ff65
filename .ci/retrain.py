#!/usr/bin/env python3
"""Asks whether to train again, and does it. Needs no packages.

.ci/with-token .ci/retrain.py plan --outputs "$GITHUB_OUTPUT" --summary "$GITHUB_STEP_SUMMARY"
.ci/with-token .ci/retrain.py open --outputs "$GITHUB_OUTPUT" --summary "$GITHUB_STEP_SUMMARY"
    --monitoring FILE   what `gitrain monitor run --out` wrote; taken if DIGEST is set
    DIGEST              what that file has to be: ``sha256:`` and its digest; empty where monitoring did not ask
    REASON              why a person asks; empty where nobody does

What a person asks for waits in `open` while another retraining is at work, for a quarter of an hour, and fails where
that was not enough. `plan` waits for nobody: what `open` needs to train is brought here meanwhile.
`open` ends as `gitrain retrain open` does: 1 where the candidate was refused or the data could not be used.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_PAUSE_SECONDS = 60.0
_TRIES = 15

_ENDINGS = {
    "PROPOSED": "A retraining is proposed",
    "MERGED": "A retraining is merged",
    "REFUSED": "A candidate was refused",
    "BAD_DATA": "The data cannot be used",
    "UNCHANGED": "The same model came out",
}


def evidence(variables: Mapping[str, str], report: Path | None) -> list[str]:
    """The arguments that hand over a person's reason and a report.

    Raises:
        ValueError: the report is not the one that was announced.
    """
    given = []
    if variables.get("REASON"):
        given.append(f"--request={variables['REASON']}")
    if variables.get("DIGEST") and report is not None:
        found = f"sha256:{hashlib.sha256(report.read_bytes()).hexdigest()}"
        if found != variables["DIGEST"]:
            raise ValueError(f"the monitoring report is not the one that was announced: {found}")
        given.append(f"--monitoring={report}")
    return given


def told_of_plan(plan: Mapping[str, Any]) -> str:
    """A plan as Markdown. Sentences hold what others wrote: indented code can neither be left nor hold markup."""
    lines = [plan["sentence"], *(f"{each['reason']}: {each['sentence']}" for each in plan["evidence"])]
    waits = f", {plan['hindrance']}" if plan["hindrance"] else ""
    return f"### {plan['decision']}{waits}\n\n{_code([*lines, *plan['notes']])}\n"


def told_of_end(record: Mapping[str, Any] | None) -> str:
    """What became of it, as Markdown."""
    if record is None:
        return ""
    place = [record["url"]] if record["url"] else []
    return f"### {_ENDINGS.get(record['ending'], 'A retraining broke off')}\n\n{_code([record['reason'], *place])}\n"


def main(arguments: Sequence[str] | None = None, *, pause: Callable[[float], None] = time.sleep) -> int:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("verb", choices=("plan", "open"))
    parser.add_argument("--monitoring", type=Path)
    parser.add_argument("--outputs", type=Path, required=True)
    parser.add_argument("--summary", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        command = ["gitrain", "retrain", given.verb, "--json", *evidence(os.environ, given.monitoring)]
    except (OSError, ValueError) as error:
        print(f"::error::{_printable(str(error))}")
        return 1
    for left in reversed(range(_TRIES if given.verb == "open" else 1)):
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if not done.stdout:
            print(f"::error::`gitrain retrain {given.verb}` ended with {done.returncode}: the log says why")
            return done.returncode or 3
        found = json.loads(done.stdout)
        waits = bool(os.environ.get("REASON")) and found.get("plan", found).get("hindrance") == "running"
        if not waits:
            break
        if left:
            print("another retraining is at work: waiting for it", flush=True)
            pause(_PAUSE_SECONDS)
    if given.verb == "plan":
        trains = waits or found["decision"] == "RETRAIN"
        said, outputs = told_of_plan(found), f"trains={str(trains).lower()}\n"
    else:
        record = found["record"]
        said = told_of_end(record) or told_of_plan(found["plan"])
        # Checks of the pull request find what was trained under this name, as those of any commit do.
        commit = record["commit"] if record else None
        outputs = f"lock={_lock(commit) if commit else ''}\n"
    with given.summary.open("a", encoding="utf-8") as summary:
        summary.write(said)
    with given.outputs.open("a", encoding="utf-8") as stream:
        stream.write(outputs)
    print(said)
    if waits and given.verb == "open":
        print("::error::another retraining is still at work, and this request was not carried out: ask again later")
        return 1
    return done.returncode


def _lock(commit: str) -> str:
    command = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}:dvc.lock"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _code(lines: Sequence[str]) -> str:
    return "".join(f"    {_printable(line)}\n" for line in lines)


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


if __name__ == "__main__":
    sys.exit(main())
