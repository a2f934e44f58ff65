"""The shell scripts of CI, with stand-ins for the programs that they call."""

import itertools
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.repository

_GITRAIN = """\
#!/bin/sh
printf '%s\\n' "$@" > "$ARGUMENTS"
while [ "$1" != --out ]; do shift; done
echo '## PASSED' > "$2"
echo '{}'
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    _program(folder, "gitrain", _GITRAIN)
    _program(folder, "gh", "#!/bin/sh\nexit 4\n")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("ARGUMENTS", str(tmp_path / "arguments"))
    return folder


def _program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")
    (folder / name).chmod(0o755)


def _report(tmp_path: Path, scope: str, **verdicts: str) -> list[str]:
    folder = tmp_path / "verdicts"
    folder.mkdir(exist_ok=True)
    for name, text in verdicts.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
    root = tmp_path / "root"
    root.mkdir(exist_ok=True)
    command = [str(ROOT / ".ci/report"), scope, "abc", str(folder), "../out"]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    arguments = tmp_path / "arguments"
    return arguments.read_text(encoding="utf-8").splitlines() if arguments.exists() else []


def _given(arguments: list[str], flag: str) -> list[str]:
    return [after for before, after in itertools.pairwise(arguments) if before == flag]


@pytest.mark.usefixtures("programs")
def test_the_report_has_all_checks_in_one(tmp_path: Path) -> None:
    arguments = _report(tmp_path, "everything", lock_json="{}", data_json="{}", checks_json="{}", gates_json="{}")
    assert _given(arguments, "--checks") == ["checks.json"]
    assert _given(arguments, "--gates") == ["gates.json"]
    assert _given(arguments, "--base") == ["abc"]
    assert "--runner-minutes" not in arguments
    assert (tmp_path / "out" / "report.md").read_text(encoding="utf-8") == "## PASSED\n"
    assert (tmp_path / "out" / "report.json").read_text(encoding="utf-8") == "{}\n"


@pytest.mark.usefixtures("programs")
def test_where_a_job_failed_the_report_has_what_came_before_it(tmp_path: Path) -> None:
    arguments = _report(tmp_path, "everything", lock_json="{}", data_json="", checks_json="")
    assert _given(arguments, "--checks") == ["lock.json", "checks.json"]


@pytest.mark.parametrize(("printed", "given"), [("12.5", ["12.5"]), ("null", []), ("1; rm -rf /", []), ("", [])])
def test_the_report_has_what_the_jobs_took(tmp_path: Path, programs: Path, printed: str, given: list[str]) -> None:
    _program(programs, "gh", f"#!/bin/sh\necho '{printed}'\n")
    assert _given(_report(tmp_path, "everything"), "--runner-minutes") == given


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not on this machine")
def test_what_the_jobs_took_is_added_up(tmp_path: Path, programs: Path) -> None:
    jobs = (
        '{"jobs": [{"started_at": "2026-01-01T00:00:00Z", "completed_at": "2026-01-01T00:03:00Z"},'
        ' {"started_at": "2026-01-01T00:00:00Z", "completed_at": "2026-01-01T00:01:30Z"},'
        ' {"started_at": "2026-01-01T00:00:00Z", "completed_at": null}]}'
    )
    _program(programs, "gh", f"#!/bin/sh\nfor last; do :; done\necho '{jobs}' | jq -r \"$last\"\n")
    assert _given(_report(tmp_path, "everything"), "--runner-minutes") == ["4.5"]


@pytest.mark.usefixtures("programs")
def test_durations_of_the_stages_are_put_where_the_report_reads_them(tmp_path: Path) -> None:
    _report(tmp_path, "everything", durations_json='{"train": 3.0}')
    assert (tmp_path / "root/.gitrain/durations.json").read_text(encoding="utf-8") == '{"train": 3.0}'


@pytest.mark.usefixtures("programs")
def test_documentation_is_reported_with_the_lock_alone(tmp_path: Path) -> None:
    assert _report(tmp_path, "documentation", lock_md="# Lock: PASSED\n") == []
    text = (tmp_path / "out/report.md").read_text(encoding="utf-8")
    assert text.startswith("## Documentation only")
    assert "# Lock: PASSED" in text


def _unchanged(root: Path, summary: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / ".ci/unchanged")],
        cwd=root,
        env={**os.environ, "GITHUB_STEP_SUMMARY": str(summary)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_lock_that_the_pipeline_changed_is_refused_with_what_mends_it(git_repository: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary"
    assert _unchanged(git_repository, summary).returncode == 0
    assert not summary.exists()
    (git_repository / "dvc.lock").write_text("schema: '2.0'\n", encoding="utf-8")
    refused = _unchanged(git_repository, summary)
    assert refused.returncode == 1
    for said in ("?? dvc.lock", "dvc repro", "git commit", "label `train`"):
        assert said in refused.stderr
        assert said in summary.read_text(encoding="utf-8")
