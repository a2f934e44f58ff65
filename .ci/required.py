#!/usr/bin/env python3
"""Whether every job that the plan asked for succeeded. A skipped, cancelled or missing job is no success.

NEEDS holds the results of the jobs as GitHub gives them (`toJSON(needs)`), SCOPE the scope of the plan, TOUCHED the
environments that it names.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence

_ALWAYS = {"plan", "report"}
# What runs where nothing is built; everything else takes its place otherwise.
_DOCUMENTATION = {"documentation"}
# What runs beside either where a file of an environment differs.
_ENVIRONMENTS = {"environments"}


def problems_of(results: Mapping[str, str], scope: str, touched: Sequence[str] = ()) -> list[str]:
    """What keeps a commit from being merged; empty if nothing does.

    Args:
        results: job to "success", "failure", "cancelled" or "skipped".
        scope: "documentation", "environments" or "everything", as the plan has it.
        touched: the environments whose files differ.
    """
    if scope not in {"documentation", "environments", "everything"}:
        return [f"the plan gave no scope ({scope!r}), so nothing is known"]
    others = set(results) - _ALWAYS - _DOCUMENTATION - _ENVIRONMENTS
    left_out = _DOCUMENTATION if scope == "everything" else others
    left_out = left_out if touched else left_out | _ENVIRONMENTS
    wanted = (set(results) | _ALWAYS | _DOCUMENTATION | _ENVIRONMENTS) - left_out
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
    problems = problems_of(results, os.environ.get("SCOPE", ""), json.loads(os.environ["TOUCHED"] or '["?"]'))
    for job, result in sorted(results.items()):
        print(f"{job:<14} {result}")
    for problem in problems:
        print(f"::error::{problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
