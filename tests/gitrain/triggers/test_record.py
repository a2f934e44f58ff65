"""Records of retrainings: they come back as they were, end whole, and are told apart."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from gitrain.errors import SettingsError
from gitrain.triggers.record import RetrainingEnding, RetrainingRecord, last_words

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def record(number=0, **values):
    given: dict[str, Any] = {
        "schema_version": 1,
        "id": f"{number:016x}",
        "project": "parcels",
        "digest": f"sha256:{'a' * 64}",
        "inputs": f"sha256:{'b' * 64}",
        "base": "c" * 40,
        "through": "2026-02",
        "batches": ("2026-02",),
        "reasons": ("new-data",),
        "evidence": ("2026-02 is there",),
        "holder": "d" * 16,
        "began": NOW + timedelta(minutes=number),
    }
    return RetrainingRecord(**given | values)


def test_it_comes_back_as_it_was():
    for each in (record(), record().concluded(NOW, RetrainingEnding.PROPOSED, "it passed", number=7)):
        assert RetrainingRecord.from_json(each.to_json(), source="a file") == each


def test_its_files_sort_by_time_and_tell_the_end():
    begun = record()
    ended = begun.concluded(NOW + timedelta(minutes=4), RetrainingEnding.REFUSED, "worse")
    assert begun.path == "runs/20260302T090000.000000Z-0000000000000000.json"
    assert ended.path == "runs/20260302T090000.000000Z-0000000000000000-ended.json"
    assert (begun.minutes, ended.minutes) == (0.0, 4.0)


def test_times_are_utc():
    there = timezone(timedelta(hours=2))
    assert record(began=NOW.astimezone(there)).to_json() == record().to_json()


def test_a_clock_that_was_set_back_makes_no_negative_minutes():
    ended = record().concluded(NOW - timedelta(hours=1), RetrainingEnding.ERROR, "x" * 9000)
    assert (ended.minutes, ended.ended, len(ended.reason)) == (0.0, NOW, 2000)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", "0"),
        ("digest", "sha256:0"),
        ("base", "main"),
        ("holder", "me"),
        ("reasons", ()),
        ("began", "yesterday"),
        ("ending", "PROPOSED"),
        ("ended", "2026-03-02T10:00:00Z"),
        ("schema_version", 2),
        ("surplus", 1),
    ],
)
def test_an_impossible_value_is_an_error_that_names_the_file(name, value):
    text = json.dumps(json.loads(record().to_json()) | {name: value})
    with pytest.raises(SettingsError, match=r"retraining:runs/x\.json"):
        RetrainingRecord.from_json(text, source="retraining:runs/x.json")


def test_the_last_words_of_each():
    first, second = record(1), record(2)
    ended = first.concluded(NOW + timedelta(hours=1), RetrainingEnding.PROPOSED, "it passed")
    assert last_words([second, ended, first]) == [ended, second]
    assert last_words([first, ended, second]) == [ended, second]
