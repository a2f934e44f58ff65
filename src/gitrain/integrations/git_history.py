"""Git's history, by its command line program: who changed a file last, and which commits a branch holds."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gitrain.errors import UsageError
from gitrain.integrations.git import GitRepository

__all__ = ["GitHistory", "person_of"]


@dataclass(frozen=True)
class GitHistory(GitRepository):
    """A `Commits` on the Git working tree that `root` lies in; paths are relative to `root`."""

    def files(self, ref: str, folder: str) -> list[str]:
        """The names of the files directly inside a folder of a commit, sorted."""
        listing = self._run("ls-tree", "-z", "--name-only", "--end-of-options", self.commit(ref), "--", f"{folder}/")
        names = (os.fsdecode(entry).rpartition("/")[2] for entry in listing.split(b"\0") if entry)
        return sorted(names)

    def changed_by(self, ref: str, path: str) -> str:
        """The last commit up to `ref` that changed a file; where Git finds none, as in a shallow clone, `ref`'s."""
        commit = self.commit(ref)
        found = self._run("log", "-1", "--format=%H", "--end-of-options", commit, "--", path)
        return found.decode("ascii").strip() or commit

    def has(self, commit: str, ref: str) -> bool:
        """Whether `commit` is in the history of `ref`; False for one that this clone does not know."""
        try:
            known, tip = self.commit(commit), self.commit(ref)
        except UsageError:
            return False
        # Commits that only the one has: none, if the other has all of its history.
        return not self._run("rev-list", "--max-count=1", known, f"^{tip}")


def person_of(root: Path) -> str | None:
    """Whom Git's configuration names here; None if nobody."""
    done = subprocess.run(["git", "config", "user.name"], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None
