"""promote.yml, deploy.yml, propose.yml, rollback.yml and drill.yml on real services, against a fake GitHub: preprod.

Nothing is told of approvals, so production is refused here, as it is where an environment is missing. Some minutes.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.workflows.conftest import Run
from tests.workflows.site import Site, made_site

pytestmark = [pytest.mark.slow, pytest.mark.repository]


@pytest.fixture(scope="module")
def site(harness: Path, parcels: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One release on `main`; the tests of this module go on from one another."""
    site = made_site(harness, parcels, tmp_path_factory.mktemp("deployed"))
    yield site
    site.end()


@pytest.fixture(scope="module")
def first(site: Site) -> tuple[str, str]:
    return site.release()


@pytest.fixture(scope="module")
def qualified(site: Site, first: tuple[str, str]) -> Run:
    """The first release was promoted to preprod, and that was merged."""
    site.desire("preprod", first)
    return site.run("push", "promote.yml")


def test_a_merge_deploys_preprod_as_often_as_production_asks_and_proposes_it(
    site: Site, first: tuple[str, str], qualified: Run
) -> None:
    assert qualified.code == 0, qualified.log[-8000:]
    assert site.serves("preprod") == first[0]
    records = site.records("preprod")
    assert [(each["release"]["version"], each["ending"]) for each in records] == [(first[0], "SUCCEEDED")] * 2
    assert {each["actor"] for each in records} == {"octocat"}
    assert site.records("test") == site.records("production") == []
    assert [(branch, title) for _, branch, title in site.pulls()] == [
        (f"promote/production/{first[0]}", f"Promote parcels {first[0]} to production")
    ]
    changed = site.remote("diff", "--numstat", "main", f"promote/production/{first[0]}")
    assert changed == "2\t2\tenvironments/production.yaml"
    # Nobody told it of an app.
    assert "GITRAIN_APP_CLIENT_ID" in qualified.summary


def test_the_same_again_does_nothing_new(site: Site, qualified: Run) -> None:
    records, pulls = site.records("preprod"), site.pulls()
    again = site.run("push", "promote.yml")
    assert again.code == 0, again.log[-8000:]
    assert (site.records("preprod"), site.pulls()) == (records, pulls)
    assert not any(path.endswith("/pulls") for _, path, _ in again.wrote())


def test_a_production_that_github_lacks_is_deployed_to_by_nobody(
    site: Site, first: tuple[str, str], qualified: Run
) -> None:
    site.desire("production", first)
    run = site.run("push", "promote.yml")
    assert run.code != 0
    assert "An approval would mean nothing" in run.summary
    assert "production:environment" in run.summary
    assert site.serves("production") is None
    assert site.records("production") == []
    # Its job was not begun: it would have made the environment, bare.
    assert not any("is that still wanted" in step for step in run.steps)


def test_production_gets_nothing_that_preprod_has_not_run(site: Site, qualified: Run) -> None:
    with (site.forge.project / "service.py").open("a", encoding="utf-8") as stream:
        stream.write("# A change of code alone.\n")
    site.commit("A change")
    version, _ = site.release()
    pulls = site.pulls()
    run = site.run(
        "workflow_dispatch", "propose.yml", "--input", "environment=production", "--input", f"release={version}"
    )
    assert run.code != 0
    assert "production:runs" in run.summary
    assert site.pulls() == pulls


def test_a_deployment_of_what_main_no_longer_says_is_void(site: Site, qualified: Run) -> None:
    site.forge.git("checkout", "-q", "-b", "sly")
    path = site.forge.project / "environments/preprod.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("start_seconds: 120", "start_seconds: 110"), encoding="utf-8"
    )
    site.commit("Nobody reviewed that")
    records = site.records("preprod")
    run = site.run("workflow_dispatch", "deploy.yml", "--head", "sly", "--input", "environment=preprod")
    site.forge.git("checkout", "-q", "main")
    assert run.code != 0
    assert "what was approved is void" in run.summary
    assert site.records("preprod") == records


def test_going_back_is_proposed_and_rehearsed(
    site: Site, first: tuple[str, str], qualified: Run, tmp_path: Path
) -> None:
    newest = site.release()
    assert newest != first
    site.desire("preprod", newest)
    assert site.run("push", "promote.yml").code == 0
    assert site.serves("preprod") == newest[0]

    drill = site.run("schedule", "drill.yml")
    assert drill.code == 0, drill.log[-8000:]
    assert "The drill passed" in drill.summary
    measured = json.loads((drill.artifacts / "drill" / "drill.json").read_text(encoding="utf-8"))
    assert (measured["present"], measured["former"], measured["outcome"]) == (newest[0], first[0], "PASSED")
    assert 0 < measured["recovery_seconds"] < 60
    back, again = site.records("preprod")[-2:]
    assert measured["records"] == [back["id"], again["id"]]
    # Who was gone back from comes again as any other: by all its probes, and by the canary.
    assert (back["kind"], again["kind"]) == ("rollback", "deploy")
    assert site.serves("preprod") == newest[0]

    marker = tmp_path / "run"
    reason = f'--merge "; touch {marker} $(touch {marker}) `touch {marker}`='
    given = ("--input", "environment=preprod", "--input", "version=", "--input", f"reason={reason}")
    proposed = site.run("workflow_dispatch", "rollback.yml", *given)
    assert proposed.code == 0, proposed.log[-8000:]
    assert not marker.exists()
    assert (f"rollback/preprod/{first[0]}", f"Roll preprod back to parcels {first[0]}") in [
        (branch, title) for _, branch, title in site.pulls()
    ]
    message = site.remote("log", "-1", "--format=%B", f"rollback/preprod/{first[0]}")
    assert reason in message
    number = len(site.pulls())
    assert site.run("workflow_dispatch", "rollback.yml", *given).code == 0
    assert len(site.pulls()) == number


def test_a_drill_that_cannot_be_held_fails(site: Site, qualified: Run) -> None:
    path = site.forge.project / "environments/preprod.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "suspend: true\n", encoding="utf-8")
    site.commit("A freeze")
    run = site.run("schedule", "drill.yml")
    assert run.code != 0
    assert "The drill failed" in run.summary
