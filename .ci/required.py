#!/usr/bin/env python3
"""Whether every job that the plan asked for succeeded. A skipped, cancelled or missing job is no success.

NEEDS holds the results of the jobs as GitHub gives them (`toJSON(needs)`), SCOPE the scope of the plan.
"""

import json
import os
import sys
from collections.abc import Mapping

_ALWAYS = {"plan", "report"}
# What runs for documentation alone; everything else takes its place otherwise.
_DOCUMENTATION = {"documentation"}


def problems_of(results: Mapping[str, str], scope: str) -> list[str]:
    """What keeps a commit from being merged; empty if nothing does.

    Args:
        results: job to "success", "failure", "cancelled" or "skipped".
        scope: "documentation" or "everything", as the plan has it.
    """
    if scope not in {"documentation", "everything"}:
        return [f"the plan gave no scope ({scope!r}), so nothing is known"]
    others = set(results) - _ALWAYS - _DOCUMENTATION
    left_out = others if scope == "documentation" else _DOCUMENTATION
    wanted = (set(results) | _ALWAYS | _DOCUMENTATION) - left_out
    problems = [
        f"{job}: {results.get(job, 'missing')}" for job in sorted(wanted) if results.get(job, "missing") != "success"
    ]
    if scope == "everything" and not others:
        problems.append("no job judged anything")
    # One that failed although it was to be left out says that the plan and the jobs do not agree.
    problems += [
        f"{job}: {results[job]}, and the plan left it out"
        for job in sorted(left_out & set(results))
        if results[job] != "skipped"
    ]
    return problems


def main() -> int:
    """Judge the jobs of this run."""
    results = {job: str(need["result"]) for job, need in json.loads(os.environ["NEEDS"]).items()}
    problems = problems_of(results, os.environ.get("SCOPE", ""))
    for job, result in sorted(results.items()):
        print(f"{job:<14} {result}")
    for problem in problems:
        print(f"::error::{problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
