"""Git, by its command line program: what a commit holds, and how the working tree differs from it."""

import functools
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gitrain.errors import IntegrationError, PipelineError, ReleaseError, UsageError
from gitrain.integrations.git_program import ELSEWHERE
from gitrain.pipeline.file_change import FileChange
from gitrain.release.tags import ReleaseTag

__all__ = ["GitRepository"]

_REGULAR_FILES = ("100644", "100755")
# Neither a name nor a message holds NUL. The commit of an annotated tag stands behind the star.
_TAG_FIELDS = ("refname:lstrip=2", "objecttype", "objectname", "*objecttype", "*objectname", "contents")


@dataclass(frozen=True)
class GitRepository:
    """A `Repository` on the Git working tree that `root` lies in.

    Paths are relative to `root`, which may be a folder inside the working tree or a linked worktree. The repository is
    only read, save by `add_tag`; neither its hooks nor a file system monitor from its configuration are run.
    """

    root: Path

    def commit(self, ref: str) -> str:
        """The full hash of the commit that `ref` names.

        Raises:
            UsageError: `ref` names no commit here.
            PipelineError: `root` lies in no Git repository, or Git cannot read it.
        """
        if not ref or ref.startswith("-") or not ref.isprintable():
            raise UsageError(f"{ref!r} is no name of a commit", fix="give a branch, a tag or a hash, e.g. origin/main.")
        found = self._resolve(ref)
        if found is None:
            raise UsageError(f"Git knows no commit {ref!r} here", fix=self._how_to_get(ref))
        return found

    def read(self, ref: str, path: str) -> bytes | None:
        """The content of a regular file as it is in a commit; None if the commit has no such file.

        Raises:
            UsageError: `ref` names no commit, or `path` is absolute or leads outside the repository.
            PipelineError: Git cannot read the file, e.g. because a partial clone never fetched it.
        """
        if not path or path.startswith("/") or ".." in PurePosixPath(path).parts:
            raise UsageError(f"{path!r} is no path inside the repository", fix="give a path relative to its root.")
        full = f"{self._prefix}{PurePosixPath(path).as_posix()}"
        listing = self._run("ls-tree", "-z", "--full-tree", "--end-of-options", self.commit(ref), "--", full)
        for entry in listing.split(b"\0"):
            meta, _, name = entry.partition(b"\t")
            if name == os.fsencode(full):
                mode, _, blob = meta.decode("ascii").split(" ")
                return self._run("cat-file", "blob", blob) if mode in _REGULAR_FILES else None
        return None

    def head(self) -> str | None:
        """The full hash of the commit that is checked out; None before the first commit.

        Raises:
            PipelineError: `root` lies in no Git repository, or Git cannot read it.
        """
        return self._resolve("HEAD")

    def changed(self) -> list[str]:
        """Tracked files that differ from the commit, and untracked ones that are not ignored, sorted.

        Files outside `root` are left out. A file that was renamed appears with its old and its new name.

        Raises:
            PipelineError: `root` lies in no Git repository, or Git cannot read it.
        """
        prefix = os.fsencode(self._prefix)
        listing = self._run("status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--", ".")
        paths = (entry[3:] for entry in listing.split(b"\0") if entry)
        return sorted(os.fsdecode(path.removeprefix(prefix)) for path in paths)

    def contains(self, commit: str) -> bool:
        """Whether the commit that is checked out has `commit` in its history.

        Raises:
            UsageError: `commit` names no commit.
            PipelineError: Git cannot tell, e.g. before the first commit.
        """
        done = _git(self.root, "merge-base", "--is-ancestor", "--end-of-options", self.commit(commit), "HEAD")
        if done.returncode not in (0, 1):
            raise _failure(self.root, "merge-base", done)
        return done.returncode == 0

    def differences(self, commit: str) -> list[FileChange]:
        """The tracked files below `root` that differ from `commit`, by path; a renamed one knows its old name.

        Raises:
            UsageError: `commit` names no commit.
            PipelineError: Git cannot compare, e.g. because a partial clone never fetched a file.
        """
        flags = ("--numstat", "-z", "--relative", "--find-renames", "--no-ext-diff", "--no-textconv", "--no-color")
        listing = self._run("diff", *flags, "--end-of-options", self.commit(commit), "--", ".")
        changes: list[FileChange] = []
        # ADDED <tab> DELETED <tab> PATH <nul>, and for renames an empty path, then <nul> OLD <nul> NEW <nul>.
        fields = iter(listing.split(b"\0"))
        for field in fields:
            if not field:
                continue
            added, deleted, path = field.split(b"\t", 2)
            was = None if path else _text(next(fields))
            name = _text(path or next(fields))
            changes.append(FileChange(path=name, added=_count(added), deleted=_count(deleted), was=was))
        return sorted(changes, key=lambda change: change.path)

    def tags(self) -> list[ReleaseTag]:
        """The tags that are on commits, by name; the message of one that is not annotated is empty.

        Raises:
            PipelineError: `root` lies in no Git repository, or Git cannot read it.
        """
        listing = self._run(
            "for-each-ref", f"--format={''.join(f'%({field})%00' for field in _TAG_FIELDS)}", "refs/tags"
        )
        # Git ends each entry with a line feed, which then stands before the next name.
        parts = [part.decode(errors="replace") for part in listing.split(b"\0")]
        found = []
        for start in range(0, len(parts) - 1, len(_TAG_FIELDS)):
            name, kind, target, inner_kind, inner, message = parts[start : start + len(_TAG_FIELDS)]
            annotated = kind == "tag"
            if (inner_kind if annotated else kind) == "commit":
                tag = ReleaseTag(
                    name=name.lstrip("\n"),
                    commit=inner if annotated else target,
                    message=message if annotated else "",
                )
                found.append(tag)
        return sorted(found, key=lambda tag: tag.name)

    def add_tag(self, tag: ReleaseTag) -> bool:
        """Make an annotated tag; False if the commit has a tag of this name already; see `TagKeeper.add_tag`."""
        if _git(self.root, "check-ref-format", f"refs/tags/{tag.name}").returncode != 0 or tag.name.startswith("-"):
            raise UsageError(f"{tag.name!r} is no name of a tag", fix="rename the project.")
        commit = self.commit(tag.commit)
        there = next((other for other in self.tags() if other.name == tag.name), None)
        if there is None:
            done = _git(
                self.root,
                "-c",
                "core.hooksPath=/dev/null",
                "tag",
                "--annotate",
                "--cleanup=verbatim",
                "--message",
                tag.message,
                "--end-of-options",
                tag.name,
                commit,
            )
            if done.returncode == 0:
                return True
            # Another process may have been quicker.
            there = next((other for other in self.tags() if other.name == tag.name), None)
            if there is None:
                raise _failure(self.root, "tag", done)
        if there.commit != commit:
            raise ReleaseError(
                f"the tag {tag.name} is on commit {there.commit[:12]}, and the release was built from {commit[:12]}",
                fix="a release is never moved: build this commit again, with the next version.",
            )
        return False

    def _resolve(self, ref: str) -> str | None:
        _ = self._prefix  # outside a repository rev-parse would fail as it does for an unknown name
        arguments = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        done = _git(self.root, *arguments)
        return done.stdout.decode("ascii").strip() if done.returncode == 0 else None

    @functools.cached_property
    def _prefix(self) -> str:
        """The path of `root` inside the working tree: empty, or ending in a slash."""
        return os.fsdecode(self._run("rev-parse", "--show-prefix").removesuffix(b"\n"))

    def _how_to_get(self, ref: str) -> str:
        if self._run("rev-parse", "--is-shallow-repository").strip() == b"true":
            return (
                "the clone is shallow: run `git fetch --unshallow` (in GitHub Actions: checkout with fetch-depth: 0)."
            )
        if not ref.startswith("origin/") and self._resolve(f"origin/{ref}") is not None:
            return f"did you mean 'origin/{ref}'?"
        return f"run `git fetch origin` if {ref!r} exists only on the remote, or correct the name."

    def _run(self, *arguments: str) -> bytes:
        done = _git(self.root, *arguments)
        if done.returncode != 0:
            raise _failure(self.root, arguments[0], done)
        return done.stdout


