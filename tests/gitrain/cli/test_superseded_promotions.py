"""A promotion takes the place of earlier ones that still wait, and of nothing else."""

import json

import pytest
from tests.gitrain.deployment_records import deployed
from tests.gitrain.fake_github import REPOSITORY, FakeGitHub, serving
from tests.gitrain.forge import forge_at, git

from gitrain.cli import main

VERSIONS = ("1.0.0", "1.9.0", "1.10.0")


@pytest.fixture
def forged(git_repository, tmp_path):
    """Three releases, each of which has succeeded in `test`."""
    forged = forge_at(git_repository, tmp_path)
    for minute, version in enumerate(VERSIONS):
        made = forged.release(version, tmp_path)
        forged.records.add(deployed("test", version, minute=minute, bundle=made.record.bundle_digest))
    return forged


@pytest.fixture
def run(forged, capsys):
    def run(*arguments):
        code = main(["-C", str(forged.root), "env", *arguments, "--json"])
        said = capsys.readouterr()
        assert said.out, said.err
        return code, json.loads(said.out)

    return run


@pytest.fixture
def fake(forged, monkeypatch):
    with serving(FakeGitHub(forged.origin)) as fake:
        address = f"{fake.url}/{REPOSITORY}.git"
        git(forged.root, "remote", "set-url", "origin", address)
        git(forged.root, "config", f"url.{forged.origin}.insteadOf", address)
        monkeypatch.setenv("GITHUB_SERVER_URL", fake.url)
        monkeypatch.setenv("GITHUB_API_URL", fake.url)
        monkeypatch.setenv("GH_TOKEN", "ghs_a-secret-token")
        yield fake


def branches(forged, prefix="promote"):
    return git(forged.origin, "branch", "--list", f"{prefix}/*", "--format=%(refname:short)").splitlines()


def test_earlier_ones_that_wait_are_put_away(run, forged):
    for version in VERSIONS[:2]:
        run("promote", "preprod", "--release", version)
    # Somebody has added to the branch: that is kept.
    git(forged.root, "fetch", "-q", "origin")
    git(forged.root, "checkout", "-q", "promote/preprod/1.9.0")
    git(forged.root, "commit", "-q", "--allow-empty", "-m", "By hand")
    git(forged.root, "push", "-q", "origin", "promote/preprod/1.9.0")
    git(forged.root, "checkout", "-q", "main")
    code, found = run("promote", "preprod", "--release", "1.10.0")
    assert code == 0
    assert [each["branch"] for each in found["superseded"]] == ["promote/preprod/1.9.0"]
    assert branches(forged) == ["promote/preprod/1.10.0"]
    kept = git(forged.origin, "log", "--format=%s", "main..refs/withdrawn/promote/preprod/1.9.0").splitlines()
    assert kept[:2] == ["Withdrawn", "By hand"]
    assert "takes the place" in git(forged.origin, "log", "-1", "--format=%b", "refs/withdrawn/promote/preprod/1.9.0")


def test_later_ones_and_those_of_other_environments_stay(run, forged, tmp_path):
    run("promote", "preprod", "--release", "1.10.0")
    git(forged.root, "push", "-q", "origin", "main~1:refs/heads/promote/preprod/notes")
    for other in ("promote/production/1.0.0", "rollback/preprod/1.0.0", "promote/preprod-2/1.0.0"):
        git(forged.root, "push", "-q", "origin", f"origin/promote/preprod/1.10.0:refs/heads/{other}")
    code, found = run("promote", "preprod", "--release", "1.9.0")
    assert (code, found["superseded"]) == (0, [])
    assert branches(forged) == [
        "promote/preprod-2/1.0.0",
        "promote/preprod/1.10.0",
        "promote/preprod/1.9.0",
        "promote/preprod/notes",
        "promote/production/1.0.0",
    ]
    assert branches(forged, "rollback") == ["rollback/preprod/1.0.0"]


