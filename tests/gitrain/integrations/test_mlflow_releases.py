"""Releases on a model's version in a real MLflow database."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from mlflow import MlflowClient

from gitrain.errors import IntegrationError
from gitrain.integrations.mlflow import MlflowRunStore
from gitrain.integrations.mlflow_releases import RELEASE, alias_of, releases_of
from gitrain.lineage import digest_of_bytes
from gitrain.registry.releases import RegisteredRelease
from gitrain.tracking.runs import RunRecord

# MLflow's own use of SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

RUN = RunRecord(
    key=f"sha256:{'a' * 64}",
    project="toy-project",
    commit="c" * 40,
    dirty=False,
    recorded_at=datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
    model_digest=digest_of_bytes(b"model"),
)
RELEASED = RegisteredRelease(
    version="1.4.0",
    record_digest=digest_of_bytes(b"record"),
    bundle_digest=digest_of_bytes(b"bundle"),
    commit="c" * 40,
    lineage={"lock": RUN.key},
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return MlflowRunStore("sqlite:///mlflow.db", tmp_path_factory.mktemp("mlflow"))


@pytest.fixture(scope="module")
def register(store):
    """Register a model of that content; each test takes one of its own."""

    def register(content):
        run = replace(RUN, key=digest_of_bytes(b"run" + content), model_digest=digest_of_bytes(content))
        return store.register(store.record(run, {}), content, python="3.12", requirements=["scikit-learn==1.9.0"])

    return register


@pytest.fixture
def client(store):
    return MlflowClient(f"sqlite:///{store.root}/mlflow.db")


def test_a_release_names_a_model(store, register, client):
    model = register(b"one")

    assert store.releases(model) == []
    assert store.name_release(model, RELEASED)
    assert store.releases(model) == [RELEASED]

    version = client.get_model_version_by_alias("toy-project", "v1-4-0")
    assert int(version.version) == model.version
    assert version.tags[RELEASE] == "v1.4.0"
    assert version.tags["gitrain.model_digest"] == digest_of_bytes(b"one")
    # Again: nothing new.
    assert not store.name_release(model, RELEASED)
    assert store.find("toy-project", digest_of_bytes(b"one")) == model


def test_several_releases_serve_one_model(store, register, client):
    """A change of code alone; the newest is the one that people see, whatever the order."""
    model = register(b"several")
    for version in ("2.0.0", "2.10.0", "2.9.0"):
        assert store.name_release(model, replace(RELEASED, version=version))
    assert [release.version for release in store.releases(model)] == ["2.0.0", "2.9.0", "2.10.0"]
    assert client.get_model_version("toy-project", str(model.version)).tags[RELEASE] == "v2.10.0"


def test_a_version_is_one_release(store, register):
    first, second = register(b"first"), register(b"second")
    store.name_release(first, replace(RELEASED, version="3.0.0"))
    for model, other in (
        (second, replace(RELEASED, version="3.0.0")),
        (first, replace(RELEASED, version="3.0.0", record_digest=digest_of_bytes(b"another"))),
    ):
        with pytest.raises(IntegrationError, match=r"knows 3\.0\.0 of 'toy-project' as another release"):
            store.name_release(model, other)
    assert store.releases(second) == []


def test_what_was_broken_off_is_completed(store, register, client):
    model = register(b"broken off")
    release = replace(RELEASED, version="4.0.0")
    store.name_release(model, release)
    client.delete_registered_model_alias("toy-project", alias_of("4.0.0"))

    assert store.name_release(model, release)

    assert int(client.get_model_version_by_alias("toy-project", "v4-0-0").version) == model.version
    assert not store.name_release(model, release)


def test_tags_of_others_are_passed_over():
    assert releases_of({"gitrain.release.1.0.0": "not json", "gitrain.release.x": "{}", "team": "a"}) == []
    assert releases_of({"gitrain.release.1.0.0": '{"version": "1.0.0"}', RELEASE: "v1.0.0"}) == []
