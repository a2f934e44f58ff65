"""Known rows, changed a little: rules over several fields refuse most made-up rows, and fewer of these."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

from gitrain.probes.payloads import body_of
from gitrain.serving.manifest import KnownAnswers

__all__ = ["variants_of"]

# How often a field is taken from another row, and how often it is given one of the values below instead.
_FROM_ANOTHER, _ODD = 0.15, 0.02
_MOST_ROWS = 30
_ODD_VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1, 2**31, 2**63, -(2**63), 10**40, 0.5, -0.0, 1e308, 5e-324),
    *(
        "",
        " ",
        "\0",
        "a" * 300,
        "\u202e",
        "🙂",
        "0001-01-01",
        "9999-12-31T23:59:59Z",
        "2024-02-30",
        "2024-12-31T24:00:00Z",
    ),
    *([], {}, [[]]),
)


def variants_of(known: KnownAnswers, table: str, *, count: int, seed: int) -> Iterator[bytes]:
    """Bodies of one to thirty rows, the same ones for the same seed.

    Args:
        known: rows that the service accepts.
        table: the key that rows stand under.
        count: how many.
        seed: of the choices.
    """
    chance = random.Random(seed)  # noqa: S311  (a probe is no secret)
    rows = [row.inputs for row in known.rows]
    for _ in range(count):
        size = chance.choice((1, 1, 1, 2, 5, _MOST_ROWS))
        yield body_of(table, [_changed(chance, chance.choice(rows), rows) for _ in range(size)])


def _changed(chance: random.Random, row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    changed = {}
    for name, value in row.items():
        drawn = chance.random()
        if drawn < _ODD:
            changed[name] = chance.choice(_ODD_VALUES)
        elif drawn < _ODD + _FROM_ANOTHER:
            changed[name] = chance.choice(rows).get(name, value)
        else:
            changed[name] = value
    return changed
