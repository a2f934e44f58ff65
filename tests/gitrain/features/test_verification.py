from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.gitrain.features.parcels import ARRIVALS, FEATURES, TARIFFS, parcels, tariffs

from gitrain.features.comparison import Comparison
from gitrain.features.definitions import AsOfFeatures, FeatureSet, RowFeature, WindowFeatures
from gitrain.features.engine import compute_features
from gitrain.features.history import EVENT_TIME, KNOWN_AT
from gitrain.features.scramble import scramble_future
from gitrain.features.verification import Compute, Sample, verify_samples
from gitrain.verdicts import Outcome, Verdict

FUTURE, BRUTE_FORCE, ROW_BY_ROW, INCREMENTAL = (
    "features:future-scrambled",
    "features:brute-force",
    "features:row-by-row",
    "features:incremental",
)
HOUR = timedelta(hours=1)


def sample(features: FeatureSet = FEATURES, look_back: Sequence[str] = ("2024-01",), rows: int = 120) -> Sample:
    past = [parcels(month, rows) for month in look_back]
    here, after = parcels("2024-02", rows), parcels("2024-03", rows)
    tables = {"arrivals": pl.concat([*past, here]), "tariffs": tariffs()}
    wider = {"arrivals": pl.concat([parcels("2024-01", rows), here, after]), "tariffs": tariffs()}
    wanted = {history.name for history in features.histories}
    return Sample(
        batch="2024-02",
        entities=here.select(FEATURES.entity.known_in_advance),
        tables={name: table for name, table in tables.items() if name in wanted},
        wider={name: table for name, table in wider.items() if name in wanted},
    )


def outcomes(
    features: FeatureSet = FEATURES, compute: Compute = compute_features, given: Sample | None = None
) -> dict[str, Verdict]:
    verdicts = verify_samples(features, [given or sample(features)], rows=25, seed=1, compute=compute)
    return {verdict.name: verdict for verdict in verdicts}


def failed(*arguments: Any, **options: Any) -> set[str]:
    return {name for name, verdict in outcomes(*arguments, **options).items() if verdict.outcome is Outcome.FAILED}


def with_row_feature(expression: pl.Expr) -> FeatureSet:
    return replace(FEATURES, features=(*FEATURES.features, RowFeature(name="seeded", expression=expression)))


def with_arrivals(**changes: Any) -> FeatureSet:
    return replace(FEATURES, histories=(replace(ARRIVALS, **changes), TARIFFS))


def with_value(value: pl.Expr) -> FeatureSet:
    seeded = WindowFeatures(
        prefix="seeded",
        history="arrivals",
        by={"depot": "depot"},
        value=value,
        aggregation="mean",
        windows={"2d": timedelta(days=2)},
    )
    return replace(FEATURES, features=(*FEATURES.features, seeded))


def test_an_honest_project_passes_with_figures():
    found = outcomes()
    assert {name: verdict.outcome for name, verdict in found.items()} == dict.fromkeys(
        (FUTURE, BRUTE_FORCE, ROW_BY_ROW, INCREMENTAL), Outcome.PASSED
    )
    future: Any = found[FUTURE].figures
    assert future["cut_offs"] == 2
    assert future["scrambled_rows"] > 50
    assert future["scrambled_with"] == "invented"
    assert future["changed_later"] > 20
    assert future["rows"] > 60
    assert found[BRUTE_FORCE].figures == {"rows": 25, "values": 25 * len(FEATURES.names), "mismatches": 0}
    assert found[INCREMENTAL].figures["rows"] == 120


def test_the_same_seed_gives_the_same_figures():
    assert outcomes() == outcomes()


def window_ends_later(features, entities, histories):
    later = replace(features.entity, decision_time=features.entity.decision_time + 3 * HOUR)
    return compute_features(replace(features, entity=later), entities, histories)


def as_of_event_time(features, entities, histories):
    moved = {
        name: prepared.with_columns(pl.col(EVENT_TIME).alias(KNOWN_AT)).sort(KNOWN_AT)
        for name, prepared in histories.items()
    }
    return compute_features(features, entities, moved)


def window_open_at_the_wrong_end(features, entities, histories):
    earlier = replace(features.entity, decision_time=features.entity.decision_time - timedelta(microseconds=1))
    return compute_features(replace(features, entity=earlier), entities, histories)


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        (window_ends_later, {FUTURE, BRUTE_FORCE}),
        (as_of_event_time, {FUTURE, BRUTE_FORCE}),
        (window_open_at_the_wrong_end, {BRUTE_FORCE}),
    ],
)
def test_a_defect_of_the_engine_is_found(engine, expected):
    assert failed(compute=engine) == expected


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        (with_row_feature(pl.col("weight").mean()), {FUTURE, BRUTE_FORCE, ROW_BY_ROW}),
        (with_row_feature(pl.col("weight").mean().over("depot")), {FUTURE, BRUTE_FORCE, ROW_BY_ROW}),
        (with_row_feature(pl.col("weight").shift(1)), {BRUTE_FORCE, ROW_BY_ROW}),
        (with_row_feature(pl.int_range(pl.len())), {BRUTE_FORCE, ROW_BY_ROW}),
        (with_value(pl.col("weight").mean()), {FUTURE, BRUTE_FORCE, ROW_BY_ROW, INCREMENTAL}),
        (with_value(pl.col("weight") - pl.col("weight").mean().over("depot")), {FUTURE, BRUTE_FORCE, ROW_BY_ROW}),
    ],
    ids=["mean", "over", "shift", "position", "value mean", "value over"],
)
def test_a_feature_that_looks_at_other_rows_is_found(features, expected):
    assert failed(features) >= expected


