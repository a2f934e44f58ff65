"""`gitrain env promote | rollback | suspend | history | diff | check | verify` as they are typed, on real Git."""

import json

import pytest
from tests.gitrain.deployment_records import deployed
from tests.gitrain.forge import PREPROD, PRODUCTION, TEST, forge_at, git

from gitrain.cli import main
from gitrain.deployment.record import Ending
from gitrain.integrations.git import GitRepository
from gitrain.release.tags import release_tag


@pytest.fixture
def forged(git_repository, tmp_path):
    return forge_at(git_repository, tmp_path)


@pytest.fixture
def run(forged, capsys):
    def run(*arguments):
        code = main(["-C", str(forged.root), "env", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def released(forged, tmp_path):
    """Release 1.0.0; 1.1.0 of a later commit with another parameter and another library."""
    first = forged.release("1.0.0", tmp_path)
    forged.commit(
        "Learn more slowly",
        **{
            "params.yaml": "schema_version: 1\ntraining: {estimator: boosted}\n",
            "requirements.lock": "numpy==2.4.0 --hash=sha256:00\n",
        },
    )
    return {"1.0.0": first, "1.1.0": forged.release("1.1.0", tmp_path)}


@pytest.fixture
def ran(forged, released):
    """Record a deployment."""

    def ran(environment, version, minute, ending=Ending.SUCCEEDED, **how):
        bundle = released[version].record.bundle_digest
        forged.records.add(deployed(environment, version, minute=minute, ending=ending, bundle=bundle, **how))

    return ran


def outcomes(out):
    return {each["name"].partition(":")[2]: each["outcome"] for each in json.loads(out)["verdicts"]}


def test_a_promotion_changes_two_values_and_nothing_else(run, forged, released, ran):
    ran("test", "1.0.0", 0)
    before = git(forged.root, "status", "--porcelain"), git(forged.root, "rev-parse", "HEAD")
    code, out, err = run("promote", "preprod", "--json")
    assert code == 0, out + err
    payload = json.loads(out)
    digest = released["1.0.0"].record.bundle_digest
    assert payload["release"] == {"version": "1.0.0", "digest": digest}
    assert payload["proposal"]["branch"] == "promote/preprod/1.0.0"
    assert payload["proposal"]["created"] is True
    expected = PREPROD.replace("release: null", "release: 1.0.0").replace("digest: null", f"digest: {digest}")
    assert forged.file("preprod", "promote/preprod/1.0.0") == expected
    changed = git(forged.origin, "diff", "--name-only", "main", "promote/preprod/1.0.0")
    assert changed == "environments/preprod.yaml"
    assert forged.file("preprod") == PREPROD
    # Neither a file nor a branch of the clone is touched.
    assert (git(forged.root, "status", "--porcelain"), git(forged.root, "rev-parse", "HEAD")) == before


def test_the_same_promotion_again_finds_the_proposal(run, forged, ran):
    ran("test", "1.0.0", 0)
    _, out, _ = run("promote", "preprod", "--json")
    first = json.loads(out)["proposal"]
    code, out, _ = run("promote", "preprod", "--json")
    again = json.loads(out)["proposal"]
    assert code == 0
    assert again == first | {"created": False}
    code, out, _ = run("promote", "preprod", "--merge", "--json")
    assert (code, json.loads(out)["proposal"]["state"]) == (0, "MERGED")
    assert "release: 1.0.0" in forged.file("preprod")
    code, out, _ = run("promote", "preprod")
    assert code == 0
    assert "says so already" in out


def test_what_is_not_allowed_is_told_at_once(run, forged, ran):
    ran("test", "1.1.0", 0)
    ran("test", "1.1.0", 5, Ending.ABORTED, reason="slower than the champion")
    code, out, _ = run("promote", "production", "--release", "1.1.0", "--json")
    assert code == 1
    assert outcomes(out) == {
        "suspended": "PASSED",
        "order": "PASSED",
        "release": "PASSED",
        "digest": "PASSED",
        "runs": "FAILED",
        "soak": "PASSED",
        "gates": "PASSED",
    }
    assert json.loads(out)["proposal"] is None
    assert git(forged.origin, "branch", "--list", "promote/*") == ""
    code, out, _ = run("promote", "preprod", "--json")
    assert (code, outcomes(out)["runs"]) == (1, "FAILED")
    code, out, _ = run("promote", "preprod", "--release", "9.9.9", "--json")
    assert (code, outcomes(out)) == (1, {"release": "FAILED"})


def test_a_changed_release_is_not_promoted(run, forged, released, ran):
    ran("test", "1.0.0", 0)
    (path,) = (
        path for path in (forged.root / ".gitrain").rglob("*") if path.is_file() and path.read_bytes() == b"1.0.0"
    )
    path.chmod(0o644)
    path.write_bytes(b"2.0.0")
    code, out, _ = run("promote", "preprod", "--json")
    assert (code, outcomes(out)["release"]) == (1, "FAILED")


def altered(value):
    """Another value of the same kind, so that nothing but the digests can tell."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return value / 2
        case str() if value.startswith("sha256:"):
            return f"sha256:{'0' * 64}"
        case str() if len(value) == 40:
            return "0" * 40
        case list():
            return value + value
        case dict():
            return {name: altered(each) for name, each in value.items()}
    return f"{value}1"


def test_a_record_that_was_altered_in_any_field_is_not_promoted(run, forged, released, ran):
    ran("test", "1.0.0", 0)
    record = released["1.0.0"].record
    # What publishing does: from then on Git vouches for the record.
    GitRepository(forged.root).add_tag(release_tag(record))
    (path,) = (forged.root / ".gitrain").rglob("records/1.0.0.json")
    path.chmod(0o644)
    payload = record.to_payload()
    fields = [(name,) for name in payload] + [("identity", name) for name in payload["identity"]]
    for *outer, name in fields:
        spoilt = json.loads(json.dumps(payload))
        place = spoilt["identity"] if outer else spoilt
        place[name] = altered(place[name])
        path.write_text(json.dumps(spoilt, indent=2, sort_keys=True) + "\n")
        code, out, _ = run("promote", "preprod", "--json")
        assert code == 1, name
        assert outcomes(out)["release"] == "FAILED", name
    path.write_text(record.to_json())
    assert run("promote", "preprod", "--dry-run")[0] == 0


def test_a_dry_run_shows_the_change_and_proposes_nothing(run, forged, ran):
    ran("test", "1.0.0", 0)
    code, out, _ = run("promote", "preprod", "--dry-run")
    assert code == 0
    assert "-release: null   # a version\n" in out
    assert "+release: 1.0.0   # a version\n" in out
    assert git(forged.origin, "branch", "--list") == "deployments\n* main"


def promote(run, ran, environment, version, minute):
    before = {"preprod": "test", "production": "preprod"}[environment]
    ran(before, version, minute)
    ran(before, version, minute + 1)
    code, out, err = run("promote", environment, "--release", version, "--merge")
    assert code == 0, out + err


def test_the_way_back_leads_to_what_ran_before(run, forged, released, ran):
    for place, version in enumerate(("1.0.0", "1.1.0")):
        promote(run, ran, "preprod", version, place * 10)
        ran("preprod", version, place * 10 + 2)
    code, out, err = run("rollback", "preprod", "--reason", "too slow at night", "--merge", "--json")
    assert code == 0, out + err
    assert json.loads(out)["release"]["version"] == "1.0.0"
    assert json.loads(out)["difference"]["undone"] is True
    assert "release: 1.0.0" in forged.file("preprod")
    assert "too slow at night" in git(forged.origin, "log", "--format=%B", "main")
    ran("preprod", "1.0.0", 30)
    # Once more: there is nothing further back, and never what was just left.
    code, _, err = run("rollback", "preprod")
    assert code == 2
    assert "no release succeeded in preprod before the present one" in err
    git(forged.root, "pull", "-q", "origin", "main")
    promote(run, ran, "preprod", "1.1.0", 40)
    assert "release: 1.1.0" in forged.file("preprod")


def test_a_rollback_to_what_never_succeeded_is_refused(run, ran):
    promote(run, ran, "preprod", "1.0.0", 0)
    ran("preprod", "1.0.0", 5)
    ran("preprod", "1.1.0", 6, Ending.FAILED)
    code, out, _ = run("rollback", "preprod", "--to", "1.1.0", "--json")
    assert (code, outcomes(out)["rollback"]) == (1, "FAILED")
    code, out, _ = run("rollback", "preprod", "--to", "1.0.0", "--json")
    assert (code, outcomes(out)["rollback"]) == (1, "FAILED")


def test_suspended_means_that_nothing_is_promoted(run, forged, ran):
    ran("test", "1.0.0", 0)
    code, out, _ = run("suspend", "preprod", "--reason", "a freeze", "--merge", "--json")
    assert code == 0, out
    assert forged.file("preprod") == PREPROD.replace("suspend: false", "suspend: true")
    code, out, _ = run("promote", "preprod", "--json")
    assert (code, outcomes(out)["suspended"]) == (1, "FAILED")
    code, _, _ = run("resume", "preprod", "--reason", "it is over", "--merge")
    assert code == 0
    assert forged.file("preprod") == PREPROD
    assert run("suspend", "preprod", "--reason", " ")[0] == 2
    # A branch of that name from before is no obstacle.
    assert run("suspend", "preprod", "--reason", "again", "--merge")[0] == 0
    assert "suspend: true" in forged.file("preprod")


def test_history_says_who_when_what_and_why(run, forged, ran):
    promote(run, ran, "preprod", "1.0.0", 0)
    git(forged.root, "pull", "-q", "origin", "main")
    ran("preprod", "1.0.0", 5, reason="asked for")
    code, out, _ = run("history", "preprod", "--json")
    assert code == 0
    told = [(event["kind"], event["who"], event["what"], event["outcome"]) for event in json.loads(out)]
    assert told == [
        ("deploy", "ada", "release 1.0.0", "SUCCEEDED"),
        ("change", "Ada Tester", "release nothing → 1.0.0", None),
        ("change", "Ada Tester", "the environment was added: nothing yet", None),
    ]
    assert json.loads(out)[1]["why"].startswith("Promote tumours 1.0.0 to preprod sha256:")
    code, out, _ = run("history", "preprod")
    assert "deploy: SUCCEEDED" in out
    assert run("history", "nowhere")[0] == 2


def test_diff_says_what_a_promotion_brings(run, forged, ran):
    promote(run, ran, "preprod", "1.0.0", 0)
    git(forged.root, "pull", "-q", "origin", "main")
    code, out, _ = run("diff", "preprod", "--release", "1.1.0", "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["old"], found["new"]) == ("1.0.0", "1.1.0")
    assert found["parameters"] == [{"name": "training.estimator", "old": "logistic", "new": "boosted"}]
    assert found["dependencies"] == [{"name": "numpy", "old": "2.3.0", "new": "2.4.0"}]
    assert [each["subject"] for each in found["commits"]] == ["Learn more slowly"]
    ran("test", "1.1.0", 60)
    code, out, _ = run("diff", "preprod", "test")
    assert code == 0
    assert "1.0.0 → 1.1.0" in out
    assert "Learn more slowly" in out
    assert run("diff", "preprod")[0] == 2


def change(forged, **files):
    """A branch, with files as a person would write them."""
    git(forged.root, "switch", "-q", "-c", "by-hand")
    for name, content in files.items():
        (forged.root / "environments" / f"{name}.yaml").write_text(content)
    git(forged.root, "add", "-A")
    git(forged.root, "commit", "-q", "-m", "By hand")


def checked(run):
    code, out, err = run("check", "--base", "origin/main", "--json")
    if not out:
        return code, err
    return code, {each["name"]: each["outcome"] for each in json.loads(out)["verdicts"]}


def desiring(text, version, digest):
    return text.replace("release: null", f"release: {version}").replace("digest: null", f"digest: {digest}")


def test_a_change_by_hand_is_judged_by_the_same_rules(run, forged, released, ran):
    digest = released["1.0.0"].record.bundle_digest
    change(forged, preprod=desiring(PREPROD, "1.0.0", digest))
    assert checked(run) == (
        1,
        {
            "preprod:order": "PASSED",
            "preprod:rules": "PASSED",
            "preprod:suspended": "PASSED",
            "preprod:release": "PASSED",
            "preprod:digest": "PASSED",
            "preprod:runs": "FAILED",
            "preprod:soak": "PASSED",
            "preprod:gates": "PASSED",
        },
    )
    ran("test", "1.0.0", 0)
    code, verdicts = checked(run)
    assert (code, set(verdicts.values())) == (0, {"PASSED"})


@pytest.mark.parametrize(
    ("files", "wrong"),
    [
        ({"preprod": desiring(PREPROD, "1.0.0", f"sha256:{'0' * 64}")}, "preprod:digest"),
        ({"preprod": desiring(PREPROD, "7.0.0", f"sha256:{'0' * 64}")}, "preprod:release"),
        ({"preprod": PREPROD.replace("release: null   # a version\ndigest: null", "follows: main")}, "preprod:rules"),
        ({"preprod": PREPROD.replace("promotes_from: test", "promotes_from: nowhere")}, "preprod:order"),
        ({"preprod": PREPROD.replace("promotes_from: test", "promotes_from: production")}, "preprod:order"),
    ],
)
def test_what_a_person_may_not_write(run, forged, released, ran, files, wrong):
    ran("test", "1.0.0", 0)
    change(forged, **files)
    code, verdicts = checked(run)
    assert (code, verdicts[wrong]) == (1, "FAILED")


def test_rules_are_not_loosened_together_with_the_release(run, forged, released):
    digest = released["1.0.0"].record.bundle_digest
    loose = PREPROD.replace("gates: {successful_runs: 1}", "gates: {successful_runs: 0}")
    change(forged, preprod=desiring(loose, "1.0.0", digest))
    code, verdicts = checked(run)
    # The rules of before hold.
    assert (code, verdicts["preprod:rules"], verdicts["preprod:runs"]) == (1, "FAILED", "FAILED")
    change_of_rules = forged.root / "environments" / "preprod.yaml"
    change_of_rules.write_text(loose)
    git(forged.root, "commit", "-q", "-a", "-m", "Rules alone")
    assert checked(run) == (0, {"preprod:order": "PASSED", "preprod:rules": "PASSED"})


def test_removing_an_environment_that_others_need(run, forged):
    git(forged.root, "switch", "-q", "-c", "by-hand")
    git(forged.root, "rm", "-q", "environments/preprod.yaml")
    git(forged.root, "commit", "-q", "-m", "Gone")
    assert checked(run) == (1, {"preprod:order": "FAILED"})


def test_no_environment_changes(run, forged):
    (forged.root / "README.md").write_text("other words\n")
    git(forged.root, "commit", "-q", "-a", "-m", "Words")
    assert checked(run) == (0, {"environments:changes": "PASSED"})
    assert run("check", "--base", "nowhere")[0] == 2


def test_a_bare_repository_approves_of_nothing(run, forged):
    code, out, _ = run("verify", "--json")
    (found,) = json.loads(out)
    assert (code, found["environment"], found["approved_by"]) == (1, "production", None)
    assert {each["outcome"] for each in found["verdicts"]} == {"FAILED"}
    assert run("verify", "nowhere")[0] == 2


def test_environments_that_are_not_there_or_follow(run, ran):
    assert run("promote", "test", "--release", "1.0.0")[0] == 2
    assert run("promote", "nowhere")[0] == 2


def test_before_anything_has_succeeded_there_is_nothing_to_promote(run, released):
    code, out, _ = run("promote", "preprod", "--json")
    assert (code, outcomes(out)) == (1, {"runs": "FAILED"})
    assert "nothing has succeeded in test yet" in out


def test_a_repository_without_a_remote_says_what_is_missing(run, forged):
    git(forged.root, "remote", "remove", "origin")
    code, _, err = run("promote", "preprod")
    assert code == 2
    assert "no remote 'origin'" in err


def test_the_files_here_are_what_the_tests_say(forged):
    assert [forged.file(name) for name in ("test", "preprod", "production")] == [TEST, PREPROD, PRODUCTION]
