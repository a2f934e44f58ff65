"""Keys of a body that nobody asked for, or that stand twice: readers of JSON pass over both without a word."""

import difflib
import json
from collections.abc import Sequence
from typing import Any

from gitrain.serving.problems import LONGEST_VALUE, MOST_TOLD, Problem, shortened, visible

__all__ = ["stray_keys"]


def stray_keys(body: bytes, table: str, names: Sequence[str], *, max_rows: int) -> list[Problem]:
    """The keys of a body that are unknown or stand twice, found by reading it once more.

    Args:
        body: JSON; anything else has no keys.
        table: the one key of the body.
        names: the keys of a row.
        max_rows: rows that are looked at.
    """
    try:
        payload = json.loads(body, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return []
    if not isinstance(payload, _Pairs):
        return []
    problems = _strays_in(payload, (table,), "")
    rows = payload.get(table)
    for index, row in enumerate(rows[:max_rows] if isinstance(rows, list) else ()):
        if isinstance(row, _Pairs):
            problems.extend(_strays_in(row, names, f"{table}[{index}]."))
        if len(problems) > MOST_TOLD:
            break
    return problems


class _Pairs(dict[str, Any]):
    """An object as `json.loads` gives it, with the keys that stand twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.repeated: list[str] = []
        if len(self) != len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen and key not in self.repeated and len(self.repeated) <= MOST_TOLD:
                    self.repeated.append(key)
                seen.add(key)


def _strays_in(found: _Pairs, names: Sequence[str], place: str) -> list[Problem]:
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
    problems.extend(Problem(field=f"{place}{key}", reason="stands twice") for key in found.repeated if key in known)
    return problems
