"""`gitrain env promote | verify` where the forge is GitHub: a small one, with real Git behind it."""

import json

import pytest
from tests.gitrain.deployment_records import deployed
from tests.gitrain.fake_github import REPOSITORY, FakeGitHub, serving
from tests.gitrain.forge import PREPROD, PRODUCTION, forge_at, git

from gitrain.cli import main

TOKEN = "ghs_a-secret-token"
GUARDED = {
    "name": "production",
    "can_admins_bypass": False,
    "protection_rules": [
        {
            "type": "required_reviewers",
            "prevent_self_review": True,
            "reviewers": [{"type": "User", "reviewer": {"login": "ada"}}],
        }
    ],
    "deployment_branch_policy": {"protected_branches": True, "custom_branch_policies": False},
}


@pytest.fixture
def forged(git_repository, tmp_path):
    return forge_at(git_repository, tmp_path)


@pytest.fixture
def fake(forged, monkeypatch):
    with serving(FakeGitHub(forged.origin)) as fake:
        address = f"{fake.url}/{REPOSITORY}.git"
        git(forged.root, "remote", "set-url", "origin", address)
        git(forged.root, "config", f"url.{forged.origin}.insteadOf", address)
        fake.rulesets = [
            json.loads(path.read_text()) for path in sorted((forged.root / ".github/rulesets").glob("*.json"))
        ]
        monkeypatch.setenv("GITHUB_SERVER_URL", fake.url)
        monkeypatch.setenv("GITHUB_API_URL", fake.url)
        monkeypatch.setenv("GH_TOKEN", TOKEN)
        yield fake


@pytest.fixture
def run(forged, fake, capsys):
    def run(*arguments):
        code = main(["-C", str(forged.root), "env", *arguments])
        said = capsys.readouterr()
        assert TOKEN not in said.out + said.err
        return code, said.out, said.err

    return run


def verified(run, name="production"):
    code, out, err = run("verify", name, "--json")
    assert out, err
    (found,) = json.loads(out)
    return code, {each["name"]: each["outcome"] for each in found["verdicts"]}, found["approved_by"]


def wrong(verdicts):
    return {name.removeprefix("production:") for name, outcome in verdicts.items() if outcome != "PASSED"}


@pytest.fixture
def promoted(forged, fake, run, tmp_path):
    """Release 1.0.0, promoted to production by a pull request that a code owner approved and somebody merged."""
    made = forged.release("1.0.0", tmp_path)
    bundle = made.record.bundle_digest
    for minute in (0, 5):
        forged.records.add(deployed("preprod", "1.0.0", minute=minute, bundle=bundle))
    code, out, err = run("promote", "production", "--json")
    assert code == 0, out + err
    proposal = json.loads(out)["proposal"]
    git(forged.root, "fetch", "-q", "origin")
    git(forged.root, "merge", "-q", "--no-ff", "-m", "Merge pull request 1", f"origin/{proposal['branch']}")
    git(forged.root, "push", "-q", "origin", "main")
    merge = git(forged.root, "rev-parse", "HEAD")
    fake.pulls[1] |= {"state": "closed", "merged_at": "2026-03-02T09:00:00Z"}
    fake.brought[merge] = [1]
    fake.reviews[1] = [{"user": {"login": "ada"}, "state": "APPROVED", "commit_id": proposal["commit"]}]
    return proposal


def test_a_promotion_opens_a_pull_request_and_says_what_it_stands_on(run, fake, promoted):
    assert promoted["url"] == f"https://github.test/{REPOSITORY}/pull/1"
    assert fake.pulls[1]["title"] == "Promote tumours 1.0.0 to production"
    body = fake.pulls[1]["body"]
    assert "release 1.0.0 succeeded 2 times in preprod" in body
    assert "### Metrics" in body
    assert fake.pulls[1]["base"] == {"ref": "main"}
    # It is in: nothing is proposed a second time.
    code, out, _ = run("promote", "production", "--json")
    assert (code, json.loads(out)["proposal"]) == (0, None)


def test_a_declined_promotion_is_not_proposed_again(run, forged, fake, tmp_path):
    made = forged.release("1.0.0", tmp_path)
    forged.records.add(deployed("test", "1.0.0", bundle=made.record.bundle_digest))
    assert run("promote", "preprod")[0] == 0
    fake.pulls[1]["state"] = "closed"
    code, out, _ = run("promote", "preprod", "--json")
    assert code == 1
    (verdict,) = (each for each in json.loads(out)["verdicts"] if each["name"] == "preprod:proposal")
    assert "pull request 1 was closed without being merged" in verdict["reason"]
    git(forged.origin, "branch", "-D", "promote/preprod/1.0.0")
    code, out, _ = run("promote", "preprod", "--json")
    assert (code, json.loads(out)["proposal"]["number"]) == (0, 2)


def test_reviewers_merge_where_there_are_some(run, forged, tmp_path):
    made = forged.release("1.0.0", tmp_path)
    forged.records.add(deployed("test", "1.0.0", bundle=made.record.bundle_digest))
    code, _, err = run("promote", "preprod", "--merge")
    assert code == 2
    assert "merged by who reviews it" in err


def test_a_guarded_environment_passes_without_a_review(run, fake):
    fake.environments["production"] = GUARDED
    code, verdicts, approved_by = verified(run)
    assert (code, wrong(verdicts), approved_by) == (0, set(), None)
    assert {"rules:main", "rules:deployments", "production:plan"} <= set(verdicts)
    # The one that none promotes from is asked about by itself.
    code, out, _ = run("verify")
    assert code == 0
    assert "Approvals of production: PASSED" in out


