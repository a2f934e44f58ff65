"""What holds for every workflow, and the rules that GitHub is given."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.repository

WORKFLOWS = {path.name: path for path in sorted((ROOT / ".github/workflows").glob("*.yml"))}
ACTIONS = sorted((ROOT / ".github/actions").glob("*/action.yml"))


# What runs the default branch's code alone; a workflow that is called runs that of its caller, which is one of these.
REVIEWED = {
    "deploy.yml",
    "drill.yml",
    "monitor.yml",
    "promote.yml",
    "propose.yml",
    "release.yml",
    "report.yml",
    "retrain.yml",
    "rollback.yml",
}


def _parsed(path: Path) -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def _jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name, path in WORKFLOWS.items():
        for job, content in _parsed(path)["jobs"].items():
            yield name, job, content


def _steps(content: dict[str, Any]) -> list[dict[str, Any]]:
    return list(content.get("steps", []))


@pytest.mark.parametrize("path", [*WORKFLOWS.values(), *ACTIONS], ids=lambda path: str(path.relative_to(ROOT)))
def test_actions_are_pinned_to_a_commit_and_say_which_version_that_is(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        used = re.search(r"uses: (\S+)(.*)", line)
        if used and not used[1].startswith("./"):
            assert re.fullmatch(r"[\w.-]+(/[\w.-]+)+@[0-9a-f]{40}", used[1]), line
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", used[2]), line


def test_tokens_may_read_unless_a_job_says_why_it_writes() -> None:
    assert all(_parsed(path)["permissions"] == {"contents": "read"} for path in WORKFLOWS.values())
    writing = {
        (name, job)
        for name, job, content in _jobs()
        for right in content.get("permissions", {}).values()
        if right == "write"
    }
    assert writing == {
        ("deploy.yml", "deploy"),
        ("drill.yml", "rollback"),
        ("monitor.yml", "monitor"),
        ("promote.yml", "preprod"),
        ("promote.yml", "production"),
        ("promote.yml", "propose"),
        ("promote.yml", "test"),
        ("propose.yml", "propose"),
        ("release.yml", "propose"),
        ("release.yml", "publish"),
        ("release.yml", "test"),
        ("report.yml", "comment"),
        ("retrain.yml", "retrain"),
        ("rollback.yml", "propose"),
    }


def test_every_job_ends_and_no_checkout_leaves_its_token_behind() -> None:
    for name, job, content in _jobs():
        # A job that is another workflow has the time that the jobs of that one have.
        # A retraining may take longer: test_monitoring_scripts.py says how long.
        longest = 150 if name == "retrain.yml" else 60
        assert "uses" in content or 0 < content["timeout-minutes"] <= longest, (name, job)
        for step in _steps(content):
            if "actions/checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False, (name, job)


def test_no_script_holds_an_expression() -> None:
    """What comes from an event reaches a script through its environment, never as a part of it."""
    scripts = [step for _, _, content in _jobs() for step in _steps(content)]
    scripts += [step for path in ACTIONS for step in _parsed(path)["runs"]["steps"]]
    for step in scripts:
        assert "${{" not in step.get("run", ""), step
        assert "${{" not in step.get("with", {}).get("script", ""), step


def test_what_runs_a_strangers_code_is_given_neither_secrets_nor_a_token() -> None:
    """But for the settings of the DVC remote, which pull requests from forks do not get."""
    allowed = {"DVC_CONFIG_LOCAL"}
    for name, job, content in _jobs():
        text = json.dumps(content)
        secrets = set(re.findall(r"secrets\.(\w+)", text)) - allowed
        # These start when a commit is on main, or by a person's hand: what they run has been reviewed.
        runs_code = "./.github/actions/setup" in text and name not in REVIEWED
        assert not (runs_code and secrets), (name, job)
    for name in REVIEWED - {"report.yml"}:
        events = _parsed(WORKFLOWS[name])[True]
        assert set(events) <= {"push", "repository_dispatch", "schedule", "workflow_call", "workflow_dispatch"}, name
        if "push" in events:
            # Branches that a push is not limited to, and tags, are anybody's.
            assert events["push"].get("branches") == ["main"], name
            assert set(events["push"]) <= {"branches", "paths"}, name
    # What is called is given secrets by name or, by `inherit`, all: it runs the code that its caller runs.
    handing = {
        name
        for name, _, content in _jobs()
        if content.get("uses", "").startswith("./.github/workflows/") and content.get("secrets")
    }
    assert {"promote.yml", "release.yml"} <= handing <= REVIEWED
    events = {name: set(_parsed(path)[True]) for name, path in WORKFLOWS.items()}
    assert "pull_request_target" not in set().union(*events.values())
    for step in _steps(_parsed(WORKFLOWS["report.yml"])["jobs"]["comment"]):
        assert "ref" not in step.get("with", {}), "the default branch, and nothing else, is checked out"


def test_the_job_that_pushes_runs_nothing_of_the_branch() -> None:
    push = _parsed(WORKFLOWS["train.yml"])["jobs"]["push"]
    assert not any(step.get("uses", "").startswith("./") for step in _steps(push))
    (script,) = [step["run"] for step in _steps(push) if "run" in step]
    assert not re.search(r"\b(make|dvc|gitrain|python)\b|\.ci/", script.replace("dvc.lock", ""))


def test_the_required_job_waits_for_all_others() -> None:
    jobs = _parsed(WORKFLOWS["ci.yml"])["jobs"]
    assert set(jobs["required"]["needs"]) == set(jobs) - {"required"}
    assert jobs["required"]["if"] == "always()"


def test_what_deploys_keeps_to_one_pass_at_a_time_and_is_never_cut_off() -> None:
    for name, group in (("deploy.yml", "deploy-${{ inputs.environment }}"), ("drill.yml", "deploy-preprod")):
        assert _parsed(WORKFLOWS[name])["concurrency"] == {"group": group, "cancel-in-progress": False}
    callers = {(name, job): content for name, job, content in _jobs() if "deploy.yml" in content.get("uses", "")}
    assert {content["with"]["environment"] for content in callers.values()} == {"test", "preprod", "production"}
    # The same group twice in one chain of workflows waits for itself.
    for name, _ in callers:
        assert not _parsed(WORKFLOWS[name])["concurrency"]["group"].startswith("deploy-")


def test_production_is_deployed_by_a_job_that_waits_for_its_reviewers() -> None:
    """And by none that starts although nobody knows whether there are any."""
    jobs = _parsed(WORKFLOWS["deploy.yml"])["jobs"]
    assert jobs["deploy"]["environment"] == "${{ inputs.environment }}"
    assert "environment" not in jobs["verify"]
    assert jobs["deploy"]["needs"] == "verify"
    assert jobs["verify"]["if"] == "inputs.environment == 'production'"
    others = [name for name, _, content in _jobs() if "deploy apply" in json.dumps(content)]
    assert others == [], "deploy.yml alone deploys, by .ci/deploy"
    deploying = {(name, job) for name, job, content in _jobs() if ".ci/deploy" in json.dumps(content)}
    assert deploying == {("deploy.yml", "deploy"), ("drill.yml", "rollback")}


def test_monitoring_asks_nobody_and_tells_retraining_no_text() -> None:
    """A job that names GitHub's environment would wait for its reviewers; an event may hold what anybody wrote."""
    jobs = _parsed(WORKFLOWS["monitor.yml"])["jobs"]
    assert not any("environment" in job for job in jobs.values())
    assert _parsed(WORKFLOWS["monitor.yml"])["concurrency"]["cancel-in-progress"] is False
    retrain = _parsed(WORKFLOWS["retrain.yml"])
    assert retrain[True]["repository_dispatch"] == {"types": ["gitrain-retrain"]}
    # GitHub cancels what waits in a group once something newer comes: not what a person asked for.
    group = "retrain-${{ github.event_name == 'workflow_dispatch' && github.run_id || 'triggers' }}"
    assert retrain["concurrency"] == {"group": group, "cancel-in-progress": False}
    text = WORKFLOWS["retrain.yml"].read_text(encoding="utf-8")
    assert set(re.findall(r"client_payload\.(\w+)", text)) == {"digest", "run"}


