"""From which moment on a store holds every row of a history, and when it has fallen behind."""

from datetime import timedelta

from gitrain.data.batches import BatchScheme
from gitrain.errors import UsageError
from gitrain.features.definitions import History
from gitrain.online.state import EVERYTHING, microseconds

__all__ = ["NOTHING", "held_from"]

#: A history of which nothing is held: every window begins before it.
NOTHING = 2**63 - 1
# Batches are cut at midnight somewhere on Earth, histories are in UTC; features.lookback allows for as much.
_SLACK = timedelta(days=1)


def held_from(history: History, scheme: BatchScheme, first: str | None, *, earliest: str) -> int:
    """The moment from which on all rows of a history are held, if all batches from `first` on are.

    A row of an earlier batch happened before `first` begins, and became known at most `max_delay` later.

    Args:
        history: which history.
        scheme: when a batch begins.
        first: the first batch that is held; None for a table that has no batches.
        earliest: the first batch that there is.

    Returns:
        Microseconds since 1970, UTC; `EVERYTHING` where no batch was left out.

    Raises:
        UsageError: batches were left out, and the scheme does not say when they end.
    """
    if first is None or first == earliest:
        return EVERYTHING
    bounds = scheme.bounds(first)
    if bounds is None:
        raise UsageError(
            f"batches before {first} would be left out, and nobody could tell which windows reach back to them: "
            "the project's batches have no time",
            fix=f"materialise all of them, from {earliest} on.",
        )
    return microseconds(bounds[0] + _SLACK + history.max_delay)
