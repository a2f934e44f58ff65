"""What the environment says of the prediction log."""

import json

import pytest
from tests.gitrain.wiring.test_service import Observer

from gitrain.errors import SettingsError
from gitrain.integrations.log_copier import LogCopier
from gitrain.integrations.prediction_log import PredictionLog
from gitrain.monitoring.logged import logged_schema
from gitrain.wiring.repository import open_repository
from gitrain.wiring.service import open_service

pytestmark = pytest.mark.slow

PARQUET, FILE_MB = "GITRAIN_PREDICTION_LOG_PARQUET", "GITRAIN_PREDICTION_LOG_FILE_MB"


@pytest.fixture
def made(parcels, tmp_path, monkeypatch):
    """Opens the parcels' service with some variables; what the log of predictions was made with."""

    def open_with(**variables):
        found = []

        class Noted(PredictionLog):
            def __init__(self, folder, **options):
                found.append((folder, options))
                super().__init__(folder, **options)

        monkeypatch.setattr("gitrain.wiring.service.PredictionLog", Noted)
        monkeypatch.setenv("GITRAIN_ONLINE_STORE", f"sqlite:///{tmp_path}/online.sqlite")
        monkeypatch.setenv("GITRAIN_PREDICTION_LOG", str(tmp_path / "log"))
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        open_service(parcels, Observer()).close()
        return found

    return open_with


def test_copies_are_made_unless_somebody_says_no(made, parcels, tmp_path, monkeypatch):
    given = []

    class Noted(LogCopier):
        def __init__(self, folder, schema):
            given.append((folder, schema))
            super().__init__(folder, schema)

    monkeypatch.setattr("gitrain.wiring.service.LogCopier", Noted)
    ((folder, options),) = made(GITRAIN_COPIES="")
    assert isinstance(options["copier"], Noted) and options["max_file_bytes"] == 32 * 2**20
    project = open_repository(str(parcels)).project
    # The schema that a look has: with another, copies would be of no use to it.
    assert given == [(folder, logged_schema(project.features, project.entity_table.contract))]

    ((_, options),) = made(**{PARQUET: "off", FILE_MB: "128"})
    assert options["copier"] is None and options["max_file_bytes"] == 128 * 2**20


def test_of_copies_of_requests_there_are_no_copies(made, tmp_path):
    orders = tmp_path / "orders.json"
    orders.write_text(json.dumps({}))
    predictions, shadow = made(GITRAIN_COPIES=str(orders))

    assert predictions[1]["copier"] is not None and shadow[1].get("copier") is None
    assert shadow[0] == predictions[0] / "copies"


@pytest.mark.parametrize(
    ("name", "value"), [(PARQUET, "yes"), (FILE_MB, "0"), (FILE_MB, "129"), (FILE_MB, "1e1"), (FILE_MB, "9" * 5000)]
)
def test_what_says_nothing_is_named(made, name, value):
    with pytest.raises(SettingsError, match=name):
        made(**{name: value})
