"""From the merge to production and back, on real services: release.yml, promote.yml, deploy.yml, rollback.yml.

Everything that GitHub knows of approvals is told to the fake (`approvals.py`). The tests go on from one another, as one
production does. A quarter of an hour.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.workflows.approvals import BARE, GUARDED, rules
from tests.workflows.conftest import SLUG, Run
from tests.workflows.site import Site, made_site

pytestmark = [pytest.mark.slow, pytest.mark.repository]

APP = ("--var", "GITRAIN_APP_CLIENT_ID=Iv23", "--secret", "GITRAIN_APP_PRIVATE_KEY=a-private-key")
PRODUCTION = "environments/production.yaml"


@pytest.fixture(scope="module")
def site(harness: Path, parcels: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = made_site(harness, parcels, tmp_path_factory.mktemp("production"))
    yield site
    site.end()


@pytest.fixture(scope="module")
def released(site: Site) -> Run:
    """A merge became a release, which runs in test."""
    run = site.push("release.yml", *APP)
    assert run.code == 0, run.log[-8000:]
    return run


@pytest.fixture(scope="module")
def first(site: Site, released: Run) -> tuple[str, str]:
    """Version and digest of that release."""
    return _desired(site, "promote/preprod/0.1.0", "preprod")


@pytest.fixture(scope="module")
def qualified(site: Site, first: tuple[str, str]) -> Run:
    """Its promotion to preprod was merged."""
    site.merge(site.number_of(f"promote/preprod/{first[0]}"))
    run = site.push("promote.yml", *APP, "--actor", "bob")
    assert run.code == 0, run.log[-8000:]
    return run


@pytest.fixture(scope="module")
def merged(site: Site, first: tuple[str, str], qualified: Run) -> str:
    """An owner approved its promotion to production, and it was merged; the commit."""
    number = site.number_of(f"promote/production/{first[0]}")
    site.review(number, "bob")
    return site.merge(number)


@pytest.fixture(scope="module")
def deployed(site: Site, merged: str) -> Run:
    """It runs in production."""
    with approving(site, GUARDED, shows_bypass=False, let_start=("ada",)):
        run = site.again("promote.yml", merged)
    assert run.code == 0, run.log[-8000:]
    return run


@pytest.fixture(scope="module")
def second(site: Site, deployed: Run) -> tuple[str, str]:
    """Another release, which has run nowhere."""
    with (site.forge.project / "service.py").open("a", encoding="utf-8") as stream:
        stream.write("# A change of code alone.\n")
    site.commit("A change")
    site.forge.git("fetch", "-q", str(site.bare), "refs/tags/*:refs/tags/*")
    return site.release()


@pytest.fixture(scope="module")
def soaking(site: Site, second: tuple[str, str]) -> None:
    """From now on production asks for an hour in preprod."""
    site.change("production", "An hour in preprod", gates={"successful_runs": 2, "soak_minutes": 60})


@pytest.fixture(scope="module")
def soaked(site: Site, second: tuple[str, str], soaking: None) -> Run:
    """The other release ran in preprod, and not for an hour."""
    site.desire("preprod", second)
    run = site.push("promote.yml", *APP)
    assert run.code == 0, run.log[-8000:]
    return run


@pytest.fixture(scope="module")
def proposed(site: Site, second: tuple[str, str], soaked: Run) -> int:
    """No hour is asked for any more, and somebody proposed what succeeded last; the number of the pull request."""
    site.change("production", "No hour in preprod", gates={"successful_runs": 2})
    run = site.run("workflow_dispatch", "propose.yml", "--input", "environment=production", *APP)
    assert run.code == 0, run.log[-8000:]
    return site.number_of(f"promote/production/{second[0]}")


@pytest.fixture(scope="module")
def replaced(site: Site, proposed: int) -> Run:
    """The other release runs in production, which is bare: by an owner's review alone."""
    site.review(proposed, "bob")
    site.merge(proposed)
    with approving(site, BARE, shows_bypass=True):
        run = site.push("promote.yml", *APP)
    assert run.code == 0, run.log[-8000:]
    return run


@contextmanager
def approving(
    site: Site, environment: Any | None, *, shows_bypass: bool, let_start: tuple[str, ...] = ()
) -> Iterator[None]:
    """GitHub's settings: of its environment `production` (None: there is none), of rules, and who approves."""
    site.forge.alter(environments={} if environment is None else {"production": dict(environment)})
    site.approvals.rules, site.approvals.let_start = rules(shows_bypass=shows_bypass), let_start
    try:
        yield
    finally:
        site.forge.alter(environments={})
        site.approvals.rules, site.approvals.let_start = (), ()


