"""What differs between two releases."""

import pytest

from gitrain.deployment.difference import ReleaseSources, difference_of
from gitrain.errors import SettingsError
from gitrain.testing.releases import make_release

OLD = ReleaseSources(parameters="a: {b: 1}\n", requirements="numpy==1.0\n")
NEW = ReleaseSources(parameters="a: {b: 2}\n", requirements="numpy==1.0\npolars==2.0\n")
UNKNOWN = ReleaseSources(parameters=None, requirements=None)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("releases")
    old = make_release(folder / "old", "1.0.0").record
    new = make_release(folder / "new", "1.1.0", trained=b"other").record
    return old, new.model_copy(update={"metrics": {"roc_auc": 0.8, "log_loss": 0.4}})


def test_everything_that_differs_is_told(records):
    found = difference_of(*records, sources=(OLD, NEW))
    assert [change.name for change in found.about] == ["model"]
    assert [(each.name, each.old, each.new) for each in found.parameters or ()] == [("a.b", "1", "2")]
    assert [(each.name, each.old, each.new) for each in found.dependencies or ()] == [("polars", None, "2.0")]
    assert [(each.name, each.old, each.new) for each in found.metrics] == [
        ("roc_auc", 0.75, 0.8),
        ("log_loss", None, 0.4),
        ("rows", 28000, None),
    ]
    assert (found.old_digest, found.new_digest) == tuple(record.bundle_digest for record in records)


def test_a_release_differs_from_itself_in_nothing(records):
    found = difference_of(records[0], records[0], sources=(OLD, OLD))
    assert (found.about, found.parameters, found.dependencies) == ((), (), ())
    assert all(each.old == each.new for each in found.metrics)


def test_the_first_release_and_commits_that_are_not_here(records):
    found = difference_of(None, records[1], sources=(UNKNOWN, NEW))
    assert (found.old, found.parameters, found.dependencies, found.commits) == (None, None, None, None)
    assert "data through" in {change.name for change in found.about}


def test_parameters_that_are_none(records):
    with pytest.raises(SettingsError):
        difference_of(*records, sources=(OLD, ReleaseSources(parameters="[", requirements="")))
