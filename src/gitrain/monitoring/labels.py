"""Labels: what became of the rows that were predicted, where that is known and should be."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from gitrain.errors import ProjectError
from gitrain.features.definitions import Entity
from gitrain.monitoring.logged import DAY, DUE, MonitoredRows, all_differ
from gitrain.monitoring.recent import days_in_words, recent_since
from gitrain.monitoring.report import LabelCounts
from gitrain.verdicts import Outcome, Verdict

__all__ = [
    "CAME",
    "LABEL",
    "MATURE",
    "Outcomes",
    "count_labels",
    "join_labels",
    "judge_labels",
    "outcomes_of",
    "recent_labels",
]

#: The columns that `join_labels` adds: the label (null: none), whether the row's outcome has come, whether it should.
LABEL = "label"
CAME = "came"
MATURE = "mature"


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """What the entity's table says of each entity, once.

    Attributes:
        frame: the columns of the key, and `LABEL`.
        repeated: rows that were there again with an equal label.
        contradictory: entities with several labels; they are left out.
        example: one of them, in words.
    """

    frame: pl.DataFrame
    repeated: int = 0
    contradictory: int = 0
    example: str | None = None


def outcomes_of(tables: Sequence[pl.DataFrame], entity: Entity, label: pl.Expr) -> Outcomes:
    """The labels of some parts of the entity's table.

    Args:
        tables: parts, perhaps overlapping; each has the columns of the key and those that the label reads.
        entity: whose key.
        label: of the project's target.

    Raises:
        ProjectError: the label cannot be computed.
    """
    key = list(entity.key)
    try:
        parts = [table.select(*key, label.alias(LABEL)) for table in tables]
    except pl.exceptions.PolarsError as error:
        raise ProjectError(
            f"the target's label cannot be computed: {' '.join(str(error).split())[:300]}",
            fix="correct the target, or give labels with the columns that it reads.",
        ) from error
    if not parts:
        return Outcomes(frame=pl.DataFrame())
    rows = pl.concat(parts, how="vertical_relaxed")
    if all_differ(rows, key):
        return Outcomes(frame=rows)
    distinct = rows.unique(maintain_order=True)
    frame = distinct.unique(key, keep="none", maintain_order=True)
    contradictory, example = 0, None
    if frame.height < distinct.height:
        twice = distinct.filter(pl.struct(key).is_duplicated())
        contradictory = twice.n_unique(key)
        first = twice.row(0, named=True)
        example = ", ".join(f"{name}={str(first[name])[:40]!r}" for name in key)
    return Outcomes(frame=frame, repeated=rows.height - distinct.height, contradictory=contradictory, example=example)


def join_labels(
    rows: MonitoredRows, outcomes: Outcomes, entity: Entity, *, now: datetime, delay: timedelta
) -> pl.DataFrame:
    """The rows' `time`, `release`, `probability`, `DAY` and `DUE`, with `LABEL`, `CAME` and `MATURE`.

    A label counts when it should have come: before that, those that are there are the fast ones, and no fair sample.

    Args:
        rows: what was predicted.
        outcomes: what became of it.
        entity: whose key.
        now: the time.
        delay: so long after a prediction was due its label should be there.
    """
    key = [f"in:{name}" for name in entity.key]
    present = [name for name in key if name in rows.frame.columns]
    narrow = rows.frame.select("time", "release", "probability", DAY, DUE, *present)
    frame = narrow.with_columns((pl.col(DUE) + delay <= now).alias(MATURE))
    missing = [name for name in key if name not in frame.columns]
    if outcomes.frame.is_empty() or missing:
        none = pl.lit(None, dtype=pl.Boolean).alias(LABEL)
        return frame.with_columns(none, pl.lit(False).alias(CAME))
    known = outcomes.frame.select(
        *(pl.col(name).cast(frame.schema[f"in:{name}"]).alias(f"in:{name}") for name in entity.key),
        pl.col(LABEL).cast(pl.Boolean),
        pl.lit(True).alias(CAME),
    )
    # Of each entity there is one outcome at most, so that the rows stay what they are: only these columns are moved.
    came = frame.select(key).join(known, on=key, how="left", maintain_order="left").select(LABEL, CAME)
    return (
        frame.drop(key)
        .hstack(came)
        .with_columns(
            pl.when(MATURE).then(LABEL).alias(LABEL), (pl.col(CAME).fill_null(False) & pl.col(MATURE)).alias(CAME)
        )
    )


def count_labels(joined: pl.DataFrame, rows: MonitoredRows, outcomes: Outcomes) -> LabelCounts:
    """What became of the labels."""
    mature, came, labelled = (
        int(joined.select(expression.sum()).item() or 0)
        for expression in (pl.col(MATURE), pl.col(CAME), pl.col(LABEL).is_not_null())
    )
    return LabelCounts(
        predictions=joined.height,
        mature=mature,
        labelled=labelled,
        coverage=float(f"{came / mature:.6g}") if mature else None,
        never_came=mature - came,
        undefined=came - labelled,
        duplicates=rows.repeated + rows.asked_again,
        repeated=outcomes.repeated,
        contradictory=outcomes.contradictory,
    )


def recent_labels(joined: pl.DataFrame, days: int) -> pl.DataFrame:
    """The rows of the last days whose labels should have come by now; of newer ones nothing can be missed.

    Args:
        joined: what `join_labels` gave.
        days: how many.
    """
    due = joined.filter(MATURE)
    since = recent_since(due["time"], days)
    return due if since is None else due.filter(pl.col("time") >= since)


def judge_labels(
    joined: pl.DataFrame, outcomes: Outcomes, rows: MonitoredRows, *, minimum_coverage: float, days: int | None = None
) -> Verdict:
    """Whether enough labels came, and whether they agree.

    Args:
        joined: what `join_labels` gave.
        outcomes: what it was joined with; labels that contradict each other are of all days.
        rows: what was predicted.
        minimum_coverage: the share of outcomes that is needed, of predictions whose labels should have come.
        days: the last so many days of these; None: all.
    """
    judged = joined if days is None else recent_labels(joined, days)
    counts = count_labels(joined if judged.is_empty() else judged, rows, outcomes)
    of = "" if days is None or judged.is_empty() else f" of {days_in_words(judged[DAY])}"
    figures: dict[str, float | int | str | bool | None] = {
        "mature": counts.mature,
        "labelled": counts.labelled,
        "coverage": counts.coverage,
        "never_came": counts.never_came,
        "undefined": counts.undefined,
        "repeated": counts.repeated,
        "contradictory": counts.contradictory,
    }
    name = "data:labels"
    if counts.contradictory:
        return Verdict(
            name=name,
            outcome=Outcome.FAILED,
            reason=f"{counts.contradictory:,} entities have several labels that differ, e.g. {outcomes.example}; they"
            " are left out",
            figures=figures,
        )
    if counts.coverage is None:
        return Verdict(
            name=name,
            outcome=Outcome.INCONCLUSIVE,
            reason=f"no label of {counts.predictions:,} predictions should have come yet",
            figures=figures,
        )
    if counts.coverage < minimum_coverage:
        return Verdict(
            name=name,
            outcome=Outcome.INCONCLUSIVE,
            reason=f"the outcomes of {counts.coverage:.1%} of {counts.mature:,} predictions{of} are known, and"
            f" {minimum_coverage:.0%} are needed: {counts.never_came:,} should have come and did not",
            figures=figures,
        )
    again = f"; {counts.repeated:,} rows stand twice and are equal" if counts.repeated else ""
    return Verdict(
        name=name,
        outcome=Outcome.PASSED,
        reason=f"the outcomes of {counts.coverage:.1%} of {counts.mature:,} predictions{of} are known{again}",
        figures=figures,
    )
