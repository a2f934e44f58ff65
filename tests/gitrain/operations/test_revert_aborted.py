"""After an abort: the change that lets the file name again what runs, on real Git."""

import pytest
from tests.gitrain.deployment_records import deployed
from tests.gitrain.forge import PRODUCTION, forge_at, git

from gitrain.deployment.record import Ending
from gitrain.operations.revert_aborted import revert_aborted
from gitrain.settings import load_settings
from gitrain.wiring.environments import open_environment_tools, open_forge


@pytest.fixture
def forged(git_repository, tmp_path):
    """1.0.0 runs in production, and 1.1.0 is desired there."""
    found = forge_at(git_repository, tmp_path)
    first, _ = (found.release(version, tmp_path).record for version in ("1.0.0", "1.1.0"))
    desire(found, "1.1.0")
    found.records.add(deployed("production", "1.0.0", minute=0, bundle=first.bundle_digest))
    return found


def desire(forged, version):
    record = forged.made[version].record
    text = PRODUCTION.replace("release: null", f"release: {version}").replace(
        "digest: null", f"digest: {record.bundle_digest}"
    )
    forged.commit(f"Desire {version}", **{"environments__production.yaml": text})


def aborted(forged, version="1.1.0", former="1.0.0", ending=Ending.ABORTED):
    record = deployed(
        "production",
        version,
        minute=10,
        ending=ending,
        bundle=forged.made[version].record.bundle_digest,
        reason="canary:slow: 90 % of 300 requests",
    )
    before = deployed("production", former, bundle=forged.made[former].record.bundle_digest).release if former else None
    record = record.model_copy(update={"former": before})
    forged.records.add(record)
    return record


def revert(forged, record):
    settings = load_settings(forged.root)
    return revert_aborted(open_environment_tools(settings), open_forge(settings), record)


def test_the_former_release_is_proposed_once_with_the_reason(forged):
    record = aborted(forged)
    proposed = revert(forged, record)
    assert proposed.proposal.created
    assert proposed.proposal.branch == "rollback/production/1.0.0"
    text = forged.file("production", "rollback/production/1.0.0")
    assert f"release: 1.0.0\ndigest: {forged.made['1.0.0'].record.bundle_digest}" in text
    assert "# What runs in `production`" in text
    message = " ".join(git(forged.origin, "log", "-1", "--format=%B", "rollback/production/1.0.0").split())
    assert "The canary of 1.1.0 was aborted: canary:slow: 90 % of 300 requests" in message
    again = revert(forged, record)
    assert (again.proposal.created, again.proposal.commit) == (False, proposed.proposal.commit)


def test_one_that_is_open_since_an_earlier_abort_makes_way(forged, tmp_path):
    """Somebody put the file right by hand and left the branch: it goes back from another release, and contradicts."""
    first = revert(forged, aborted(forged))
    forged.release("1.2.0", tmp_path)
    desire(forged, "1.2.0")
    record = aborted(forged, "1.2.0")
    second = revert(forged, record)
    assert second.proposal.created
    assert second.proposal.commit != first.proposal.commit
    assert git(forged.origin, "rev-parse", "rollback/production/1.0.0") == second.proposal.commit
    assert "The canary of 1.2.0 was aborted" in " ".join(
        git(forged.origin, "log", "-1", "--format=%B", second.proposal.commit).split()
    )
    again = revert(forged, record)
    assert (again.proposal.created, again.proposal.commit) == (False, second.proposal.commit)
    forge = open_forge(load_settings(forged.root))
    forge.merge(second.proposal, "Roll back")
    assert f"release: 1.0.0\ndigest: {forged.made['1.0.0'].record.bundle_digest}" in forged.file("production")


def test_what_is_merged_already_or_changed_since_is_left_alone(forged):
    record = aborted(forged)
    desire(forged, "1.0.0")
    assert revert(forged, record) is None
    assert git(forged.origin, "branch", "--list", "rollback/*") == ""


def test_an_environment_that_follows_a_branch_goes_back_with_it(forged):
    record = aborted(forged).model_copy(update={"environment": "test"})
    assert revert(forged, record) is None


@pytest.mark.parametrize("changes", [{"former": None}, {"ending": Ending.FAILED}], ids=str)
def test_where_nothing_was_aborted_or_nothing_ran_before(forged, changes):
    assert revert(forged, aborted(forged).model_copy(update=changes)) is None
