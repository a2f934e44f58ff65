"""Which batches of a history the features of a batch can depend on."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from gitrain.data.batches import BatchScheme
from gitrain.errors import FeatureError
from gitrain.features.definitions import FeatureSet, History
from gitrain.features.history import reach

__all__ = ["batches_to_read", "check_event_times"]

# Batches are cut at midnight somewhere on Earth, histories are in UTC.
_SLACK = timedelta(days=1)


def batches_to_read(
    features: FeatureSet,
    history: History,
    scheme: BatchScheme,
    batches: Sequence[str],
    decisions: tuple[datetime, datetime] | None,
) -> list[str]:
    """The batches of a history's table that hold all its rows that matter to decisions in a span of time.

    Args:
        features: the definitions; their windows say how far back decisions look.
        history: whose batches.
        scheme: when a batch begins and ends.
        batches: the batches that may be read, in order: those up to the one that features are computed for.
        decisions: the first and the last decision, UTC; None if there are none.

    Returns:
        Some of `batches`, in order; all of them where the scheme has no time. At least the last one, so that there is
        something to take the columns from.
    """
    if decisions is None:
        return list(batches[-1:])
    first = decisions[0].replace(tzinfo=None) - reach(features, history.name) - history.max_delay - _SLACK
    last = decisions[1].replace(tzinfo=None) + _SLACK
    found = []
    for batch in batches:
        bounds = scheme.bounds(batch)
        if bounds is None or (bounds[1] > first and bounds[0] <= last):
            found.append(batch)
    return found or list(batches[-1:])


def check_event_times(
    history: History, scheme: BatchScheme, batch: str, span: tuple[datetime, datetime] | None
) -> None:
    """Refuse a batch whose rows lie elsewhere in time: they would be looked for in the wrong batches.

    Args:
        history: whose batch.
        scheme: when the batch begins and ends.
        batch: its name.
        span: the first and the last event time of its rows, UTC; None if it has none.

    Raises:
        FeatureError: an event time more than a day outside the batch.
    """
    bounds = scheme.bounds(batch)
    if bounds is None or span is None:
        return
    for time in span:
        if not bounds[0] - _SLACK <= time.replace(tzinfo=None) < bounds[1] + _SLACK:
            raise FeatureError(
                f"history {history.name!r}: batch {batch} of table {history.table!r} has a row with event_time {time}, "
                f"outside {bounds[0].date()} to {bounds[1].date()}",
                fix="make event_time the time by which rows are put into batches (the table's batch_of).",
            )