def test_a_promotion_is_no_release() -> None:
    build = _parsed(WORKFLOWS["release.yml"])["jobs"]["build"]["if"]
    assert build.startswith("needs.plan.outputs.scope == 'everything'")
    assert _parsed(WORKFLOWS["promote.yml"])[True]["push"] == {"branches": ["main"], "paths": ["environments/**"]}


def test_no_workflow_that_is_required_is_filtered_by_paths() -> None:
    events = _parsed(WORKFLOWS["ci.yml"])[True]
    assert not any("paths" in key for event in events.values() if event for key in event)


def test_main_takes_reviewed_changes_that_ci_has_passed() -> None:
    ruleset = json.loads((ROOT / ".github/rulesets/main.json").read_text(encoding="utf-8"))
    rules = {rule["type"]: rule.get("parameters", {}) for rule in ruleset["rules"]}
    assert ruleset["enforcement"] == "active"
    assert ruleset["bypass_actors"] == []
    assert ruleset["conditions"]["ref_name"]["include"] == ["~DEFAULT_BRANCH"]
    assert {"deletion", "non_fast_forward"} <= set(rules)
    assert rules["pull_request"]["require_code_owner_review"] is True
    assert rules["pull_request"]["required_approving_review_count"] >= 1
    assert rules["pull_request"]["dismiss_stale_reviews_on_push"] is True
    checks = rules["required_status_checks"]
    assert checks["strict_required_status_checks_policy"] is True
    # The name that GitHub shows is the job's, and 15368 is GitHub Actions: no other app can report it.
    required = _parsed(WORKFLOWS["ci.yml"])["jobs"]["required"]["name"]
    assert checks["required_status_checks"] == [{"context": required, "integration_id": 15368}]


def test_records_are_only_ever_added_to() -> None:
    ruleset = json.loads((ROOT / ".github/rulesets/deployments.json").read_text(encoding="utf-8"))
    assert ruleset["enforcement"] == "active"
    assert ruleset["conditions"]["ref_name"]["include"] == ["refs/heads/deployments", "refs/heads/retraining"]
    assert {"deletion", "non_fast_forward"} <= {rule["type"] for rule in ruleset["rules"]}


def test_code_owners_guard_what_decides() -> None:
    text = (ROOT / ".github/CODEOWNERS").read_text(encoding="utf-8")
    owned = {line.split()[0] for line in text.splitlines() if line and not line.startswith("#")}
    assert {"/params.yaml", "/dvc.yaml", "/dvc.lock", "/environments/", "/.github/", "/.ci/"} <= owned


def test_every_step_is_in_the_documentation() -> None:
    text = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
    assert all(name in text for name in WORKFLOWS)
    steps = [step for _, _, content in _jobs() for step in _steps(content)]
    steps += [step for path in ACTIONS for step in _parsed(path)["runs"]["steps"]]
    unsaid = {step["name"] for step in steps if "run" in step and f"| {step['name']} |" not in text}
    assert unsaid == set()


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not on this machine")
def test_the_comments_script_is_javascript() -> None:
    script = ROOT / ".github/scripts/comment.cjs"
    subprocess.run(["node", "--check", str(script)], check=True, capture_output=True)
