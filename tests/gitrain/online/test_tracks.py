from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gitrain.online.worlds import FEATURES, PAST, feature_sets

from gitrain.features.definitions import AsOfFeatures, RowFeature, WindowFeatures
from gitrain.online.tracks import definitions_digest, place_of, tracks_of

KEYS = st.lists(st.text(max_size=4) | st.sampled_from(["1:a", "2:ab", ":", "|", "1"]), max_size=3)


@given(st.lists(KEYS, min_size=2, max_size=2))
def test_different_keys_never_have_one_place(keys):
    first, second = keys
    if len(first) == len(second):
        assert (place_of(1, first) == place_of(1, second)) == (first == second)
    assert place_of(1, first) != place_of(11, first)


@given(feature_sets())
def test_every_feature_that_reads_a_history_is_in_one_track(features):
    found = [index for track in tracks_of(features) for index, _ in track.features]
    wanted = [index for index, each in enumerate(features.features) if not isinstance(each, RowFeature)]
    assert sorted(found) == wanted
    assert [track.number for track in tracks_of(features)] == list(range(len(tracks_of(features))))


def _changed(kind, **changes):
    features = tuple(replace(each, **changes) if isinstance(each, kind) else each for each in FEATURES.features)
    return replace(FEATURES, features=features)


@pytest.mark.parametrize(
    "other",
    [
        _changed(WindowFeatures, value=pl.col("whole") + 1),
        _changed(WindowFeatures, by={}),
        _changed(WindowFeatures, windows={"3h": timedelta(hours=4)}),
        _changed(AsOfFeatures, max_age=timedelta(hours=5)),
        replace(FEATURES, categorical=("team", "kind")),
        replace(FEATURES, histories=(replace(PAST, known_at=pl.col("event")), *FEATURES.histories[1:])),
        replace(FEATURES, histories=(replace(PAST, where=None), *FEATURES.histories[1:])),
        replace(FEATURES, histories=(replace(PAST, max_delay=timedelta(hours=7)), *FEATURES.histories[1:])),
    ],
)
def test_other_definitions_have_another_digest(other):
    assert definitions_digest(other) != definitions_digest(FEATURES)


def test_row_features_and_patience_are_no_part_of_what_is_stored():
    row = _changed(RowFeature, expression=pl.col("lane"))
    patient = replace(FEATURES, histories=tuple(replace(each, stale_after=None) for each in FEATURES.histories))
    assert definitions_digest(row) == definitions_digest(patient) == definitions_digest(FEATURES)