@contextmanager
def another_world(site: Site) -> Iterator[None]:
    """What is merged in it was not, afterwards."""
    main = site.forge.git("rev-parse", "main")
    pulls, reviews, brought = site.forge.state()["pulls"], site.approvals.reviews, site.approvals.brought
    site.approvals.reviews = {number: list(given) for number, given in reviews.items()}
    site.approvals.brought = dict(brought)
    try:
        yield
    finally:
        site.forge.git("switch", "-q", "--force", "main")
        site.forge.git("reset", "-q", "--hard", main)
        site.remote("update-ref", "refs/heads/main", main)
        site.forge.alter(pulls=pulls)
        site.approvals.reviews, site.approvals.brought = reviews, brought


def _desired(site: Site, branch: str, environment: str) -> tuple[str, str]:
    said = {}
    for line in site.remote("show", f"{branch}:environments/{environment}.yaml").splitlines():
        key, _, value = line.partition(": ")
        said[key] = value
    return said["release"], said["digest"]


def _refused(site: Site, run: Run, *reasons: str, serving: str | None) -> None:
    """It ended before the job that names the environment, with these reasons; who answered answers."""
    assert run.code != 0
    assert "An approval would mean nothing" in run.summary
    for reason in reasons:
        assert reason in run.summary, run.summary
    assert not any("is that still wanted" in step for step in run.steps)
    assert run.wrote() == []
    assert site.serves("production") == serving


def test_a_release_that_has_run_often_enough_is_proposed_by_the_app(
    site: Site, first: tuple[str, str], released: Run, qualified: Run
) -> None:
    record = json.loads((site.store / "records" / f"{first[0]}.json").read_text(encoding="utf-8"))
    assert record["bundle_digest"] == first[1]
    wanted = {"version": first[0], "digest": first[1]}
    assert [(each["release"], each["ending"]) for each in site.records("preprod")] == [(wanted, "SUCCEEDED")] * 2
    assert [(branch, title) for _, branch, title in site.pulls()] == [
        (f"promote/preprod/{first[0]}", f"Promote parcels {first[0]} to preprod"),
        (f"promote/production/{first[0]}", f"Promote parcels {first[0]} to production"),
    ]
    assert _desired(site, f"promote/production/{first[0]}", "production") == first
    opened = [each for each in qualified.requests if (each["method"], each["path"]) == ("POST", f"/repos/{SLUG}/pulls")]
    own = {each["token"] for each in qualified.requests if "actions-checkout" in each["agent"]}
    assert len(opened) == len(own) == 1
    assert opened[0]["token"] not in own
    assert "succeeded 2 times in preprod" in opened[0]["request"]["body"]
    assert (site.serves("preprod"), site.serves("production")) == (first[0], None)


def test_a_bare_environment_that_nobody_reviewed_is_refused(site: Site, merged: str) -> None:
    reviews, site.approvals.reviews = site.approvals.reviews, {}
    with approving(site, BARE, shows_bypass=True, let_start=("ada",)):
        run = site.push("promote.yml", *APP)
    with approving(site, None, shows_bypass=True, let_start=("ada",)):
        missing = site.again("promote.yml", merged)
    site.approvals.reviews = reviews
    lacking = ("reviewers: nobody has to approve", "self-review", "branches", "bypass: administrators need no approval")
    _refused(site, run, *(f"FAILED production:{each}" for each in lacking), serving=None)
    assert "PASSED rules:main" in run.summary
    assert "production:review: pull request 2: no owner of the file approved it" in run.summary
    _refused(site, missing, "FAILED production:environment", "production:review", serving=None)
    assert site.records("production") == []


def test_a_job_that_nobody_let_start_deploys_nothing(site: Site, merged: str) -> None:
    """As where its reviewers were taken from the environment after it was asked about."""
    with approving(site, GUARDED, shows_bypass=True):
        run = site.again("promote.yml", merged)
    assert run.code != 0
    assert "An approval means something" in run.summary
    assert "nobody approved a deployment of production" in run.log
    assert (site.serves("production"), site.records("production")) == (None, [])


