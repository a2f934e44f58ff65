"""What is told of a request that is refused: fields, reasons and values, each in one form and of bounded length."""

import json
from dataclasses import dataclass
from typing import Literal

__all__ = ["LONGEST_VALUE", "MOST_TOLD", "Problem", "Rejection", "refused", "shortened", "shown_as_json", "visible"]

#: So many problems of a request are told, and so many characters of a value.
MOST_TOLD = 20
LONGEST_VALUE = 80


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong with a request.

    Attributes:
        field: where, as in ``flights[3].dest``; of a problem of several fields the row, ``flights[3]``.
        reason: what is wrong, to follow the field: ``must be one of EWR, JFK, LGA``.
        value: the value as JSON has it, at most 80 characters; None where there is none to show.
    """

    field: str
    reason: str
    value: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """Why a body is refused as a whole.

    Attributes:
        status: 400 for what is no JSON or has another shape altogether, 413 for too much, 422 for values.
        problems: what is wrong, in the order of the body; after the first twenty only how many more.
    """

    status: Literal[400, 413, 422]
    problems: tuple[Problem, ...]


def refused(status: Literal[400, 413, 422], *problems: Problem, more: int = 0) -> Rejection:
    """A rejection that tells the first problems, and how many there are besides, `more` of which are not given."""
    told = problems[:MOST_TOLD]
    rest = len(problems) - len(told) + more
    if rest:
        told = (*told, Problem(field="", reason=f"{rest} more {'problem' if rest == 1 else 'problems'}"))
    return Rejection(status=status, problems=told)


def shown_as_json(value: object) -> str:
    """A value as JSON has it, at most 80 characters; of what holds others only what it is."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, str):
        return shortened(f'"{visible(value[: LONGEST_VALUE + 1])}"')
    try:
        return shortened(json.dumps(value, default=str))
    except ValueError:
        # Python writes no integer of more than 4,300 digits.
        return "a very large number"


def visible(text: str) -> str:
    """A text without control characters."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def shortened(text: str) -> str:
    """A text of at most 80 characters."""
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
