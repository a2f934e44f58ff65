"""The names of gates, as verdicts, waivers and reports have them."""

import difflib
from collections.abc import Collection

__all__ = ["CHAMPION", "LEAK_ALARM", "leak_alarm_gate", "nearest", "slice_gate", "threshold_gate"]

CHAMPION = "champion"
LEAK_ALARM = "leak-alarm"


def threshold_gate(metric: str) -> str:
    """The gate that bounds a metric over the whole holdout."""
    return f"threshold:{metric}"


def slice_gate(name: str) -> str:
    """The gate that bounds a metric in every group of a slice."""
    return f"slice:{name}"


def leak_alarm_gate(metric: str) -> str:
    """The gate that refuses a value too good to be true."""
    return f"{LEAK_ALARM}:{metric}"


def nearest(name: str, known: Collection[str]) -> str:
    """What to do about an unknown name: the nearest known one, and all of them."""
    found = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    hint = f"did you mean {found[0]!r}? " if found else ""
    return f"{hint}known here: {', '.join(sorted(known)) or 'none'}."
