#!/usr/bin/env python3
"""What an approval of a deployment is worth, and whose it is. Needs no packages.

.ci/approval.py judge verified.json --outputs "$GITHUB_OUTPUT" --summary "$GITHUB_STEP_SUMMARY"
.ci/approval.py who ENV --reviewer "$REVIEWER" --outputs "$GITHUB_OUTPUT"

`judge` reads what `gitrain env verify ENV --json` printed. `who` says who approved: who let the waiting job start, as
GitHub tells it of this run, and the reviewer of the pull request, where a review stands in for the settings of GitHub.
"""

import argparse
import json
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

# Of people and of apps.
_LOGIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,98}[A-Za-z0-9_])?(?:\[bot\])?")


def judged(verified: Sequence[Mapping[str, Any]]) -> tuple[bool, str, str]:
    """Whether an approval means something, who gave it by a review (or nothing), and the verdicts as Markdown."""
    if len(verified) != 1:
        return False, "", "### No approval\n\nNothing was found out: the log of the step before says why.\n"
    (found,) = verified
    passed = found["outcome"] == "PASSED"
    lines = [
        f"    {'waived ' if verdict.get('waived') else ''}{verdict['outcome']} {verdict['name']}: {verdict['reason']}"
        for verdict in found["verdicts"]
    ]
    title = "An approval means something" if passed else "An approval would mean nothing"
    text = "\n".join(_printable(line) for line in lines)
    return passed, found.get("approved_by") or "", f"### {title}\n\n{text}\n"


def approver_of(approvals: Sequence[Mapping[str, Any]], environment: str) -> str:
    """Who let the job start that waited for this environment; nothing if nobody did."""
    logins = [
        str(approval.get("user", {}).get("login", ""))
        for approval in approvals
        if approval.get("state") == "approved"
        and any(each.get("name") == environment for each in approval.get("environments", []))
    ]
    return ", ".join(dict.fromkeys(login for login in logins if _LOGIN.fullmatch(login)))


def main(
    arguments: Sequence[str] | None = None, *, ask: Callable[[], Sequence[Mapping[str, Any]]] | None = None
) -> int:
    """Do what is asked for; 1 if there is no approval."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    judge, who = verbs.add_parser("judge"), verbs.add_parser("who")
    judge.add_argument("verified", type=Path)
    judge.add_argument("--summary", type=Path, required=True)
    who.add_argument("environment")
    who.add_argument("--reviewer", default="")
    for each in (judge, who):
        each.add_argument("--outputs", type=Path, required=True)
    given = parser.parse_args(arguments)

    if given.verb == "judge":
        text = given.verified.read_text(encoding="utf-8") if given.verified.exists() else ""
        passed, reviewer, said = judged(json.loads(text) if text else [])
        with given.summary.open("a", encoding="utf-8") as summary:
            summary.write(said)
    else:
        found = [approver_of((ask or _approvals)(), given.environment), given.reviewer]
        reviewer = ", ".join(dict.fromkeys(name for name in found if name))
        passed = bool(reviewer)
        said = f"approved by {reviewer}" if passed else f"::error::nobody approved a deployment of {given.environment}"
    print(said)
    # One line, whatever was answered.
    if reviewer and not all(_LOGIN.fullmatch(login) for login in reviewer.split(", ")):
        print("::error::the approver's name is none")
        return 1
    with given.outputs.open("a", encoding="utf-8") as outputs:
        outputs.write(f"approved-by={reviewer}\n")
    return 0 if passed else 1


def _approvals() -> Sequence[Mapping[str, Any]]:
    """The approvals of this run. Whatever keeps them from being read, nobody is known to have approved."""
    api, repository, run = (os.environ[name] for name in ("GITHUB_API_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID"))
    # The runner says where GitHub is; it is no user's address.
    request = urllib.request.Request(  # noqa: S310
        f"{api}/repos/{urllib.parse.quote(repository)}/actions/runs/{urllib.parse.quote(run)}/approvals",
        headers={"Accept": "application/vnd.github+json", "Authorization": f"Bearer {os.environ['GH_TOKEN']}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            found = json.load(answer)
    except (urllib.error.URLError, OSError, ValueError) as error:
        print(f"the approvals of this run cannot be read: {error}", file=sys.stderr)
        return []
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


if __name__ == "__main__":
    sys.exit(main())
