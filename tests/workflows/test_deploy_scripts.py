"""The scripts that deployments are made of, with stand-ins for the programs that they call."""

import http.server
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.workflows.ci_scripts import CI, load_script

from gitrain.deployment.record import RunningRelease
from gitrain.operations.verify_environment import VerifiedEnvironment
from gitrain.verdicts import Outcome, Verdict

pytestmark = pytest.mark.repository

approval, qualifying = load_script("approval"), load_script("qualify")

_SHOWS = """\
#!/bin/sh
printf '%s\\n' "$@" > "$ARGUMENTS"
env | grep -E '^(GIT_CONFIG_(COUNT|KEY|VALUE)|GITRAIN)' | LC_ALL=C sort >> "$ARGUMENTS"
"""


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Runs a script with a `gitrain` that writes down what it is given; that, line by line."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "gitrain").write_text(_SHOWS, encoding="utf-8")
    (folder / "gitrain").chmod(0o755)
    for name in [name for name in os.environ if name.startswith("GITRAIN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("ARGUMENTS", str(tmp_path / "arguments"))

    def told(script: str, *arguments: str, **variables: str) -> list[str]:
        environment = {**os.environ, **variables}
        subprocess.run([str(CI / script), *arguments], check=True, capture_output=True, env=environment)
        return (tmp_path / "arguments").read_text(encoding="utf-8").splitlines()

    return told


def _arguments(said: list[str]) -> list[str]:
    return [line for line in said if not line.startswith(("GIT_CONFIG_", "GITRAIN_"))]


def test_options_that_nobody_filled_in_are_left_out(told: Callable[..., list[str]]) -> None:
    assert _arguments(told("propose", "promote", "preprod", "--release=")) == ["env", "promote", "preprod"]
    reason = "--reason=it answers slowly; --merge=$(id) `id`="
    given = ["rollback", "production", "--to=1.2.0", reason]
    assert _arguments(told("propose", *given)) == ["env", *given]


def test_who_approved_goes_into_the_record(told: Callable[..., list[str]]) -> None:
    assert _arguments(told("deploy", "test", APPROVED_BY="")) == ["deploy", "apply", "test", "--wait", "900"]
    named = _arguments(told("deploy", "production", APPROVED_BY="ada, bob"))
    assert named == ["deploy", "apply", "production", "--approved-by", "ada, bob", "--wait", "900"]


def test_git_gets_the_token_and_empty_variables_are_none(told: Callable[..., list[str]]) -> None:
    said = told(
        "with-token",
        "gitrain",
        "a b",
        GH_TOKEN="secret",
        GITHUB_SERVER_URL="https://github.test",
        GITRAIN_RELEASE_STORE="",
        GITRAIN_STATE="/srv/a b",
    )
    assert said[0] == "a b"
    assert said[1:] == [
        "GITRAIN_STATE=/srv/a b",
        "GIT_CONFIG_COUNT=2",
        "GIT_CONFIG_KEY_0=http.https://github.test/.extraheader",
        "GIT_CONFIG_KEY_1=http.https://github.test/.extraheader",
        "GIT_CONFIG_VALUE_0=",
        "GIT_CONFIG_VALUE_1=AUTHORIZATION: basic eC1hY2Nlc3MtdG9rZW46c2VjcmV0",
    ]


def test_what_the_default_branch_no_longer_says_is_not_deployed(git_repository: Path, tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=git_repository, check=True, capture_output=True)

    def current() -> "subprocess.CompletedProcess[str]":
        command = [str(CI / "current"), "production"]
        return subprocess.run(command, cwd=git_repository, capture_output=True, text=True, check=False)

    (git_repository / "environments").mkdir()
    file = git_repository / "environments/production.yaml"
    file.write_text("release: 1.0.0\n", encoding="utf-8")
    git("add", "--all")
    git("commit", "-q", "-m", "1.0.0")
    git("clone", "-q", "--bare", str(git_repository), str(tmp_path / "origin.git"))
    git("remote", "add", "origin", str(tmp_path / "origin.git"))
    assert current().returncode == 0
    # Whatever else is merged meanwhile.
    git("commit", "-q", "--allow-empty", "-m", "elsewhere")
    git("push", "-q", "origin", "HEAD")
    git("checkout", "-q", "--detach", "HEAD^")
    assert current().returncode == 0
    git("checkout", "-q", "-")
    file.write_text("release: 1.1.0\n", encoding="utf-8")
    git("commit", "-q", "-a", "-m", "1.1.0")
    refused = current()
    assert refused.returncode == 1
    assert "void" in refused.stdout
    git("push", "-q", "origin", "HEAD")
    assert current().returncode == 0
    git("checkout", "-q", "--detach", "HEAD^")
    assert current().returncode == 1


def _verified(outcome: Outcome, *, approved_by: str | None = None) -> list[dict[str, object]]:
    verdict = Verdict(name="production:reviewers", outcome=outcome, reason="as it is\n::error::<b>")
    release = RunningRelease(version="1.0.0", digest=f"sha256:{'a' * 64}")
    found = VerifiedEnvironment(environment="production", release=release, verdicts=(verdict,), approved_by=approved_by)
    return [found.to_json()]


def _judge(tmp_path: Path, verified: object | None) -> tuple[int, str, str]:
    file, outputs, summary = (tmp_path / name for name in ("verified.json", "outputs", "summary"))
    if verified is not None:
        file.write_text(json.dumps(verified), encoding="utf-8")
    code = approval.main(["judge", str(file), "--outputs", str(outputs), "--summary", str(summary)])
    return code, outputs.read_text(encoding="utf-8"), summary.read_text(encoding="utf-8")


def test_an_approval_that_means_something(tmp_path: Path) -> None:
    code, outputs, summary = _judge(tmp_path, _verified(Outcome.PASSED, approved_by="ada"))
    assert (code, outputs) == (0, "approved-by=ada\n")
    assert summary.startswith("### An approval means something")
    # What a forge was made to say is neither markup nor a command.
    assert "    PASSED production:reviewers: as it is?::error::<b>\n" in summary


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.ERROR])
def test_an_approval_that_means_nothing(tmp_path: Path, outcome: Outcome) -> None:
    assert _judge(tmp_path, _verified(outcome))[:2] == (1, "approved-by=\n")


