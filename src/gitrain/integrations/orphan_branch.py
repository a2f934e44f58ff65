"""Files of a branch that has nothing in common with the sources, by Git's plumbing: no checkout, no index.

The branch is the remote's, if there is one. A change is judged on the newest state and pushed as a commit on top of
it; whoever was overtaken judges again on what is there then. So a change is made on exactly what it was judged by.
"""

import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gitrain.errors import PipelineError
from gitrain.integrations.git_program import OVERTAKEN, run_git

__all__ = ["BranchChange", "BranchState", "OrphanBranch"]

_TRIES = 10
_NOBODY = {"GIT_AUTHOR_NAME": "gitrain", "GIT_AUTHOR_EMAIL": "gitrain@localhost"}
_COMMITTER = {"GIT_COMMITTER_NAME": "gitrain", "GIT_COMMITTER_EMAIL": "gitrain@localhost"}


@dataclass(frozen=True, kw_only=True)
class BranchChange:
    """What a commit of the branch changes.

    Attributes:
        files: path to content; None takes a file away.
        message: of the commit.
    """

    files: Mapping[str, bytes | None]
    message: str


@dataclass(frozen=True)
class OrphanBranch:
    """One branch of the repository that `root` lies in.

    Attributes:
        root: a folder of the repository.
        name: of the branch.
        noun: what it keeps, for messages, e.g. ``records of deployments``.
        remote: where the branch is kept; a repository without it keeps the branch itself.
        variables: for Git alone: credentials.
        pause: waits some seconds between tries.
        tries: how often it is judged anew before others are given way for good.
    """

    root: Path
    name: str
    noun: str
    remote: str = "origin"
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    pause: Callable[[float], None] = time.sleep
    tries: int = _TRIES

    def state(self) -> "BranchState":
        """The branch as it is now. Raises PipelineError if the remote cannot be asked."""
        return BranchState(self, self._tip(self._shared()))

    def change(self, judge: Callable[["BranchState"], BranchChange | None]) -> bool:
        """Change the branch; False if `judge` wants nothing changed.

        Args:
            judge: is asked anew each time that somebody else was quicker.

        Raises:
            PipelineError: Git or the remote refuses, or others are quicker for ever.
        """
        shared = self._shared()
        attempt = 0
        while True:
            tip = self._tip(shared)
            wanted = judge(BranchState(self, tip))
            if wanted is None:
                return False
            commit = self._commit(tip, wanted)
            if shared:
                done = self.run_any("push", "--quiet", self.remote, f"{commit}:refs/heads/{self.name}")
            else:
                # The former value is compared in the same step: who was quicker is not written over.
                done = self.run_any("update-ref", f"refs/heads/{self.name}", commit, tip or "0" * 40)
            if done.returncode == 0:
                if shared:
                    self.run_any("update-ref", self._tracking, commit)
                return True
            said = done.stderr.decode(errors="replace")
            attempt += 1
            if attempt == self.tries or not any(word in said for word in OVERTAKEN):
                raise self.failure("push" if shared else "update-ref", done)
            self.pause(0.05 * attempt)

    @property
    def _tracking(self) -> str:
        return f"refs/remotes/{self.remote}/{self.name}"

    def _shared(self) -> bool:
        return self.run_any("remote", "get-url", self.remote).returncode == 0

    def _tip(self, shared: bool) -> str | None:
        """The branch's newest commit, as the remote has it; None if there is no branch yet."""
        if not shared:
            return self._resolve(f"refs/heads/{self.name}")
        there = self.run("ls-remote", "--quiet", self.remote, f"refs/heads/{self.name}").split()
        if not there:
            return None
        tip = there[0].decode("ascii")
        if not self._has(tip):
            # No name is written: whoever else fetches here at the same time would be told that it is locked.
            wanted = ("--refmap=", self.remote, f"refs/heads/{self.name}")
            self.run("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", *wanted)
        # It is part of what was fetched, unless somebody has written the branch anew in between.
        return tip if self._has(tip) else self._tip(shared)

    def _has(self, commit: str) -> bool:
        return self.run_any("cat-file", "-e", f"{commit}^{{commit}}").returncode == 0

    def _resolve(self, ref: str) -> str | None:
        done = self.run_any("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        return done.stdout.decode("ascii").strip() if done.returncode == 0 else None

    def _commit(self, tip: str | None, wanted: BranchChange) -> str:
        with tempfile.TemporaryDirectory(prefix="gitrain-index-") as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
            if tip is not None:
                self.run("read-tree", tip, variables=index)
            for path, content in wanted.files.items():
                if content is None:
                    self.run("update-index", "--force-remove", "--", path, variables=index)
                    continue
                blob = self.run("hash-object", "-w", "--stdin", text=content).decode("ascii").strip()
                self.run("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", variables=index)
            tree = self.run("write-tree", variables=index).decode("ascii").strip()
        parents = ("-p", tip) if tip is not None else ()
        return self.run("commit-tree", tree, *parents, text=wanted.message.encode()).decode("ascii").strip()

    def run(self, *arguments: str, text: bytes = b"", variables: Mapping[str, str] | None = None) -> bytes:
        """What Git prints. Raises PipelineError if it fails."""
        done = self.run_any(*arguments, text=text, variables=variables)
        if done.returncode != 0:
            raise self.failure(arguments[0], done)
        return done.stdout

    def run_any(
        self, *arguments: str, text: bytes = b"", variables: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[bytes]":
        """Git's answer, whatever it is. Raises IntegrationError if there is no Git."""
        given = {**self.variables, **(variables or {})}
        # Machines that deploy often know nobody by name; what is known goes before.
        if arguments[0] == "commit-tree":
            given |= self._fallbacks(given)
        return run_git(self.root, *arguments, text=text, variables=given)

    def failure(self, verb: str, done: "subprocess.CompletedProcess[bytes]") -> PipelineError:
        """The error that tells what Git said."""
        said = " ".join(done.stderr.decode(errors="replace").split())[:600] or f"exit code {done.returncode}"
        return PipelineError(
            f"{self.noun}: `git {verb}` failed in {self.root}: {said}",
            fix=f"see that this machine may read and push the branch {self.name}; the next run records this one too.",
        )

    def _fallbacks(self, given: Mapping[str, str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for variable, fallback in (("GIT_AUTHOR_IDENT", _NOBODY), ("GIT_COMMITTER_IDENT", _COMMITTER)):
            done = run_git(self.root, "-c", "user.useConfigOnly=true", "var", variable, variables=given)
            if done.returncode != 0:
                found |= fallback
        return found


@dataclass(frozen=True)
class BranchState:
    """The branch at one of its commits.

    Attributes:
        branch: which one.
        commit: the full hash; None where there is no branch yet.
    """

    branch: OrphanBranch
    commit: str | None

    def read(self, path: str) -> bytes | None:
        """A file; None if there is none."""
        if self.commit is None:
            return None
        done = self.branch.run_any("cat-file", "blob", f"{self.commit}:{path}")
        return done.stdout if done.returncode == 0 else None

    def files(self, chosen: Callable[[str], bool]) -> Mapping[str, bytes]:
        """The files whose paths are chosen, by path."""
        if self.commit is None:
            return {}
        listing = self.branch.run("ls-tree", "-r", "-z", "--full-tree", self.commit)
        blobs: dict[str, str] = {}
        for entry in listing.split(b"\0"):
            meta, _, name = entry.partition(b"\t")
            path = name.decode(errors="replace")
            if path and chosen(path):
                blobs[path] = meta.decode("ascii").split(" ")[2]
        return dict(zip(blobs, self._contents(tuple(blobs.values())), strict=True))

    def _contents(self, blobs: Sequence[str]) -> Sequence[bytes]:
        answer = self.branch.run("cat-file", "--batch", text="".join(f"{blob}\n" for blob in blobs).encode())
        found, at = [], 0
        for _ in blobs:
            # HASH SP TYPE SP SIZE LF CONTENT LF
            end = answer.index(b"\n", at)
            size = int(answer[at:end].split(b" ")[2])
            found.append(answer[end + 1 : end + 1 + size])
            at = end + 2 + size
        return found