def test_what_was_withdrawn_may_be_proposed_again(run, forged):
    run("promote", "preprod", "--release", "1.0.0")
    run("promote", "preprod", "--release", "1.9.0")
    git(forged.origin, "branch", "-D", "promote/preprod/1.9.0")
    code, found = run("promote", "preprod", "--release", "1.0.0")
    assert (code, found["proposal"]["created"]) == (0, True)
    assert branches(forged) == ["promote/preprod/1.0.0"]
    # And is put away again.
    run("promote", "preprod", "--release", "1.9.0")
    assert branches(forged) == ["promote/preprod/1.9.0"]


def test_a_dry_run_and_a_refusal_withdraw_nothing(run, forged):
    run("promote", "preprod", "--release", "1.0.0")
    assert run("promote", "preprod", "--release", "1.9.0", "--dry-run")[1]["superseded"] == []
    assert run("promote", "production", "--release", "1.9.0")[0] == 1
    assert branches(forged) == ["promote/preprod/1.0.0"]


def test_who_was_killed_after_the_merge_goes_on_from_there(run, forged):
    run("promote", "preprod", "--release", "1.0.0")
    git(forged.origin, "update-ref", "refs/heads/aside", "refs/heads/promote/preprod/1.0.0")
    run("promote", "preprod", "--release", "1.9.0", "--merge")
    assert branches(forged) == ["promote/preprod/1.9.0"]
    git(forged.origin, "update-ref", "refs/heads/promote/preprod/1.0.0", "refs/heads/aside")
    code, found = run("promote", "preprod", "--release", "1.9.0", "--merge")
    assert (code, [each["branch"] for each in found["superseded"]]) == (0, ["promote/preprod/1.0.0"])
    assert branches(forged) == ["promote/preprod/1.9.0"]


def test_pull_requests_are_closed_and_say_by_what(run, forged, fake):
    run("promote", "preprod", "--release", "1.0.0")
    code, found = run("promote", "preprod", "--release", "1.9.0")
    assert (code, [each["number"] for each in found["superseded"]]) == (0, [1])
    assert {number: pull["state"] for number, pull in fake.pulls.items()} == {1: "closed", 2: "open"}
    assert fake.comments == {
        1: [f"Promote tumours 1.9.0 to preprod ({fake.pulls[2]['html_url']}) takes the place of this."]
    }
    assert branches(forged) == ["promote/preprod/1.9.0"]
    # Once: the next run finds nothing that waits.
    assert run("promote", "preprod", "--release", "1.9.0")[1]["superseded"] == []
    assert len(fake.comments[1]) == 1
    # Nobody declined it.
    fake.pulls[2] |= {"state": "closed"}
    git(forged.origin, "branch", "-D", "promote/preprod/1.9.0")
    code, found = run("promote", "preprod", "--release", "1.0.0")
    assert (code, found["proposal"]["number"]) == (0, 3)


def test_pull_requests_of_forks_are_left_alone(run, forged, fake):
    run("promote", "preprod", "--release", "1.0.0")
    fake.pulls[1]["head"]["repo"]["full_name"] = "mallory/tumours"
    fake.pull(7, "promote/preprod/1.0.1", head="1" * 40)
    fake.pulls[7]["head"]["repo"] = None
    assert run("promote", "preprod", "--release", "1.9.0")[1]["superseded"] == []
    assert {pull["state"] for pull in fake.pulls.values()} == {"open"}


def test_the_next_run_closes_what_was_left(run, forged, fake, capsys):
    run("promote", "preprod", "--release", "1.0.0")
    fake.faults["PATCH"] = [403]
    assert main(["-C", str(forged.root), "env", "promote", "preprod", "--release", "1.9.0"]) == 3
    assert "refused closing pull request 1" in capsys.readouterr().err
    # The new one is there, and the branch of the old one is gone already.
    assert branches(forged) == ["promote/preprod/1.9.0"]
    assert {number: pull["state"] for number, pull in fake.pulls.items()} == {1: "open", 2: "open"}
    code, found = run("promote", "preprod", "--release", "1.9.0")
    assert (code, [each["number"] for each in found["superseded"]]) == (0, [1])
    assert {number: pull["state"] for number, pull in fake.pulls.items()} == {1: "closed", 2: "open"}