@pytest.mark.parametrize("verified", [None, [], [*_verified(Outcome.PASSED), *_verified(Outcome.PASSED)]])
def test_what_is_not_known_is_no_approval(tmp_path: Path, verified: object) -> None:
    code, outputs, summary = _judge(tmp_path, verified)
    assert (code, outputs) == (1, "approved-by=\n")
    assert "No approval" in summary


def _approved(login: str, *environments: str, state: str = "approved") -> dict[str, Any]:
    return {"state": state, "user": {"login": login}, "environments": [{"name": name} for name in environments]}


def test_who_let_the_job_start_is_the_approver() -> None:
    found = [
        _approved("eve", "preprod"),
        _approved("mallory", "production", state="rejected"),
        _approved("ada", "production"),
        _approved("ada", "production", "preprod"),
        _approved("bob", "production"),
        _approved("x\napproved-by=root", "production"),
    ]
    assert approval.approver_of(found, "production") == "ada, bob"
    assert approval.approver_of([{"state": "approved"}], "production") == ""


class _Approvals(http.server.BaseHTTPRequestHandler):
    answer: tuple[int, bytes] = (404, b"{}")
    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        type(self).asked.append((self.path, self.headers.get("Authorization")))
        status, body = self.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Approvals]]:
    _Approvals.asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Approvals)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("GITHUB_API_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/project")
    monkeypatch.setenv("GITHUB_RUN_ID", "7")
    monkeypatch.setenv("GH_TOKEN", "secret")
    yield _Approvals
    server.shutdown()
    thread.join()
    server.server_close()


def _who(tmp_path: Path, reviewer: str = "") -> tuple[int, str]:
    outputs = tmp_path / "outputs"
    code = approval.main(["who", "production", "--reviewer", reviewer, "--outputs", str(outputs)])
    return code, outputs.read_text(encoding="utf-8") if outputs.exists() else ""


def test_github_is_asked_who_approved_this_run(github: type[_Approvals], tmp_path: Path) -> None:
    github.answer = (200, json.dumps([_approved("ada", "production")]).encode())
    assert _who(tmp_path) == (0, "approved-by=ada\n")
    assert github.asked == [("/repos/acme/project/actions/runs/7/approvals", "Bearer secret")]


