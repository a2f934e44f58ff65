"""The shell scripts of CI, with stand-ins for the programs that they call."""

import itertools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

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


_BUILD: dict[str, Any] = {
    "outcome": "PASSED",
    "commit": "",
    "record": {"bundle_digest": f"sha256:{'b' * 64}", "identity": {"project": "parcels", "version": "1.4.0"}},
    "verdicts": [],
}


def _built(root: Path, build: dict[str, Any] | None) -> tuple[int, str, str]:
    """The exit code, the outputs and the summary."""
    given, outputs, summary = (root.parent / name for name in ("build.json", "outputs", "summary"))
    if build is not None:
        given.write_text(json.dumps(build), encoding="utf-8")
    command = [str(ROOT / ".ci/release.py"), str(given), "--outputs", str(outputs), "--summary", str(summary)]
    done = subprocess.run(command, cwd=root, check=False, capture_output=True)
    return done.returncode, outputs.read_text() if outputs.exists() else "", summary.read_text()


def _head(root: Path) -> str:
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_what_a_release_goes_on_with(git_repository: Path) -> None:
    build = _BUILD | {"commit": _head(git_repository)}
    code, outputs, summary = _built(git_repository, build)
    assert code == 0
    assert outputs.splitlines() == [
        "version=1.4.0",
        "tag=parcels@v1.4.0",
        f"bundle=sha256:{'b' * 64}",
        "published=false",
    ]
    assert "goes on to be checked and published" in summary


def test_a_release_whose_tag_is_there_is_done(git_repository: Path) -> None:
    subprocess.run(["git", "tag", "-a", "-m", "x", "parcels@v1.4.0"], cwd=git_repository, check=True)
    build = _BUILD | {"commit": _head(git_repository)}
    assert _built(git_repository, build)[1].endswith("published=true\n")


def test_why_there_is_no_release(git_repository: Path) -> None:
    refused = {"name": "lock:inputs", "outcome": "FAILED", "reason": "stale\n\x1b[31m<b>"}
    passed = {"name": "release:commit", "outcome": "PASSED", "reason": "clean"}
    code, outputs, summary = _built(git_repository, _BUILD | {"record": None, "verdicts": [passed, refused]})
    assert (code, outputs) == (1, "")
    assert summary == "### No release\n\n    FAILED lock:inputs: stale??[31m<b>\n"


def test_a_build_that_said_nothing(git_repository: Path) -> None:
    code, _, summary = _built(git_repository, None)
    assert code == 1
    assert "Nothing was built" in summary


@pytest.fixture
def hub(git_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that stands for the one on GitHub."""
    bare = tmp_path / "acme" / "project.git"
    subprocess.run(["git", "init", "-q", "--bare", str(bare)], check=True)
    monkeypatch.setenv("GITHUB_SERVER_URL", f"file://{tmp_path}")
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/project")
    monkeypatch.setenv("TOKEN", "secret")
    return bare


def _push_tag(root: Path, tag: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(ROOT / ".ci/push-tag"), tag], cwd=root, check=False, capture_output=True, text=True)


def test_a_tag_is_pushed_once_and_never_moved(git_repository: Path, hub: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=git_repository, check=True, capture_output=True)

    git("tag", "-a", "-m", "a release", "parcels@v1.0.0")
    assert _push_tag(git_repository, "parcels@v1.0.0").stdout == "Pushed parcels@v1.0.0.\n"
    assert _push_tag(git_repository, "parcels@v1.0.0").stdout == "parcels@v1.0.0 is there already.\n"
    git("commit", "-q", "--allow-empty", "-m", "later")
    git("tag", "-f", "-a", "-m", "another", "parcels@v1.0.0")
    moved = _push_tag(git_repository, "parcels@v1.0.0")
    assert moved.returncode == 1
    assert "never moved" in moved.stderr


def test_a_tag_that_is_not_there_is_not_pushed(git_repository: Path, hub: Path) -> None:
    assert _push_tag(git_repository, "parcels@v9.9.9").returncode != 0


_SHOWS = """\
#!/bin/sh
printf '%s\\n' "$@" > "$ARGUMENTS"
printf '%s\\n' "${GITRAIN_RELEASE_STORE-unset}" "${MLFLOW_TRACKING_URI-unset}" "$GIT_COMMITTER_NAME" >> "$ARGUMENTS"
test -z "${GITRAIN_SIGNING_KEY:-}" || { stat -c %a "$GITRAIN_SIGNING_KEY"; cat "$GITRAIN_SIGNING_KEY"; } >> "$ARGUMENTS"
"""


@pytest.mark.parametrize(
    ("variables", "given"),
    [
        ({}, ["--no-register", "unset", "unset"]),
        ({"GITRAIN_RELEASE_STORE": "", "MLFLOW_TRACKING_URI": ""}, ["--no-register", "unset", "unset"]),
        ({"GITRAIN_RELEASE_STORE": "s3://b", "MLFLOW_TRACKING_URI": "http://m"}, ["s3://b", "http://m"]),
    ],
)
def test_how_a_release_is_published(programs, tmp_path, monkeypatch, variables, given) -> None:
    _program(programs, "gitrain", _SHOWS)
    monkeypatch.delenv("GIT_COMMITTER_NAME", raising=False)
    for name, value in {"SIGNING_KEY": "a key", **variables}.items():
        monkeypatch.setenv(name, value)
    subprocess.run([str(ROOT / ".ci/publish"), "1.4.0"], check=True, capture_output=True)
    said = (tmp_path / "arguments").read_text().splitlines()
    assert said == ["release", "publish", "1.4.0", *given, "github-actions[bot]", "600", "a key"]
