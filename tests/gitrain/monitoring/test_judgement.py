"""The level of slices: what comes later changes no look that was taken before."""

import numpy as np
import polars as pl
import pytest

from gitrain.evaluation.predictions import LABEL as TRUTH
from gitrain.evaluation.predictions import SCORE, slice_column
from gitrain.monitoring.judgement import OVERALL, judge_performance
from gitrain.monitoring.labels import CAME, LABEL, MATURE
from gitrain.monitoring.logged import DAY
from gitrain.monitoring.reference import Holdout
from gitrain.monitoring.slices import SliceRule
from gitrain.pipeline.monitoring_params import PerformanceParams

GROUPS = ("NORTH", "EAST", "WEST")
PARAMS = PerformanceParams()


def rows(days: pl.Series, groups, seed: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    frame = pl.DataFrame({DAY: days}).join(pl.DataFrame({"depot": groups}), how="cross")
    frame = pl.concat([frame] * 40).sort(DAY, "depot")
    scores = random.uniform(0.05, 0.95, frame.height)
    return frame.with_columns(score=scores, truth=random.random(frame.height) < scores)


def judged(groups: dict[str, int]):
    """Groups with the number of the days on which they were predicted."""
    first = pl.date(2024, 3, 1)
    held = pl.select(pl.date_range(first, first + pl.duration(days=29))).to_series()
    holdout = rows(held, GROUPS, 1).rename(
        {DAY: "date", "depot": slice_column("depot"), "score": SCORE, "truth": TRUTH}
    )
    parts = [
        rows(pl.Series([f"2024-04-{day:02d}" for day in range(1, days + 1)]), [group], 2 + place)
        for place, (group, days) in enumerate(groups.items())
    ]
    live = pl.concat(parts).sort(DAY, maintain_order=True)
    names = live[DAY].unique().sort().to_list()
    joined = live.select(
        pl.col(DAY).cast(pl.Enum(names)),
        pl.lit("1.0.0").alias("release"),
        pl.col(DAY).str.to_datetime(time_zone="UTC").alias("time"),
        pl.col("score").alias("probability"),
        pl.col("truth").alias(LABEL),
        pl.lit(True).alias(CAME),
        pl.lit(True).alias(MATURE),
    )
    found = judge_performance(
        joined,
        live.select("depot"),
        Holdout(frame=holdout, unit="date"),
        PARAMS,
        slices=[SliceRule(name="depot", by=pl.col("depot"), min_rows=100)],
        unit="day",
    )
    return {each.name.partition("=")[2]: each for each in found.sequences if "=" in each.name}


def test_a_group_that_comes_later_changes_no_look_that_was_taken():
    before, after = judged({"NORTH": 12, "EAST": 3}), judged({"NORTH": 12, "EAST": 9})

    assert (before.keys(), after.keys()) == ({"NORTH"}, {"NORTH", "EAST"})
    assert before["NORTH"] == after["NORTH"]


def test_all_groups_of_the_holdout_share_a_fifth_and_others_have_none():
    found = judged({"NORTH": 12, "EAST": 9, "WEST": 9, "NOWHERE": 12})

    assert found.keys() == set(GROUPS)
    assert sum(each.alpha for each in found.values()) == pytest.approx(PARAMS.alpha * (1 - OVERALL))
