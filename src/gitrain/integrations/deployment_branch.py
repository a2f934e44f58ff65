"""Deployment records as files of an orphan branch, by Git's plumbing: no checkout, no index of the user's.

The branch is the remote's, if there is one: a record is pushed as a commit on top of it, and pushed again on what
another run pushed meanwhile. Files are never the same, so nothing can conflict.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gitrain.deployment.record import DeploymentRecord
from gitrain.errors import IntegrationError, PipelineError
from gitrain.integrations.git import ELSEWHERE

__all__ = ["BRANCH", "DeploymentBranch"]

#: Where records are kept.
BRANCH = "deployments"

_TRIES = 10
# What Git says to whoever was not the first.
_OVERTAKEN = ("[rejected]", "cannot lock ref", "failed to update ref", "incorrect old value")
_NOBODY = {"GIT_AUTHOR_NAME": "gitrain", "GIT_AUTHOR_EMAIL": "gitrain@localhost"}
_COMMITTER = {"GIT_COMMITTER_NAME": "gitrain", "GIT_COMMITTER_EMAIL": "gitrain@localhost"}


@dataclass(frozen=True)
class DeploymentBranch:
    """`DeploymentRecords` in a Git repository.

    Attributes:
        root: a folder of the repository.
        remote: where the branch is kept; a repository without it keeps the branch itself.
        pause: waits some seconds between tries.
    """

    root: Path
    remote: str = "origin"
    pause: Callable[[float], None] = time.sleep

    def add(self, record: DeploymentRecord) -> None:
        """Keep a record, once."""
        content = record.to_json().encode()
        shared = self._shared()
        attempt = 0
        while True:
            tip = self._tip(shared)
            if tip is not None and self._there(tip, record, content):
                return
            commit = self._commit(tip, record, content)
            if shared:
                done = self._try("push", "--quiet", self.remote, f"{commit}:refs/heads/{BRANCH}")
            else:
                # The former value is compared in the same step: who was quicker is not written over.
                done = self._try("update-ref", f"refs/heads/{BRANCH}", commit, tip or "0" * 40)
            if done.returncode == 0:
                if shared:
                    self._try("update-ref", self._tracking, commit)
                return
            said = done.stderr.decode(errors="replace")
            attempt += 1
            if attempt == _TRIES or not any(word in said for word in _OVERTAKEN):
                raise _failure(self.root, "push" if shared else "update-ref", done)
            self.pause(0.05 * attempt)

    def list(self, environment: str | None = None) -> Sequence[DeploymentRecord]:
        """The records of an environment, or of all, by the time at which they began."""
        tip = self._tip(self._shared())
        if tip is None:
            return []
        listing = self._run("ls-tree", "-r", "-z", "--full-tree", tip)
        blobs: dict[str, str] = {}
        for entry in listing.split(b"\0"):
            meta, _, name = entry.partition(b"\t")
            path = name.decode(errors="replace")
            if path.endswith(".json") and (environment is None or path.startswith(f"{environment}/")):
                blobs[path] = meta.decode("ascii").split(" ")[2]
        contents = self._contents(tuple(blobs.values()))
        records = [
            DeploymentRecord.from_json(content.decode(errors="replace"), source=f"{BRANCH}:{path}")
            for path, content in zip(blobs, contents, strict=True)
        ]
        return sorted(records, key=lambda record: (record.began, record.id))

    @property
    def _tracking(self) -> str:
        return f"refs/remotes/{self.remote}/{BRANCH}"

    def _shared(self) -> bool:
        return self._try("remote", "get-url", self.remote).returncode == 0

    def _tip(self, shared: bool) -> str | None:
        """The branch's newest commit, as the remote has it; None if there is no branch yet."""
        if not shared:
            return self._resolve(f"refs/heads/{BRANCH}")
        there = self._run("ls-remote", "--quiet", self.remote, f"refs/heads/{BRANCH}").split()
        if not there:
            return None
        tip = there[0].decode("ascii")
        if self._try("cat-file", "-e", f"{tip}^{{commit}}").returncode != 0:
            self._run("fetch", "--quiet", "--no-tags", self.remote, f"+refs/heads/{BRANCH}:{self._tracking}")
            # Somebody may have pushed since: what was fetched counts.
            return self._resolve(self._tracking)
        return tip

    def _resolve(self, ref: str) -> str | None:
        done = self._try("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        return done.stdout.decode("ascii").strip() if done.returncode == 0 else None

    def _there(self, tip: str, record: DeploymentRecord, content: bytes) -> bool:
        done = self._try("cat-file", "blob", f"{tip}:{record.path}")
        if done.returncode != 0:
            return False
        if done.stdout != content:
            raise PipelineError(
                f"{BRANCH}:{record.path} has another content", fix="a record is never changed: restore the branch."
            )
        return True

    def _commit(self, tip: str | None, record: DeploymentRecord, content: bytes) -> str:
        blob = self._run("hash-object", "-w", "--stdin", text=content).decode("ascii").strip()
        with tempfile.TemporaryDirectory(prefix="gitrain-index-") as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
            if tip is not None:
                self._run("read-tree", tip, variables=index)
            self._run("update-index", "--add", "--cacheinfo", f"100644,{blob},{record.path}", variables=index)
            tree = self._run("write-tree", variables=index).decode("ascii").strip()
        release = record.release.version
        message = f"{record.environment}: {record.kind} {release} {record.ending.value}\n\n{record.reason}\n"
        parents = ("-p", tip) if tip is not None else ()
        return self._run("commit-tree", tree, *parents, text=message.encode()).decode("ascii").strip()

    def _contents(self, blobs: Sequence[str]) -> Sequence[bytes]:
        answer = self._run("cat-file", "--batch", text="".join(f"{blob}\n" for blob in blobs).encode())
        found, at = [], 0
        for _ in blobs:
            # HASH SP TYPE SP SIZE LF CONTENT LF
            end = answer.index(b"\n", at)
            size = int(answer[at:end].split(b" ")[2])
            found.append(answer[end + 1 : end + 1 + size])
            at = end + 2 + size
        return found

    def _run(self, *arguments: str, text: bytes = b"", variables: dict[str, str] | None = None) -> bytes:
        done = self._try(*arguments, text=text, variables=variables)
        if done.returncode != 0:
            raise _failure(self.root, arguments[0], done)
        return done.stdout

    def _try(
        self, *arguments: str, text: bytes = b"", variables: dict[str, str] | None = None
    ) -> "subprocess.CompletedProcess[bytes]":
        environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
        environment |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **(variables or {})}
        try:
            # Machines that deploy often know nobody by name; what is known goes before.
            if arguments[0] == "commit-tree":
                environment = self._named(environment)
            return subprocess.run(
                ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", *arguments],
                cwd=self.root,
                env=environment,
                input=text,
                capture_output=True,
                check=False,
            )
        except FileNotFoundError as error:
            raise IntegrationError("the program `git` is not on PATH", fix="install Git.") from error

    def _named(self, environment: dict[str, str]) -> dict[str, str]:
        for variable, fallback in (("GIT_AUTHOR_IDENT", _NOBODY), ("GIT_COMMITTER_IDENT", _COMMITTER)):
            command = ["git", "-c", "user.useConfigOnly=true", "var", variable]
            done = subprocess.run(command, cwd=self.root, env=environment, capture_output=True, check=False)
            if done.returncode != 0:
                environment = environment | fallback
        return environment


def _failure(root: Path, verb: str, done: "subprocess.CompletedProcess[bytes]") -> PipelineError:
    said = " ".join(done.stderr.decode(errors="replace").split())[:600] or f"exit code {done.returncode}"
    return PipelineError(
        f"records of deployments: `git {verb}` failed in {root}: {said}",
        fix=f"see that this machine may read and push the branch {BRANCH}; the next run records this one too.",
    )