def test_a_review_that_stood_in_is_an_approval(github: type[_Approvals], tmp_path: Path) -> None:
    github.answer = (404, b"{}")
    assert _who(tmp_path, "bob") == (0, "approved-by=bob\n")


def test_a_review_does_not_hide_who_let_the_job_start(github: type[_Approvals], tmp_path: Path) -> None:
    github.answer = (200, json.dumps([_approved("ada", "production")]).encode())
    assert _who(tmp_path, "bob") == (0, "approved-by=ada, bob\n")


@pytest.mark.parametrize(
    "answer", [(200, b"[]"), (200, b'{"message": "x"}'), (200, b"no JSON"), (403, b"{}"), (500, b"")]
)
def test_nobody_known_is_nobody(github: type[_Approvals], tmp_path: Path, answer: tuple[int, bytes]) -> None:
    github.answer = answer
    assert _who(tmp_path) == (1, "approved-by=\n")


@pytest.mark.usefixtures("github")
def test_a_name_that_is_none_is_written_nowhere(tmp_path: Path) -> None:
    assert _who(tmp_path, "ada\nqualified=true") == (1, "")


class _Rules:
    """A `gitrain` whose rules ask for some runs."""

    def __init__(
        self, wanted: int, *, deployed: dict[str, Any] | None = None, code: int = 0, soaked: bool = True
    ) -> None:
        self.wanted, self.runs, self.code, self.soaked = wanted, 0, code, soaked
        self.deployed = deployed if deployed is not None else {"reason": "probed", "record": {"id": "x"}}

    def __call__(self, command: list[str]) -> tuple[int, str]:
        if command[1] == "deploy":
            assert command[2:5] == ["apply", "preprod", "--again"]
            self.runs += 1
            return self.code, json.dumps(self.deployed)
        assert command[2:5] == ["promote", "production", "--dry-run"]
        outcome = "PASSED" if self.runs >= self.wanted else "FAILED"
        runs = {"name": "production:runs", "outcome": outcome, "reason": f"{self.runs} of {self.wanted}"}
        soaked = "PASSED" if self.soaked else "FAILED"
        soak = {"name": "production:soak", "outcome": soaked, "reason": "an hour is to go"}
        # Whatever else is wrong is told where it is proposed.
        gates = {"name": "production:gates", "outcome": "FAILED", "reason": "there is none"}
        return 1, json.dumps({"verdicts": [runs, soak, gates]})


@pytest.mark.parametrize("wanted", [0, 1, 3])
def test_a_release_runs_as_often_as_is_asked_for(wanted: int) -> None:
    rules = _Rules(wanted)
    code, qualified, _ = qualifying.qualify("preprod", "production", rules)
    assert (code, qualified, rules.runs) == (0, True, wanted)


@pytest.mark.parametrize("wanted", [0, 2])
def test_time_to_soak_is_not_waited_for(wanted: int) -> None:
    rules = _Rules(wanted, soaked=False)
    code, qualified, said = qualifying.qualify("preprod", "production", rules)
    # It is as it should be, and nothing is to be proposed yet.
    assert (code, qualified, rules.runs) == (0, False, wanted)
    assert "an hour is to go" in said
    assert "gh workflow run propose.yml -f environment=production" in said


def test_a_run_that_fails_qualifies_for_nothing() -> None:
    failed = {"reason": "load: too slow", "record": {"id": "x"}}
    rules = _Rules(3, deployed=failed, code=1)
    code, qualified, said = qualifying.qualify("preprod", "production", rules)
    assert (code, qualified, rules.runs) == (1, False, 1)
    assert "too slow" in said


def test_where_nothing_runs_nothing_is_tried_for_ever() -> None:
    rules = _Rules(3, deployed={"reason": "it is suspended", "record": None})
    assert qualifying.qualify("preprod", "production", rules)[:2] == (0, False)
    endless = _Rules(10**6)
    assert qualifying.qualify("preprod", "production", endless)[:2] == (1, False)
    assert endless.runs == 20


@pytest.mark.parametrize("code", [2, 3])
def test_rules_that_cannot_be_asked_are_an_error(code: int) -> None:
    assert qualifying.qualify("preprod", "production", lambda command: (code, ""))[:2] == (code, False)
