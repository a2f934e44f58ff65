"""A promotion that is killed at any of its effects: the next one ends where an undisturbed one does."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.gitrain.deployment_records import deployed
from tests.gitrain.fake_github import REPOSITORY, FakeGitHub, serving
from tests.gitrain.forge import PREPROD, forge_at, git

ROOT = Path(__file__).parents[3]
# A `git` that ends whoever called it: before or after the first call of one verb, in a repository of the tests.
SHIM = """\
#!/bin/sh
hit=
for word in "$@"; do [ "$word" = "$KILL_AT" ] && hit=1; done
[ -e "$KILL_DONE" ] && hit=
if [ -n "$hit" ] && [ "$KILL_WHEN" = before ]; then : > "$KILL_DONE"; kill -9 $PPID; exit 1; fi
"$REAL_GIT" "$@"
code=$?
if [ -n "$hit" ]; then : > "$KILL_DONE"; kill -9 $PPID; fi
exit $code
"""
READING = ("ls-remote", "fetch")
WRITING = ("hash-object", "read-tree", "update-index", "write-tree", "commit-tree", "push", "merge-tree")


class Program:
    """Runs commands in forks of one warm process, which are killed where it is told."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.gitrain.killed_program"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.orders, self.answers = self.process.stdin, self.process.stdout

    def run(self, *arguments, **how):
        """How it ended."""
        self.orders.write(json.dumps({"arguments": arguments, **how}) + "\n")
        self.orders.flush()
        return json.loads(self.answers.readline())

    def end(self):
        self.orders.close()
        self.answers.close()
        return self.process.wait(120)


@pytest.fixture
def program():
    started = Program()
    try:
        yield started
    finally:
        ended = started.end()
    assert ended == 0


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_whatever_it_was_doing_the_next_run_heals_it(git_repository, program, tmp_path, when):
    forged = forge_at(git_repository, tmp_path)
    made = forged.release("1.0.0", tmp_path)
    forged.records.add(deployed("test", "1.0.0", bundle=made.record.bundle_digest))
    shims = tmp_path / "bin"
    shims.mkdir()
    (shims / "git").write_text(SHIM)
    (shims / "git").chmod(0o755)
    command = ["-C", str(forged.root), "env", "promote", "preprod", "--merge"]
    environment = {
        "PATH": f"{shims}{os.pathsep}{os.environ['PATH']}",
        "REAL_GIT": str(shutil.which("git")),
    }
    start = git(forged.origin, "rev-parse", "main")
    wanted = PREPROD.replace("release: null", "release: 1.0.0")
    wanted = wanted.replace("digest: null", f"digest: {made.record.bundle_digest}")
    for verb in READING + WRITING:
        done = tmp_path / f"{verb}.done"
        given = environment | {"KILL_AT": verb, "KILL_WHEN": when, "KILL_DONE": str(done)}
        killed = program.run(*command, variables=given)
        assert done.exists(), verb
        assert killed["code"] == -9, verb
        # Desired or former, never between.
        assert forged.file("preprod") in (PREPROD, wanted), verb
        healed = program.run(*command)
        assert healed["code"] == 0, verb + healed["said"]
        assert forged.file("preprod") == wanted, verb
        assert (
            git(forged.origin, "branch", "--list", "promote/*", "--format=%(refname:short)") == "promote/preprod/1.0.0"
        )
        assert git(forged.root, "status", "--porcelain") == ""
        git(forged.origin, "update-ref", "refs/heads/main", start)
        git(forged.origin, "branch", "-D", "promote/preprod/1.0.0")


KILLS = int(os.environ.get("GITRAIN_KILLS", "20"))
NEW, OLD = "promote/preprod/1.1.0", "promote/preprod/1.0.0"


