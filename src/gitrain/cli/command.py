"""What a command is. It imports nothing of ours: `gitrain --help` has to answer at once."""

from typing import Any, NamedTuple

__all__ = ["Argument", "Command", "flag"]


class Argument(NamedTuple):
    """One argument: its flags (or its name) and what argparse is told of it."""

    flags: tuple[str, ...]
    options: dict[str, Any]


class Command(NamedTuple):
    """One command: its words, a line of help, the function that runs it as ``module:function``, its arguments."""

    words: tuple[str, ...]
    summary: str
    runner: str
    arguments: tuple[Argument, ...] = ()


def flag(*flags: str, **options: Any) -> Argument:
    """An argument, as argparse is told of it."""
    return Argument(flags, options)
