"""A log is cut at its end, day after day; the sequences are those of a log that never was."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitrain.evaluation.predictions import LABEL as TRUTH
from gitrain.evaluation.predictions import SCORE, slice_column
from gitrain.monitoring.counted_days import CountedDays
from gitrain.monitoring.judgement import judge_calibration, judge_performance
from gitrain.monitoring.kept_days import KeptDays, Part
from gitrain.monitoring.labels import CAME, LABEL, MATURE
from gitrain.monitoring.logged import DAY
from gitrain.monitoring.reference import Holdout
from gitrain.monitoring.slices import SliceRule
from gitrain.pipeline.monitoring_params import PerformanceParams

RULES = f"sha256:{'0' * 64}"
NOTHING = KeptDays(schema_version=1, rules=RULES)
PARAMS = PerformanceParams(minimum_rows=4, minimum_days=2)
GROUPS = ("NORTH", "EAST")
FIRST = datetime(2024, 4, 1, tzinfo=UTC)
DELAY = 2


def predictions(days: int, rows: int, seed: int, first: datetime = FIRST) -> pl.DataFrame:
    """Some rows a day: their time, score and truth, and a group; one in twenty has no label."""
    random = np.random.default_rng(seed)
    size = days * rows
    scores = random.uniform(0.05, 0.95, size)
    truth = pl.Series(random.random(size) < scores, dtype=pl.Boolean)
    return pl.DataFrame(
        {
            "time": [first + timedelta(days=row // rows, minutes=row % rows) for row in range(size)],
            "depot": random.choice(GROUPS, size),
            "score": scores,
            "truth": truth.to_frame("truth").select(
                pl.when(pl.Series(random.random(size) < 0.95)).then(pl.col("truth"))
            )["truth"],
        }
    )


HOLDOUT = Holdout(
    frame=predictions(20, 10, 7, FIRST - timedelta(days=40))
    .drop_nulls()
    .select(
        pl.col("time").dt.date().alias("date"),
        pl.col("depot").alias(slice_column("depot")),
        pl.col("score").alias(SCORE),
        pl.col("truth").alias(TRUTH),
    ),
    unit="date",
)


def log(days: int, rows: int, seed: int, changes: int) -> pl.DataFrame:
    """The whole log: until a day one release answers, from then on another, and some rows of both in between."""
    made = predictions(days, rows, seed)
    number = pl.int_range(pl.len()) // rows
    canary = (number >= changes - 1) & (number < changes) & (pl.int_range(pl.len()) % 3 == 0)
    newer = (number >= changes) | canary
    return made.with_columns(release=pl.when(newer).then(pl.lit("1.1.0")).otherwise(pl.lit("1.0.0")))


def look(rows: pl.DataFrame, today: int, counted: CountedDays, running: str | None = None):
    names = rows["time"].dt.date().cast(pl.String).unique().sort().to_list()
    mature = pl.col("time") < FIRST + timedelta(days=today - DELAY + 1)
    joined = rows.select(
        "time",
        "release",
        pl.col("time").dt.date().cast(pl.String).cast(pl.Enum(names)).alias(DAY),
        pl.col("score").alias("probability"),
        pl.when(mature).then("truth").alias(LABEL),
        mature.alias(CAME),
        mature.alias(MATURE),
    )
    slices = [SliceRule(name="depot", by=pl.col("depot"), min_rows=8)]
    performance = judge_performance(
        joined, rows.select("depot"), HOLDOUT, PARAMS, slices=slices, unit="day", running=running, counted=counted
    )
    calibration = judge_calibration(joined, HOLDOUT, PARAMS, unit="day", running=running, counted=counted)
    return (*performance.sequences, *calibration.sequences), (*performance.verdicts, *calibration.verdicts)


def ordered(sequences):
    return sorted(sequences, key=lambda each: (each.release, each.name))


def again(counted: CountedDays) -> CountedDays:
    """As the next run finds it, in a file."""
    return CountedDays(KeptDays.model_validate_json(counted.kept().model_dump_json()))


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    days=st.integers(5, 14),
    changes=st.integers(2, 14),
    data=st.data(),
)
def test_a_log_that_is_cut_between_looks_gives_the_sequences_of_the_whole_one(seed, days, changes, data):
    rows = 12
    whole = log(days, rows, seed, changes)
    counted, cut = CountedDays(NOTHING), 0
    for today in range(days):
        logged = whole[: (today + 1) * rows]
        sequences, verdicts = look(logged[cut:], today, counted)
        every, all_verdicts = look(logged, today, CountedDays())
        left = {*logged[cut:]["release"].unique()}

        # In which order releases are shown depends on which of them the log begins with.
        assert ordered(sequences) == ordered(each for each in every if each.release in left)
        assert verdicts == all_verdicts
        counted = again(counted)
        # Anywhere, in the middle of a day as well, among what this look has counted.
        seen = max(0, today - DELAY + 1) * rows
        cut = data.draw(st.integers(cut, max(cut, seen)))


def test_without_what_was_kept_it_is_another_test():
    whole = log(12, 12, 1, 20)

    (sequence, *_), _ = look(whole, 13, CountedDays())
    (cut, *_), _ = look(whole[40:], 13, CountedDays())

    assert len(sequence.looks) > len(cut.looks)


def test_a_day_that_the_log_holds_whole_is_the_logs_and_counts_once():
    whole = log(10, 12, 2, 20)
    counted = CountedDays(NOTHING)
    look(whole, 11, counted)
    corrected = whole.with_columns(~pl.col("truth"))

    found, _ = look(corrected, 11, counted := again(counted))

    assert list(found) == list(look(corrected, 11, CountedDays())[0])
    assert counted.recalled("1.0.0") == ()
    assert counted.digest() is None


def test_days_whose_labels_are_not_given_this_time_stay_counted():
    whole = log(10, 12, 2, 20)
    counted = CountedDays(NOTHING)
    expected, _ = look(whole, 11, counted)

    without = again(counted)
    found, _ = look(whole, 4, without)  # as of a day on which fewer labels had come

    assert found == expected
    assert len(without.recalled("1.0.0")) == 7
    assert without.digest() not in (None, counted.digest())
    assert without.kept() == counted.kept()


def test_the_release_that_runs_is_judged_though_the_log_has_lost_it():
    whole = log(10, 12, 3, 20)
    counted = CountedDays(NOTHING)
    expected, _ = look(whole, 11, counted)
    other = predictions(3, 12, 4, FIRST + timedelta(days=20)).with_columns(release=pl.lit("2.0.0"))

    for rows in (whole.clear(), other):
        sequences, verdicts = look(rows, 30, again(counted), running="1.0.0")
        assert [each for each in sequences if each.release == "1.0.0"] == list(expected)
        assert {each.figures["release"] for each in verdicts} == {"1.0.0"}
        assert len(expected) == len(verdicts) == 5


def test_slices_of_a_release_that_is_not_judged_are_counted_for_when_it_comes_back():
    whole = log(10, 12, 3, 5)
    counted = CountedDays(NOTHING)
    look(whole, 11, counted, running="1.1.0")
    expected, _ = look(whole, 11, CountedDays(), running="1.0.0")

    found, _ = look(whole[60:], 11, again(counted), running="1.0.0")

    assert [each for each in found if each.release == "1.0.0"] == [each for each in expected if each.release == "1.0.0"]
    assert {each.name for each in found} >= {f"performance:depot={group}" for group in GROUPS}


def test_a_look_aside_keeps_nothing():
    counted = CountedDays()
    look(log(10, 12, 3, 5), 11, counted)

    assert not counted.knows("1.0.0")
    with pytest.raises(ValueError, match="aside"):
        counted.kept()


def test_groups_are_parts_of_their_own():
    counted = CountedDays(NOTHING)
    look(log(10, 12, 3, 20), 11, counted)

    sums = {each.part: sum(each.predicted) for each in counted.kept().parts}
    assert sums.keys() == {Part("1.0.0"), *(Part("1.0.0", "depot", group) for group in GROUPS)}
    assert sums[Part("1.0.0")] == 120 == sum(sums[Part("1.0.0", "depot", group)] for group in GROUPS)


PART = {
    "release": "1.0.0",
    "days": ("a", "b"),
    "predicted": (3.0, 3.0),
    "rows": (2.0, 3.0),
    "loss": (1.0, 1.0),
    "positives": (1.0, 3.0),
    "probability": (1.0, 2.0),
}


@pytest.mark.parametrize(
    "change",
    [
        {"days": ("b", "a")},
        {"days": ("a", "a")},
        {"days": ("a",)},
        {"rows": (2.0, 4.0)},
        {"rows": (0.0, 3.0)},
        {"positives": (1.0, 3.5)},
        {"probability": (-1.0, 2.0)},
        {"loss": (1.0, float("nan"))},
        {"loss": (1.0, float("inf"))},
        {"loss": (-1.0, 1.0)},
        {"predicted": (float("inf"), 3.0)},
        {"unknown": 1},
    ],
)
def test_days_that_cannot_be_are_refused(change):
    payload = {"schema_version": 1, "rules": RULES, "parts": [PART]}
    assert KeptDays.model_validate(payload).parts[0].part == Part("1.0.0")

    with pytest.raises(ValueError):
        KeptDays.model_validate({**payload, "parts": [{**PART, **change}]})
    with pytest.raises(ValueError):
        KeptDays.model_validate({**payload, "parts": [PART, PART]})