def test_an_availability_that_reads_the_future_is_found():
    # Each arrival is reported with the next one of its depot: what is known depends on rows that are not known yet.
    following = pl.col("arrived").shift(-1).over("depot")
    honest = pl.col("sent") + 2 * HOUR
    reads_ahead = pl.when(following - pl.col("sent") < timedelta(days=2)).then(honest).otherwise(honest + 10 * HOUR)
    assert {FUTURE, ROW_BY_ROW} <= failed(with_arrivals(known_at=reads_ahead))


def test_a_filter_that_reads_the_future_is_found():
    assert {FUTURE, ROW_BY_ROW} <= failed(with_arrivals(where=pl.col("weight") > pl.col("weight").median()))


def test_a_look_back_that_is_too_short_is_found():
    assert failed(given=sample(look_back=())) == {INCREMENTAL}


def test_an_outcome_that_is_declared_known_too_early_cannot_be_found():
    """The declaration is what everything is measured by: docs/features.md says so."""
    declared = pl.max_horizontal("sent", pl.col("arrived") - HOUR)
    assert failed(with_arrivals(known_at=declared)) == set()


def test_a_failure_names_the_worst_feature_and_a_row():
    verdict = outcomes(with_row_feature(pl.col("weight").mean()))[ROW_BY_ROW]
    figures: Any = verdict.figures
    assert figures["worst_feature"] == "seeded"
    assert figures["worst_mismatches"] == figures["mismatches"] > 100
    assert "seeded" in verdict.reason
    assert "parcel=2024-02-" in verdict.reason


def test_a_project_without_histories_passes_and_says_why():
    features = replace(FEATURES, features=FEATURES.features[:2], histories=())
    found = outcomes(features)
    assert {verdict.outcome for verdict in found.values()} == {Outcome.PASSED}
    assert "no histories" in found[FUTURE].reason
    assert "no histories" in found[INCREMENTAL].reason
    assert found[BRUTE_FORCE].figures["rows"] == 25


def test_a_project_without_histories_still_has_rows_that_must_not_see_each_other():
    features = replace(FEATURES, features=(RowFeature(name="rank", expression=pl.col("weight").rank()),), histories=())
    assert failed(features) == {BRUTE_FORCE, ROW_BY_ROW}


def test_a_future_that_touches_nothing_shows_nothing():
    features = replace(
        FEATURES,
        features=(
            AsOfFeatures(history="tariffs", by={"depot": "depot"}, columns={"price": "price"}, max_age=9999 * HOUR),
        ),
        histories=(TARIFFS,),
        categorical=(),
    )
    quiet = replace(sample(features), tables={"tariffs": tariffs().head(2)}, wider={"tariffs": tariffs().head(2)})
    assert outcomes(features, given=quiet)[FUTURE].outcome is Outcome.INCONCLUSIVE


def test_nothing_to_compare_is_not_a_pass():
    empty = replace(sample(), entities=sample().entities.clear())
    assert {verdict.outcome for verdict in outcomes(given=empty).values()} == {Outcome.INCONCLUSIVE}


def test_expressions_that_refuse_invented_values_are_tried_with_seen_ones():
    # 13 is no month: an invented number makes this expression fail, which says nothing of the features.
    rows = sample()
    with_month = {
        name: table.with_columns(month=pl.col("sent").dt.month().cast(pl.Int64)) if name == "arrivals" else table
        for name, table in rows.tables.items()
    }
    given = replace(rows, tables=with_month, wider=with_month)
    value = pl.format("2024-{}-01", "month").str.to_date("%Y-%m-%d").dt.month()
    verdict = outcomes(with_value(value), given=given)[FUTURE]
    assert verdict.outcome is Outcome.PASSED
    assert verdict.figures["scrambled_with"] == "seen"


def test_values_of_two_kinds_are_no_match():
    comparison = Comparison()
    comparison.add(pl.DataFrame({"a": [1, 2]}), pl.DataFrame({"a": [1.0, 2.0]}), str)
    assert comparison.failed
    assert "a is 2 values of Int64" in comparison.verdict("x", passed="", failed="differs").reason


def test_not_a_number_and_null_match_themselves_only():
    comparison = Comparison()
    values = pl.DataFrame({"a": [float("nan"), None, 1.0]})
    comparison.add(values, values, str)
    comparison.add_values(values, {"a": [float("nan"), None, 1.0]}, str)
    assert not comparison.failed
    comparison.add(values, pl.DataFrame({"a": [None, float("nan"), 1.0]}), str)
    comparison.add_values(values, {"a": [None, float("nan"), 1.0 + 1e-9]}, str)
    assert comparison.mismatches == 5


def test_scrambling_leaves_what_is_known_alone():
    rows = parcels("2024-02", 400)
    cutoff = datetime(2024, 2, 14, tzinfo=UTC)
    known = rows.filter(pl.col("arrived") <= cutoff)
    for strength in ("invented", "seen", "rows"):
        found, count = scramble_future(
            ARRIVALS, rows, cutoff, keep=("sent",), strength=strength, random=np.random.default_rng(0)
        )
        assert found.filter(pl.col("arrived") <= cutoff).equals(known)
        assert count == rows.height - known.height
        future = found.filter((pl.col("arrived") > cutoff).fill_null(True))
        assert 0.5 * count < future.height < 1.5 * count
        delay = (future["arrived"] - future["sent"]).drop_nulls()
        assert max(delay) <= ARRIVALS.max_delay
        assert min(delay) >= timedelta(0)
        originals = set(rows.filter((pl.col("arrived") > cutoff).fill_null(True)).rows())
        changed = [row for row in future.rows() if row not in originals]
        assert (len(changed) > 0.8 * future.height) is (strength != "rows")
