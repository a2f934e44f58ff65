#!/usr/bin/env python3
"""Judges what an environment predicted, and asks for a retraining where that failed. Needs no packages.

.ci/with-token .ci/monitor.py run ENV --out FOLDER --outputs "$GITHUB_OUTPUT" --summary "$GITHUB_STEP_SUMMARY"
.ci/monitor.py dispatch ENV --digest DIGEST

`run` leaves monitoring.json, .html, .md and .prom in FOLDER (the gauges in GITRAIN_TEXTFILES, if that names one). A
verdict that FAILED is no failure of the run: the issue and the retraining are what comes of it. `dispatch` tells
GitHub: the environment, and where the report is and what it has to be, and no text.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

EVENT = "gitrain-retrain"

_ENVIRONMENT = re.compile(r"[a-z][a-z0-9-]{0,39}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# What is judged has an answer; whatever else `gitrain` ends with says that nothing was judged.
_ANSWERS = {0: "PASSED", 1: "FAILED", 4: "INCONCLUSIVE"}

Send = Callable[[Mapping[str, Any]], None]


class MonitorError(Exception):
    """Nothing was judged, or nobody could be told."""


def judge(environment: str, folder: Path, run: Callable[[Sequence[str]], int]) -> tuple[str, str]:
    """The outcome, and the digest of the report.

    Raises:
        MonitorError: there is no verdict. The exit code of a crash is that of a verdict, too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {kind: folder / f"monitoring.{kind}" for kind in ("json", "html", "md", "prom")}
    gauges = os.environ.get("GITRAIN_TEXTFILES")
    if gauges:
        files["prom"] = Path(gauges) / f"gitrain-{environment}.prom"
    for file in files.values():
        file.unlink(missing_ok=True)
    command = ["gitrain", "monitor", "run", "--environment", environment, "--labels-from-source"]
    flags = {"--out": "json", "--html": "html", "--markdown": "md", "--prometheus": "prom"}
    for flag, kind in flags.items():
        command += [flag, str(files[kind])]
    code = run(command)
    if code not in _ANSWERS or not all(file.exists() for file in files.values()):
        raise MonitorError(f"what {environment} predicted was not judged (exit code {code}): the log says why")
    content = files["json"].read_bytes()
    if json.loads(content)["outcome"] != _ANSWERS[code]:
        raise MonitorError(f"the report of {environment} does not say what `gitrain monitor run` ended with")
    return _ANSWERS[code], f"sha256:{hashlib.sha256(content).hexdigest()}"


def event_of(environment: str, digest: str, run: str) -> dict[str, Any]:
    """What GitHub is told. Whoever gets it knows where the report is, and whether it is the one.

    Raises:
        MonitorError: it holds what is neither a name, a digest nor a number.
    """
    if not (_ENVIRONMENT.fullmatch(environment) and _DIGEST.fullmatch(digest) and re.fullmatch(r"[0-9]{1,20}", run)):
        raise MonitorError("that is no environment, no digest or no run")
    return {"event_type": EVENT, "client_payload": {"environment": environment, "digest": digest, "run": run}}


def main(
    arguments: Sequence[str] | None = None,
    *,
    run: Callable[[Sequence[str]], int] | None = None,
    send: Send | None = None,
) -> int:
    """Do what is asked for; 1 if it could not be done."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    running, dispatching = verbs.add_parser("run"), verbs.add_parser("dispatch")
    for each in (running, dispatching):
        each.add_argument("environment")
    running.add_argument("--out", type=Path, required=True)
    running.add_argument("--outputs", type=Path, required=True)
    running.add_argument("--summary", type=Path, required=True)
    dispatching.add_argument("--digest", required=True)
    given = parser.parse_args(arguments)
    try:
        if given.verb == "dispatch":
            (send or _send)(event_of(given.environment, given.digest, os.environ["GITHUB_RUN_ID"]))
            print(f"asked for a retraining: {EVENT}, {given.environment}, {given.digest}")
            return 0
        outcome, digest = judge(given.environment, given.out, run or _run)
    except MonitorError as error:
        print(f"::error::{error}")
        return 1
    with given.outputs.open("a", encoding="utf-8") as outputs:
        outputs.write(f"outcome={outcome}\ndigest={digest}\n")
    with given.summary.open("a", encoding="utf-8") as summary:
        summary.write((given.out / "monitoring.md").read_text(encoding="utf-8") + "\n")
    print(f"{given.environment}: {outcome}, {digest}")
    return 0


def _run(command: Sequence[str]) -> int:
    # Its Markdown goes to the summary, and not into a log that reads commands out of lines.
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode


def _send(event: Mapping[str, Any]) -> None:
    api, repository = (os.environ[name] for name in ("GITHUB_API_URL", "GITHUB_REPOSITORY"))
    # The runner says where GitHub is; it is no user's address.
    request = urllib.request.Request(  # noqa: S310
        f"{api}/repos/{urllib.parse.quote(repository)}/dispatches",
        data=json.dumps(event).encode(),
        headers={"Accept": "application/vnd.github+json", "Authorization": f"Bearer {os.environ['GH_TOKEN']}"},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=30):  # noqa: S310
            return
    except urllib.error.HTTPError as error:
        hint = ": the token lacks the right to write contents" if error.code in (403, 404) else ""
        raise MonitorError(f"GitHub takes no {EVENT} ({error.code}){hint}; see docs/ci.md") from error
    except OSError as error:
        raise MonitorError(f"GitHub cannot be reached: {type(error).__name__}") from error


if __name__ == "__main__":
    sys.exit(main())
