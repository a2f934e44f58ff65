"""Make a body that a service fails on smaller, as long as it still fails: what is left says why."""

import json
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["shrink"]

_SIMPLE: tuple[Any, ...] = (None, False, 0, "")


def shrink(value: Any, fails: Callable[[Any], bool], *, most: int) -> Any:
    """The smallest value found that still fails: parts are left out, then made simpler, as long as that helps.

    A greedy form of delta debugging (A. Zeller and R. Hildebrandt, "Simplifying and Isolating Failure-Inducing Input",
    IEEE Transactions on Software Engineering 28, 2002).

    Args:
        value: JSON that fails.
        fails: whether another value fails in the same way.
        most: how often it may be asked.
    """
    asked = 0
    smaller = True
    while smaller:
        smaller = False
        for candidate in _simpler(value):
            if _size(candidate) >= _size(value):
                continue
            if asked >= most:
                return value
            asked += 1
            if fails(candidate):
                value, smaller = candidate, True
                break
    return value


def _size(value: Any) -> tuple[int, str]:
    text = json.dumps(value, sort_keys=True)
    return len(text), text


def _simpler(value: Any) -> Iterator[Any]:
    """Values with a part less or a simpler part, the boldest first."""
    if isinstance(value, list):
        size = len(value)
        while size:
            for start in range(0, len(value), size):
                yield value[:start] + value[start + size :]
            size //= 2
        for number, part in enumerate(value):
            for simpler in _simpler(part):
                yield [*value[:number], simpler, *value[number + 1 :]]
    elif isinstance(value, dict):
        for key in value:
            yield {name: part for name, part in value.items() if name != key}
        for key, part in value.items():
            for simpler in _simpler(part):
                yield {**value, key: simpler}
    elif isinstance(value, str) and value:
        yield from (simple for simple in _SIMPLE if simple is not None)
        yield value[: len(value) // 2]
        yield value[1:]
    elif value not in (None, False, 0):
        yield from _SIMPLE
        if isinstance(value, float) and value == int(value):
            yield int(value)
