"""`gitrain report pr | check` on a real repository that has no project object at all."""

import json
import subprocess

import pytest
from tests.gitrain.reports.pull_request_cases import (
    FAILED,
    GROUPS_BEFORE,
    HOSTILE,
    METRICS_BEFORE,
    PASSED,
    checks,
    evaluation,
    gates,
    hostile_report,
)

from gitrain.cli.main import main
from gitrain.reports.pull_request_check import check_markdown
from gitrain.reports.pull_request_document import PullRequestReport
from gitrain.verdicts import Outcome


def git(root, *arguments):
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def root(git_repository):
    (git_repository / "pyproject.toml").write_text('[tool.gitrain]\nproject = "nothing_here:PROJECT"\n')
    (git_repository / "reports").mkdir()
    text = evaluation(METRICS_BEFORE, GROUPS_BEFORE).to_json()
    (git_repository / "reports" / "evaluation.json").write_text(text, encoding="utf-8")
    git(git_repository, "add", "-A")
    git(git_repository, "commit", "-q", "-m", "A start")
    return git_repository


@pytest.fixture
def gates_file(root, tmp_path):
    path = tmp_path / "gates.json"
    path.write_text(gates(*PASSED, FAILED, base=git(root, "rev-parse", "HEAD")).to_json(), encoding="utf-8")
    return str(path)


def run(root, *arguments):
    return main(["-C", str(root), "report", *arguments])


def test_a_report_of_a_failure_is_written_and_the_command_succeeds(root, gates_file, tmp_path, capsys):
    out = tmp_path / "report.md"

    code = run(root, "pr", "--base", "main", "--gates", gates_file, "--out", str(out))

    assert code == 0
    assert out.read_text(encoding="utf-8").startswith("## ❌ flight-delay: FAILED")
    assert capsys.readouterr().out.strip() == out.read_text(encoding="utf-8").strip()


def test_the_json_is_the_document_that_the_check_reads(root, gates_file, tmp_path, capsys):
    checked = tmp_path / "checks.json"
    checked.write_text(checks(("lock:inputs", Outcome.PASSED, "fine")).to_json(), encoding="utf-8")
    out, posted = tmp_path / "report.md", tmp_path / "posted.md"
    options = ["--gates", gates_file, "--checks", str(checked), "--runner-minutes", "3.5", "--out", str(out), "--json"]

    assert run(root, "pr", "--base", "main", *options) == 0
    text = capsys.readouterr().out
    report = PullRequestReport.model_validate_json(text)
    assert (report.outcome, report.runner_minutes) == (Outcome.FAILED, 3.5)

    document = tmp_path / "report.json"
    document.write_text(text, encoding="utf-8")
    assert run(root, "check", str(document), "--out", str(posted)) == 0
    assert posted.read_text(encoding="utf-8") == out.read_text(encoding="utf-8")


@pytest.mark.parametrize("option", ["--gates", "--checks"])
def test_a_file_of_an_earlier_step_that_is_missing_is_an_error_in_the_report(root, gates_file, option, capsys):
    options = ["--gates", gates_file] if option == "--checks" else []

    assert run(root, "pr", "--base", "main", *options, option, "nowhere.json") == 0
    said = capsys.readouterr().out
    assert said.startswith("## 💥")
    assert "nowhere.json cannot be read: No such file or directory" in said


def test_a_project_that_cannot_be_imported_leaves_a_report(root, capsys):
    (root / "params.yaml").write_text("schema_version: 1\n")

    assert run(root, "pr", "--base", "main") == 0
    assert "💥 **gates**" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--base", "nonsense"], "no commit 'nonsense'"),
        (["--base", "main", "--runner-minutes", "-1"], "--runner-minutes is -1"),
        (["--base", "main", "--runner-minutes", "nan"], "--runner-minutes is nan"),
    ],
)
def test_a_mistake_of_the_caller_is_exit_code_2(root, gates_file, arguments, message, capsys):
    assert run(root, "pr", "--gates", gates_file, *arguments) == 2
    assert message in capsys.readouterr().err


def test_a_markdown_report_that_may_be_posted_passes(root, gates_file, tmp_path, capsys):
    out = tmp_path / "report.md"
    run(root, "pr", "--base", "main", "--gates", gates_file, "--out", str(out))
    capsys.readouterr()

    assert run(root, "check", str(out), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["outcome"] == "PASSED"
    assert {verdict["name"] for verdict in found["verdicts"]} == {
        *("report:size", "report:visible", "report:fences", "report:html", "report:links")
    }


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("report.md", b"![x](https://evil.example/x.png)"),
        ("report.md", b"\xff\xfe"),
        ("report.md", b"a" * 60_001),
        ("report.json", b"{}"),
        ("report.json", b"## a report"),
    ],
)
def test_what_may_not_be_posted_fails_and_is_not_written(tmp_path, name, content, capsys):
    (tmp_path / name).write_bytes(content)
    out = tmp_path / "posted.md"

    assert main(["report", "check", str(tmp_path / name), "--out", str(out)]) == 1
    assert not out.exists()
    assert "FAILED" in capsys.readouterr().out


def test_a_hostile_document_becomes_a_harmless_comment(tmp_path):
    document, out = tmp_path / "report.json", tmp_path / "posted.md"
    document.write_text(hostile_report(HOSTILE).to_json(), encoding="utf-8")

    assert main(["report", "check", str(document), "--out", str(out)]) == 0
    assert {verdict.outcome for verdict in check_markdown(out.read_text(encoding="utf-8"))} == {Outcome.PASSED}


def test_a_file_that_is_not_there_is_a_mistake_of_the_caller(tmp_path, capsys):
    assert main(["report", "check", str(tmp_path / "nowhere.md")]) == 2
    assert "cannot be read" in capsys.readouterr().err