class Promoting:
    """Promotions of 1.1.0 where 1.0.0 is proposed already, each from the same start."""

    def __init__(self, forged, folder, program, variables=None):
        self.forged = forged
        self.made = {version: forged.release(version, folder) for version in ("1.0.0", "1.1.0")}
        for minute, (version, made) in enumerate(self.made.items()):
            forged.records.add(deployed("test", version, minute=minute, bundle=made.record.bundle_digest))
        self.main = git(forged.origin, "rev-parse", "main")
        self.program, self.variables = program, variables
        assert self.promote("--release", "1.0.0")["code"] == 0
        self.old = git(forged.origin, "rev-parse", OLD)

    def promote(self, *more, **how):
        """Run it in a process that is killed where it is told; how it ended."""
        arguments = ("-C", str(self.forged.root), "env", "promote", "preprod", *more)
        return self.program.run(*arguments, variables=self.variables, **how)

    def again(self):
        """As it was before."""
        for ref in self.refs():
            git(self.forged.origin, "update-ref", "-d", ref)
        git(self.forged.origin, "update-ref", "refs/heads/main", self.main)
        git(self.forged.origin, "update-ref", f"refs/heads/{OLD}", self.old)

    def refs(self):
        listed = git(self.forged.origin, "for-each-ref", "--format=%(refname)", "refs/heads/promote", "refs/withdrawn")
        return set(listed.splitlines())

    def wanted(self, version):
        digest = self.made[version].record.bundle_digest
        return PREPROD.replace("release: null", f"release: {version}").replace("digest: null", f"digest: {digest}")

    def look(self):
        """Whole or not there: no file, no branch and no proposal is halfway, whatever was killed."""
        refs = self.refs()
        assert refs <= {f"refs/heads/{OLD}", f"refs/heads/{NEW}", f"refs/withdrawn/{OLD}"}
        # The earlier one waits, or was withdrawn; never both, never neither.
        assert (f"refs/heads/{OLD}" in refs) != (f"refs/withdrawn/{OLD}" in refs)
        # It is not withdrawn before the later one is there.
        if f"refs/withdrawn/{OLD}" in refs:
            assert f"refs/heads/{NEW}" in refs
        if f"refs/heads/{NEW}" in refs:
            assert self.forged.file("preprod", NEW) == self.wanted("1.1.0")
            assert git(self.forged.origin, "diff", "--name-only", self.main, NEW) == "environments/preprod.yaml"
        assert self.forged.file("preprod") in (PREPROD, self.wanted("1.1.0"))
        assert git(self.forged.root, "status", "--porcelain") == ""
        git(self.forged.origin, "fsck", "--strict", "--no-dangling")


@pytest.fixture
def forged(git_repository, tmp_path):
    return forge_at(git_repository, tmp_path)


def attempts(promoting, seed, *more):
    """Where each run is to be killed: before an effect that is drawn, or after a time that is."""
    draw = random.Random(seed)
    whole = promoting.promote("--release", "1.1.0", *more)
    assert whole["code"] == 0, whole["said"]
    promoting.again()
    for _ in range(KILLS // 2):
        if draw.random() < 0.7:
            yield {"effect": draw.randrange(whole["effects"])}
        else:
            yield {"seconds": draw.uniform(0, whole["seconds"])}


@pytest.mark.slow
def test_branches_are_whole_and_one_a_change_wherever_it_is_killed(forged, program, tmp_path):
    """A bare repository; the promotions are merged as well, so that there is more to be killed in."""
    promoting, killed = Promoting(forged, tmp_path, program), 0
    for how in attempts(promoting, 11, "--merge"):
        found = promoting.promote("--release", "1.1.0", "--merge", **how)
        assert found["code"] in (0, -9), found["said"]
        killed += found["code"] == -9
        promoting.look()
        healed = promoting.promote("--release", "1.1.0", "--merge")
        assert healed["code"] == 0, (how, healed["said"])
        promoting.look()
        assert promoting.refs() == {f"refs/heads/{NEW}", f"refs/withdrawn/{OLD}"}, how
        assert forged.file("preprod") == promoting.wanted("1.1.0")
        # One change, merged once.
        assert git(forged.origin, "rev-list", "--count", f"{promoting.main}..main") == "2"
        promoting.again()
    assert killed > KILLS // 4


@pytest.mark.slow
def test_pull_requests_are_one_a_change_wherever_it_is_killed(forged, program, tmp_path):
    with serving(FakeGitHub(forged.origin)) as fake:
        address = f"{fake.url}/{REPOSITORY}.git"
        git(forged.root, "remote", "set-url", "origin", address)
        git(forged.root, "config", f"url.{forged.origin}.insteadOf", address)
        github = {"GITHUB_SERVER_URL": fake.url, "GITHUB_API_URL": fake.url, "GH_TOKEN": "token"}
        promoting, killed = Promoting(forged, tmp_path, program, github), 0
        for how in attempts(promoting, 12):
            fake.pulls = {1: fake.pulls[1] | {"state": "open"}}
            fake.comments.clear()
            found = promoting.promote("--release", "1.1.0", **how)
            assert found["code"] in (0, -9), found["said"]
            killed += found["code"] == -9
            promoting.look()
            healed = promoting.promote("--release", "1.1.0")
            assert healed["code"] == 0, (how, healed["said"])
            promoting.look()
            assert promoting.refs() == {f"refs/heads/{NEW}", f"refs/withdrawn/{OLD}"}, how
            waiting = [pull["head"]["ref"] for pull in fake.pulls.values() if pull["state"] == "open"]
            assert waiting == [NEW]
            assert len(fake.pulls) == 2
            assert sum(map(len, fake.comments.values())) <= 1
            promoting.again()
        assert killed > KILLS // 4
