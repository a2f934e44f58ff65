"""Parts of a report that can be said at greater or lesser length, and how they are made to fit."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gitrain.reports.markdown import escape, table

__all__ = ["LIMIT", "Block", "code", "counted", "fit", "listed", "more", "row_levels", "short", "table_of"]

#: A report has fewer characters than this: GitHub refuses comments over 65,536, and what posts it adds a little.
LIMIT = 60_000
# The note on what was left out has to fit too.
_RESERVE = 1_500
_PLAIN = re.compile(r"[A-Za-z0-9_.:/ +=,%()-]{1,80}")
_LINKED = re.compile(r"(?i)://|www\.|mailto:|xmpp:|gh-\d")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A part of the report.

    Attributes:
        name: as the note on what was left out calls it.
        priority: the higher, the longer it keeps its length.
        levels: the part at full length, then shorter and shorter; leaving it out comes after the last by itself.
    """

    name: str
    priority: int
    levels: tuple[str, ...]


def fit(blocks: Sequence[Block], *, limit: int = LIMIT) -> str:
    """The blocks in their order, shortened from the least important on until they fit, and what was left out.

    Blocks that have nothing to say are passed over. Each step shortens the longest of the least important blocks by a
    level; a block is left out only when all of its priority and below are at their shortest.
    """
    present = [block for block in blocks if any(block.levels)]
    at = [0] * len(present)

    def text(index: int) -> str:
        levels = present[index].levels
        return levels[at[index]] if at[index] < len(levels) else ""

    def size() -> int:
        return sum(len(text(index)) + 2 for index in range(len(present)))

    priorities = sorted({block.priority for block in present})
    # First all are shortened, from the least important on; only then are whole parts left out.
    for leave_out in (False, True):
        for priority in priorities:
            while size() > limit - _RESERVE:
                able = [
                    index
                    for index, block in enumerate(present)
                    if block.priority == priority and at[index] < len(block.levels) - (0 if leave_out else 1)
                ]
                if not able:
                    break
                at[max(able, key=lambda index: len(text(index)))] += 1
    parts = [text(index) for index in range(len(present)) if text(index)]
    shortened = [block.name for index, block in enumerate(present) if 0 < at[index] < len(block.levels)]
    dropped = [block.name for index, block in enumerate(present) if at[index] >= len(block.levels)]
    said = [
        f"{verb}: {', '.join(names)}." for verb, names in (("Shortened", shortened), ("Left out", dropped)) if names
    ]
    if said:
        parts.append(f"*To stay under {limit:,} characters. {' '.join(said)} The JSON report holds everything.*")
    return "\n\n".join(parts) + "\n"


def row_levels(render: Callable[[int], str], rows: int, caps: Sequence[int]) -> tuple[str, ...]:
    """`render` called with each cap that leaves some of `rows` rows out, after the first."""
    levels = [render(caps[0])]
    levels.extend(render(cap) for cap in caps[1:] if cap < rows)
    return tuple(levels)


def table_of(
    header: Sequence[str], rows: Sequence[Sequence[str]], most: int, *, right: Iterable[int] = (), what: str = "rows"
) -> str:
    """A table of at most so many rows, and how many more there are."""
    shown = table(header, rows[:most], right=right)
    rest = more(len(rows), most, what)
    return f"{shown}\n\n{rest}" if rest else shown


def more(count: int, most: int, what: str) -> str:
    """``12 more gates``, as a sentence; empty if all were shown."""
    return f"*{count - most:,} more {what} are in the JSON report.*" if count > most else ""


def code(text: object, *, longest: int = 80) -> str:
    """A name or value as code; whatever it holds, it stays inside."""
    shown = str(text)
    if len(shown) <= longest and _PLAIN.fullmatch(shown) and not _LINKED.search(shown) and shown == shown.strip():
        return f"`{shown}`"
    # A code element leaves no way out for a value that holds backticks.
    return f"<code>{escape(shown, longest=longest) or '(empty)'}</code>"


def listed(names: Sequence[str], most: int = 6) -> str:
    """Names as code, and how many more there are."""
    rest = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(code(name) for name in names[:most]) + rest


def counted(number: int, one: str, many: str | None = None) -> str:
    """``1 gate``, ``2 gates``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def short(digest: str) -> str:
    """The first twelve digits of a digest or a commit."""
    return digest.removeprefix("sha256:")[:12]
