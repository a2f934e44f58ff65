import importlib
import sys
import time

import polars as pl
import pytest

from gitrain.errors import UsageError
from gitrain.features.definitions import RowFeature
from gitrain.operations.rehearsal import sabotage
from gitrain.project import load_project
from gitrain.serving.predictor import Predictor


@pytest.fixture
def leaky(parcels, tmp_path, monkeypatch):
    (tmp_path / "rehearsal_leak.py").write_text(sabotage.leak_source("parcels:PROJECT"))
    monkeypatch.syspath_prepend(str(parcels))
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("parcels", "rehearsal_leak"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield load_project("rehearsal_leak:PROJECT"), load_project("parcels:PROJECT")
    for name in ("parcels", "rehearsal_leak"):
        sys.modules.pop(name, None)


def test_a_leak_is_the_label_as_a_feature_that_the_contract_lets_through(leaky):
    found, honest = leaky
    assert set(found.features.names) - set(honest.features.names) == {"rehearsed_leak"}
    assert "rehearsed_leak" in found.feature_contract.schema.columns
    added = found.features.features[-1]
    assert isinstance(added, RowFeature)
    rows = pl.DataFrame({"delay": [10, 45, None]})
    assert rows.select(added.expression).to_series().to_list() == [0.0, 1.0, None]


@pytest.mark.parametrize(
    ("service", "files", "path"),
    [
        ("flights.service:Flights", ["src/flights/service.py", "service.py"], "src/flights/service.py"),
        ("service:Parcels", ["service.py"], "service.py"),
        ("flights:Flights", ["src/flights/__init__.py"], "src/flights/__init__.py"),
    ],
)
def test_the_file_of_a_service_is_found(service, files, path):
    assert sabotage.service_path(service, files) == path


def test_a_service_without_a_file_is_told():
    with pytest.raises(UsageError, match="service:Parcels has no file"):
        sabotage.service_path("service:Parcels", ["parcels.py"])


def test_a_slow_service_answers_at_once_at_first_and_the_same_always(tmp_path, monkeypatch):
    asked, slept, clock = [], [], [100.0]
    monkeypatch.setattr(Predictor, "predict", lambda self, frame: asked.append(frame) or "answer")
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", slept.append)
    (tmp_path / "slowed_service.py").write_text(sabotage.slowed('"""A service."""\n'))
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("slowed_service")
    monkeypatch.delitem(sys.modules, "slowed_service")
    predictor = object.__new__(Predictor)

    assert predictor.predict(1) == "answer"
    clock[0] += sabotage.SLOW_AFTER_SECONDS
    assert predictor.predict(2) == "answer"
    assert slept == []
    clock[0] += 0.5
    assert predictor.predict(3) == "answer"
    assert slept == [sabotage.SLOW_SECONDS]
    assert asked == [1, 2, 3]
