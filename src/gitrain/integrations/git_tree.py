"""The files of a commit, read from Git's objects: no filter, attribute or working tree has a say in them."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gitrain.errors import IntegrationError, PipelineError
from gitrain.integrations.git_program import ELSEWHERE

__all__ = ["GitTree"]

_PLAIN, _EXECUTABLE = "100644", "100755"


@dataclass(frozen=True)
class GitTree:
    """A `CommitTree` on the Git working tree that `root` lies in; paths are relative to `root`.

    `git archive` would be simpler, but its files depend on `.gitattributes` (export-subst, export-ignore, line endings)
    and on the user's configuration.
    """

    root: Path

    def files(self, commit: str) -> Sequence[str]:
        """The paths of all regular files, relative to the root, sorted."""
        return sorted(self._entries(commit))

    def export(self, commit: str, paths: Sequence[str], folder: Path) -> None:
        """Write files as the commit has them, byte for byte, below a folder, at their own paths."""
        entries = self._entries(commit)
        missing = [path for path in paths if path not in entries]
        if missing:
            raise PipelineError(
                f"commit {commit[:12]} has no file {missing[0]}", fix="add it, commit it, and try again."
            )
        wanted = "".join(f"{entries[path][1]}\n" for path in paths).encode()
        answer = self._git("cat-file", "--batch", text=wanted)
        at = 0
        for path in paths:
            # HASH SP TYPE SP SIZE LF CONTENT LF
            end = answer.index(b"\n", at)
            head = answer[at:end].decode().split(" ")
            if len(head) != 3 or head[1] != "blob":
                raise PipelineError(
                    f"Git cannot read {path} of commit {commit[:12]}", fix="fetch it: `git fetch --refetch origin`."
                )
            start, size = end + 1, int(head[2])
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(answer[start : start + size])
            target.chmod(0o755 if entries[path][0] == _EXECUTABLE else 0o644)
            at = start + size + 1

    def committed_at(self, commit: str) -> datetime:
        """The time of a commit, in UTC, whole seconds."""
        stamp = self._git("show", "--no-patch", "--format=%ct", "--end-of-options", commit)
        return datetime.fromtimestamp(int(stamp), tz=UTC)

    def _entries(self, commit: str) -> dict[str, tuple[str, str]]:
        """Path to mode and object of the commit's regular files."""
        prefix = self._git("rev-parse", "--show-prefix").removesuffix(b"\n")
        inside = (os.fsdecode(prefix),) if prefix else ()
        listing = self._git("ls-tree", "-r", "-z", "--full-tree", "--end-of-options", commit, *inside)
        found = {}
        for entry in listing.split(b"\0"):
            meta, _, name = entry.partition(b"\t")
            if name:
                mode, _, blob = meta.decode("ascii").split(" ")
                if mode in (_PLAIN, _EXECUTABLE):
                    found[os.fsdecode(name.removeprefix(prefix))] = (mode, blob)
        return found

    def _git(self, *arguments: str, text: bytes = b"") -> bytes:
        environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
        try:
            done = subprocess.run(
                ["git", "-c", "core.fsmonitor=false", *arguments],
                cwd=self.root,
                env=environment | {"LC_ALL": "C"},
                input=text,
                capture_output=True,
                check=False,
            )
        except FileNotFoundError as error:
            raise IntegrationError("the program `git` is not on PATH", fix="install Git.") from error
        if done.returncode != 0:
            said = " ".join(done.stderr.decode(errors="replace").split())
            raise PipelineError(
                f"`git {arguments[0]}` failed in {self.root}: {said}",
                fix="run `git status` there and mend what it reports.",
            )
        return done.stdout
