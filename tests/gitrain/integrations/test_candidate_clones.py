"""Clones for candidates, with real Git and real DVC: what they share, what they commit, what they leave behind."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.gitrain.forge import git

from gitrain.errors import IntegrationError, PipelineError
from gitrain.integrations.candidate_clones import LocalCandidateClones
from gitrain.integrations.git_remote import GitRemote

DVC_YAML = """\
stages:
  double:
    cmd: >-
      python -c "import pathlib, yaml;
      n = str(2 * int(yaml.safe_load(open('params.yaml'))['n']));
      pathlib.Path('out.txt').write_text(n); pathlib.Path('metrics.json').write_text(n);
      pathlib.Path('dvc.yaml').open('a').write('# spoilt'); pathlib.Path('surplus').write_text('x')"
    params: [n]
    outs: [out.txt]
    metrics:
      - metrics.json: {cache: false}
"""


def quiet(_line):
    pass


@pytest.fixture
def repository(git_repository):
    """A pipeline of one stage; its remote is a folder that only the user's own configuration names, relatively."""
    (git_repository / "dvc.yaml").write_text(DVC_YAML)
    (git_repository / "params.yaml").write_text("n: 1\n")
    (git_repository / ".gitignore").write_text(".gitrain/\n/out.txt\n")
    (git_repository / ".dvc").mkdir()
    (git_repository / ".dvc/config").touch()
    (git_repository / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
    local = "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../storage\n"
    (git_repository / ".dvc/config.local").write_text(local)
    (git_repository / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    git(git_repository, "add", "--all")
    git(git_repository, "commit", "-q", "-m", "A pipeline")
    return git_repository


@pytest.fixture
def clones(repository):
    return LocalCandidateClones(GitRemote(repository))


def head(repository):
    return git(repository, "rev-parse", "HEAD")


def test_a_candidate_is_made_and_its_data_is_pushed(clones, repository):
    before = head(repository)
    (repository / "params.yaml").write_text("n: 77\n")
    with clones.make(before) as clone:
        clone.workspace.write_text("params.yaml", "n: 21\n")
        assert clone.run(("dvc", "repro", "-q"), progress=quiet).exit_code == 0
        assert clone.workspace.read_text("out.txt") == "42"
        commit = clone.commit("Doubled\n\nfor a reason\n")
        assert clone.push_data(progress=quiet)
        # Nothing is left to commit.
        assert clone.commit("Again\n") is None
    # In the user's repository, without a name there, and nothing of what the stage spoilt.
    assert git(repository, "show", f"{commit}:metrics.json") == "42"
    changed = git(repository, "diff", "--name-only", before, commit).splitlines()
    assert changed == ["dvc.lock", "metrics.json", "params.yaml"]
    assert git(repository, "log", "-1", "--format=%B", commit) == "Doubled\n\nfor a reason"
    assert git(repository, "rev-parse", f"{commit}^") == before == head(repository)
    assert (repository / "params.yaml").read_text() == "n: 77\n"
    assert not (repository / "out.txt").exists()
    stored = [path for path in (repository.parent / "storage").rglob("*") if path.is_file()]
    assert [path.read_text() for path in stored] == ["42"]
    # The cache is shared.
    cached = [path for path in (repository / ".dvc/cache/files").rglob("*") if path.is_file()]
    assert [path.read_text() for path in cached] == ["42"]
    assert list((repository / ".gitrain/retraining").glob("run-*")) == []


def test_nothing_that_is_run_gets_what_writes_to_the_forge(clones, repository, monkeypatch, tmp_path):
    header = "AUTHORIZATION: basic c2VjcmV0"
    given = {
        "GH_TOKEN": "ghs_secret",
        "GITHUB_TOKEN": "ghs_secret",
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "http.https://github.test/.extraheader",
        "GIT_CONFIG_VALUE_0": "",
        "GIT_CONFIG_KEY_1": "http.https://github.test/.extraheader",
        "GIT_CONFIG_VALUE_1": header,
        "GIT_CONFIG_PARAMETERS": f"'http.extraheader'='{header}'",
        "AWS_SECRET_ACCESS_KEY": "of the data's remote",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    seen = tmp_path / "seen"
    stage = f"python -c \"import os, json; open('{seen}', 'w').write(json.dumps(dict(os.environ)))\""
    with clones.make(head(repository)) as clone:
        clone.workspace.write_text("dvc.yaml", json.dumps({"stages": {"look": {"cmd": stage}}}))
        assert clone.run(("dvc", "repro", "-q"), progress=quiet).exit_code == 0
    found = json.loads(seen.read_text())
    assert found.keys() & given.keys() == {"AWS_SECRET_ACCESS_KEY"}
    assert not [name for name, value in found.items() if "ghs_secret" in value or "c2VjcmV0" in value]


def test_a_machine_that_knows_nobody_commits_all_the_same(clones, repository, monkeypatch):
    before = head(repository)
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.delenv(name)
    with clones.make(before) as clone:
        clone.workspace.write_text("params.yaml", "n: 5\n")
        assert git(repository, "log", "-1", "--format=%an", str(clone.commit("Five\n"))) == "gitrain"
    named = LocalCandidateClones(GitRemote(repository), author={"GIT_AUTHOR_NAME": "bot"})
    with named.make(before) as clone:
        clone.workspace.write_text("params.yaml", "n: 5\n")
        assert git(repository, "log", "-1", "--format=%an", str(clone.commit("Five\n"))) == "bot"


def test_what_a_killed_run_left_is_removed(clones, repository):
    left = repository / ".gitrain/retraining/run-dead/tree"
    left.mkdir(parents=True)
    assert clones.busy() is False
    assert left.exists()
    with clones.alone():
        assert not left.exists()


def test_one_at_a_time(clones, repository):
    other = LocalCandidateClones(GitRemote(repository), pause=quiet)
    assert not other.busy()
    with clones.alone() as first:
        assert first
        assert other.busy()
        with other.alone() as second:
            assert not second
    assert not other.busy()
    with other.alone() as third:
        assert third


def test_who_holds_the_lock_and_is_killed_gives_it_back(clones, repository):
    program = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from gitrain.integrations.candidate_clones import LocalCandidateClones
        from gitrain.integrations.git_remote import GitRemote
        with LocalCandidateClones(GitRemote(Path(sys.argv[1]))).alone() as alone:
            print(alone, flush=True)
            time.sleep(600)
    """)
    process = subprocess.Popen([sys.executable, "-c", program, str(repository)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == "True\n"
        assert clones.busy()
        process.kill()
    assert not clones.busy()


def test_the_holder_stays_the_same_and_is_not_another_clones(clones, repository, tmp_path):
    git(tmp_path, "clone", "-q", str(repository), "second")
    other = LocalCandidateClones(GitRemote(tmp_path / "second"))
    assert clones.holder == clones.holder == LocalCandidateClones(GitRemote(repository)).holder
    assert len(clones.holder) == 16
    assert other.holder != clones.holder


def test_a_command_that_fails_says_so(clones, repository):
    said = []
    with clones.make(head(repository)) as clone:
        script = "import sys; print('out'); print('oh', file=sys.stderr); sys.exit(7)"
        done = clone.run((sys.executable, "-c", script), progress=said.append)
        assert (done.exit_code, done.stdout, done.said, said) == (7, "out\n", "oh", ["oh"])
        with pytest.raises(IntegrationError, match="'no-such-program' is not on this machine"):
            clone.run(("no-such-program",), progress=quiet)


def test_a_remote_that_cannot_be_written_is_told(clones, repository):
    (repository.parent / "storage").write_text("no folder")
    with clones.make(head(repository)) as clone:
        clone.run(("dvc", "repro", "-q"), progress=quiet)
        with pytest.raises(PipelineError, match="`dvc push` failed"):
            clone.push_data(progress=quiet)


def test_without_a_remote_nothing_is_pushed(clones, repository):
    (repository / ".dvc/config.local").unlink()
    with clones.make(head(repository)) as clone:
        assert not clone.push_data(progress=quiet)


def test_a_commit_that_is_not_here_is_told_and_nothing_stays(clones, repository):
    with pytest.raises(PipelineError, match="git checkout"), clones.make("f" * 40):
        pass
    assert list((repository / ".gitrain/retraining").glob("run-*")) == []


def test_a_full_disk_is_told_and_nothing_stays(repository):
    # Files of a process may not grow beyond so many bytes: Git and DVC meet the end of the disk.
    program = textwrap.dedent("""
        import resource, sys
        from pathlib import Path
        from gitrain.errors import GitrainError
        from gitrain.integrations.candidate_clones import LocalCandidateClones
        from gitrain.integrations.git_remote import GitRemote
        clones = LocalCandidateClones(GitRemote(Path(sys.argv[1])))
        clones.holder
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
        try:
            with clones.make(sys.argv[2]) as clone:
                clone.workspace.write_text("big", "x" * 1000)
        except (GitrainError, OSError) as error:
            print(type(error).__name__)
    """)
    done = subprocess.run(
        [sys.executable, "-c", program, str(repository), head(repository)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout.strip() in ("PipelineError", "IntegrationError", "OSError"), done.stderr
    assert list((repository / ".gitrain/retraining").glob("run-*")) == []
    with LocalCandidateClones(GitRemote(repository)).make(head(repository)) as clone:
        assert clone.workspace.read_text("params.yaml") == "n: 1\n"
