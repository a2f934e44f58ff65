from datetime import UTC, datetime, timedelta, timezone

import pytest

from gitrain.deployment.record import DeploymentRecord, Ending, RecordedStep, RunningRelease
from gitrain.errors import SettingsError

BEGAN = datetime(2026, 3, 1, 12, 30, 15, 250, tzinfo=UTC)


def record(**changes: object) -> DeploymentRecord:
    values = {
        "schema_version": 1,
        "id": "0123456789abcdef",
        "project": "parcels",
        "environment": "preprod",
        "release": RunningRelease(version="1.4.0", digest=f"sha256:{'a' * 64}"),
        "desired_by": "c" * 40,
        "actor": "ada",
        "reason": "promoted",
        "began": BEGAN,
        "ended": BEGAN + timedelta(seconds=9),
        "steps": (RecordedStep(name="start", outcome="PASSED", seconds=4.5),),
        "ending": Ending.SUCCEEDED,
    }
    return DeploymentRecord.model_validate(values | changes)


def test_a_record_comes_back() -> None:
    kept = record()
    assert DeploymentRecord.from_json(kept.to_json(), source="a record") == kept


def test_files_sort_by_the_time_at_which_deployments_began() -> None:
    assert record().path == "preprod/20260301T123015.000250Z-0123456789abcdef.json"
    later = record(began=BEGAN + timedelta(microseconds=1), id="0" * 16)
    assert later.path > record().path


def test_times_are_in_utc() -> None:
    there = BEGAN.astimezone(timezone(timedelta(hours=9)))
    assert record(began=there).to_json() == record().to_json()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", "../../etc/passwd0"),
        ("environment", "../production"),
        ("desired_by", "main"),
        ("actor", ""),
        ("ended", BEGAN - timedelta(seconds=1)),
        ("began", datetime(2026, 3, 1)),
        ("ending", "FINE"),
        ("unknown", 1),
    ],
)
def test_every_field_is_judged(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        record(**{key: value})


def test_a_file_that_is_no_record_is_named() -> None:
    with pytest.raises(SettingsError, match=r"preprod/x\.json"):
        DeploymentRecord.from_json("{}", source="preprod/x.json")
