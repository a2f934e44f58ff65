"""A promotion that is killed at any of its effects: the next one ends where an undisturbed one does."""

import os
import shutil
import subprocess
import sys

import pytest
from tests.gitrain.deployment_records import deployed
from tests.gitrain.forge import PREPROD, forge_at, git

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


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_whatever_it_was_doing_the_next_run_heals_it(git_repository, tmp_path, when):
    forged = forge_at(git_repository, tmp_path)
    made = forged.release("1.0.0", tmp_path)
    forged.records.add(deployed("test", "1.0.0", bundle=made.record.bundle_digest))
    shims = tmp_path / "bin"
    shims.mkdir()
    (shims / "git").write_text(SHIM)
    (shims / "git").chmod(0o755)
    command = [sys.executable, "-m", "gitrain", "-C", str(forged.root), "env", "promote", "preprod", "--merge"]
    environment = os.environ | {
        "PATH": f"{shims}{os.pathsep}{os.environ['PATH']}",
        "REAL_GIT": str(shutil.which("git")),
    }
    start = git(forged.origin, "rev-parse", "main")
    wanted = PREPROD.replace("release: null", "release: 1.0.0")
    wanted = wanted.replace("digest: null", f"digest: {made.record.bundle_digest}")
    for verb in READING + WRITING:
        done = tmp_path / f"{verb}.done"
        given = environment | {"KILL_AT": verb, "KILL_WHEN": when, "KILL_DONE": str(done)}
        killed = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
        assert done.exists(), verb
        assert killed.returncode == -9, verb
        # Desired or former, never between.
        assert forged.file("preprod") in (PREPROD, wanted), verb
        healed = subprocess.run(command, env=environment | {"KILL_AT": ""}, capture_output=True, text=True, check=False)
        assert healed.returncode == 0, verb + healed.stderr
        assert forged.file("preprod") == wanted, verb
        assert (
            git(forged.origin, "branch", "--list", "promote/*", "--format=%(refname:short)") == "promote/preprod/1.0.0"
        )
        assert git(forged.root, "status", "--porcelain") == ""
        git(forged.origin, "update-ref", "refs/heads/main", start)
        git(forged.origin, "branch", "-D", "promote/preprod/1.0.0")