def test_an_approved_merge_runs_in_production(site: Site, first: tuple[str, str], merged: str, deployed: Run) -> None:
    assert "An approval means something" in deployed.summary
    # An app is not told who passes the rules by; the owner's review says enough.
    assert "waived PASSED rules:main: FAILED, and a review stands in" in deployed.summary
    for passed in ("environment", "reviewers", "self-review", "branches", "bypass", "plan"):
        assert f"    PASSED production:{passed}: " in deployed.summary
    assert site.serves("production") == first[0]
    (record,) = site.records("production")
    assert record["release"] == {"version": first[0], "digest": first[1]}
    assert (record["kind"], record["ending"]) == ("deploy", "SUCCEEDED")
    # The change itself, which the merge brought into `main`.
    assert record["desired_by"] == site.remote("rev-parse", f"{merged}^2")
    assert (record["actor"], record["approved_by"]) == ("octocat", "ada, bob")


def test_the_same_again_deploys_nothing_new(site: Site, merged: str, deployed: Run) -> None:
    records, pulls, running = site.records("production"), site.pulls(), _replicas(site)
    with approving(site, GUARDED, shows_bypass=False, let_start=("ada",)):
        again = site.again("promote.yml", merged)
    assert again.code == 0, again.log[-8000:]
    assert again.wrote() == []
    assert (site.records("production"), site.pulls(), _replicas(site)) == (records, pulls, running)


def _replicas(site: Site) -> set[str]:
    return {path.name for path in (site.state / "environments/production/replicas").iterdir()}


def test_what_has_not_run_or_soaked_in_preprod_is_refused(site: Site, second: tuple[str, str], soaking: None) -> None:
    wanted = ("--input", "environment=production", "--input", f"release={second[0]}")
    run = site.run("workflow_dispatch", "propose.yml", *wanted, *APP)
    reasons = (
        f"❌ FAILED | `production:runs` | release {second[0]} succeeded 0 times in preprod, and 2 times are asked for",
        f"❌ FAILED | `production:soak` | release {second[0]} ran 0.0 minutes in preprod; 60 are asked for",
    )
    assert run.code != 0
    assert [reason for reason in reasons if reason not in run.summary] == [], run.summary
    assert run.wrote() == []

    # By hand it is no other way.
    site.forge.git("switch", "-q", "-c", "by-hand")
    site.desire("production", second)
    judged = site.run("pull_request", "ci.yml", "--head", "by-hand", "--pr", "90", act=("--job", "environments"))
    site.forge.git("switch", "-q", "main")
    site.forge.git("branch", "-q", "-D", "by-hand")
    assert judged.code != 0
    assert [reason for reason in reasons if reason not in judged.summary] == [], judged.summary


def test_what_soaks_is_not_proposed_yet(site: Site, second: tuple[str, str], soaked: Run) -> None:
    runs = [each for each in site.records("preprod") if each["release"]["version"] == second[0]]
    assert [each["ending"] for each in runs] == ["SUCCEEDED"] * 2
    assert "60 are asked for; once it has, propose it: gh workflow run propose.yml" in soaked.summary
    assert not [branch for _, branch, _ in site.pulls() if branch == f"promote/production/{second[0]}"]


def test_an_approval_of_another_digest_is_void(
    site: Site, first: tuple[str, str], second: tuple[str, str], proposed: int
) -> None:
    branch = f"promote/production/{second[0]}"
    other = f"sha256:{'f' * 64}"
    with another_world(site):
        # The merge itself makes another digest of it than the one that was approved.
        site.review(proposed, "bob")
        merged = site.merge(proposed, instead=lambda text: text.replace(second[1], other))
        with approving(site, BARE, shows_bypass=True):
            run = site.push("promote.yml", *APP)
        reason = "its last commit holds another digest, so what was approved is void"
        _refused(site, run, reason, serving=first[0])
        # Whatever somebody approves then: it is not what was built.
        with approving(site, GUARDED, shows_bypass=True, let_start=("ada",)):
            forced = site.again("promote.yml", merged)
        assert forced.code != 0
        assert f"wants release {second[0]} with the bundle {other}" in forced.log
        assert site.serves("production") == first[0]
    assert len(site.records("production")) == 1

    with another_world(site):
        # The branch goes on after the review.
        site.review(proposed, "bob")
        reviewed = site.remote("rev-parse", branch)
        site.forge.git("fetch", "-q", str(site.bare), branch)
        site.forge.git("switch", "-q", "--detach", "FETCH_HEAD")
        site.change("production", "One more thing", digest=other)
        site.forge.git("push", "-q", str(site.bare), f"HEAD:refs/heads/{branch}")
        site.forge.git("switch", "-q", "main")
        site.merge(proposed)
        with approving(site, BARE, shows_bypass=True):
            run = site.push("promote.yml", *APP)
        _refused(site, run, "it was approved before its last commit", serving=first[0])
        site.remote("update-ref", f"refs/heads/{branch}", reviewed)


