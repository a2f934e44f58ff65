import asyncio
import importlib
import sys
from types import SimpleNamespace

import polars as pl
import pytest

from gitrain.errors import UsageError
from gitrain.features.definitions import RowFeature
from gitrain.operations.rehearsal import sabotage
from gitrain.project import load_project
from gitrain.serving.coalescing import Coalescer


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
    slept, clock = [], [100.0]

    async def submit(item):
        return [item]

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(Coalescer, "submit", lambda self, item, size: submit(item))
    (tmp_path / "slowed_service.py").write_text(sabotage.slowed('"""A service."""\n'))
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("slowed_service")
    monkeypatch.delitem(sys.modules, "slowed_service")
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=sleep))
    coalescer = object.__new__(Coalescer)

    async def wait(answer):
        return await answer

    def ask(item):
        return asyncio.run(wait(coalescer.submit(item, 1)))

    assert ask(1) == [1]
    clock[0] += sabotage.SLOW_AFTER_SECONDS
    assert ask(2) == [2]
    assert slept == []
    clock[0] += 0.5
    assert ask(3) == [3]
    assert slept == [sabotage.SLOW_SECONDS]