def test_missing_bare_and_unreadable_environments_are_refused(run, fake):
    code, verdicts, _ = verified(run)
    assert (code, wrong(verdicts)) == (1, {"environment", "review"})
    fake.environments["production"] = {"name": "production", "protection_rules": [], "deployment_branch_policy": None}
    code, verdicts, _ = verified(run)
    assert (code, wrong(verdicts)) == (1, {"reviewers", "self-review", "branches", "bypass", "review"})
    fake.environments["production"] = GUARDED
    fake.faults[f"GET /repos/{REPOSITORY}/environments"] = [403]
    assert verified(run)[0] == 1
    fake.about |= {"private": True, "visibility": "private"}
    fake.owner = {"login": "acme", "plan": {"name": "team"}}
    code, verdicts, _ = verified(run)
    assert (code, wrong(verdicts)) == (1, {"plan", "review"})


def test_rules_that_the_forge_does_not_have_are_refused(run, fake):
    fake.environments["production"] = GUARDED
    fake.rulesets[1] = fake.rulesets[1] | {"enforcement": "disabled"}
    code, verdicts, _ = verified(run)
    assert (code, wrong(verdicts)) == (1, {"rules:main", "review"})


def test_an_owners_review_of_the_digest_stands_in(run, promoted):
    code, verdicts, approved_by = verified(run)
    assert (code, wrong(verdicts), approved_by) == (0, set(), "ada")
    assert verdicts["production:review"] == "PASSED"


def test_a_team_that_owns_the_file_may_approve(run, fake, promoted):
    fake.reviews[1][0]["user"] = {"login": "eve"}
    assert verified(run)[0] == 1
    fake.teams["acme/reviewers"] = ["eve"]
    assert (verified(run)[0], verified(run)[2]) == (0, "eve")


@pytest.mark.parametrize("flaw", ["author", "another commit", "changes requested", "dismissed", "no owner", "open"])
def test_a_flawed_review_does_not_stand_in(run, fake, promoted, flaw):
    (review,) = fake.reviews[1]
    match flaw:
        case "author":
            fake.pulls[1]["user"] = {"login": "ada"}
        case "another commit":
            review["commit_id"] = "e" * 40
        case "changes requested":
            fake.reviews[1].append(review | {"state": "CHANGES_REQUESTED"})
        case "dismissed":
            review["state"] = "DISMISSED"
        case "no owner":
            review["user"] = {"login": "eve"}
        case "open":
            fake.pulls[1]["merged_at"] = None
    code, verdicts, approved_by = verified(run)
    assert (code, verdicts["production:review"], approved_by) == (1, "FAILED", None)


def test_an_approval_is_void_once_the_digest_is_another(run, forged, fake, promoted, tmp_path):
    made = forged.release("1.1.0", tmp_path)
    path = forged.root / "environments/production.yaml"
    text = path.read_text()
    path.write_text(
        text.replace(text.split("digest: ")[1].split("\n")[0], made.record.bundle_digest).replace("1.0.0", "1.1.0")
    )
    git(forged.root, "commit", "-q", "-a", "-m", "Straight to main")
    straight = git(forged.root, "rev-parse", "HEAD")
    code, verdicts, _ = verified(run)
    assert (code, verdicts["production:review"]) == (1, "FAILED")
    # Even if the forge said that the approved pull request brought it in: that held another digest.
    fake.brought[straight] = [1]
    _, out, _ = run("verify", "production", "--json")
    (review,) = (each for each in json.loads(out)[0]["verdicts"] if each["name"] == "production:review")
    assert "void" in review["reason"]


def test_nobody_becomes_an_owner_by_the_change_itself(run, forged, fake, promoted):
    """CODEOWNERS as it was before the merge decides."""
    git(forged.root, "reset", "-q", "--hard", "HEAD^1")
    (forged.root / ".github/CODEOWNERS").write_text("* @mallory\n")
    git(forged.root, "commit", "-q", "-a", "-m", "Mine now")
    # One merge brings both in.
    git(forged.root, "switch", "-q", "-c", "both", "HEAD")
    (forged.root / "environments/production.yaml").write_text(forged.file("production", promoted["branch"]))
    git(forged.root, "commit", "-q", "-a", "-m", "And the release")
    git(forged.root, "switch", "-q", "main")
    git(forged.root, "reset", "-q", "--hard", "HEAD^1")
    git(forged.root, "merge", "-q", "--no-ff", "-m", "Merge pull request 2", "both")
    head = git(forged.root, "rev-parse", "both")
    git(forged.root, "push", "-q", "origin", "both")
    fake.pull(2, "both", author="bot", head=head, state="closed", merged_at="2026-03-02T09:00:00Z")
    fake.brought[git(forged.root, "rev-parse", "HEAD")] = [2]
    fake.reviews[2] = [{"user": {"login": "mallory"}, "state": "APPROVED", "commit_id": head}]
    assert verified(run)[1]["production:review"] == "FAILED"
    fake.reviews[2] = [{"user": {"login": "ada"}, "state": "APPROVED", "commit_id": head}]
    assert verified(run)[1]["production:review"] == "PASSED"


def test_a_later_change_of_another_key_leaves_the_approval(run, forged, promoted):
    path = forged.root / "environments/production.yaml"
    path.write_text(path.read_text().replace("replicas: 2", "replicas: 3"))
    git(forged.root, "commit", "-q", "-a", "-m", "One more")
    assert verified(run)[0] == 0


def test_the_first_texts_are_what_the_tests_say(forged):
    assert (forged.file("preprod"), forged.file("production")) == (PREPROD, PRODUCTION)