def _text(name: bytes) -> str:
    """A file's name for people: what is no UTF-8 in it is replaced."""
    return name.decode(errors="replace")


def _count(lines: bytes) -> int | None:
    return None if lines == b"-" else int(lines)


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    environment |= {
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }
    command = ["git", "-c", "core.fsmonitor=false", *arguments]
    try:
        return subprocess.run(
            command, cwd=root, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except FileNotFoundError as error:
        if root.is_dir():
            raise IntegrationError("the program `git` is not on PATH", fix="install Git.") from error
        raise PipelineError(f"{root} is no folder", fix="run inside the repository.") from error


def _failure(root: Path, verb: str, done: subprocess.CompletedProcess[bytes]) -> PipelineError:
    said = " ".join(done.stderr.decode(errors="replace").split()) or f"exit code {done.returncode}"
    if "not a git repository" in said:
        return PipelineError(f"{root} lies in no Git repository", fix="run `git init`, or run inside a clone.")
    if "tell me who you are" in said or "empty ident name" in said:
        return PipelineError(
            "Git knows nobody to name as the tagger",
            fix="run `git config user.name` and `user.email` with a name each.",
        )
    if "dubious ownership" in said:
        return PipelineError(
            f"Git refuses to read {root}, which belongs to another user",
            fix=f"run `git config --global --add safe.directory {root}` if you trust it.",
        )
    return PipelineError(
        f"`git {verb}` failed in {root}: {said}", fix="run `git status` there and mend what it reports."
    )
