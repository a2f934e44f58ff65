"""A waiver as a person would write it into params.yaml."""

import re
from datetime import date, timedelta

from gitrain.errors import UsageError

__all__ = ["with_waiver"]

_DAYS = 7


def with_waiver(text: str, gate: str, reason: str, *, today: date) -> str:
    """The text of params.yaml with one waiver more; all else stays byte for byte.

    Args:
        text: the file.
        gate: which one is waived.
        reason: why.
        today: it counts for a week from this day on.

    Raises:
        UsageError: the section `gates` is not a block, as YAML calls it.
    """
    lines = text.splitlines()
    section = next((number for number, line in enumerate(lines) if re.fullmatch(r"gates:\s*(#.*)?", line)), None)
    if section is None:
        raise UsageError("params.yaml has no block `gates:`", fix="write its keys one a line, below `gates:`.")
    end = next(
        (n for n in range(section + 1, len(lines)) if re.match(r"\S", lines[n]) and lines[n][0] != "#"), len(lines)
    )
    quoted = reason.replace("'", "''")
    # The date in quotes: DVC reads this file too, and knows no dates.
    waiver = [f"gate: {gate}", f"reason: '{quoted}'", f"expires: '{today + timedelta(days=_DAYS)}'"]
    there = next((n for n in range(section + 1, end) if re.fullmatch(r"  waivers:\s*(#.*)?", lines[n])), None)
    item = [f"    - {waiver[0]}", *(f"      {line}" for line in waiver[1:])]
    if there is not None:
        # Items may stand at the key's own depth or deeper; the new one stands as they do.
        found = re.match(r" *(?=- )", lines[there + 1]) if there + 1 < end else None
        depth = len(found.group()) if found else 4
        item = [" " * (depth - 4) + line if depth >= 4 else line[4 - depth :] for line in item]
        return "\n".join([*lines[: there + 1], *item, *lines[there + 1 :]]) + "\n"
    return "\n".join([*lines[: section + 1], "  waivers:", *item, *lines[section + 1 :]]) + "\n"
