"""Fakes of the protocols that operations ask for: in memory or in a folder, and held to the conformance suites."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from gitrain.errors import PipelineError, UsageError
from gitrain.tracking.runs import RunRecord

__all__ = ["FolderCache", "MemoryRepository", "MemoryRunStore"]


@dataclass
class MemoryRunStore:
    """A `gitrain.tracking.runs.RunStore` in memory."""

    _records: dict[tuple[str, str], RunRecord] = field(default_factory=dict)

    def record(self, run: RunRecord, files: Mapping[str, bytes]) -> RunRecord:
        """Keep a run once; one from a dirty tree takes over the commit of a clean one."""
        place = (run.project, run.key)
        kept = self._records.get(place)
        if kept is None:
            run_id = f"run-{len(self._records) + 1}"
            kept = replace(run, artifacts=tuple(sorted(files)), run_id=run_id, model_version=None)
        elif kept.dirty and not run.dirty:
            kept = replace(kept, commit=run.commit, dirty=False)
        self._records[place] = kept
        return kept

    def list(self, project: str) -> list[RunRecord]:
        """The records of a project, the newest first, without their curves."""
        found = [replace(run, curves={}) for (name, _), run in self._records.items() if name == project]
        return sorted(found, key=lambda run: run.recorded_at, reverse=True)

    def get(self, project: str, key: str) -> RunRecord | None:
        """The record with that key; None if there is none."""
        return self._records.get((project, key))


@dataclass
class MemoryRepository:
    """A `gitrain.pipeline.repository.Repository` in memory: a line of commits, and a tree.

    Attributes:
        tree: the files of the working tree by path; change them as you like.
    """

    tree: dict[str, bytes] = field(default_factory=dict)
    _commits: dict[str, Mapping[str, bytes]] = field(default_factory=dict)
    _head: str | None = None

    def add_commit(self, files: Mapping[str, bytes]) -> str:
        """Commit these files and no others, and check them out; the new commit's hash."""
        text = repr((self._head, sorted(files.items())))
        name = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self._commits[name] = dict(files)
        self._head = name
        self.tree = dict(files)
        return name

    def commit(self, ref: str) -> str:
        """The full hash that `ref` names: HEAD, or a hash or the start of one."""
        if ref == "HEAD" and self._head is not None:
            return self._head
        found = [name for name in self._commits if len(ref) >= 4 and name.startswith(ref)]
        if len(found) != 1:
            raise UsageError(f"there is no commit {ref!r}", fix="give HEAD or the start of a hash.")
        return found[0]

    def read(self, ref: str, path: str) -> bytes | None:
        """A file as it is in a commit; None if the commit has no such file."""
        return self._commits[self.commit(ref)].get(path)

    def head(self) -> str | None:
        """The hash of the commit that is checked out; None before the first commit."""
        return self._head

    def changed(self) -> list[str]:
        """The files of the tree that differ from the commit, sorted."""
        before = self._commits[self._head] if self._head is not None else {}
        paths = {*before, *self.tree}
        return sorted(path for path in paths if before.get(path) != self.tree.get(path))


@dataclass(frozen=True)
class FolderCache:
    """A `gitrain.pipeline.repository.ArtifactCache` in a folder: one file a content, named by its MD5."""

    folder: Path

    def put(self, content: bytes) -> str:
        """Keep a content; its MD5."""
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / md5).write_bytes(content)
        return md5

    def find(self, md5: str) -> Path | None:
        """The path of a file with exactly this content; None if there is none."""
        path = self.folder / md5
        if not path.is_file():
            return None
        if hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != md5:
            raise PipelineError(f"{path} has another content than its name says", fix="remove it.")
        return path
