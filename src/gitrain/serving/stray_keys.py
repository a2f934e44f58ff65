"""Keys of a body that nobody asked for, or that stand twice: readers of JSON pass over both without a word."""

import difflib
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from gitrain.serving.problems import LONGEST_VALUE, MOST_TOLD, Problem, shortened, visible

__all__ = ["read_again", "stray_keys"]


def read_again(body: bytes) -> Any:
    """What a body holds, for telling what is wrong with it; None where it is no JSON."""
    try:
        return json.loads(body, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return None


def stray_keys(payload: Any, table: str, names: Sequence[str], *, max_rows: int) -> list[Problem]:
    """The keys of a body that are unknown or stand twice.

    After the first twenty the others may be left out.

    Args:
        payload: what `read_again` found; anything but an object has no keys.
        table: the one key of the body.
        names: the keys of a row.
        max_rows: rows that are looked at.
    """
    if not isinstance(payload, dict):
        return []
    problems = _strays_in(payload, (table,), "")
    rows = payload.get(table)
    for index, row in enumerate(rows[:max_rows] if isinstance(rows, list) else ()):
        if isinstance(row, dict):
            problems.extend(_strays_in(row, names, f"{table}[{index}]."))
        if len(problems) > MOST_TOLD:
            break
    return problems


class _Repeating(dict[str, Any]):
    """An object in which keys stand twice."""

    repeated: list[str]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Hostile bodies hold a hundred thousand objects: what most of them need is kept short.
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    counts = Counter(key for key, _ in pairs)
    found = _Repeating(plain)
    found.repeated = [key for key, count in counts.items() if count > 1]
    return found


def _strays_in(found: dict[str, Any], names: Sequence[str], place: str) -> list[Problem]:
    known = set(names)
    problems: list[Problem] = []
    for key in found:
        if key in known:
            continue
        if len(problems) > MOST_TOLD:
            break
        nearest = difflib.get_close_matches(key[:LONGEST_VALUE], names, n=1, cutoff=0.5)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else f"; known are {', '.join(names)}"
        problems.append(Problem(field=f"{place}{shortened(visible(key))}", reason=f"is unknown{hint}"))
    for key in found.repeated if isinstance(found, _Repeating) else ():
        if key in known:
            problems.append(Problem(field=f"{place}{key}", reason="stands twice"))
    return problems
