"""What CI does for a change, and what it takes for a success."""

import subprocess
from pathlib import Path

import pytest
from tests.workflows.ci_scripts import load_script

pytestmark = pytest.mark.repository

plan, required = load_script("plan"), load_script("required")

PIPELINE = """\
stages:
  train:
    cmd: python train.py --out ./models
    deps: [train.py, docs/prompts, NOTES.md]
    outs:
      - models/model.skops
"""


@pytest.mark.parametrize("changed", [["README.md"], ["docs/ci.md", "docs/a/curve.png"], ["LICENSE", "CHANGELOG.md"]])
def test_documentation_alone_needs_next_to_nothing(changed: list[str]) -> None:
    assert plan.scope_of(changed, PIPELINE)[0] == "documentation"


@pytest.mark.parametrize(
    "changed",
    [
        [],
        ["README.md", "params.yaml"],
        ["reports/validation.md"],
        ["src/gitrain/notes.md"],
        ["tests/gitrain/reports/golden/typical.md"],
        [".github/pull_request_template.md"],
        ["NOTES.md"],
        ["docs/prompts/one.md"],
        ["docs"],
        ["README.md\nx.py"],
        ["dvc.lock"],
    ],
)
def test_a_doubt_needs_everything(changed: list[str]) -> None:
    assert plan.scope_of(changed, PIPELINE)[0] == "everything"


@pytest.mark.parametrize(
    ("changed", "touched"),
    [
        (["environments/test.yaml"], ["test"]),
        (["docs/ci.md", "environments/production.yaml", "environments/preprod.yaml"], ["preprod", "production"]),
    ],
)
def test_what_is_to_run_somewhere_builds_and_trains_nothing(changed: list[str], touched: list[str]) -> None:
    assert plan.scope_of(changed, PIPELINE)[0] == "environments"
    assert plan.touched_by(changed) == touched


@pytest.mark.parametrize(
    ("path", "touched"),
    [
        ("environments/x y.yaml", ["?"]),
        ("environments/test.yml", ["?"]),
        ("environments/deep/test.yaml", ["?"]),
        ("src/environments/test.yaml", []),
        ("environments.yaml", []),
    ],
)
def test_what_only_looks_like_an_environment_needs_everything(path: str, touched: list[str]) -> None:
    assert plan.scope_of([path, "environments/test.yaml"], PIPELINE)[0] == "everything"
    assert plan.touched_by([path]) == touched


def test_a_pipeline_that_reads_an_environment_is_run() -> None:
    pipeline = PIPELINE.replace("NOTES.md", "environments")
    assert plan.scope_of(["environments/test.yaml", "README.md"], PIPELINE)[0] == "environments"
    assert plan.scope_of(["environments/test.yaml"], pipeline)[0] == "everything"


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _commit(root: Path, path: str, text: str) -> str:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, encoding="utf-8")
    _git(root, "add", "--all")
    _git(root, "commit", "-q", "-m", path)
    return _git(root, "rev-parse", "HEAD")


def _plan(root: Path, monkeypatch: pytest.MonkeyPatch, base: str) -> dict[str, str]:
    monkeypatch.chdir(root)
    outputs, summary = root.parent / "outputs", root.parent / "summary"
    outputs.unlink(missing_ok=True)
    plan.main([f"--base={base}", "--outputs", str(outputs), "--summary", str(summary)])
    return dict(line.split("=", 1) for line in outputs.read_text(encoding="utf-8").splitlines())


