"""Makes the future of a history into something else, without touching what is known."""

from collections.abc import Collection
from datetime import datetime
from typing import Literal

import numpy as np
import polars as pl

from gitrain.features.definitions import History

__all__ = ["Strength", "scramble_future"]

Strength = Literal["invented", "seen", "rows"]

_NULL_SHARE = 0.1
_FUTURE = "(future)"
_KNOWN_AT = "(known at)"
_EVENT_TIME = "(event time)"


def scramble_future(
    history: History,
    rows: pl.DataFrame,
    cutoff: datetime,
    *,
    keep: Collection[str],
    strength: Strength,
    random: np.random.Generator,
) -> tuple[pl.DataFrame, int]:
    """Scramble every row that is not known at `cutoff`: values, which rows there are, and how often.

    Args:
        history: says when a row is known.
        rows: rows of the history's table.
        cutoff: rows known later than this, or never, are scrambled; they stay that way.
        keep: columns that keep their values.
        strength: "invented" puts in numbers and moments that were never there, "seen" only values of other rows, "rows"
            shuffles whole rows. Expressions may refuse what is too strange (a thirteenth month).
        random: where the chances come from.

    Returns:
        The table, its known rows untouched and in their places, and how many rows were scrambled.
    """
    known = _within(history, rows, cutoff)
    future = rows.filter(~known)
    if future.is_empty():
        return rows, 0
    places = np.flatnonzero(~known.to_numpy())
    scrambled = (
        future[random.permutation(future.height)]
        if strength == "rows"
        else future.with_columns(
            _scrambled(future[name], strength, random) for name in future.columns if name not in keep
        )
    )
    if strength != "rows":
        # What a row says of its own time cannot be anything: it must stay in the future and within max_delay.
        times = {*history.known_at.meta.root_names(), *history.event_time.meta.root_names()}
        odd = _impossible(history, scrambled, cutoff)
        scrambled = scrambled.with_columns(
            pl.when(odd).then(future[name]).otherwise(scrambled[name]).alias(name)
            for name in scrambled.columns
            if name in times
        )
        possible = (~_impossible(history, scrambled, cutoff)).to_numpy()
        scrambled, places = scrambled.filter(possible), places[possible]
    copies = random.choice([0, 1, 1, 1, 2], size=scrambled.height)
    taken = np.repeat(np.arange(scrambled.height), copies)
    parts = pl.concat([rows.filter(known), scrambled[taken]])
    order = np.concatenate([np.flatnonzero(known.to_numpy()), places[taken]])
    return parts[np.argsort(order, kind="stable")], future.height


def _within(history: History, rows: pl.DataFrame, cutoff: datetime) -> pl.Series:
    known_at = rows.with_columns(history.known_at.alias(_KNOWN_AT))[_KNOWN_AT]
    return (known_at <= cutoff).fill_null(False)


def _impossible(history: History, rows: pl.DataFrame, cutoff: datetime) -> pl.Series:
    times = rows.with_columns(history.known_at.alias(_KNOWN_AT), history.event_time.alias(_EVENT_TIME))
    delay = pl.col(_KNOWN_AT) - pl.col(_EVENT_TIME)
    fine = (pl.col(_KNOWN_AT) > cutoff) & delay.is_between(pl.duration(), pl.lit(history.max_delay))
    # A row that is never known is possible too.
    return times.select(odd=~(fine.fill_null(False) | pl.col(_KNOWN_AT).is_null()))["odd"]


def _scrambled(values: pl.Series, strength: Strength, random: np.random.Generator) -> pl.Series:
    count = len(values)
    shuffled = values[random.permutation(count)]
    if strength == "invented":
        shuffled = _invented(shuffled, random)
    return shuffled.set(pl.Series(random.random(count) < _NULL_SHARE), None) if count else shuffled


def _invented(values: pl.Series, random: np.random.Generator) -> pl.Series:
    count, dtype = len(values), values.dtype
    if dtype.is_integer():
        invented = pl.Series(random.integers(-1_000_000, 1_000_000, count)).cast(dtype, strict=False)
    elif dtype.is_float():
        invented = pl.Series(random.normal(scale=1e6, size=count)).cast(dtype)
    elif dtype == pl.Boolean:
        invented = pl.Series(random.random(count) < 0.5)
    elif isinstance(dtype, pl.Datetime):
        hours = pl.Series(random.integers(-1000, 1000, count))
        invented = (values + hours.cast(pl.Duration("us")) * 3_600_000_000).cast(dtype)
    else:
        return values
    half = pl.Series(random.random(count) < 0.5)
    return pl.select(pl.when(half).then(invented).otherwise(values).alias(values.name)).to_series()
