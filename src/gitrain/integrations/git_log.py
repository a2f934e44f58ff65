"""Git's log: which commits changed a file and what they made of it, and what lies between two of them."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gitrain.deployment.commits import CommitLine, FileVersion
from gitrain.errors import IntegrationError, PipelineError
from gitrain.integrations.git_program import ELSEWHERE

__all__ = ["GitLog"]

# Neither a name nor a message holds NUL.
_FORMAT = "%H%x00%aN%x00%ct%x00%B%x00"


@dataclass(frozen=True)
class GitLog:
    """A `CommitHistory` on the repository that `root` lies in; paths are relative to `root`. It is only read."""

    root: Path

    def resolve(self, ref: str) -> str | None:
        """The full hash of the commit that a name stands for; None if it stands for none."""
        done = self._try("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        return done.stdout.decode().strip() if done.returncode == 0 else None

    def merge_base(self, one: str, other: str) -> str | None:
        """The commit at which two histories part; None if they have nothing in common."""
        done = self._try("merge-base", "--end-of-options", one, other)
        return done.stdout.decode().split()[0] if done.returncode == 0 and done.stdout else None

    def read(self, commit: str, path: str) -> str | None:
        """A file of a commit as text; None if there is none, or the commit is not here."""
        done = self._try("cat-file", "blob", f"{commit}:{self._prefix}{path}")
        return done.stdout.decode(errors="replace") if done.returncode == 0 else None

    def files(self, commit: str, folder: str) -> Sequence[str]:
        """The paths of the files directly in a folder, sorted."""
        prefix = self._prefix
        listing = self._run(
            "ls-tree", "-z", "--name-only", "--full-tree", "--end-of-options", commit, "--", f"{prefix}{folder}/"
        )
        return sorted(os.fsdecode(name).removeprefix(prefix) for name in listing.split(b"\0") if name)

    def versions(self, path: str, *, commit: str = "HEAD", main_line: bool = False) -> Sequence[FileVersion]:
        """The commits that changed a file, the newest first."""
        flags = ("--first-parent", "--diff-merges=first-parent") if main_line else ()
        lines = self._log(*flags, commit, "--", f"{self._prefix}{path}")
        return [
            FileVersion(commit=sha, author=author, at=at, message=message, text=self.read(sha, path))
            for sha, author, at, message in lines
        ]

    def between(self, old: str, new: str) -> Sequence[CommitLine]:
        """The commits that `new` has and `old` has not, the newest first; without merges."""
        return [
            CommitLine(commit=sha, author=author, at=at, subject=message.strip().partition("\n")[0])
            for sha, author, at, message in self._log("--no-merges", f"{old}..{new}")
        ]

    def _log(self, *arguments: str) -> list[tuple[str, str, datetime, str]]:
        # From the top: paths are those of the whole repository then.
        top = os.fsdecode(self._run("rev-parse", "--show-toplevel").removesuffix(b"\n"))
        said = self._run("-C", top, "log", f"--format={_FORMAT}", *arguments)
        parts = said.decode(errors="replace").split("\0")
        return [
            (parts[at].strip(), parts[at + 1], datetime.fromtimestamp(int(parts[at + 2]), tz=UTC), parts[at + 3])
            for at in range(0, len(parts) - 4, 4)
        ]

    @property
    def _prefix(self) -> str:
        return os.fsdecode(self._run("rev-parse", "--show-prefix").removesuffix(b"\n"))

    def _run(self, *arguments: str) -> bytes:
        done = self._try(*arguments)
        if done.returncode != 0:
            said = " ".join(done.stderr.decode(errors="replace").split())
            verb = next(each for each in arguments if not each.startswith(("-", "/")))
            raise PipelineError(
                f"`git {verb}` failed in {self.root}: {said}", fix="run `git status` there and mend what it reports."
            )
        return done.stdout

    def _try(self, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
        environment |= {
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "LC_ALL": "C",
        }
        command = ["git", "-c", "core.fsmonitor=false", "-c", "log.showSignature=false", *arguments]
        try:
            return subprocess.run(
                command, cwd=self.root, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
            )
        except FileNotFoundError as error:
            raise IntegrationError("the program `git` is not on PATH", fix="install Git.") from error