def test_what_main_said_before_is_void_even_if_it_is_approved(
    site: Site, first: tuple[str, str], merged: str, proposed: int
) -> None:
    """A deployment that waited for its reviewers while `main` went on."""
    with another_world(site):
        site.merge(proposed)
        site.forge.git("branch", "-f", "waited", merged)
        with approving(site, GUARDED, shows_bypass=True, let_start=("ada",)):
            given = ("--head", "waited", "--input", "environment=production")
            run = site.run("workflow_dispatch", "deploy.yml", *given)
    assert run.code != 0
    assert "what was approved is void" in run.summary
    assert len(site.records("production")) == 1
    assert site.serves("production") == first[0]


def test_an_owners_review_stands_in_for_a_bare_environment(site: Site, second: tuple[str, str], replaced: Run) -> None:
    assert "waived PASSED production:reviewers: FAILED, and a review stands in" in replaced.summary
    assert site.serves("production") == second[0]
    record = site.records("production")[-1]
    assert (record["release"]["version"], record["ending"]) == (second[0], "SUCCEEDED")
    assert record["approved_by"] == "bob"


def test_going_back_is_proposed_approved_and_takes_effect(
    site: Site, first: tuple[str, str], second: tuple[str, str], replaced: Run
) -> None:
    given = ("--input", "environment=production", "--input", "version=", "--input", "reason=answers late")
    proposed = site.run("workflow_dispatch", "rollback.yml", *given, *APP)
    assert proposed.code == 0, proposed.log[-8000:]
    number = site.number_of(f"rollback/production/{first[0]}")
    assert site.remote("diff", "--name-only", "main", f"rollback/production/{first[0]}") == PRODUCTION
    assert site.serves("production") == second[0]

    merged = site.merge(number)
    with approving(site, BARE, shows_bypass=True):
        refused = site.push("promote.yml", *APP)
    _refused(site, refused, "no owner of the file approved it", serving=second[0])
    with approving(site, GUARDED, shows_bypass=True, let_start=("ada",)):
        run = site.again("promote.yml", merged)
    assert run.code == 0, run.log[-8000:]
    assert site.serves("production") == first[0]
    record = site.records("production")[-1]
    assert (record["kind"], record["ending"], record["approved_by"]) == ("rollback", "SUCCEEDED", "ada")
    assert record["release"]["digest"] == first[1]
    # Who was left is still warm, and nothing was built.
    assert not any("build" in step for step in run.steps)


def test_an_aborted_canary_is_reverted_by_a_pull_request(
    site: Site, first: tuple[str, str], second: tuple[str, str], replaced: Run
) -> None:
    assert site.serves("production") == first[0], "the test before this one goes back"
    # Nobody asks for anything while it is judged, and nothing is prolonged: no release passes that.
    judge = {"requests": 50, "wait_seconds": 0}
    canary = {"kind": "canary", "steps": [{"percent": 50, "seconds": 1}], "judge": judge}
    site.change("production", "A canary", strategy=canary)
    wanted = ("--input", "environment=production", "--input", f"release={second[0]}")
    proposed = site.run("workflow_dispatch", "propose.yml", *wanted, *APP)
    assert proposed.code == 0, proposed.log[-8000:]
    number = site.number_of(f"promote/production/{second[0]}")
    site.review(number, "bob")
    site.merge(number)
    with approving(site, GUARDED, shows_bypass=False, let_start=("ada",)):
        run = site.push("promote.yml", *APP)
    assert run.code != 0
    aborted = site.records("production")[-1]
    assert (aborted["ending"], aborted["release"]["version"]) == ("ABORTED", second[0])
    assert aborted["approved_by"] == "ada, bob"
    assert site.serves("production") == first[0]

    revert = site.number_of(f"rollback/production/{first[0]}")
    assert site.pull(revert)["state"] == "open"
    assert "aborted" in site.pull(revert)["body"]
    records = site.records("production")
    site.review(revert, "bob")
    site.merge(revert)
    with approving(site, GUARDED, shows_bypass=False, let_start=("ada",)):
        reverted = site.push("promote.yml", *APP)
    assert reverted.code == 0, reverted.log[-8000:]
    # What runs is what the file says again.
    assert (site.serves("production"), site.records("production")) == (first[0], records)