def test_what_the_branch_changed_counts_not_what_the_base_did_since(
    git_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = _commit(git_repository, "dvc.lock", "schema: '2.0'\n")
    _git(git_repository, "checkout", "-q", "-b", "change")
    _commit(git_repository, "docs/new.md", "# New\n")
    _git(git_repository, "checkout", "-q", "main")
    base = _commit(git_repository, "train.py", "print()\n")
    _git(git_repository, "checkout", "-q", "change")
    blob = _git(git_repository, "rev-parse", f"{lock}:dvc.lock")
    expected = {"scope": "documentation", "base": base, "lock": blob, "base_lock": blob, "touched": "[]"}
    assert _plan(git_repository, monkeypatch, "main") == expected

    # GitHub checks a pull request out merged into its base.
    _git(git_repository, "checkout", "-q", "--detach", "main")
    _git(git_repository, "merge", "-q", "--no-edit", "change")
    assert _plan(git_repository, monkeypatch, "HEAD^1") == expected


@pytest.mark.parametrize("base", ["0" * 40, "", "no-such-branch", "--output=/dev/null"])
def test_an_unknown_base_is_the_commit_before(git_repository: Path, monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    assert _plan(git_repository, monkeypatch, base)["scope"] == "everything"
    before = _git(git_repository, "rev-parse", "HEAD")
    _commit(git_repository, "docs/new.md", "# New\n")
    found = _plan(git_repository, monkeypatch, base)
    assert (found["base"], found["scope"], found["lock"]) == (before, "documentation", "none")


def test_a_files_name_can_neither_forge_an_output_nor_markup(
    git_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "docs/x\nscope=documentation\n<img src=x>.py"
    _commit(git_repository, name, "")
    outputs = _plan(git_repository, monkeypatch, "HEAD^1")
    assert outputs["scope"] == "everything"
    summary = (git_repository.parent / "summary").read_text(encoding="utf-8")
    assert all(line.startswith("    ") for line in summary.splitlines() if "img" in line)


JUDGED = ("quality", "data", "train", "checks", "gates")
UNTOUCHED = {"environments": "skipped"}
EVERYTHING = {**dict.fromkeys(("plan", *JUDGED, "report"), "success"), "documentation": "skipped", **UNTOUCHED}
DOCUMENTATION = {
    **dict.fromkeys(("plan", "documentation", "report"), "success"),
    **dict.fromkeys(JUDGED, "skipped"),
    **UNTOUCHED,
}


def test_what_the_plan_left_out_may_be_skipped() -> None:
    assert required.problems_of(EVERYTHING, "everything") == []
    assert required.problems_of(DOCUMENTATION, "documentation") == []


@pytest.mark.parametrize("results", [EVERYTHING, DOCUMENTATION])
def test_environments_that_were_touched_are_judged_whatever_else_is(results: dict[str, str]) -> None:
    scope = "everything" if results is EVERYTHING else "environments"
    assert required.problems_of({**results, "environments": "success"}, scope, ["test"]) == []
    for result in ("skipped", "failure", "cancelled"):
        assert required.problems_of({**results, "environments": result}, scope, ["test"]) == [f"environments: {result}"]
    lost = {job: result for job, result in results.items() if job != "environments"}
    assert required.problems_of(lost, scope, ["?"]) == ["environments: missing"]


@pytest.mark.parametrize("job", ["plan", *JUDGED, "report"])
@pytest.mark.parametrize("result", ["skipped", "failure", "cancelled"])
def test_a_job_that_did_not_succeed_is_no_success(job: str, result: str) -> None:
    assert required.problems_of({**EVERYTHING, job: result}, "everything") == [f"{job}: {result}"]


def test_jobs_and_plan_have_to_agree() -> None:
    assert required.problems_of(DOCUMENTATION, "everything")
    assert required.problems_of(EVERYTHING, "documentation")
    assert required.problems_of({**DOCUMENTATION, "train": "failure"}, "documentation") == [
        "train: failure, and the plan left it out"
    ]


@pytest.mark.parametrize("scope", ["", "nothing"])
def test_without_a_plan_nothing_is_a_success(scope: str) -> None:
    assert required.problems_of(EVERYTHING, scope)


def test_jobs_that_are_not_there_are_no_success() -> None:
    assert required.problems_of({}, "everything")
    assert required.problems_of({"plan": "success", "report": "success"}, "everything") == ["no job judged anything"]
