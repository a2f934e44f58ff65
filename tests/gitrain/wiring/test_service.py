import json
import subprocess
import sys

import pytest
from tests.gitrain.serving.counters import Seen

from gitrain.errors import ModelError, SettingsError
from gitrain.integrations.prediction_log import read_predictions
from gitrain.serving.answering import Answer, Asked
from gitrain.wiring.service import UNRELEASED, describe_service, open_service, service_root

pytestmark = pytest.mark.slow

IDENTITY = {
    "schema_version": 1,
    "project": "parcels",
    "version": "1.4.0",
    "commit": "a" * 40,
    "data_through": "2024-05",
    "served_format": "onnx",
    "threshold": 0.9,
    **dict.fromkeys(
        (
            "lock_digest",
            "data_digest",
            "model_digest",
            "served_digest",
            "schema_digest",
            "environment_digest",
        ),
        "sha256:" + "0" * 64,
    ),
}


class Observer(Seen):
    def __init__(self):
        super().__init__()
        self.labels = {}
        self.errors = []

    def opened(self, *, seconds, labels):
        self.labels = labels

    def written(self, rows):
        pass

    def dropped(self, rows, reason):
        self.errors.append(reason)

    def copied(self, outcome, compared):
        pass

    def failed(self, error):
        self.errors.append(error)


@pytest.fixture
def store(parcels_copy, monkeypatch):
    """The copy's own store, filled."""
    monkeypatch.delenv("GITRAIN_ONLINE_STORE", raising=False)
    monkeypatch.delenv("GITRAIN_PREDICTION_LOG", raising=False)
    command = [sys.executable, "-m", "gitrain", "features", "materialize"]
    return lambda: subprocess.run(command, cwd=parcels_copy, check=True, capture_output=True)


@pytest.fixture
def opened(parcels_copy, store):
    """Opens the copy's service, and closes what was opened."""
    found = []

    def open_now(observer=None):
        found.append(open_service(parcels_copy, observer or Observer()))
        return found[-1]

    yield open_now
    for service in found:
        service.close()


def known(root):
    return json.loads((root / "models/known_answers.json").read_text())


def test_a_release_says_who_it_is_and_decides_by_its_threshold(parcels_copy, store, opened):
    store()
    (parcels_copy / "release.json").write_text(json.dumps(IDENTITY))
    observer = Observer()
    service = opened(observer)

    (outcome,) = service.answering.answer(
        [Asked("a", service.schema.parse(json.dumps({"parcels": [known(parcels_copy)["rows"][0]["inputs"]]}).encode()))]
    )

    assert isinstance(outcome, Answer)
    answer = json.loads(outcome.body)
    assert answer["release"] == "1.4.0"
    assert answer["predictions"][0]["decision"] == (answer["predictions"][0]["probability"] >= 0.9)
    assert service.check() is None
    described = service.describe()
    assert {name: described[name] for name in IDENTITY} == IDENTITY
    assert (described["released"], described["features"]["newest"]["road"][-1]) == (True, "Z")
    assert observer.labels["version"] == "1.4.0"
    assert observer.labels["commit"] == "a" * 40
    service.close()
    assert read_predictions(parcels_copy / ".gitrain/predictions").frame["release"].to_list() == ["1.4.0"]
    assert observer.errors == []


def test_a_known_answer_that_the_model_does_not_give(parcels_copy, store, opened):
    store()
    answers = known(parcels_copy)
    answers["rows"][2]["score"] = round(answers["rows"][2]["score"] * 0.9, 6)
    (parcels_copy / "models/known_answers.json").write_text(json.dumps(answers))

    assert "known row 2" in opened().check()


def test_a_store_that_is_filled_later(parcels_copy, store, opened):
    service = opened()
    assert "the online store holds none of the histories" in service.check()
    store()

    assert service.check() is None


@pytest.mark.parametrize("name", ["models/serving.json", "models/known_answers.json", "models/serving/model.onnx"])
def test_a_file_that_is_missing_is_named(parcels_copy, store, opened, name):
    (parcels_copy / name).unlink()

    with pytest.raises(ModelError, match=name.rpartition("/")[2]):
        opened()


def test_a_store_of_another_kind_is_named(opened, monkeypatch):
    monkeypatch.setenv("GITRAIN_ONLINE_STORE", "mongodb://127.0.0.1/features")

    with pytest.raises(SettingsError, match="online store"):
        opened()


def test_the_description_needs_no_model(parcels_copy):
    (parcels_copy / "models/serving/model.onnx").unlink()
    with_examples = describe_service(parcels_copy)
    (parcels_copy / "models/known_answers.json").unlink()
    without = describe_service(parcels_copy)

    assert with_examples["info"]["version"] == UNRELEASED
    assert with_examples["components"]["schemas"]["Request"]["examples"]
    assert "examples" not in without["components"]["schemas"]["Request"]
    assert without["paths"].keys() == with_examples["paths"].keys()


def test_the_root_of_a_repository_and_of_a_bundle(tmp_path, parcels):
    assert service_root(str(parcels / "service.py")) == parcels
    bundle = tmp_path / "src"
    (bundle / "package").mkdir(parents=True)
    (bundle / "release.json").write_text("{}")
    assert service_root(str(bundle / "package" / "service.py")) == bundle
    with pytest.raises(SettingsError, match=r"no pyproject\.toml"):
        service_root("/nowhere/service.py")
